"""Protocols that note what they are told, and scripts whose logs two loops can be compared by."""

import asyncio
import socket
import zlib
from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Callable
from typing import Any

from .loops import STOCK, LoopFactory, opened

#: What happened, in order: tuples that begin with who says it.
Log = list[Any]
Script = Callable[[AbstractEventLoop, Log], Awaitable[None]]

#: Seconds after which a script has hung.
PATIENCE = 30
#: Logged bytes longer than this are shown by length and checksum.
SHOWN = 64
#: More than any socket or pipe takes at once.
BIG = bytes(range(251)) * 16_384


def compare(factory: LoopFactory, script: Script) -> Log:
    """What the script logs on the factory's loop, which must be what it logs on stock asyncio."""
    expected = log_of(STOCK["stock"], script)
    log = log_of(factory, script)
    assert log == expected
    return log


def log_of(factory: LoopFactory, script: Script) -> Log:
    log: Log = []
    with opened(factory) as loop:
        loop.set_exception_handler(lambda _, context: log.append(("loop", *described(context))))
        loop.run_until_complete(asyncio.wait_for(script(loop, log), PATIENCE))
    return [tuple(condensed(part) for part in entry) for entry in log]


def condensed(part: Any) -> Any:
    if isinstance(part, bytes) and len(part) > SHOWN:
        return f"{len(part)} bytes, checksum {zlib.crc32(part)}"
    return kind(part) if isinstance(part, BaseException) else part


def kind(error: BaseException | None) -> str | None:
    return None if error is None else f"{type(error).__name__}({error})"


def described(context: dict[str, Any]) -> tuple[Any, ...]:
    """What an exception handler got. How the loop calls its own callbacks is its own affair."""
    message = context["message"]
    if message.startswith("Exception in callback"):
        message = "Exception in callback"
    return message, context.get("exception"), *sorted(set(context) - {"message", "exception"})


class Noting:
    """Notes each callback in the log and does what `on` says; data that comes in parts is noted as
    one."""

    def __init__(self, log: Log, name: str = "", **on: Callable[..., Any]) -> None:
        self.log = log
        self.name = name
        self.on = on
        self.transport: Any = None
        self.received = bytearray()
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self._heard = asyncio.Event()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits for a callback after which the condition holds."""
        while not condition():
            self._heard.clear()
            await self._heard.wait()

    async def until_called(self, callback: str, times: int = 1) -> None:
        await self.until(lambda: self.calls().count(callback) >= times)

    async def until_received(self, size: int) -> None:
        await self.until(lambda: len(self.received) >= size)

    def calls(self) -> list[str]:
        return [entry[1] for entry in self.log if entry[0] == self.name]

    def note(self, callback: str, *details: Any, arguments: tuple[Any, ...] = ()) -> Any:
        last = self.log[-1] if self.log else ()
        if callback.endswith(("data_received", "buffer_updated")) and last[:2] == (
            self.name,
            callback,
        ):
            self.log[-1] = (self.name, callback, last[2] + details[0])
        else:
            self.log.append((self.name, callback, *details))
        self._heard.set()
        return self.on[callback](*arguments) if callback in self.on else None

    # What every kind of protocol has.

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.note("connection_made", arguments=(transport,))

    def pause_writing(self) -> None:
        self.note("pause_writing")

    def resume_writing(self) -> None:
        self.note("resume_writing")

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)
        self.note("connection_lost", exc, arguments=(exc,))


class Recording(Noting, asyncio.Protocol):
    """A stream protocol."""

    def data_received(self, data: bytes) -> None:
        assert type(data) is bytes
        self.received += data
        self.note("data_received", data, arguments=(data,))

    def eof_received(self) -> Any:
        return self.note("eof_received")


class RecordingBuffered(Noting, asyncio.BufferedProtocol):
    """A stream protocol with a buffer of its own, of `size` bytes."""

    def __init__(
        self, log: Log, name: str = "", *, size: int = 65536, **on: Callable[..., Any]
    ) -> None:
        super().__init__(log, name, **on)
        self._buffer = bytearray(size)

    def get_buffer(self, sizehint: int) -> Any:
        return self.on["get_buffer"](sizehint) if "get_buffer" in self.on else self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        data = bytes(self._buffer[:nbytes])
        self.received += data
        self.note("buffer_updated", data, arguments=(nbytes,))

    def eof_received(self) -> Any:
        return self.note("eof_received")


class RecordingDatagrams(Noting, asyncio.DatagramProtocol):
    """A datagram protocol. Addresses depend on the run and are kept beside the log."""

    def __init__(self, log: Log, name: str = "", **on: Callable[..., Any]) -> None:
        super().__init__(log, name, **on)
        self.senders: list[Any] = []

    def datagram_received(self, data: bytes, addr: Any) -> None:
        assert type(data) is bytes
        self.senders.append(addr)
        self.note("datagram_received", data, arguments=(data, addr))

    def error_received(self, exc: Exception) -> None:
        self.note("error_received", exc, arguments=(exc,))


def sockets() -> tuple[socket.socket, socket.socket]:
    """A connected pair that does not block."""
    left, right = socket.socketpair()
    left.setblocking(False)
    right.setblocking(False)
    return left, right


async def connected(loop: AbstractEventLoop, protocol: Any) -> socket.socket:
    """Connects the protocol by a transport. Returns the socket at the other end."""
    ours, peer = sockets()
    await loop.create_connection(lambda: protocol, sock=ours)
    return peer


async def fill(transport: Any) -> int:
    """Writes until something is left in the transport's buffer. Returns how much went in
    altogether."""
    written = 0
    while not transport.get_write_buffer_size():
        transport.write(BIG)
        written += len(BIG)
    return written


async def receive(loop: AbstractEventLoop, sock: socket.socket, size: int) -> bytes:
    """So many bytes; fewer if the stream ends before."""
    received = bytearray()
    while len(received) < size and (
        data := await loop.sock_recv(sock, min(size - len(received), 1 << 18))
    ):
        received += data
    return bytes(received)


async def receive_all(loop: AbstractEventLoop, sock: socket.socket) -> bytes:
    """All there is up to the end of the stream."""
    return await receive(loop, sock, 1 << 40)


async def rounds(loop: AbstractEventLoop, times: int = 3) -> None:
    """Lets the loop look at its fds, and handle what it finds, so often."""
    left, right = sockets()
    with left, right:
        for _ in range(times):
            receiving = asyncio.ensure_future(loop.sock_recv(left, 1))
            await asyncio.sleep(0)
            right.send(b"x")
            await receiving
