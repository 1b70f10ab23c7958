"""Debug mode's check of threads: a QObject is to be used in the thread in which it lives.

`check_thread` is for the package's own modules. `thread_warnings` turns Qt's own warnings into
reports to a loop's exception handler. A report names the task and the line.
"""

import asyncio
import atexit
import functools
import os
import re
import sys
import threading
import traceback
from asyncio import events, format_helpers
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, Final

from . import _core, _qt

#: The text of Qt's warnings about an object that is used in a wrong thread, or in a thread that
#: serves no objects.
_CONCERNS_THREADS: Final = re.compile(
    "different thread|another thread|calling thread|not the object's thread|GUI thread|main thread"
    "|threads started with QThread|thread's event dispatcher"
)


def check_thread(qobject: Any) -> None:
    """Raises RuntimeError if the QObject lives in another thread than the current one. The message
    names the object and both threads.

    May be called from any thread; takes a few microseconds. An object that was moved to no thread,
    or whose thread has ended, is refused everywhere. If the C++ object was deleted, the binding's
    RuntimeError is raised.
    """
    home, here = qobject.thread(), _current_thread()
    if home != here:
        raise RuntimeError(
            f"{_describe(qobject)} lives in {_name(home)} and must not be used in {_name(here)}: "
            f"connect a "
            "signal to it, or hand the work to a loop of its thread with call_soon_threadsafe() or "
            "asyncio.run_coroutine_threadsafe()"
        )


@contextmanager
def thread_warnings(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """While it is entered, Qt's warnings about objects in wrong threads go to the loop's exception
    handler.

    To be entered and left in the thread that runs the loop, around the run. The handler is called
    by the loop, not from within Qt; what is still to be reported at the end is reported then. Its
    context has "message", Qt's text; "task", if one was running; "stack", a
    `traceback.StackSummary` that ends where Qt was called; and "thread", a name. A warning in a
    thread without such a loop, as in a job of an executor, goes to the loop that entered first. All
    messages go on to the message handler that was installed before, or to standard error as Qt
    would print them.

    It is Qt's message handler for the process while any loop has entered. If the program installs
    another handler meanwhile, that one stays, and this one gets what it passes on. The limits:

    * Qt does not notice everything. A QWidget made or changed in another thread often goes
      unnoticed.
    * A message handler in Python takes the GIL. Native code that logs while it holds a lock of its
      own hangs if another thread holds the GIL and waits for that lock. Hence for debug mode only.
    * A native message handler that was installed before is replaced: a binding cannot tell it from
      none.
    """
    watch = _Watch(loop)
    try:
        _enter(watch)
        yield
    finally:
        _core.ensure(functools.partial(_leave, watch), watch.report)


def watch_warnings(loop: asyncio.AbstractEventLoop, running: _core.Running) -> None:
    """As `thread_warnings`, until the loop is no longer the thread's running one."""
    watch = _Watch(loop)
    running.at_exit(watch.report)
    running.at_exit(functools.partial(_leave, watch))
    _enter(watch)


class _Stack(traceback.StackSummary):
    """A stack that can be read when it is printed. The default exception handler prints the `repr`
    of things."""

    def __repr__(self) -> str:
        return "\n" + "".join(self.format()).rstrip()


class _Watch:
    """A loop, and the reports for it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._noted: deque[dict[str, Any]] = deque()

    def note(self, context: dict[str, Any]) -> None:
        """Makes a report, from any thread. The loop calls the handler later: it may do what must
        not be done inside a call of Qt, such as showing a dialog."""
        self._noted.append(context)
        with suppress(RuntimeError):  # The loop is closed.
            self.loop.call_soon_threadsafe(self.report)

    def report(self) -> None:
        # The stack of this call has nothing to do with what is reported.
        self.loop._current_handle = None  # type: ignore[attr-defined]
        while self._noted:
            self.loop.call_exception_handler(self._noted.popleft())


class _MessageHandler:
    """Qt's message handler. It notes messages while it is `_handler`. A handler that was left must
    stay usable, since a later one may pass messages on to it."""

    def __init__(self, qt_core: Any) -> None:
        self._qt = qt_core
        self._previous: Any = None  # Until it is known; other threads may log by then.
        previous = qt_core.qInstallMessageHandler(self)
        # A signal's handler may have interrupted the removal of an earlier handler.
        while isinstance(previous, _MessageHandler):
            previous = previous._previous
        self._previous = previous

    def remove(self) -> None:
        installed = self._qt.qInstallMessageHandler(self._previous)
        if installed is not self:
            self._qt.qInstallMessageHandler(installed)

    def __call__(self, kind: Any, context: Any, text: str) -> None:
        """Takes a message, from any thread. Nothing of ours may raise to Qt. What a handler of the
        program raises is the program's affair."""
        try:
            if _handler is self and _CONCERNS_THREADS.search(text):
                _note(text, sys._getframe().f_back)
            if self._previous is None:
                self._print(kind, context, text)
        except BaseException as error:
            _raise_later(error)
        if self._previous is not None:
            self._previous(kind, context, text)

    def _print(self, kind: Any, context: Any, text: str) -> None:
        if formatted := self._qt.qFormatLogMessage(kind, context, text):
            os.write(2, f"{formatted}\n".encode(errors="replace"))


_lock = threading.Lock()
_watches: list[_Watch] = []
_handler: _MessageHandler | None = None


def _enter(watch: _Watch) -> None:
    global _handler
    with _lock:
        if _handler is None:
            _handler = _MessageHandler(_qt.core())
            atexit.register(_remove_handler)  # Qt may log when there is no interpreter any more.
        _watches.append(watch)


def _leave(watch: _Watch) -> None:
    with _lock:
        if watch in _watches:
            _watches.remove(watch)
        if not _watches:
            _remove_handler()


def _remove_handler() -> None:
    global _handler
    handler, _handler = _handler, None
    if handler is not None:
        handler.remove()
        atexit.unregister(_remove_handler)


def _watch_of(loop: asyncio.AbstractEventLoop | None) -> _Watch | None:
    watches = list(_watches)
    return next((watch for watch in watches if watch.loop is loop), watches[0] if watches else None)


def _note(text: str, frame: FrameType | None) -> None:
    """Reports a message. `frame` is the Python code that called Qt; None in a thread that runs only
    Qt's code."""
    running = events._get_running_loop()
    watch = _watch_of(running)
    if watch is None:
        return
    context: dict[str, Any] = {"message": text.strip(), "thread": _name(_current_thread())}
    if running is not None and (task := asyncio.current_task(running)) is not None:
        context["task"] = task
    context["stack"] = _Stack(format_helpers.extract_stack(frame) if frame is not None else ())
    watch.note(context)


def _raise_later(error: BaseException) -> None:
    """A KeyboardInterrupt may come at any time, and the loop raises it. The loop reports anything
    else."""

    def reraise() -> None:
        raise error

    watch = _watch_of(events._get_running_loop())
    if watch is not None:
        with suppress(RuntimeError):  # The loop is closed.
            watch.loop.call_soon_threadsafe(reraise)


def _current_thread() -> Any:
    return _qt.in_thread(_qt.core(), _qt.proven_alive)


def _describe(qobject: Any) -> str:
    name = qobject.objectName()
    return f"{type(qobject).__name__} {name!r}" if name else repr(qobject)


def _name(qthread: Any) -> str:
    """The name of a QThread. Threads of Python have no names in Qt."""
    if qthread is None:
        return "no thread"
    application = _qt.core().QCoreApplication.instance()
    if application is not None and qthread == application.thread():
        return "the main thread"
    if name := qthread.objectName():
        return f"the thread {name!r}"
    if qthread == _current_thread():
        return f"the thread {threading.current_thread().name!r}"
    return f"another thread ({qthread!r})"
