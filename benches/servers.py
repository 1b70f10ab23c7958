"""Echo servers, one a way of writing them in asyncio; each is a context that yields where it
listens."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from benches.loadgen import Target

BACKLOG = 4096
"""Enough for every connection of a workload to arrive at once."""
READ = 64 * 1024
CROWD_ADDRESSES = 4
"""Linux has 28,232 ports for each, unless told otherwise."""


class Echo(asyncio.Protocol):
    """Sends back what comes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not asserted: what uvloop and rloop pass has a transport's methods but not its class.
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class EchoDatagrams(asyncio.DatagramProtocol):
    """Sends each datagram back."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.DatagramTransport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        self.transport.sendto(data, address)


@asynccontextmanager
async def tcp_protocol() -> AsyncIterator[Target]:
    """TCP, by a protocol."""
    listener, target = listen()
    server = await asyncio.get_running_loop().create_server(Echo, sock=listener, backlog=BACKLOG)
    yield target
    server.close()


@asynccontextmanager
async def crowd() -> AsyncIterator[Target]:
    """TCP, by a protocol, on several addresses: a client has only so many ports for each."""
    loop = asyncio.get_running_loop()
    first, target = listen()
    others = [
        _listen_at(f"127.0.0.{1 + place}", first.getsockname()[1])
        for place in range(1, CROWD_ADDRESSES)
    ]
    servers = [
        await loop.create_server(Echo, sock=listener, backlog=BACKLOG)
        for listener in (first, *others)
    ]
    yield Target(target.address, addresses=CROWD_ADDRESSES)
    for server in servers:
        server.close()


@asynccontextmanager
async def tcp_streams() -> AsyncIterator[Target]:
    """TCP, by a pair of streams."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(READ):
            writer.write(data)
            await writer.drain()
        writer.close()

    listener, target = listen()
    server = await asyncio.start_server(echo, sock=listener, backlog=BACKLOG)
    yield target
    server.close()


@asynccontextmanager
async def tcp_sock() -> AsyncIterator[Target]:
    """TCP, by the sock_* methods of the loop."""
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()

    async def echo(client: socket.socket) -> None:
        with client:
            client.setblocking(False)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while data := await loop.sock_recv(client, READ):
                await loop.sock_sendall(client, data)

    async def accept() -> None:
        # Closed on failure, too: the load fails at once instead of waiting in the backlog.
        with listener:
            while True:
                client, _ = await loop.sock_accept(listener)
                tasks.add(loop.create_task(echo(client)))

    listener, target = listen()
    accepting = loop.create_task(accept())
    try:
        yield target
    finally:
        if accepting.done():
            await accepting  # raises what went wrong
        accepting.cancel()
        await asyncio.gather(*tasks, accepting, return_exceptions=True)


@asynccontextmanager
async def unix() -> AsyncIterator[Target]:
    """A Unix socket, by a protocol."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "echo"))
        server = await asyncio.get_running_loop().create_unix_server(Echo, path, backlog=BACKLOG)
        yield Target(f"unix:{path}")
        server.close()


@asynccontextmanager
async def udp() -> AsyncIterator[Target]:
    """Datagrams, by a protocol."""
    listener = socket.socket(type=socket.SOCK_DGRAM)
    listener.bind(("127.0.0.1", 0))
    # Asked before the loop takes the socket over.
    target = Target(_address("udp", listener))
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        EchoDatagrams, sock=listener
    )
    yield target
    transport.close()


@asynccontextmanager
async def tls() -> AsyncIterator[Target]:
    """TLS over TCP, by a protocol, with a certificate made for the occasion."""
    with tempfile.TemporaryDirectory() as folder:
        certificate = make_certificate(Path(folder))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        listener, _ = listen()
        target = Target(_address("tls", listener), ca=str(certificate))
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Echo, sock=listener, backlog=BACKLOG, ssl=context)
        yield target
        server.close()


def listen() -> tuple[socket.socket, Target]:
    """A listening socket on a port of its own, and where that is."""
    listener = _listen_at("127.0.0.1", 0)
    return listener, Target(_address("tcp", listener))


def _listen_at(host: str, port: int) -> socket.socket:
    listener = socket.socket()
    listener.setblocking(False)
    listener.bind((host, port))
    listener.listen(BACKLOG)
    return listener


def _address(kind: str, listener: socket.socket) -> str:
    host, port = listener.getsockname()
    return f"{kind}:{host}:{port}"


def make_certificate(folder: Path) -> Path:
    """A self-signed certificate and its key in one file."""
    config = folder / "config"
    config.write_text(
        "[req]\ndistinguished_name = name\nx509_extensions = extensions\nprompt = no\n"
        "[name]\nCN = localhost\n"
        "[extensions]\nsubjectAltName = DNS:localhost\nbasicConstraints = critical, CA:FALSE\n"
    )
    key, certificate = folder / "key.pem", folder / "both.pem"
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    files = ["-config", str(config), "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(["openssl", "req", "-x509", *kind, *files], check=True, capture_output=True)
    certificate.write_text(certificate.read_text() + key.read_text())
    return certificate


SERVERS: dict[str, Callable[[], AbstractAsyncContextManager[Target]]] = {
    "tcp-protocol": tcp_protocol,
    "tcp-streams": tcp_streams,
    "tcp-sock": tcp_sock,
    "unix": unix,
    "udp": udp,
    "tls": tls,
}
