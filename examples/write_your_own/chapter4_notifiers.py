"""Chapter 4, the portable way: a QSocketNotifier for each file descriptor and direction.

New beside `chapter4_qt.py`: `NotifierSelector` in place of `Looker`. That one needs a selector that
is a file descriptor itself, as epoll and kqueue are. This one needs a run loop that can watch any
socket, so it also is for Windows.

    python examples/write_your_own/chapter4_notifiers.py
"""

import asyncio
import contextlib
import functools
import math
import os
import selectors
import signal
import socket
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextvars import Context
from typing import Any

if os.environ.get("QT_API", "").lower() == "pyside6":
    from PySide6.QtCore import QCoreApplication, QEventLoop, QSocketNotifier, Qt, QTimer
else:
    from PyQt6.QtCore import QCoreApplication, QEventLoop, QSocketNotifier, Qt, QTimer


class NotifierSelector(selectors.BaseSelector):
    """Remembers what is to be watched, and while the loop runs has Qt watch it."""

    def __init__(self) -> None:
        self._keys: dict[int, selectors.SelectorKey] = {}
        self._notifiers: dict[int, list[QSocketNotifier]] = {}
        self._seen: dict[
            int, int
        ] = {}  # the events of each file descriptor since the last select()
        self._wake: Callable[[], object] | None = None

    # What asyncio calls: a mapping from file descriptors to keys, and a look at what was seen.

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        fd = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        if fd < 0:
            raise ValueError(f"Invalid file descriptor: {fd}")
        if fd in self._keys:
            raise KeyError(f"{fileobj!r} (FD {fd}) is already registered")
        key = self._keys[fd] = selectors.SelectorKey(fileobj, fd, events, data)
        self._watch(key)
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        fd = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        key = self._keys.pop(fd)  # a KeyError if it is not registered, as the interface demands
        self._seen.pop(fd, None)
        for notifier in self._notifiers.pop(fd, ()):
            notifier.setEnabled(False)
        return key

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        seen, self._seen = self._seen, {}
        return [(self._keys[fd], events) for fd, events in seen.items()]

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._keys

    # What the loop calls when it enters Qt and when it leaves.

    def start(self, wake: Callable[[], object]) -> None:
        """Have Qt watch everything. `wake` is called when something was seen."""
        self._wake = wake
        for key in self._keys.values():
            self._watch(key)

    def end(self) -> None:
        """Qt's objects go: they belong to this thread, and the next run may be in another."""
        self._wake = None
        for notifiers in self._notifiers.values():
            for notifier in notifiers:
                notifier.setEnabled(False)
        self._notifiers.clear()

    def _watch(self, key: selectors.SelectorKey) -> None:
        if self._wake is None:
            return
        kinds = {
            selectors.EVENT_READ: QSocketNotifier.Type.Read,
            selectors.EVENT_WRITE: QSocketNotifier.Type.Write,
        }
        for event, kind in kinds.items():
            if key.events & event:
                notifier = QSocketNotifier(key.fd, kind)
                notifier.activated.connect(functools.partial(self._note, key.fd, event))
                self._notifiers.setdefault(key.fd, []).append(notifier)

    def _note(self, fd: int, event: int, *_: object) -> None:
        if fd in self._keys and self._wake is not None:
            self._seen[fd] = self._seen.get(fd, 0) | event
            self._wake()


class GuestLoop(asyncio.SelectorEventLoop):
    """A loop that lives in another run loop: that one waits and calls `_turn`.

    A subclass says how to run the run loop, how to leave it, and how to set its one timer.
    """

    # What the base class keeps: handles that are ready, a heap of timers, whether stop() was
    # called, the selector, and the end of the self-pipe that is written to.
    _ready: deque[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]
    _stopping: bool
    _selector: NotifierSelector
    _csock: socket.socket

    def __init__(self) -> None:
        super().__init__(NotifierSelector())
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
        self._selector.start(self._turn)
        self._arm()
        self._qt.exec()
        self._timer.stop()
        self._selector.end()

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
