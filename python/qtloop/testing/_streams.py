"""Simulated streams: the two ends of a connection, and asyncio's transport on an end."""

import asyncio
import contextvars
import errno
import os
from asyncio import constants, transports
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from ._network import Lane, Link

if TYPE_CHECKING:
    from ._machines import Machine

#: How many bytes of a direction the network and the receiver hold. More bytes wait in the sender's
#: transport.
WINDOW: Final = 64 * 1024

Address = tuple[str, int]


def error(number: int) -> OSError:
    """The exception of an error number, as system calls raise it."""
    return OSError(number, os.strerror(number))


class Socket:
    """The object that transports and servers give as their socket. It has addresses, and is no real
    socket."""

    def __init__(self, kind: int, name: Address, peer: Address | None = None) -> None:
        import socket

        self.family, self.type, self.proto = socket.AF_INET, socket.SocketKind(kind), 0
        self._name, self._peer = name, peer

    def getsockname(self) -> Address:
        return self._name

    def getpeername(self) -> Address:
        if self._peer is None:
            raise error(errno.ENOTCONN)
        return self._peer

    def fileno(self) -> int:
        return -1

    def setsockopt(self, *options: Any) -> None:
        """Does nothing."""

    def getsockopt(self, *options: Any) -> int:
        return 0


class End:
    """One end of a connection, as far as the kernel has it."""

    def __init__(self, machine: "Machine", address: Address, link: Link) -> None:
        self.machine = machine
        self.address = address
        self.peer: End
        self.transport: StreamTransport | None = None
        self.inbox: deque[bytes | None] = deque()
        self.failure: OSError | None = None
        self.is_closed = False
        self._lane = Lane(link, machine, self._give_up)
        self._in_flight = 0

    def __str__(self) -> str:
        return f"{self.machine.name}:{self.address[1]}"

    def room(self) -> int:
        """How many bytes can be sent now."""
        return WINDOW - self._in_flight

    def send(self, data: bytes) -> None:
        if self.failure is not None:
            return
        self._note("data", len(data))
        self._in_flight += len(data)
        self._lane.send(len(data), lambda: self.peer._receive(data))

    def send_eof(self) -> None:
        self._note("end")
        self._lane.send(0, lambda: self.peer._receive(None))

    def tell(self, what: Any) -> None:
        """Calls the callback at the other end, after everything that was sent before."""
        self._lane.send(0, what)

    def consumed(self, size: int) -> None:
        """The receiver has read so many bytes, and the sender is told."""
        self._lane.send(0, lambda: self.peer._credit(size))

    def close(self) -> None:
        """From now on neither sends nor receives."""
        if not self.is_closed:
            if any(self.inbox):
                return self.reset()  # As the kernel does it with data that nobody will read.
            self.is_closed = True

    def reset(self) -> None:
        self.is_closed = True
        self.inbox.clear()
        self._note("reset")
        self._lane.send(0, self.peer._was_reset)

    def give_up(self, is_known: bool) -> None:
        """Ends the connection before it has begun. The other end is told if it knows of it."""
        if is_known:
            return self.reset()
        self.is_closed = True
        self._lane.close()

    def _receive(self, data: bytes | None) -> None:
        if self.is_closed:
            if data is not None and self.failure is None:
                self.reset()
            return
        self.inbox.append(data)
        if self.transport is not None:
            self.transport._feed_soon()

    def _credit(self, size: int) -> None:
        self._in_flight -= size
        if self.transport is not None:
            self.transport._soon(self.transport._pump)

    def _was_reset(self) -> None:
        self._fail(error(errno.ECONNRESET))

    def _give_up(self) -> None:
        self._fail(error(errno.ETIMEDOUT))

    def _fail(self, failure: OSError) -> None:
        self.failure, self.is_closed = failure, True
        self.inbox.clear()
        self._lane.close()
        if self.transport is not None:
            self.transport._soon(self.transport._fail, failure)

    def _note(self, what: str, size: int = 0) -> None:
        self.machine._network._note(what, str(self), str(self.peer), size)


class StreamTransport(transports._FlowControlMixin, transports.Transport):
    """A transport on an end. It behaves as the transport of a socket."""

    _start_tls_compatible = True
    _sendfile_compatible = constants._SendfileMode.FALLBACK

    def __init__(
        self,
        end: End,
        protocol: Any,
        server: Any = None,
        waiter: "asyncio.Future[None] | None" = None,
    ) -> None:
        import socket

        sock = Socket(socket.SOCK_STREAM, end.address, end.peer.address)
        extra = {"socket": sock, "sockname": end.address, "peername": end.peer.address}
        super().__init__(extra, end.machine._loop)
        self._loop: Any = end.machine._loop
        self._end = end
        self._server = server
        self._context = contextvars.copy_context()
        self._protocol: Any = protocol
        self._buffer = bytearray()
        self._closing = self._eof = self._paused = self._is_made = self._feeds = False
        self._conn_lost = 0
        end.machine._streams[self] = None
        if server is not None:
            server._attach(self)
        self._soon(protocol.connection_made, self)
        self._soon(self._begin)
        if waiter is not None:
            self._soon(_release, waiter)

    def __repr__(self) -> str:
        state = " closing" if self._closing else ""
        return f"<{type(self).__name__} {self._end} > {self._end.peer}{state}>"

    def _begin(self) -> None:
        self._is_made = True
        end, end.transport = self._end, self
        if end.failure is not None:
            self._fail(end.failure)
        self._feed_soon()

    def _soon(self, callback: Any, *args: Any) -> None:
        self._loop.call_soon(callback, *args, context=self._context)

    # Protocols.

    def set_protocol(self, protocol: Any) -> None:
        self._protocol = protocol

    def get_protocol(self) -> Any:
        return self._protocol

    # Reading.

    def is_reading(self) -> bool:
        return not self._closing and not self._paused

    def pause_reading(self) -> None:
        self._paused = self._paused or not self._closing

    def resume_reading(self) -> None:
        if not self._closing and self._paused:
            self._paused = False
            self._feed_soon()

    def _feed_soon(self) -> None:
        if not self._feeds:
            self._feeds = True
            self._soon(self._feed)

    def _feed(self) -> None:
        """Gives the protocol one piece of data, as one event of a selector does."""
        self._feeds = False
        inbox = self._end.inbox
        if not inbox or not self.is_reading() or not self._is_made:
            return
        data = inbox.popleft()
        if data is None:
            return self._end_of_data()
        try:
            self._give(data)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as failure:
            self._fatal_error(failure, "Fatal error: protocol.data_received() call failed.")
            return
        self._end.consumed(len(data))
        if inbox:
            self._feed_soon()

    def _give(self, data: bytes) -> None:
        if not isinstance(self._protocol, asyncio.BufferedProtocol):
            self._protocol.data_received(data)
            return
        rest = memoryview(data)
        while rest:
            buffer: Any = self._protocol.get_buffer(-1)
            if not len(buffer):
                raise RuntimeError("get_buffer() returned an empty buffer")
            size = min(len(buffer), len(rest))
            memoryview(buffer).cast("B")[:size] = rest[:size]
            rest = rest[size:]
            self._protocol.buffer_updated(size)

    def _end_of_data(self) -> None:
        try:
            keeps_open = self._protocol.eof_received()
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as failure:
            self._fatal_error(failure, "Fatal error: protocol.eof_received() call failed.")
            return
        if not keeps_open:
            self.close()

    # Writing.

    def write(self, data: Any) -> None:
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(
                f"data argument must be a bytes-like object, not {type(data).__name__!r}"
            )
        if self._eof:
            raise RuntimeError("Cannot call write() after write_eof()")
        if not data:
            return
        if self._conn_lost:
            self._conn_lost += 1
            return
        self._buffer += data
        self._send()
        self._maybe_pause_protocol()  # type: ignore[attr-defined]

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        if self._closing or self._eof:
            return
        self._eof = True
        if not self._buffer:
            self._end.send_eof()

    def get_write_buffer_size(self) -> int:
        return len(self._buffer)

    def _send(self) -> None:
        while self._buffer and (room := self._end.room()) > 0:
            data = bytes(self._buffer[:room])
            del self._buffer[:room]
            self._end.send(data)

    def _pump(self) -> None:
        """Sends what there is room for now."""
        if self._conn_lost or not self._buffer:
            return
        self._send()
        self._maybe_resume_protocol()  # type: ignore[attr-defined]
        if not self._buffer:
            if self._closing:
                self._call_connection_lost(None)
            elif self._eof:
                self._end.send_eof()

    # The end.

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if self._closing:
            return
        self._closing = True
        if not self._buffer:
            self._conn_lost += 1
            self._soon(self._call_connection_lost, None)

    def abort(self) -> None:
        self._force_close(None)

    def _fail(self, failure: OSError) -> None:
        if not self._conn_lost:
            self._force_close(failure)

    def _reset_by_crash(self) -> None:
        self._end.machine._streams.pop(self, None)
        if not self._end.is_closed:
            self._end.reset()
        self._force_close(error(errno.ECONNABORTED))

    def _fatal_error(self, failure: BaseException, message: str) -> None:
        if not isinstance(failure, OSError):
            self._loop.call_exception_handler(
                {
                    "message": message,
                    "exception": failure,
                    "transport": self,
                    "protocol": self._protocol,
                }
            )
        self._force_close(failure)

    def _force_close(self, failure: BaseException | None) -> None:
        if self._conn_lost:
            return
        had_data = bool(self._buffer)
        self._buffer.clear()
        if had_data and not self._end.is_closed:
            self._end.reset()  # The peer must not take a part for the whole.
        self._closing = True
        self._conn_lost += 1
        self._soon(self._call_connection_lost, failure)

    def _call_connection_lost(self, failure: BaseException | None) -> None:
        protocol, self._conn_lost = self._protocol, self._conn_lost or 1
        try:
            protocol.connection_lost(failure)
        finally:
            if not self._end.is_closed and not self._eof and not any(self._end.inbox):
                self._end.send_eof()
            self._end.close()
            self._protocol = None
            self._end.machine._streams.pop(self, None)
            if self._server is not None:
                self._server._detach(self)
                self._server = None


def _release(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)
