"""The loop on Windows: `asyncio.ProactorEventLoop`, with its completions awaited by a thread.

Transports, pipes, subprocesses and `sock_*` are asyncio's own. Where asyncio's loop waits at its
completion port, a thread of Rust's does, without the GIL: Qt's event loop is woken when something
has been completed, once for all that is there by then. An idle loop is not woken at all.

Beside that sockets can be watched: by `add_reader` and `add_writer`, which asyncio has only where
there is a selector.
"""

import _overlapped  # type: ignore[import-not-found]
import asyncio
import contextlib
import socket
import sys
import types
import weakref
from asyncio import windows_events
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVarTuple, Unpack

from . import _core

# For type checkers, which read this file on every system.
assert sys.platform == "win32"

_Ts = TypeVarTuple("_Ts")

if TYPE_CHECKING:

    class _Stock(asyncio.ProactorEventLoop):
        """What of the stock loop's private side is used."""

        _ssock: socket.socket
        _csock: socket.socket
        _internal_fds: int
        _current_handle: asyncio.Handle | None
        _asyncgen_firstiter_hook: Callable[[Any], None]
        _asyncgen_finalizer_hook: Callable[[Any], None]

        def _check_closed(self) -> None: ...
        def _make_self_pipe(self) -> None: ...
        def _close_self_pipe(self) -> None: ...

else:
    _Stock = asyncio.ProactorEventLoop

#: The class of the default event loop policy; None where Python has no policies any more.
default_policy: type[Any] | None = getattr(
    windows_events,
    "_DefaultEventLoopPolicy",
    getattr(windows_events, "DefaultEventLoopPolicy", None),
)


def after_fork_in_child(call: Callable[[], object]) -> None:
    """Does nothing: there are no forks."""


#: Who waits at a completion port, by the port's handle.
_waiting: Final[dict[int, _core.Completions]] = {}


def _take(port: int, milliseconds: int) -> tuple[int, int, int, int] | None:
    """`GetQueuedCompletionStatus`, of what the thread has taken out of the port."""
    return _waiting[port].take(milliseconds)


def _poll_of_stock() -> Any:
    """The stock proactor's `_poll` of this Python, which takes packets from the thread."""
    stock = windows_events.IocpProactor._poll  # type: ignore[attr-defined]
    overlapped = types.SimpleNamespace(
        GetQueuedCompletionStatus=_take, INVALID_HANDLE_VALUE=_overlapped.INVALID_HANDLE_VALUE
    )
    names = {**stock.__globals__, "_overlapped": overlapped}
    return types.FunctionType(stock.__code__, names, stock.__name__, stock.__defaults__)


class _Proactor(windows_events.IocpProactor):
    """asyncio's proactor, which never waits while the loop runs."""

    _iocp: int | None
    _loop: asyncio.AbstractEventLoop | None
    _results: list[Any]
    _poll = _poll_of_stock()

    def set_loop(self, loop: Any) -> None:
        super().set_loop(loop)
        assert self._iocp is not None
        self._completions = _core.Completions(loop, self._iocp, _Arrival(self))
        _waiting[self._iocp] = self._completions

    def take_all(self) -> None:
        """Tells the futures of what has been completed."""
        try:
            self._poll(0)
        except BaseException:
            # Somebody's callback has failed. What else has been completed must not be lost.
            assert self._loop is not None
            self._loop.call_soon(self.take_all)
            raise
        # The futures have called their callbacks. What was completed matters only to who waits.
        self._results = []

    def close(self) -> None:
        port = self._iocp
        if port is None:
            return
        # What was unregistered is forgotten by a look at the port. Else it would be waited for.
        self._poll(0)
        super().close()
        # Its number may be another port's by now.
        if _waiting.get(port) is self._completions:
            del _waiting[port]
        self._completions.close()


class _Arrival:
    """Called when something has been completed. Keeps no proactor, and so no loop, alive."""

    def __init__(self, proactor: _Proactor) -> None:
        self._proactor = weakref.ref(proactor)

    def __call__(self) -> None:
        proactor = self._proactor()
        if proactor is not None and proactor._iocp is not None:
            proactor.take_all()


class Loop(_core.Loop, _Stock):
    """What of the loop is I/O."""

    #: As on Unix, where `add_signal_handler` fills it.
    _signal_handlers: Final[dict[int, asyncio.Handle]] = {}  # Nobody fills it.
    _forward_signals_to: int | None = None

    def __init__(self) -> None:
        super().__init__(_Proactor())

    def _make_self_pipe(self) -> None:
        super()._make_self_pipe()
        self._add_reader(self._ssock.fileno(), self._read_from_self)

    def _close_self_pipe(self) -> None:
        self._remove_reader(self._ssock.fileno())
        super()._close_self_pipe()

    def _read_from_self(self) -> None:
        """A signal came. The turn that this is a part of has seen to it that its handler ran."""
        with contextlib.suppress(BlockingIOError, InterruptedError):
            while self._ssock.recv(4096):
                pass

    def add_reader(self, fd: Any, callback: Callable[[Unpack[_Ts]], object], *args: *_Ts) -> None:
        """Calls callback(*args) whenever the socket has something to read."""
        self._add_reader(fd, callback, *args)

    def remove_reader(self, fd: Any) -> bool:
        """Ends that. Whether there was something to end."""
        return self._remove_reader(fd)

    def add_writer(self, fd: Any, callback: Callable[[Unpack[_Ts]], object], *args: *_Ts) -> None:
        """Calls callback(*args) whenever the socket has room for something to write."""
        self._add_writer(fd, callback, *args)

    def remove_writer(self, fd: Any) -> bool:
        """Ends that. Whether there was something to end."""
        return self._remove_writer(fd)
