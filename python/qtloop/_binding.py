"""The `binding` host: the QTimer, QSocketNotifier and QEventLoop of whichever Python binding is loaded.

Rust calls the methods of `Host`; the contract that they keep is documented with the trait
`qtloop::host::Host`. The slots are callables made in Rust, so no Python code runs between Qt and the driver.
"""

import contextlib
from typing import Any, Protocol

from . import _qt

READ, WRITE = 1, 2


class Reporter(Protocol):
    """Makes the slots that report an event to the driver."""

    def ready(self) -> Any:
        """For the zero-timeout timer."""

    def deadline(self) -> Any:
        """For the deadline's timer."""

    def readable(self, fd: int) -> Any:
        """For the fd's read notifier."""

    def writable(self, fd: int) -> Any:
        """For the fd's write notifier."""


class Host:
    """The Qt objects of one run at a time. Only from the thread that runs the loop."""

    def __init__(self, qt_core: Any) -> None:
        self._qt = qt_core
        self._parent: Any = None
        self._reporter: Reporter | None = None
        self._ready: Any = None
        self._deadline: Any = None
        self._notifiers: dict[tuple[int, int], Any] = {}
        self._runs: list[_Run] = []

    def start(self, reporter: Reporter) -> None:
        """Creates the timers on this thread. Raises RuntimeError if there is no QCoreApplication."""
        if self._qt.QCoreApplication.instance() is None:
            raise RuntimeError("no QCoreApplication exists: create one before the loop runs")
        self._qt.QEventLoop()  # Gives the thread its event dispatcher, without which timers do not start.
        # A parent of Qt's own: at exit bindings delete what Python owns, though a daemon thread uses it.
        self._parent = _qt.dispatcher(self._qt)
        self._reporter = reporter
        self._ready = self._single_shot(reporter.ready())
        self._deadline = self._single_shot(reporter.deadline())
        self._deadline.setTimerType(self._qt.Qt.TimerType.PreciseTimer)

    def stop(self) -> None:
        """Removes everything that `start` and `watch` created."""
        notifiers = [*self._notifiers.values()]
        timers = [timer for timer in (self._ready, self._deadline) if timer is not None]
        self._ready = self._deadline = self._reporter = None
        self._notifiers.clear()
        # Their parent may have gone first, with the application.
        with contextlib.suppress(RuntimeError):
            for notifier in notifiers:
                notifier.setEnabled(False)
                notifier.setParent(None)
            for timer in timers:
                timer.stop()
                timer.setParent(None)
        self._parent = None

    def run(self, drain: bool) -> int:
        """Runs an event loop until `quit` or, unless `drain`, until the application quits.

        Returns the exit code if it was the application's own loop, else 0: whoever runs that gets it.
        """
        application = self._qt.QCoreApplication.instance()
        thread = self._qt.QThread.currentThread()
        is_free = application is not None and application.thread() == thread and thread.loopLevel() == 0
        run = _Run(application if is_free and not drain else self._qt.QEventLoop(self._parent))
        self._runs.append(run)
        try:
            code = _qt.execute(run.loop)
            # While the application quits, a QEventLoop ends at once; finalizers still need their events.
            while drain and not run.has_quit:
                run.loop.processEvents(self._qt.QEventLoop.ProcessEventsFlag.WaitForMoreEvents)
            return code if run.loop is application else 0
        finally:
            self._runs.remove(run)
            if isinstance(run.loop, self._qt.QEventLoop):
                run.loop.setParent(None)

    def quit(self) -> None:
        """Ends the innermost `run`, or without one the thread's event loops."""
        if self._runs:
            self._runs[-1].has_quit = True
            self._runs[-1].loop.exit(0)
        else:
            _qt.exit_thread(self._qt)

    def arm(self) -> None:
        """Starts the zero-timeout timer afresh: with a new id it fires in nested loops too."""
        self._ready.start(0)

    def disarm(self) -> None:
        """Stops it."""
        self._ready.stop()

    def set_deadline(self, milliseconds: int | None) -> None:
        """Starts the deadline's timer afresh, or stops it."""
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
                self._notifiers[fd, direction] = self._notifier(fd, direction)
            elif notifier is not None:
                notifier.setEnabled(enabled)

    def _single_shot(self, slot: Any) -> Any:
        timer = self._qt.QTimer(self._parent)
        timer.setSingleShot(True)
        timer.timeout.connect(slot)
        return timer

    def _notifier(self, fd: int, direction: int) -> Any:
        assert self._reporter is not None
        kind = self._qt.QSocketNotifier.Type
        slot = self._reporter.readable(fd) if direction == READ else self._reporter.writable(fd)
        way = kind.Read if direction == READ else kind.Write
        notifier = self._qt.QSocketNotifier(fd, way, self._parent)
        notifier.activated.connect(slot)
        return notifier


class _Run:
    """One `run` on the stack."""

    def __init__(self, loop: Any) -> None:
        self.loop = loop
        self.has_quit = False
