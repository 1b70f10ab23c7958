"""The loop on Windows: `asyncio.ProactorEventLoop`, with a thread that waits for completions.

Transports, pipes, subprocesses and `sock_*` are asyncio's own. asyncio's loop waits at its
completion port itself. Here a thread in Rust waits there, without the GIL. It wakes Qt's event loop
when operations have been completed, once for each batch of them. An idle loop is not woken at all.

In addition `add_reader` and `add_writer` can watch sockets. asyncio has these methods only in loops
with a selector.
"""

import _overlapped  # type: ignore[import-not-found]
import asyncio
import contextlib
import socket
import sys
import types
import weakref
from asyncio import proactor_events, sslproto, windows_events
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVarTuple, Unpack

from . import _core

# For type checkers: they read this file on every system.
assert sys.platform == "win32"

_Ts = TypeVarTuple("_Ts")

if TYPE_CHECKING:

    class _Stock(asyncio.ProactorEventLoop):
        """The private members of the stock loop that are used here."""

        _ssock: socket.socket
        _csock: socket.socket
        _internal_fds: int
        _current_handle: asyncio.Handle | None
        _asyncgen_firstiter_hook: Callable[[Any], None]
        _asyncgen_finalizer_hook: Callable[[Any], None]

        def _check_closed(self) -> None: ...
        def _make_self_pipe(self) -> None: ...
        def _close_self_pipe(self) -> None: ...
        def _make_socket_transport(self, *args: Any, **options: Any) -> Any: ...
        def _make_ssl_transport(self, *args: Any, **options: Any) -> Any: ...
        def _make_datagram_transport(self, *args: Any, **options: Any) -> Any: ...
        def _make_duplex_pipe_transport(self, *args: Any, **options: Any) -> Any: ...
        def _make_read_pipe_transport(self, *args: Any, **options: Any) -> Any: ...
        def _make_write_pipe_transport(self, *args: Any, **options: Any) -> Any: ...

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


#: What `sock_*` return if these are not asyncio's coroutines.
OPERATIONS: Final[tuple[type[Any], ...]] = ()

#: What a transport is, by its class.
TRANSPORTS: Final[dict[type[Any], str]] = {
    proactor_events._ProactorSocketTransport: "stream",
    proactor_events._ProactorDatagramTransport: "datagram",  # type: ignore[attr-defined]
    proactor_events._ProactorReadPipeTransport: "read pipe",
    proactor_events._ProactorWritePipeTransport: "write pipe",
    proactor_events._ProactorDuplexPipeTransport: "pipe",
}


def fd_of(transport: Any) -> int:
    """The handle of the transport's socket or pipe."""
    return int(transport._sock.fileno())


def kind_of_fd(fd: int) -> str:
    """What is behind the number: only sockets can be watched."""
    return "socket"


#: The object that waits at a completion port, by the port's handle.
_waiting: Final[dict[int, _core.Completions]] = {}


def _take(port: int, milliseconds: int) -> tuple[int, int, int, int] | None:
    """Replaces `GetQueuedCompletionStatus`: returns a packet that the thread has taken from the
    port."""
    return _waiting[port].take(milliseconds)


def _poll_of_stock() -> Any:
    """The `_poll` of this Python's stock proactor, changed to take its packets from the thread."""
    stock = windows_events.IocpProactor._poll  # type: ignore[attr-defined]
    overlapped = types.SimpleNamespace(
        GetQueuedCompletionStatus=_take, INVALID_HANDLE_VALUE=_overlapped.INVALID_HANDLE_VALUE
    )
    names = {**stock.__globals__, "_overlapped": overlapped}
    return types.FunctionType(stock.__code__, names, stock.__name__, stock.__defaults__)


class _Proactor(windows_events.IocpProactor):
    """asyncio's proactor, but it never waits while the loop runs."""

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
        """Completes the futures of the operations that have been completed."""
        try:
            self._poll(0)
        except BaseException:
            # A callback has failed. The other completed operations must not be lost.
            assert self._loop is not None
            self._loop.call_soon(self.take_all)
            raise
        # The futures have called their callbacks. Only a caller that waits in `select` needs the
        # results.
        self._results = []

    def close(self) -> None:
        port = self._iocp
        if port is None:
            return
        # A poll of the port makes asyncio forget unregistered operations. Otherwise `close` would
        # wait for them.
        self._poll(0)
        super().close()
        # The handle's number may belong to another port by now.
        if _waiting.get(port) is self._completions:
            del _waiting[port]
        self._completions.close()


def _below_tls(transport: Any) -> Any:
    """The transport of the socket; None if TLS has none yet, or no more."""
    if isinstance(transport, sslproto._SSLProtocolTransport):
        protocol: Any = transport._ssl_protocol
        return None if protocol is None else protocol._transport
    return transport


class _Arrival:
    """Is called when operations have been completed. It keeps neither the proactor nor the loop
    alive."""

    def __init__(self, proactor: _Proactor) -> None:
        self._proactor = weakref.ref(proactor)

    def __call__(self) -> None:
        proactor = self._proactor()
        if proactor is not None and proactor._iocp is not None:
            proactor.take_all()


class Loop(_core.Loop, _Stock):
    """What of the loop is I/O."""

    #: On Unix `add_signal_handler` fills this dictionary.
    _signal_handlers: Final[dict[int, asyncio.Handle]] = {}  # Nothing fills it here.
    _forward_signals_to: int | None = None

    def __init__(self) -> None:
        #: Every transport that there is, or what TLS puts before it.
        self._made: weakref.WeakSet[Any] = weakref.WeakSet()
        super().__init__(_Proactor())

    def _live_transports(self) -> list[asyncio.BaseTransport]:
        """The transports whose files are open."""
        found = [_below_tls(it) for it in self._made]
        return [it for it in found if it is not None and it._sock is not None]

    def _note(self, transport: Any) -> Any:
        self._made.add(transport)
        return transport

    def _make_socket_transport(self, *args: Any, **options: Any) -> Any:
        return self._note(super()._make_socket_transport(*args, **options))

    def _make_ssl_transport(self, *args: Any, **options: Any) -> Any:
        return self._note(super()._make_ssl_transport(*args, **options))

    def _make_datagram_transport(self, *args: Any, **options: Any) -> Any:
        return self._note(super()._make_datagram_transport(*args, **options))

    def _make_duplex_pipe_transport(self, *args: Any, **options: Any) -> Any:
        return self._note(super()._make_duplex_pipe_transport(*args, **options))

    def _make_read_pipe_transport(self, *args: Any, **options: Any) -> Any:
        return self._note(super()._make_read_pipe_transport(*args, **options))

    def _make_write_pipe_transport(self, *args: Any, **options: Any) -> Any:
        return self._note(super()._make_write_pipe_transport(*args, **options))

    def _make_self_pipe(self) -> None:
        super()._make_self_pipe()
        self._add_reader(self._ssock.fileno(), self._read_from_self)

    def _close_self_pipe(self) -> None:
        self._remove_reader(self._ssock.fileno())
        super()._close_self_pipe()

    def _read_from_self(self) -> None:
        """Empties the self-pipe after a signal. The signal's handler has run in the turn that calls
        this."""
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
