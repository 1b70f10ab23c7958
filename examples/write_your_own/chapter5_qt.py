"""Chapter 5: the loop of chapter 4, mended where it went wrong.

New since chapter 4:
* a turn is over after `SLICE` seconds, and what is still ready waits for the next: the run loop
  gets its turn even if a thousand callbacks are ready (`_run_ready`);
* nested run loops: a callback may open a dialog, and turns go on inside. So the timer is set before
  callbacks run (`_arm` and `_due`), the task that waits for the dialog is left for the time of a
  nested turn (`_turn`), and what would enter its context has to wait (`_entered`, `_deferred`);
* so the turn is our own again, as in chapter 2: the base class's `_run_once` cannot be nested.

    python examples/write_your_own/chapter5_qt.py
"""

import asyncio
import contextlib
import heapq
import math
import os
import selectors
import signal
import socket
from collections import deque
from collections.abc import Callable, Iterator
from contextvars import Context
from typing import Any

if os.environ.get("QT_API", "").lower() == "pyside6":
    from PySide6.QtCore import QCoreApplication, QEventLoop, QSocketNotifier, Qt, QTimer
else:
    from PyQt6.QtCore import QCoreApplication, QEventLoop, QSocketNotifier, Qt, QTimer


SLICE = 0.005  # seconds: a third of the time between two frames


class Looker(selectors.DefaultSelector):
    """Looks at the file descriptors and never waits: that is the run loop's task."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(0)


class GuestLoop(asyncio.SelectorEventLoop):
    """A loop that lives in another run loop: that one waits and calls `_turn`.

    A subclass says how to run the run loop, how to leave it, and how to set its one timer.
    """

    # What the base class keeps: handles that are ready, a heap of timers, whether stop() was
    # called, the selector, and the end of the self-pipe that is written to.
    _ready: deque[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]
    _stopping: bool
    _selector: Looker
    _csock: socket.socket

    def __init__(self) -> None:
        super().__init__(Looker())
        self._running_inside = False
        self._turning = False
        self._error: BaseException | None = None
        self._due: float | None = None  # when the timer ends
        self._entered: list[Context] = []  # those of the callbacks on the stack
        self._deferred: list[asyncio.Handle] = []  # what wants to enter one of them

    # What is the run loop's.

    def _enter(self) -> None:
        """Run the run loop until `_leave`. It must call `_turn` when the selector is readable."""
        raise NotImplementedError

    def _leave(self) -> None:
        """Make `_enter` return."""
        raise NotImplementedError

    def _set_timer(self, delay: float | None) -> None:
        """Have `_turn` called once after so many seconds, and not before; None: not at all."""
        raise NotImplementedError

    # Scheduling: the base class does it, and the timer is set when something was added.

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        handle = super().call_soon(callback, *args, context=context)
        self._arm()
        return handle

    def call_at(
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        handle = super().call_at(when, callback, *args, context=context)
        self._arm()
        return handle

    # A turn.

    def _turn(self, *_: object) -> None:
        """The run loop calls this. No exception may leave it: C code above has no use for one."""
        task, outer = asyncio.current_task(self), self._turning
        try:
            try:
                self._turning = True
                if task is not None:  # its step is on the stack, in a nested run loop
                    asyncio._leave_task(self, task)
                self._collect()
                self._run_ready()
            finally:
                if task is not None:
                    asyncio._enter_task(self, task)
                self._turning = outer
        except BaseException as error:
            self._error = error  # _run_once raises it
            self._stopping = True
        if self._stopping:
            self._leave()
        else:
            self._arm()

    def _collect(self) -> None:
        """Add what is due to what is ready: first file descriptors, then timers."""
        self._process_events(self._selector.select(0))
        now = self.time()
        while self._scheduled and (
            self._scheduled[0].cancelled() or self._scheduled[0].when() <= now
        ):
            self._ready.append(heapq.heappop(self._scheduled))

    def _run_ready(self) -> None:
        """Run what is ready now, until the slice is over. A nested turn may take some of it."""
        self._due = None  # the timer that called us has ended, or the one that is set will not do
        self._arm()  # for a run loop that a callback may run
        end = self.time() + SLICE
        for _ in range(len(self._ready)):
            if not self._ready or (self.time() > end and not self._stopping):
                break
            handle = self._ready.popleft()
            if any(handle._context is context for context in self._entered):
                self._deferred.append(handle)
            elif not handle.cancelled():
                self._entered.append(handle._context)
                try:
                    handle._run()
                finally:
                    self._entered.pop()
                    self._ready.extendleft(reversed(self._deferred))
                    self._deferred.clear()

    def _arm(self) -> None:
        """Set the timer to when the next turn is due, if that has changed."""
        if not self._running_inside:
            return
        due = None
        if self._ready or self._stopping:
            due = 0.0
        elif self._scheduled:
            due = self._scheduled[0].when()
        if due != self._due:
            self._due = due
            self._set_timer(None if due is None else max(0, due - self.time()))

    # Running.

    def _run_once(self) -> None:
        """The base class's run_forever calls this until stop(). So it need be called only once."""
        self._running_inside = True
        self._due = None
        try:
            with self._signals():
                self._enter()
        finally:
            self._running_inside = False
            self._stopping = True  # whoever left the run loop, this is the end
            error, self._error = self._error, None
        if error is not None:
            raise error

    def stop(self) -> None:
        super().stop()
        self._arm()

    # Signals.

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """While the loop runs: a signal ends the run loop's wait, and Ctrl-C is the next callback.

        Python runs a signal's handler between two bytecodes, wherever the main thread is. Where C
        code has just called Python, nobody would catch the KeyboardInterrupt that it may raise.
        """
        handler: Any = signal.getsignal(signal.SIGINT)
        waiting: tuple[Any, ...] | None = None

        def at_ctrl_c(*args: Any) -> None:
            nonlocal waiting
            if waiting is not None and self._turning:
                handler(*args)  # the second one while the first waits: some callback does not end
            else:
                waiting = args
                self._ready.appendleft(asyncio.Handle(deliver, (), self))
                self.call_soon_threadsafe(lambda: None)  # wakes the loop

        def deliver() -> None:
            nonlocal waiting
            if waiting is not None:
                args, waiting = waiting, None
                handler(*args)

        try:
            if callable(handler):
                signal.signal(signal.SIGINT, at_ctrl_c)
            earlier = signal.set_wakeup_fd(self._csock.fileno(), warn_on_full_buffer=False)
        except ValueError:
            yield  # signals are for the main thread of the main interpreter
            return
        try:
            yield
        finally:
            if signal.getsignal(signal.SIGINT) is at_ctrl_c:
                signal.signal(signal.SIGINT, handler)
            signal.set_wakeup_fd(earlier)
            deliver()  # if it came too late for a turn


class QtLoop(GuestLoop):
    """Lives in a QEventLoop. The program makes a QCoreApplication or QApplication first."""

    def _enter(self) -> None:
        # Qt's objects belong to the thread that made them. So they are made here, in the running
        # one.
        # The first: it makes the thread's dispatcher, which the others need
        self._qt = QEventLoop()
        self._timer = QTimer(singleShot=True, timerType=Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._turn)
        notifier = QSocketNotifier(self._selector.fileno(), QSocketNotifier.Type.Read)
        notifier.activated.connect(self._turn)
        self._arm()
        self._qt.exec()
        self._timer.stop()
        notifier.setEnabled(False)

    def _leave(self) -> None:
        self._qt.quit()

    def _set_timer(self, delay: float | None) -> None:
        if delay is None:
            self._timer.stop()
        else:
            # Whole milliseconds, rounded up: too early would be wrong. A day at most: it is an int.
            self._timer.start(math.ceil(min(delay, 86_400) * 1000))


# A program for it: a task opens a dialog, so to speak, and another one goes on.


async def tick(times: list[float]) -> None:
    while True:
        await asyncio.sleep(0.01)
        times.append(asyncio.get_running_loop().time())


async def main() -> None:
    times: list[float] = []
    ticking = asyncio.create_task(tick(times))
    dialog = QEventLoop()  # QDialog.exec() is this, and a window
    QTimer.singleShot(200, dialog.quit)
    dialog.exec()
    print(
        "the tasks went on" if len(times) > 5 else "the tasks stood still",
        "while the dialog was open",
    )
    ticking.cancel()


def make_application() -> QCoreApplication:
    """Qt wants this to be made first, and in the main thread."""
    return QCoreApplication.instance() or QCoreApplication([])


if __name__ == "__main__":
    application = make_application()
    with asyncio.Runner(loop_factory=QtLoop) as runner:
        runner.run(main())
