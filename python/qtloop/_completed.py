"""`completed`: starts something asynchronous of Qt, awaits its end, and cancels it with the task.

Most such things look alike: a method starts them, a signal says that they are done, then their
result can be asked for, and another method stops them. `completed` is told these four. So a thing
that it does not know is awaitable in three lines::

    def connected(socket: QTcpSocket, host: str, port: int) -> Awaitable[None]:
        return qtloop.completed(socket, socket.connected, failed=socket.errorOccurred,
                                start=lambda: socket.connectToHost(host, port), cancel=socket.abort)
"""

import asyncio
import contextlib
import inspect
import threading
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar, overload

from . import _core, _qobjects, _thread_affinity
from ._qt_signals import SenderDestroyed

_T = TypeVar("_T")


class QtError(Exception):
    """Something of Qt has ended with an error. The text is Qt's."""

    def __init__(self, message: str, code: Any = None, source: Any = None) -> None:
        super().__init__(message)
        #: The error's number as Qt has it: mostly a member of an enumeration such as
        #: QProcess.ProcessError.
        self.code = code
        #: The object that failed.
        self.source = source


@overload
async def completed(
    thing: Any,
    *done: Any,
    result: Callable[[], _T],
    failed: Any = None,
    start: Callable[[], object] | None = None,
    until: Callable[[], object] | None = None,
    cancel: Callable[[], object] | None = None,
) -> _T: ...


@overload
async def completed(
    thing: Any,
    *done: Any,
    failed: Any = None,
    start: Callable[[], object] | None = None,
    until: Callable[[], object] | None = None,
    cancel: Callable[[], object] | None = None,
) -> Any: ...


async def completed(
    thing: Any,
    *done: Any,
    result: Callable[[], Any] | None = None,
    failed: Any = None,
    start: Callable[[], object] | None = None,
    until: Callable[[], object] | None = None,
    cancel: Callable[[], object] | None = None,
) -> Any:
    """Starts something of `thing` and waits until one of the signals `done` says that it has ended.

    `thing` is the QObject that the signals belong to. It is kept alive meanwhile: a bound signal
    does not do that. Everything is connected before `start` is called, so a signal that is emitted
    inside it counts.

    `until` says whether it really has ended. It is asked after `start` and after each signal of
    `done`; without it the first signal is the end.

    `result` is called as soon as it has ended, inside the signal's emission, since the object may
    be gone afterwards. Without it the result is what the signal carried: None, its argument, or a
    tuple of several.

    `failed` is a signal that means failure. If it carries an exception, that is raised; else
    QtError, whose `code` is the signal's first argument and whose text is the string among them or,
    without one, the object's `errorString()`.

    `cancel` is called if the task is cancelled before the end. If it returns an awaitable, as a
    coroutine function does, that is awaited before CancelledError goes on.

    Raises SenderDestroyed if Qt deletes the object while it is awaited; what `start`, `until`,
    `result` or `cancel` raise; RuntimeError if no loop runs and, in debug mode, if the object lives
    in another thread. In the end nothing stays connected. Await it in the object's thread; the
    signals may be emitted in any. `until` and `result` are called in the one that awaits.
    """
    watch = _Watch(thing)

    def end(*args: Any) -> None:
        if until is None or until():
            watch.end(result() if result is not None else _unpacked(args))

    try:
        for signal in done:
            watch.on(signal, end)
        if failed is not None:
            watch.on(failed, lambda *args: _fail(thing, args))
        if start is not None:
            start()
        if until is not None:
            watch.tell(end)
        await watch.ended
    except asyncio.CancelledError:
        if cancel is not None and watch.is_open:
            watch.close()
            with contextlib.suppress(SenderDestroyed):
                stopping = cancel()
                if inspect.isawaitable(stopping):
                    await stopping
        raise
    finally:
        watch.close()
    return watch.outcome()


class _Watch:
    """The signals that may end a wait. The first one that ends it counts. Any thread may emit
    them."""

    def __init__(self, thing: Any) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._connections: list[tuple[Any, _core.Entrance]] = []
        self._is_gone = False
        self._value: Any = None
        self._error: BaseException | None = None
        #: Done when the wait is over.
        self.ended = self._loop.create_future()
        #: Whether signals still count.
        self.is_open = True
        self._object = thing if _qobjects.kind(thing, ("QObject",)) else None
        if self._object is not None:
            if self._loop.get_debug():
                _thread_affinity.check_thread(thing)
            self._connect(thing.destroyed, self._destroyed)

    def on(self, signal: Any, report: Callable[..., None]) -> None:
        """From now on the signal calls `report` in the loop's thread, with its arguments, until the
        wait is over."""

        def slot(*args: Any) -> None:
            # What an object emits while it is being destroyed says no more than `destroyed`, which
            # follows.
            if self._object is None or not _qobjects.is_deleted(self._object):
                self.tell(report, *args)

        self._connect(signal, slot)

    def end(self, value: Any = None, error: BaseException | None = None) -> None:
        """Ends the wait with a value or an exception."""
        self._value, self._error = value, error
        # Everything before the end may be done again, if the handler of a signal comes in between.
        self._set_ended()
        self.is_open = False

    def _set_ended(self) -> None:
        try:
            if not self.ended.done():
                self.ended.set_result(None)
        except RuntimeError:
            if not self._loop.is_closed():  # Else nobody waits any more.
                raise

    def tell(self, report: Callable[..., None], *args: Any) -> None:
        """Calls `report` in the loop's thread. An exception ends the wait and goes nowhere else: Qt
        may be the caller."""
        if threading.get_ident() != self._thread:
            with contextlib.suppress(RuntimeError):  # As above.
                self._loop.call_soon_threadsafe(self.tell, report, *args)
        elif self.is_open:
            try:
                report(*args)
            except BaseException as error:
                if self.ended.done():
                    raise  # The wait is over already: what was raised is a signal's.
                self.end(error=error)

    def outcome(self) -> Any:
        """Returns the value, or raises the exception."""
        error, self._error = self._error, None
        if error is None:
            return self._value
        try:
            raise error
        finally:
            del error  # Its traceback has this frame.

    def close(self) -> None:
        """Disconnects everything."""
        self.is_open = False
        # PyQt frees its slots, and what they refer to, only when Qt gets its turn.
        self._object = None
        connections, self._connections = self._connections, []
        # The signals of a deleted object are gone with it. PyQt would follow a dangling pointer.
        for signal, slot in connections if not self._is_gone else ():
            # Somebody else has disconnected everything.
            with contextlib.suppress(RuntimeError, TypeError):
                signal.disconnect(slot)
        for _, slot in connections:
            slot._forget()

    def _connect(self, signal: Any, function: Callable[..., None]) -> None:
        slot = _core.Entrance(function)
        signal.connect(slot)
        self._connections.append((signal, slot))

    def _destroyed(self, *_: Any) -> None:
        self._is_gone = True
        self.tell(self._fail_as_destroyed)

    def _fail_as_destroyed(self) -> NoReturn:
        raise SenderDestroyed(
            f"the {type(self._object).__name__} was destroyed while it was awaited"
        )


def _unpacked(args: tuple[Any, ...]) -> Any:
    """A signal's arguments as one result."""
    return args[0] if len(args) == 1 else args or None


def _fail(thing: Any, args: tuple[Any, ...]) -> NoReturn:
    """Raises the error that the arguments of a signal of failure tell."""
    for argument in args:
        if isinstance(argument, BaseException):
            raise argument
    message = next((argument for argument in args if isinstance(argument, str)), None)
    if message is None:
        message = (
            str(thing.errorString()) if hasattr(thing, "errorString") else ", ".join(map(str, args))
        )
    raise QtError(message, args[0] if args else None, thing)
