"""The `binding` host: the QTimer, QSocketNotifier and QEventLoop of whichever Python binding is
loaded.

Rust calls the methods of `Host`, which are those of `qtloop.hosts.Host`. The slots are callables
made in Rust, so no Python code runs between Qt and the driver.
"""

import contextlib
import functools
import operator
import threading
from collections.abc import Iterator
from typing import Any, ClassVar

from . import _qobjects, _qt
from ._host_protocol import READ, WRITE, Reporter

#: PySide makes the enumerations of a class when one of them is first used. Two threads must not do
#: that at the same time.
_enumerations = threading.Lock()
#: `QEvent::Quit`, which PyQt5 does not name.
QUIT = 20


class Host:
    """The Qt objects of one run. Only the thread that runs the loop may use it.

    The handler of a signal may raise its exception in the middle of any method. Then Rust calls the
    method again, and it does what is left to do. After `start` and `run` Rust calls `stop` instead.
    An object gets its parent only when it is noted here: until then it is deleted if it is
    forgotten.
    """

    name: ClassVar[str] = "binding"
    #: A loop with this host needs an application.
    uses_qt: ClassVar[bool] = True

    def __init__(self, qt_core: Any) -> None:
        self._qt = qt_core
        with _enumerations:
            self._precise = qt_core.Qt.TimerType.PreciseTimer
            self._wait_for_more = qt_core.QEventLoop.ProcessEventsFlag.WaitForMoreEvents
            self._ways = {
                READ: qt_core.QSocketNotifier.Type.Read,
                WRITE: qt_core.QSocketNotifier.Type.Write,
            }
        #: The parent of the objects below.
        self._parent: Any = None
        self._reporter: Reporter | None = None
        self._ready: Any = None
        self._deadline: Any = None
        self._notifiers: dict[tuple[int, int], Any] = {}
        self._runs: list[_Run] = []

    def start(self, reporter: Reporter) -> None:
        """Creates the timers on this thread. Raises RuntimeError if there is no
        QCoreApplication."""
        if self._qt.QCoreApplication.instance() is None:
            raise RuntimeError("no QCoreApplication exists: create one before the loop runs")
        # Gives the thread its event dispatcher. Timers do not start without one.
        self._qt.QEventLoop()
        self._parent = _qt.make_parent(self._qt)
        self._reporter = reporter
        self._ready = self._single_shot(reporter.ready())
        self._deadline = self._single_shot(reporter.deadline())
        self._deadline.setTimerType(self._precise)
        self._ready.setParent(self._parent)
        self._deadline.setParent(self._parent)

    def stop(self) -> None:
        """Removes everything that `start` and `watch` created."""
        is_last = _qt.slots_outlive_thread(self._qt)
        if is_last:
            for signal in self._signals():
                # If this was interrupted before, some are disconnected already.
                with contextlib.suppress(TypeError):
                    signal.disconnect()
        self._remove()
        if is_last:
            _qt.delete_deferred(self._qt)

    def _signals(self) -> Iterator[Any]:
        """Those that are still connected."""
        for timer in (self._ready, self._deadline):
            if timer is not None and not _qobjects.is_deleted(timer):
                yield timer.timeout
        for notifier in [*self._notifiers.values()]:
            if not _qobjects.is_deleted(notifier):
                yield notifier.activated

    def _remove(self) -> None:
        # Their parent may have been deleted first, with the application.
        for notifier in [*self._notifiers.values()]:
            if not _qobjects.is_deleted(notifier):
                notifier.setEnabled(False)
                notifier.setParent(None)
        for timer in (self._ready, self._deadline):
            if timer is not None and not _qobjects.is_deleted(timer):
                timer.stop()
                timer.setParent(None)
        self._notifiers.clear()
        self._ready = self._deadline = self._reporter = None
        self._runs.clear()
        if self._parent is not None:
            _qt.release_parent(self._parent)
        self._parent = None

    def run(self, drain: bool) -> int:
        """Runs an event loop until `quit` or, unless `drain`, until the application quits.

        Returns the exit code if it was the application's own loop, else 0: then the exit code goes
        to whoever runs the application's loop.
        """
        application = self._qt.QCoreApplication.instance()
        is_applications = not drain and _qt.is_gui_thread(self._qt) and _loop_level(self._qt) == 0
        held = None if is_applications else HeldQuit(self._qt, application)
        run = _Run(application if is_applications else self._qt.QEventLoop())
        self._runs.append(run)
        try:
            if not is_applications:
                run.loop.setParent(self._parent)
            code = _qt.execute(run.loop)
            # If the application has quit meanwhile, all its loops end already.
            if held is not None and run.has_quit:
                held.give_back()
            # While the application quits, a QEventLoop ends at once. Finalizers still need their
            # events.
            while drain and not run.has_quit:
                run.loop.processEvents(self._wait_for_more)
            return code if is_applications else 0
        finally:
            if run in self._runs:
                self._runs.remove(run)
            if isinstance(run.loop, self._qt.QEventLoop):
                run.loop.setParent(None)

    def quit(self) -> None:
        """Ends the innermost `run`. If there is none, ends the thread's event loops."""
        if self._runs:
            self._runs[-1].has_quit = True
            self._runs[-1].loop.exit(0)
        else:
            _qt.exit_thread(self._qt)

    def arm(self) -> None:
        """Starts the zero-timeout timer anew. With a new id it also fires in nested loops."""
        self._ready.start(0)

    def disarm(self) -> None:
        """Stops it."""
        self._ready.stop()

    def set_deadline(self, milliseconds: int | None) -> None:
        """Starts the deadline's timer anew, or stops it."""
        if milliseconds is None:
            self._deadline.stop()
        else:
            self._deadline.start(milliseconds)

    def watch(self, fd: int, interest: int) -> None:
        """Enables the fd's notifiers for the directions in `interest`, and disables the others."""
        for direction in (READ, WRITE):
            notifier = self._notifiers.get((fd, direction))
            enabled = bool(interest & direction)
            if notifier is None and enabled:
                notifier = self._notifiers[fd, direction] = self._notifier(fd, direction)
                notifier.setParent(self._parent)
            elif notifier is not None:
                notifier.setEnabled(enabled)

    def _single_shot(self, slot: Any) -> Any:
        timer = self._qt.QTimer()
        timer.setSingleShot(True)
        timer.timeout.connect(slot)
        return timer

    def _notifier(self, fd: int, direction: int) -> Any:
        assert self._reporter is not None
        slot = self._reporter.readable(fd) if direction == READ else self._reporter.writable(fd)
        notifier = self._qt.QSocketNotifier(fd, self._ways[direction])
        notifier.activated.connect(slot)
        return notifier


def _loop_level(qt_core: Any) -> int:
    """How many event loops this thread is in."""
    return int(_qt.in_thread(qt_core, lambda thread: thread.loopLevel()))


class _Run:
    """One `run` on the stack."""

    def __init__(self, loop: Any) -> None:
        self.loop = loop
        self.has_quit = False


class HeldQuit:
    """A quit that was posted to the application. It is kept while a loop of ours runs inside
    another one.

    Closing the last window posts a quit, and `QEventLoop.exec()` discards it on entry. That is
    right for the inner loop, but the quit was meant for the outer one.
    """

    def __init__(self, qt_core: Any, application: Any) -> None:
        self._qt = qt_core
        self._is_held = False
        # If there is no outer loop the quit is forgotten, as in Qt. Delivered later, it would end
        # what has not begun.
        if not _qt.is_gui_thread(qt_core) or _loop_level(qt_core) == 0:
            return
        # All of this is C: nobody could catch what a signal handler raises in a filter written in
        # Python.
        self._event()  # PyQt needs Python code to meet a class of events.
        swallow = functools.lru_cache(operator.is_not)  # True for every event, and counts them.
        holder = qt_core.QObject()
        holder.eventFilter = swallow
        application.installEventFilter(holder)
        qt_core.QCoreApplication.sendPostedEvents(application, QUIT)
        application.removeEventFilter(holder)
        self._is_held = swallow.cache_info().misses > 0

    def give_back(self) -> None:
        """Posts it again."""
        application = self._qt.QCoreApplication.instance()
        if self._is_held and application is not None:
            self._qt.QCoreApplication.postEvent(application, self._event())

    def _event(self) -> Any:
        return self._qt.QEvent(self._qt.QEvent.Type(QUIT))
