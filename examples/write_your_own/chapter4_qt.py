"""Chapter 4: file descriptors, and with them sockets, TLS, pipes and subprocesses.

New since chapter 3:
* the base class is `asyncio.SelectorEventLoop`: what it has is deleted here (queues, tasks,
  threads, executors, exceptions, `run_until_complete`, `close`), and what it has more is there;
* `Looker` is the selector that it is given: it looks and never waits;
* the run loop watches one file descriptor, the selector's own, which is readable when any other is;
* nothing is left of the self-pipe: the base class has one, and the selector watches it.

    python examples/write_your_own/chapter4_qt.py
"""

import asyncio
import contextlib
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
        if self._turning:
            return  # chapter 5 is about this
        try:
            try:
                self._turning = True
                super()._run_once()
            finally:
                self._turning = False
        except BaseException as error:
            self._error = error  # _run_once raises it
            self._stopping = True
        if self._stopping:
            self._leave()
        else:
            self._arm()

    def _arm(self) -> None:
        """Set the timer to when the next turn is due."""
        if not self._running_inside or self._turning:
            return  # _run_once will do it, or the end of the turn
        if self._ready or self._stopping:
            self._set_timer(0)
        elif self._scheduled:
            self._set_timer(max(0, self._scheduled[0].when() - self.time()))
        else:
            self._set_timer(None)

    # Running.

    def _run_once(self) -> None:
        """The base class's run_forever calls this until stop(). So it need be called only once."""
        self._running_inside = True
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


# A program for it: a server, its client, and a subprocess, in Qt's event loop.


async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(line.upper())
        await writer.drain()
    writer.close()


async def main() -> None:
    async with await asyncio.start_server(shout, "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"hello, server\n")
        print("the server answers", await reader.readline())
        writer.close()
        await writer.wait_closed()
    child = await asyncio.create_subprocess_exec(
        "echo", "hello, child", stdout=asyncio.subprocess.PIPE
    )
    output, _ = await child.communicate()
    print("the child says", output)


def make_application() -> QCoreApplication:
    """Qt wants this to be made first, and in the main thread."""
    return QCoreApplication.instance() or QCoreApplication([])


if __name__ == "__main__":
    application = make_application()
    with asyncio.Runner(loop_factory=QtLoop) as runner:
        runner.run(main())
