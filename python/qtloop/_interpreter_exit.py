"""The end of the interpreter while a loop runs in another thread than the main one.

Python stops a daemon thread where it is: it ends the thread when that next wants the GIL. A thread
inside Qt must not be ended: the frames there cannot be unwound. So the loop leaves Qt first, and
then waits for ever, as any daemon thread does: its thread is *parked*.

But the program's own functions of `atexit` have to run before that. They may need the loop: to stop
it and to join its thread, or to wait for a client that it serves. Those functions run in the
reverse order of their registration. One of them is the binding's: it destroys the application, and
without an application Qt's event loops deliver nothing any more. So there are three moments:

* Before all of them runs `_announce`. It notes that the end has begun, and nothing else.
* When the application is destroyed the loops leave Qt, but go on without it, in a plain poll. So
  does a loop that only begins to run now, if nobody would tell it when the application goes.
* `_park` was registered when qtloop was imported. What was registered later has run by then. If the
  program had registered something earlier, it is still to come, and the loops go on. They are
  parked when the application goes if nothing of the program's comes after that, and else never:
  then Python ends a thread whose callback runs at that very moment in the middle of it.
"""

import atexit
import sys
import threading
import types
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from . import _core, _qt, _system

if TYPE_CHECKING:
    from ._loop import EventLoop

#: Seconds that a loop has to leave Qt. It needs that time only if a callback does not return.
PATIENCE: Final = 1


class _Run:
    """A loop that runs in another thread."""

    def __init__(self, loop: "EventLoop") -> None:
        self._loop = loop
        #: The thread as Qt knows it, if a binding tells.
        self._thread = None
        #: Whether the loop does not need Qt, or has gone on without it.
        self._is_bare = not loop._uses_qt or is_without_qt()
        if _has_binding() and not self._is_bare:
            self._thread = _qt.in_thread(_qt.core(), _qt.proven_alive)
        self._has_left = threading.Event()
        self._is_to_park = False

    def park(self) -> None:
        """The thread leaves Qt, if it is there, and is parked."""
        self._is_to_park = True
        self._has_left.clear()
        with suppress(RuntimeError):  # It has just been closed.
            self._loop.call_soon_threadsafe(self._loop.stop)

    def is_in_qt(self) -> bool:
        """Whether it is Qt's event loop that runs."""
        return self._thread is not None and not self._is_bare

    def leave_qt(self, parks: bool) -> None:
        """The thread leaves Qt, which delivers nothing any more, and is parked or goes on without
        Qt."""
        if self._thread is None:
            if parks:
                self.park()
            return
        self._is_to_park = parks
        self._has_left.clear()
        self._thread.quit()

    def wait(self) -> None:
        self._has_left.wait(PATIENCE)

    def has_lost_qt(self) -> bool:
        """Whether Qt has ended the run because it can carry no loop any more. Call it in its
        thread."""
        self.park_if_told()
        if self._is_bare or not _is_without_qt:
            return False
        self._is_bare = True
        self._has_left.set()
        return True

    def begins_without_qt(self) -> bool:
        """Whether Qt can carry no loop when a run begins. Call it in its thread."""
        self._is_bare = self._is_bare or is_without_qt()
        return self._is_bare and self._loop._uses_qt

    def park_if_told(self) -> None:
        """Does not return if the thread is to be parked. Call it in that thread, outside of Qt."""
        if self._is_to_park:
            self._has_left.set()
            _stand_still()


#: The loops that run in other threads.
_running: dict["EventLoop", _Run] = {}
_lock = threading.Lock()
_is_ending = False
_is_without_qt = False
_is_parked = False
#: The application whose end is watched.
_watched: weakref.ref[Any] | None = None


@contextmanager
def leaves_at_exit(loop: "EventLoop") -> Iterator[None]:
    """Surrounds a run of Qt's event loop. If the interpreter ends meanwhile, this may never return.
    That cannot happen in the main thread."""
    if threading.get_ident() == threading.main_thread().ident:
        yield
        return
    if _is_parked:
        _stand_still()
    if loop._uses_qt:
        _watch_application()
    run = _running[loop] = _Run(loop)
    try:
        yield
    finally:
        _running.pop(loop, None)
        run.park_if_told()


def has_lost_qt(loop: "EventLoop") -> bool:
    """Whether the run of the loop that has just ended was ended because Qt can carry it no more.
    Does not return if the thread is to be parked."""
    run = _running.get(loop)
    return run is not None and run.has_lost_qt() and loop._uses_qt


def begins_without_qt(loop: "EventLoop") -> bool:
    """Whether the loop, whose run is about to begin, must go on without Qt."""
    run = _running.get(loop)
    return run.begins_without_qt() if run is not None else loop._uses_qt and is_without_qt()


def is_ending() -> bool:
    """Whether the interpreter is ending."""
    return _is_ending


def is_without_qt() -> bool:
    """Whether the interpreter is ending and this thread cannot rely on Qt's event loops."""
    if _is_without_qt or not _is_ending or not _has_binding():
        return _is_without_qt
    is_main = threading.get_ident() == threading.main_thread().ident
    return not is_main and (_watched is None or _watched() is None)


def _has_binding() -> bool:
    """Whether there is a binding that destroys the application at the end."""
    return _qt.own is None and _qt.imported() is not None


def _stand_still() -> None:
    threading.Event().wait()


def _watch_application() -> None:
    """Arranges that the application's end is noticed."""
    global _watched
    if not _has_binding():
        return
    with _lock:  # From its look on nobody else must destroy the application.
        if _is_ending:
            return
        qt_core = _qt.core()
        application = qt_core.QCoreApplication.instance()
        if application is not None and (_watched is None or _watched() is not application):
            application.destroyed.connect(
                _core.Entrance(_leave_qt), qt_core.Qt.ConnectionType.DirectConnection
            )
            _watched = weakref.ref(application)


def _announce() -> None:
    global _is_ending
    with _lock:
        _is_ending = True


def _leave_qt(*_: object) -> None:
    """The application is destroyed."""
    global _is_without_qt, _is_parked
    if not _is_ending:
        return
    _is_without_qt = True
    _is_parked = _is_parked or (_registered_before and not _is_any_before_the_bindings)
    running = [run for run in _running.values() if _is_parked or run.is_in_qt()]
    for run in running:
        run.leave_qt(_is_parked)
    for run in running:
        run.wait()


def _park() -> None:
    global _is_parked
    if _registered_before:
        return
    _is_parked = True
    running = list(_running.values())
    for run in running:
        run.park()
    for run in running:
        run.wait()


class _Listing(list[Any]):
    """Equal to nothing. It keeps what it was compared with: `atexit` has no other way to show its
    functions."""

    def __eq__(self, other: object) -> bool:
        self.append(other)
        return False

    __hash__ = None


def _is_bindings(function: Any) -> bool:
    return isinstance(function, types.BuiltinFunctionType) and not _is_of_python(function)


def _is_of_python(function: Any) -> bool:
    return (getattr(function, "__module__", None) or "").partition(".")[
        0
    ] in sys.stdlib_module_names


def _is_programs(function: Any) -> bool:
    if isinstance(function, types.MethodType):
        return not isinstance(function.__self__, type) or not _is_of_python(function)
    if isinstance(function, types.FunctionType):
        return not _is_of_python(function)
    return not isinstance(function, types.BuiltinFunctionType)


_listing = _Listing()
atexit.unregister(_listing)  # type: ignore[arg-type]
#: Whether the program has registered something before qtloop was imported. That runs after `_park`.
_registered_before = any(map(_is_programs, _listing))
_until_binding = _listing[
    : next((n for n, function in enumerate(_listing) if _is_bindings(function)), None)
]
#: Whether something is registered that runs after the binding's functions.
_is_any_before_the_bindings = any(map(_is_programs, _until_binding))
del _listing, _until_binding
atexit.register(_park)
threading._register_atexit(_announce)  # type: ignore[attr-defined]
_system.after_fork_in_child(_running.clear)
