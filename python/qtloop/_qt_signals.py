"""Waiting for Qt's signals.

The connection holds an inbox, which any thread may fill. Who waits holds the inbox too, and the
means to end the connection, which is ended when nobody does.
"""

import asyncio
import itertools
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from types import TracebackType
from typing import Any, Literal, Protocol, Self, get_args

from . import _qobjects
from ._current import current_loop

Arguments = tuple[Any, ...]
Overflow = Literal["drop-oldest", "drop-newest", "raise"]


class BoundSignal(Protocol):
    """A signal of an object, such as `timer.timeout`, or one of its overloads,
    `box.activated[str]`."""

    def connect(self, slot: Any, /) -> Any: ...
    def emit(self, *args: Any) -> None: ...


class SenderDestroyed(RuntimeError):
    """The signal will not be emitted any more: its sender was destroyed.

    Or the program has disconnected everything from the signal, which comes to the same.

    A RuntimeError, as bindings raise for every other use of an object that Qt has deleted.
    """


class EmissionsOverflow(RuntimeError):
    """A signal was emitted more often than its consumer has taken, and the buffer was full."""


def emitted(signal: BoundSignal) -> "Emission":
    """Waits until a signal is emitted. The result is the tuple of its arguments, as the binding
    gives them::

        args = await emitted(process.finished)

    It listens from this call on, not from the `await`: `waiter = emitted(timer.timeout);
    timer.start(0); await waiter` misses nothing. Later emissions are not heard. What is returned
    can be awaited once, and stands wherever asyncio takes a coroutine: `wait_for`, `gather`,
    `create_task`, `TaskGroup`. It stops listening when it has its result, when it is cancelled, and
    when it is dropped, awaited or not; no warning is given then.

    Call it in the thread of a running loop, while the sender exists: PyQt cannot tell, and crashes
    on the signal of an object that is gone. The signal may be emitted in any thread. Its arguments
    are what a slot would get; a pointer to what C++ deletes after the emission is not to be used
    any more. Where an argument has a default, PySide has two signals, and the shorter one comes
    first: `button.clicked` gives `()` there, `button.clicked[bool]` gives `(False,)` with every
    binding.

    Raises RuntimeError if no loop runs in this thread, TypeError if `signal` is no bound signal;
    when awaited, SenderDestroyed if the sender is destroyed before it emits.
    """
    return Emission(_Subscription(signal, 1, "drop-newest"))


def emissions(
    signal: BoundSignal, *, maxsize: int = 1024, overflow: Overflow = "raise"
) -> "Emissions":
    """Iterates over the emissions of a signal, each a tuple of arguments, as the binding gives
    them::

        async for (value,) in emissions(slider.valueChanged):
            ...

    It listens from this call on. Emissions that the consumer has not taken yet are kept, at most
    `maxsize` of them. When one comes that does not fit, `overflow` says what is done: "drop-oldest"
    and "drop-newest" lose the one that came first or the one that comes now; "raise" raises
    EmissionsOverflow to the consumer, after what was kept. For the latest value alone: `maxsize=1,
    overflow="drop-oldest"`.

    The iteration ends, after what was kept, when the sender is destroyed. It stops listening when
    it is closed (`aclose()`, or the end of `async with emissions(...) as stream`) and when it is
    dropped. Several tasks may iterate over it: each emission goes to one of them, in turn while all
    are waiting. Each wants an iterator of its own to see all emissions.

    Threads, arguments and errors are as with `emitted`; ValueError if `maxsize` is less than one or
    `overflow` is unknown.
    """
    if maxsize < 1:
        raise ValueError(f"maxsize must be at least 1, not {maxsize}")
    if overflow not in get_args(Overflow):
        raise ValueError(
            f"overflow must be one of {', '.join(get_args(Overflow))}, not {overflow!r}"
        )
    return Emissions(_Subscription(signal, maxsize, overflow))


class Emission(Coroutine[Any, Any, Arguments]):
    """What `emitted` returns: a coroutine that may be dropped unawaited."""

    def __init__(self, subscription: "_Subscription") -> None:
        self._subscription = subscription
        self._steps: Generator[Any, Any, Arguments] | None = None

    def __await__(self) -> Generator[Any, Any, Arguments]:
        if self._steps is not None:
            raise RuntimeError("cannot await emitted() a second time")
        self._steps = _first(self._subscription)
        return self._steps

    def send(self, value: Any, /) -> Any:
        return self._started().send(value)

    def throw(self, *exception: Any) -> Any:
        try:
            return self._started().throw(*exception)
        except BaseException:
            # It may not have begun to wait, and then does not see the exception.
            self._subscription.close()
            raise

    def close(self) -> None:
        if self._steps is not None:
            self._steps.close()
        self._subscription.close()

    def _started(self) -> Generator[Any, Any, Arguments]:
        if self._steps is None or self._steps.gi_frame is None:  # type: ignore[attr-defined]
            self.__await__()
        assert self._steps is not None
        return self._steps


class Emissions(AsyncIterator[Arguments]):
    """What `emissions` returns."""

    def __init__(self, subscription: "_Subscription") -> None:
        self._subscription = subscription

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Arguments:
        try:
            arguments = await self._subscription.inbox.get()
        finally:
            del self  # A traceback may keep this frame, and must not keep the connection with it.
        if arguments is None:
            raise StopAsyncIteration
        return arguments

    async def aclose(self) -> None:
        """Stops listening and forgets what was kept. Whoever waits for an emission sees the
        iteration end."""
        self._subscription.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()


def _first(subscription: "_Subscription") -> Generator[Any, Any, Arguments]:
    """The steps of an `Emission`. A generator, because a coroutine complains when it is dropped
    unawaited."""
    try:
        arguments = yield from subscription.inbox.get().__await__()
    finally:
        subscription.close()
    if arguments is None:
        raise SenderDestroyed("the sender was destroyed before it emitted the signal")
    return arguments


class _Inbox:
    """What was emitted and not yet taken. Filled in any thread; all else happens in the loop's."""

    def __init__(self, maxsize: int, overflow: Overflow) -> None:
        self._loop = current_loop()
        self._maxsize = maxsize
        self._overflow = overflow
        #: What was emitted, the last one perhaps not looked at yet.
        self.noted: deque[Arguments] = deque()
        #: What is to be taken: the same, unless it has overflown or nobody wants any more.
        self._kept = self.noted
        self._is_open = True
        self._has_overflown = False
        self._has_ended = False
        # An emission may run Python code that emits again, in the middle of anything.
        self._lock = threading.RLock()
        self._turn = asyncio.Lock()  # Of the consumers, each of which waits for one emission.
        self._is_awaited = False
        self._news = asyncio.Event()
        self._is_waking = False

    def look(self) -> None:
        """An emission was noted. May be called again: what was done then is not done twice."""
        dropped: list[Arguments] = []
        with self._lock:
            if not self._is_open:
                dropped = list(self.noted)
                self.noted.clear()
                return
            while len(self.noted) > self._maxsize:
                if self._overflow == "raise":
                    self._kept = deque(itertools.islice(self.noted, self._maxsize))
                    self._has_overflown = True
                    self._is_open = False
                    break
                dropped.append(
                    self.noted.popleft() if self._overflow == "drop-oldest" else self.noted.pop()
                )
            self._wake()
        del dropped  # Not under the lock: an argument's end may run any code.

    def end(self) -> None:
        """Nothing will be emitted any more."""
        with self._lock:
            self._has_ended = True
            self._wake()

    def close(self) -> None:
        """Nobody wants any more."""
        with self._lock:
            self._is_open = self._has_overflown = False
            forgotten, self._kept = self._kept, deque()
            emitted = list(self.noted)
            self.noted.clear()
        self.end()
        del forgotten, emitted

    async def get(self) -> Arguments | None:
        """The next emission, or None when there will be none. Raises EmissionsOverflow."""
        async with self._turn:
            if self._kept:
                # A thread that never stops emitting must not keep the loop busy.
                await asyncio.sleep(0)
            self._is_awaited = True
            try:
                return await self._next()
            finally:
                self._is_awaited = False

    async def _next(self) -> Arguments | None:
        while True:
            # Before the look: what comes after it will set the event.
            self._news.clear()
            self._is_waking = False
            if self._kept:
                return self._kept.popleft()
            if self._has_overflown:
                raise EmissionsOverflow(
                    f"more than {self._maxsize} emissions were waiting to be taken"
                )
            if self._has_ended:
                return None
            await self._news.wait()

    def _wake(self) -> None:
        """Has the consumer look, once however much has come."""
        if self._is_waking or not self._is_awaited:
            return
        try:
            self._is_waking = True
            self._loop.call_soon_threadsafe(self._news.set)
        except BaseException:
            self._is_waking = False
            if not self._loop.is_closed():  # Else nobody will look.
                raise


class _Subscription:
    """Our end of a connection, which lasts no longer than this object."""

    def __init__(self, signal: BoundSignal, maxsize: int, overflow: Overflow) -> None:
        self._disconnect: Callable[[], object] | None = None
        if not _qobjects.is_bound_signal(signal):
            raise TypeError(f"a bound signal is needed, such as timer.timeout, not {signal!r}")
        self.inbox: _Inbox = _Inbox(maxsize, overflow)
        self._disconnect = _qobjects.connect(
            signal, self.inbox.look, self.inbox.end, self.inbox.noted.append
        )

    def close(self) -> None:
        """Ends the connection, in any thread."""
        disconnect, self._disconnect = self._disconnect, None
        if disconnect is not None:
            disconnect()
            self.inbox.close()

    __del__ = close
