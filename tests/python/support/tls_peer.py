"""A peer of a TLS connection that decides about every byte, and a protocol that notes what it is
told."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import Any


class Peer:
    """The other end of a socket pair. What it encrypts goes out when a test says so."""

    def __init__(
        self, sock: socket.socket, context: ssl.SSLContext, server_side: bool = False
    ) -> None:
        sock.setblocking(False)
        self.sock = sock
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        name = None if server_side else "localhost"
        self.tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_side, server_hostname=name
        )

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def flush(self) -> None:
        await self.send(self._outgoing.read())

    async def receive(self) -> bool:
        """Takes what comes next; false at the end."""
        data = await asyncio.get_running_loop().sock_recv(self.sock, 65536)
        self._incoming.write(data)
        return bool(data)

    async def handshake(self) -> None:
        while not self.step():
            await self.flush()
            if not await self.receive():
                raise ConnectionResetError("no handshake")
        await self.flush()

    def step(self) -> bool:
        """Whether the handshake is over."""
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def encrypt(self, *pieces: bytes) -> bytes:
        """Each as a record."""
        for piece in pieces:
            self.tls.write(piece)
        return self._outgoing.read()

    def goodbye(self) -> bytes:
        """The record that ends what is sent."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        return self._outgoing.read()

    async def read(self, most: int = 1 << 30) -> bytes:
        """What the other side has sent, until so much is there or it ends."""
        received = b""
        while len(received) < most:
            try:
                data = self.tls.read(65536)
            except ssl.SSLWantReadError:
                if not await self.receive():
                    break
            except ssl.SSLError:
                break
            else:
                if not data:
                    break
                received += data
        return received

    def close(self) -> None:
        self.sock.close()


class Recorder(asyncio.Protocol):
    """Notes its calls. `then` is called at the end of each, with its name."""

    transport: Any = None

    def __init__(self, then: Callable[["Recorder", str], None] | None = None) -> None:
        self.events: list[Any] = []
        self.received = b""
        self.is_over = asyncio.get_running_loop().create_future()
        self._then = then
        self._news = asyncio.Event()

    def _note(self, name: str, *details: Any) -> None:
        event = (name, *details) if details else name
        if not (self.events and self.events[-1] == event == "data"):
            self.events.append(event)
        self._news.set()
        if self._then is not None:
            self._then(self, name)

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._news.clear()
            await self._news.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._note("made")

    def data_received(self, data: bytes) -> None:
        assert type(data) is bytes
        self.received += data
        self._note("data")

    def eof_received(self) -> bool | None:
        self._note("eof")
        return None

    def pause_writing(self) -> None:
        self._note("pause")

    def resume_writing(self) -> None:
        self._note("resume")

    def connection_lost(self, error: Exception | None) -> None:
        if not self.is_over.done():
            self.is_over.set_result(None)
        self._note("lost", type(error).__name__)
