"""The stock loop's private side, for programs that use it.

`asyncio.SelectorEventLoop` keeps its queues, its selector and its step function under names that
programs use. Our loop inherits those names, but Qt turns it. So programs can read what can be read
under those names. What they would change or call in vain raises RuntimeError at once.
"""

import asyncio
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn, overload

if TYPE_CHECKING:
    from ._loop import EventLoop

#: What a program should do instead.
TURNING: Final = (
    "Qt turns this loop: use run_forever(), after call_soon(loop.stop) for one iteration"
)
QUEUEING: Final = "use call_soon(), call_later() and the handles' cancel()"
WATCHING: Final = "Qt waits for this loop's fds: use its add_reader() and add_writer()"
SCREENING: Final = "a timer of this loop never fires early, whatever the clock's resolution"


class Queue(Sequence[asyncio.Handle]):
    """The handles that wait in the loop at this moment, for reading. `append` queues a handle."""

    def __init__(self, loop: "EventLoop", name: str) -> None:
        self._loop = loop
        self._name = name

    def _handles(self) -> list[Any]:
        ready, timers = self._loop._queued()
        if self._name == "_ready":
            return ready
        return sorted(timers, key=lambda timer: timer.when())

    def __len__(self) -> int:
        return len(self._handles())

    @overload
    def __getitem__(self, index: int) -> asyncio.Handle: ...
    @overload
    def __getitem__(self, index: slice) -> list[asyncio.Handle]: ...
    def __getitem__(self, index: int | slice) -> asyncio.Handle | list[asyncio.Handle]:
        found: asyncio.Handle | list[asyncio.Handle] = self._handles()[index]
        return found

    def __iter__(self) -> Iterator[asyncio.Handle]:
        return iter(self._handles())

    def append(self, handle: asyncio.Handle) -> None:
        """Queues a handle that is ready."""
        if self._name != "_ready":
            self._refuse()
        self._loop._add_callback(handle)

    def clear(self) -> None:
        """Does nothing. The stock code calls it when the loop is closed, and closing the loop has
        cleared it already."""
        if not self._loop.is_closed():
            self._refuse()

    def _refuse(self) -> NoReturn:
        raise RuntimeError(f"EventLoop.{self._name} cannot be changed: {QUEUEING}")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        self._refuse()

    def __repr__(self) -> str:
        return f"<{self._name} of {self._loop!r}: {self._handles()!r}>"


class QueueName:
    """The name of a queue in the class of the loop."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, loop: "EventLoop | None", owner: type | None = None) -> Any:
        return self if loop is None else Queue(loop, self._name)

    def __set__(self, loop: "EventLoop", value: object) -> None:
        if loop._is_made:
            raise RuntimeError(f"EventLoop.{self._name} cannot be replaced: {QUEUEING}")


class FixedName:
    """An attribute that the stock code sets when a loop is made. Replacing it would have no
    effect."""

    def __init__(self, advice: str) -> None:
        self._advice = advice

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, loop: "EventLoop | None", owner: type | None = None) -> Any:
        if loop is None:
            return self
        try:
            return vars(loop)[self._name]
        except KeyError:
            raise AttributeError(self._name) from None

    def __set__(self, loop: "EventLoop", value: object) -> None:
        # A closed loop drops its references.
        if loop._is_made and not loop.is_closed():
            raise RuntimeError(f"EventLoop.{self._name} cannot be replaced: {self._advice}")
        vars(loop)[self._name] = value


class MethodName:
    """A method that the stock loop calls by itself, and our loop never calls."""

    def __init__(self, advice: str) -> None:
        self._advice = advice

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, loop: "EventLoop | None", owner: type | None = None) -> Any:
        return self if loop is None else self._refuse

    def __set__(self, loop: "EventLoop", value: object) -> None:
        raise RuntimeError(f"EventLoop.{self._name} cannot be replaced: {self._advice}")

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise RuntimeError(f"EventLoop.{self._name}() cannot be called: {self._advice}")
