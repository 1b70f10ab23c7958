"""The Rust half of the package. Its source's documentation says what each part does."""

import asyncio
import socket
import sys
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from types import ModuleType, TracebackType
from typing import Any, Protocol, Self, TypeVar, TypeVarTuple, final

from typing_extensions import Buffer, CapsuleType, disjoint_base

__all__ = [
    "NEWEST",
    "POLLER",
    "DatagramTransport",
    "Dialed",
    "Entrance",
    "Handle",
    "Listener",
    "Loop",
    "Mailbox",
    "ReadPipeTransport",
    "Running",
    "SocketOperation",
    "SocketTransport",
    "Stretches",
    "TimerHandle",
    "TlsEngine",
    "WritePipeTransport",
    "add_tls_methods",
    "aside",
    "check_host",
    "ensure",
    "enter",
    "use_modules",
]

#: The newest Python that was tested.
NEWEST: tuple[int, int]

#: What one set of all fds is called here: "epoll" on Linux, "kqueue" on macOS and the BSDs.
POLLER: str

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")

@final
class Handle(asyncio.Handle): ...

@final
class TimerHandle(asyncio.TimerHandle): ...

@final
class ReadPipeTransport(asyncio.ReadTransport):
    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None: ...

@final
class WritePipeTransport(asyncio.Transport):
    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None: ...
    def write(self, data: bytes | bytearray | memoryview) -> None: ...

@final
class SocketOperation(Coroutine[Any, Any, _T]):
    @property
    def __name__(self) -> str: ...
    @property
    def __qualname__(self) -> str: ...
    def __await__(self) -> Generator[Any, Any, _T]: ...
    def __next__(self) -> Any: ...
    def send(self, value: Any, /) -> Any: ...
    def throw(self, typ: Any, val: object = None, tb: TracebackType | None = None, /) -> Any: ...
    def close(self) -> None: ...

@disjoint_base
class Loop:
    def __new__(cls, *_args: Any, **_kwargs: Any) -> Self: ...
    @property
    def host(self) -> str:
        """The host in use: `"qt"`, `"binding"`, `"sim"`, or the name of one for another run
        loop."""
    @property
    def fds(self) -> str:
        """How fds are watched: `"epoll"`, or `"kqueue"` on macOS and the BSDs; or
        `"notifier"`, which is the only way on Windows."""
    @property
    def slice(self) -> float:
        """How long callbacks may run before Qt gets its turn, in seconds."""
    @slice.setter
    def slice(self, value: float) -> None: ...
    def stop(self) -> None:
        """Ends the run, and the runs inside it, when the iteration under way is over.

        This is no Python code: the exception of a signal handler in here would keep the run from
        ending.
        """
    def time(self) -> float:
        """The loop's clock, in seconds, as `time.monotonic()`."""
    def call_soon(
        self, callback: Callable[[*_Ts], object], /, *args: *_Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Call callback(*args) in the loop's next iteration, in the given or the current context.

        Callbacks run in the order in which they were scheduled. Only from the loop's own thread.
        Returns a Handle. Raises RuntimeError if the loop is closed.
        """
    def call_soon_threadsafe(
        self, callback: Callable[[*_Ts], object], /, *args: *_Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """call_soon() for other threads and for signal handlers: wakes the loop. Returns a Handle.
        Raises RuntimeError if the loop is closed."""
    def call_later(
        self,
        delay: float,
        callback: Callable[[*_Ts], object],
        /,
        *args: *_Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call callback(*args) after delay seconds, not earlier. Returns a TimerHandle."""
    def call_at(
        self,
        when: float,
        callback: Callable[[*_Ts], object],
        /,
        *args: *_Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call callback(*args) at the time when, in seconds of the loop's clock (time()). Returns a
        TimerHandle. Timers that are due at the same time run in the order in which they were
        scheduled."""
    def sock_recv(self, sock: socket.socket, n: int) -> SocketOperation[bytes]:
        """Receive up to n bytes from a non-blocking socket, as soon as there are some; b'' is the
        end of the stream.

        Returns an awaitable, as all sock_* methods do. Nothing happens before it is awaited. If it
        is cancelled, it has read nothing. Raises OSError as socket.recv() does, RuntimeError if a
        transport uses the socket, TypeError for an SSL socket.
        """
    def sock_recv_into(self, sock: socket.socket, buf: Buffer) -> SocketOperation[int]:
        """Receive into a writable buffer. Returns the number of bytes; 0 is the end of the
        stream."""
    def sock_recvfrom(
        self, sock: socket.socket, bufsize: int
    ) -> SocketOperation[tuple[bytes, Any]]:
        """Receive a datagram of up to bufsize bytes. Returns (bytes, address)."""
    def sock_recvfrom_into(
        self, sock: socket.socket, buf: Buffer, nbytes: int = 0
    ) -> SocketOperation[tuple[int, Any]]:
        """Receive a datagram into a writable buffer, up to nbytes bytes; 0 means the whole buffer.
        Returns (number of bytes, address)."""
    def sock_sendall(self, sock: socket.socket, data: Buffer) -> SocketOperation[None]:
        """Send all of data, which must not change meanwhile. After an exception it is unknown
        how much was sent."""
    def sock_sendto(self, sock: socket.socket, data: Buffer, address: Any) -> SocketOperation[int]:
        """Send a datagram to address. Returns the number of bytes sent."""
    def sock_accept(self, sock: socket.socket) -> SocketOperation[tuple[socket.socket, Any]]:
        """Accept a connection of a listening non-blocking socket. Returns (connection, address);
        the connection is a non-blocking socket. If it is cancelled, it has accepted
        nothing."""
    def sock_connect(self, sock: socket.socket, address: Any) -> Coroutine[Any, Any, None]:
        """Connect a non-blocking socket to address. If the host is a name, it is looked up first.

        Raises OSError as socket.connect() does.
        """
    def _connect_to(self, sock: socket.socket, address: Any) -> SocketOperation[None]: ...
    def _connected(self, sock: socket.socket, address: Any) -> SocketOperation[None]: ...
    def _dial(self, host: Any, port: Any) -> Dialed | None: ...
    def get_debug(self) -> bool:
        """Whether the loop is in debug mode."""
    @property
    def _debug(self) -> bool: ...
    @_debug.setter
    def _debug(self, value: object) -> None: ...
    @property
    def _stopping(self) -> bool: ...
    @_stopping.setter
    def _stopping(self, value: bool) -> None: ...
    @property
    def _closed(self) -> bool: ...
    @_closed.setter
    def _closed(self, value: bool) -> None: ...
    def _open(self, host: object, fds: str) -> None: ...
    def _exec(self, drain: bool) -> int | None: ...
    @property
    def _executor(self) -> CapsuleType: ...
    def _attach(self, is_guest: bool) -> None: ...
    def _detach(self) -> BaseException | None: ...
    def _leave_host(self) -> None: ...
    def _counters(self) -> dict[str, Any]: ...
    def _watched(self) -> dict[int, tuple[asyncio.Handle | None, asyncio.Handle | None]]: ...
    def _live_transports(self) -> list[asyncio.BaseTransport]: ...
    def _queued(self) -> tuple[list[asyncio.Handle], list[asyncio.TimerHandle]]: ...
    def _begin_now(self, task: asyncio.Task[Any]) -> bool: ...
    def _add_callback(self, handle: asyncio.Handle) -> None: ...
    def _write_to_self(self) -> None: ...
    def _add_reader(
        self,
        fd: Any,
        callback: Callable[[*_Ts], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> asyncio.Handle: ...
    def _add_writer(
        self,
        fd: Any,
        callback: Callable[[*_Ts], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> asyncio.Handle: ...
    def _remove_reader(self, fd: Any) -> bool: ...
    def _remove_writer(self, fd: Any) -> bool: ...
    def _make_socket_transport(
        self,
        sock: Any,
        protocol: Any,
        waiter: asyncio.Future[None] | None = None,
        *,
        extra: dict[str, Any] | None = None,
        server: Any = None,
        context: Context | None = None,
        **options: Any,
    ) -> SocketTransport: ...
    def _make_datagram_transport(
        self,
        sock: Any,
        protocol: Any,
        address: Any = None,
        waiter: asyncio.Future[None] | None = None,
        extra: dict[str, Any] | None = None,
        **options: Any,
    ) -> DatagramTransport: ...
    def _listen(
        self,
        protocol_factory: Any,
        sock: Any,
        server: Any,
        backlog: int,
        context: Context | None = None,
        tls: Callable[[Any], Any] | None = None,
        **options: Any,
    ) -> None: ...
    def _ensure_fd_no_transport(self, fd: Any) -> None: ...
    def _lend_fd(self, transport: Any, lent: bool) -> None: ...
    def _make_read_pipe_transport(
        self,
        pipe: Any,
        protocol: Any,
        waiter: asyncio.Future[None] | None = None,
        extra: dict[str, Any] | None = None,
        **options: Any,
    ) -> ReadPipeTransport: ...
    def _make_write_pipe_transport(
        self,
        pipe: Any,
        protocol: Any,
        waiter: asyncio.Future[None] | None = None,
        extra: dict[str, Any] | None = None,
        **options: Any,
    ) -> WritePipeTransport: ...

@final
class SocketTransport(asyncio.transports._FlowControlMixin):
    """A connected TCP or Unix socket."""

    def write(self, data: bytes | bytearray | memoryview) -> None: ...

@final
class DatagramTransport(asyncio.transports._FlowControlMixin, asyncio.DatagramTransport):
    """A UDP or Unix datagram socket, connected or not."""

@final
class Dialed:
    """A socket that is being connected to a numeric address, and has no transport yet."""

    @property
    def address(self) -> Any: ...
    def connect(self) -> bool: ...
    def socket(self) -> Any: ...
    def transport(
        self, event_loop: Loop, protocol: asyncio.BaseProtocol, waiter: asyncio.Future[None]
    ) -> SocketTransport: ...

@final
class Listener:
    def _accept(self) -> None: ...

class _Listener(Protocol):
    def stop(self) -> None: ...

if sys.platform == "win32":
    @final
    class Completions:
        """Packets of a completion port, from the thread that waits for them to the loop."""

        def __new__(cls, event_loop: Loop, port: int, arrived: Callable[[], object]) -> Self: ...
        def arrived(self) -> None: ...
        def take(self, milliseconds: int) -> tuple[int, int, int, int] | None: ...
        def close(self) -> None: ...

@final
class Running:
    def __new__(cls, event_loop: Loop) -> Self: ...
    def __enter__(self) -> None: ...
    def __exit__(self, *_exception: object) -> None: ...
    def at_exit(self, call: Callable[[], object]) -> None: ...
    def undo(self) -> None: ...
    def run(self, body: Callable[[Running], _T]) -> _T: ...

@final
class Stretches:
    def __new__(cls) -> Self: ...
    @property
    def number(self) -> int: ...
    def wait(self, limit: float, reported: int) -> tuple[int, float, bool] | None: ...
    def stop(self) -> None: ...
    def busy(self) -> None: ...
    def asleep(self) -> None: ...
    def busy_slot(self) -> Callable[..., bool]: ...
    def turned_slot(self) -> Callable[..., bool]: ...
    def asleep_slot(self) -> Callable[..., bool]: ...
    def listen(self, signs: object) -> _Listener: ...
    def under_way(self) -> tuple[int, float] | None: ...

@disjoint_base
class Entrance:
    def __new__(
        cls,
        call: Callable[..., object],
        note: Callable[[tuple[Any, ...]], object] | None = None,
        gone: Callable[[], object] | None = None,
    ) -> Self: ...
    def __call__(self, *arguments: Any) -> Any: ...
    def _finish(self) -> None: ...
    def _forget(self) -> None: ...

@final
class Mailbox:
    def __new__(cls) -> Self: ...
    def __call__(self, *_event: object) -> None: ...
    def connect(
        self,
        start_timer: Callable[[], object],
        stop_timer: Callable[[], object],
        make_event: Callable[[], object],
        post_event: Callable[[Any], object],
    ) -> None: ...
    def put(self, call: Callable[[], object]) -> None: ...
    def give_way(self) -> None: ...

@disjoint_base
class TlsEngine:
    def __new__(cls, *_args: Any, **_options: Any) -> Self: ...
    _state: Any
    _app_protocol: Any
    _transport: Any
    _write_backlog: Any
    _incoming: Any
    _outgoing: Any
    _sslobj: Any
    _incoming_high_water: Any
    _incoming_low_water: Any
    _outgoing_high_water: Any
    _outgoing_low_water: Any
    _app_protocol_is_buffer: bool
    _app_reading_paused: bool
    _app_writing_paused: bool
    _ssl_reading_paused: bool
    _ssl_writing_paused: bool
    _write_buffer_size: int
    def get_buffer(self, _n: int) -> memoryview: ...
    def buffer_updated(self, nbytes: int) -> None: ...
    def _do_read(self) -> None: ...
    def _control_ssl_reading(self) -> None: ...
    def _get_read_buffer_size(self) -> int: ...
    def _write_appdata(self, list_of_data: Any) -> None: ...
    def _do_write(self) -> None: ...
    def _process_outgoing(self) -> None: ...
    def _control_app_writing(self) -> None: ...
    def _get_write_buffer_size(self) -> int: ...

def add_tls_methods(class_: type) -> None: ...
def aside(call: Callable[[], _T]) -> _T: ...
def ensure(*calls: Callable[[], object]) -> None: ...
def enter(call: Callable[..., _T], *arguments: Any) -> _T | None: ...
def use_modules(hooks: ModuleType, transports: ModuleType, current: ModuleType) -> None: ...
def check_host(
    make: Callable[[], object], begins: Callable[[str], object] | None = None
) -> None: ...
