"""Chapter 3: the loop inside Qt's event loop. Qt waits, and calls the loop when there is work.

New since chapter 2:
* time is real: nothing jumps, the run loop waits;
* `GuestLoop` is the part that every run loop shares: `_turn`, `_arm`, threads, signals, Ctrl-C,
  and what `asyncio.Runner` asks for;
* `QtLoop` is the part that is Qt's: three methods and twenty lines. `chapter3_tk.py`,
  `chapter3_glib.py` and `chapter3_cocoa.py` have the same `GuestLoop` and three other methods.

    python examples/write_your_own/chapter3_qt.py
"""

import asyncio
import contextlib
import heapq
import logging
import math
import os
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextvars import Context
from typing import Any

if os.environ.get("QT_API", "").lower() == "pyside6":
    from PySide6.QtCore import QCoreApplication, QEventLoop, QSocketNotifier, Qt, QTimer
else:
    from PyQt6.QtCore import QCoreApplication, QEventLoop, QSocketNotifier, Qt, QTimer


class GuestLoop(asyncio.AbstractEventLoop):
    """A loop that lives in another run loop: that one waits and calls `_turn` or `_wake`.

    A subclass says how to run the run loop, how to leave it, and how to set its one timer.
    """

    def __init__(self) -> None:
        self._ready: deque[asyncio.Handle] = deque()
        self._scheduled: list[asyncio.TimerHandle] = []
        self._stopping = False
        self._running = False
        self._closed = False
        self._turning = False
        self._error: BaseException | None = None
        self._executor = ThreadPoolExecutor()
        # The self-pipe: a byte written to `_sender` ends the run loop's wait, from any thread.
        self._receiver, self._sender = socket.socketpair()
        self._receiver.setblocking(False)
        self._sender.setblocking(False)

    # What is the run loop's.

    def _enter(self) -> None:
        """Run the run loop until `_leave`. It must call `_wake` when `_receiver` is readable."""
        raise NotImplementedError

    def _leave(self) -> None:
        """Make `_enter` return."""
        raise NotImplementedError

    def _set_timer(self, delay: float | None) -> None:
        """Have `_turn` called once after so many seconds, and not before; None: not at all."""
        raise NotImplementedError

    # Scheduling: as in chapter 2, and the timer is set when something was added.

    def time(self) -> float:
        return time.monotonic()

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        handle = self._add(callback, args, context)
        self._arm()
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        handle = self._add(callback, args, context)  # appending to a deque is safe in any thread
        with contextlib.suppress(BlockingIOError):  # a full pipe wakes the loop as well
            self._sender.send(b"\0")
        return handle

    def _add(
        self, callback: Callable[..., object], args: tuple[Any, ...], context: Context | None
    ) -> asyncio.Handle:
        if self._closed:
            raise RuntimeError("Event loop is closed")
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_at(
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._scheduled, handle)
        self._arm()
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """TimerHandle.cancel calls this. The turn drops cancelled timers, so there is no more to
        do."""

    # Futures, tasks and executors.

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Coroutine[Any, Any, Any], **options: Any) -> asyncio.Task[Any]:
        return asyncio.Task(coro, loop=self, **options)

    def run_in_executor(
        self, executor: Executor | None, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        return asyncio.wrap_future((executor or self._executor).submit(func, *args), loop=self)

    # Exceptions of callbacks, and of tasks that nobody awaited, arrive here.

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        logging.getLogger("asyncio").error(context["message"], exc_info=context.get("exception"))

    # A turn.

    def _turn(self, *_: object) -> None:
        """The run loop calls this. No exception may leave it: C code above has no use for one."""
        if self._turning:
            return  # chapter 5 is about this
        try:
            try:
                self._turning = True
                self._run_once()
            finally:
                self._turning = False
        except BaseException as error:
            self._error = error  # run_forever raises it
            self._stopping = True
        if self._stopping:
            self._leave()
        else:
            self._arm()

    def _wake(self, *_: object) -> None:
        """The run loop calls this when the self-pipe is readable: empty it, then have a turn."""
        with contextlib.suppress(BlockingIOError):
            while self._receiver.recv(4096):
                pass
        self._turn()

    def _run_once(self) -> None:
        """See what is due, then run what is ready now. What that adds waits for the next turn."""
        while self._scheduled and self._scheduled[0].cancelled():
            heapq.heappop(self._scheduled)
        now = self.time()
        while self._scheduled and self._scheduled[0].when() <= now:
            self._ready.append(heapq.heappop(self._scheduled))
        for _ in range(len(self._ready)):
            handle = self._ready.popleft()
            if not handle.cancelled():
                handle._run()

    def _arm(self) -> None:
        """Set the timer to when the next turn is due."""
        if not self._running or self._turning:
            return  # run_forever will do it, or the end of the turn
        if self._ready or self._stopping:
            self._set_timer(0)
        elif self._scheduled:
            self._set_timer(max(0, self._scheduled[0].when() - self.time()))
        else:
            self._set_timer(None)

    # Running.

    def run_forever(self) -> None:
        if self._closed:
            raise RuntimeError("Event loop is closed")
        if self._running:
            raise RuntimeError("This event loop is already running")
        if asyncio._get_running_loop() is not None:
            raise RuntimeError("Cannot run the event loop while another loop is running")
        asyncio._set_running_loop(self)
        self._running = True
        try:
            with self._signals():
                self._enter()
        finally:
            self._running = self._stopping = False
            asyncio._set_running_loop(None)
            error, self._error = self._error, None
        if error is not None:
            raise error

    def run_until_complete(self, future: Any) -> Any:
        future = asyncio.ensure_future(future, loop=self)
        future.add_done_callback(self._stop_at_the_end)
        try:
            self.run_forever()
        finally:
            future.remove_done_callback(self._stop_at_the_end)
        if not future.done():
            raise RuntimeError("Event loop stopped before Future completed.")
        return future.result()

    def _stop_at_the_end(self, future: asyncio.Future[Any]) -> None:
        self.stop()

    def stop(self) -> None:
        self._stopping = True
        self._arm()

    def is_running(self) -> bool:
        return self._running

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
            earlier = signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)
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

    def add_signal_handler(self, sig: int, callback: Callable[..., object], *args: Any) -> None:
        signal.signal(sig, lambda *_: self.call_soon_threadsafe(callback, *args))

    def remove_signal_handler(self, sig: int) -> bool:
        usual = signal.default_int_handler if sig == signal.SIGINT else signal.SIG_DFL
        return signal.signal(sig, usual) is not usual

    # The end, and what asyncio.Runner asks for.

    async def shutdown_asyncgens(self) -> None:
        """Nobody keeps track of asynchronous generators here. The base class of chapter 4 does."""

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        self._executor.shutdown()

    def close(self) -> None:
        if self._running:
            raise RuntimeError("Cannot close a running event loop")
        self._closed = True
        self._ready.clear()
        self._scheduled.clear()
        self._receiver.close()
        self._sender.close()

    def is_closed(self) -> bool:
        return self._closed

    def get_debug(self) -> bool:
        return False

    def set_debug(self, enabled: bool) -> None:
        """There is no debug mode here. The base class of chapter 4 has one."""


class QtLoop(GuestLoop):
    """Lives in a QEventLoop. The program makes a QCoreApplication or QApplication first."""

    def _enter(self) -> None:
        # Qt's objects belong to the thread that made them. So they are made here, in the running
        # one.
        # The first: it makes the thread's dispatcher, which the others need
        self._qt = QEventLoop()
        self._timer = QTimer(singleShot=True, timerType=Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._turn)
        notifier = QSocketNotifier(self._receiver.fileno(), QSocketNotifier.Type.Read)
        notifier.activated.connect(self._wake)
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


# A program for it: Qt's timer and asyncio's tasks side by side, and a thread.


async def count(name: str, pause: float) -> None:
    for number in range(3):
        await asyncio.sleep(pause)
        print(f"{name} {number}")


async def main() -> None:
    ticks: list[float] = []
    timer = QTimer(interval=5)
    timer.timeout.connect(lambda: ticks.append(time.monotonic()))
    timer.start()
    async with asyncio.TaskGroup() as group:
        group.create_task(count("slow", 0.10))
        group.create_task(count("quick", 0.04))
        answer = await asyncio.to_thread(sum, range(1_000_000))
        print(f"a thread says {answer}")
    print("Qt's timer ticked all the time" if len(ticks) > 10 else "Qt's timer stood still")


if __name__ == "__main__":
    application = QCoreApplication([])
    with asyncio.Runner(loop_factory=QtLoop) as runner:
        runner.run(main())
