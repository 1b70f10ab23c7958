"""Servers: when they listen, whom they serve, and how they end."""

import asyncio
import functools
import gc
import os
import socket
import sys
import weakref
from asyncio import AbstractEventLoop
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ..support.loops import Errors, LoopFactory, failure, nothing
from ..support.recording import Log, Recording, compare, rounds


def address_of(server: Any) -> Any:
    return server.sockets[0].getsockname()


class Clients:
    """What a server's protocols were, in the order of their making, and bare sockets on their other
    ends."""

    def __init__(self, **on: Callable[..., Any]) -> None:
        self.protocols: list[Recording] = []
        self.sockets: list[socket.socket] = []
        self._on = on
        self._made = asyncio.Event()

    def make(self) -> Recording:
        protocol = Recording([], **self._on)
        self.protocols.append(protocol)
        self._made.set()
        return protocol

    async def connect(self, loop: AbstractEventLoop, address: Any) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        sock.setblocking(False)
        await loop.sock_connect(sock, address)
        self.sockets.append(sock)
        return sock

    async def until_made(self, count: int) -> None:
        while len(self.protocols) < count:
            self._made.clear()
            await self._made.wait()
        for protocol in self.protocols:
            await protocol.until_called("connection_made")

    async def close(self) -> None:
        for sock in self.sockets:
            sock.close()
        for protocol in self.protocols:
            if protocol.transport is not None:
                await protocol.lost


async def test_a_server_serves_when_it_is_told_to(loop: AbstractEventLoop) -> None:
    clients = Clients()
    server = await loop.create_server(clients.make, "127.0.0.1", 0, start_serving=False)
    assert not server.is_serving()
    assert loop is server.get_loop()
    with pytest.raises(ConnectionRefusedError):
        await clients.connect(loop, address_of(server))
    for _ in range(2):
        await server.start_serving()
        assert server.is_serving()
    await clients.connect(loop, address_of(server))
    await clients.until_made(1)
    await clients.close()
    server.close()
    await server.wait_closed()
    assert not server.is_serving()


async def test_every_connection_has_a_protocol_of_its_own(loop: AbstractEventLoop) -> None:
    """More of them at once than the loop accepts in one go."""
    clients = Clients(data_received=nothing)
    server = await loop.create_server(clients.make, "127.0.0.1", 0, backlog=100)
    for n in range(60):
        sock = await clients.connect(loop, address_of(server))
        sock.send(b"%d" % n)
    await clients.until_made(60)
    for n, protocol in enumerate(clients.protocols):
        await protocol.until_received(len(str(n)))
        assert protocol.received == b"%d" % n
        assert protocol.transport.get_extra_info("peername") == clients.sockets[n].getsockname()
    await clients.close()
    server.close()
    await server.wait_closed()


def test_closing_a_server_leaves_its_connections(loop_factory: LoopFactory) -> None:
    """`wait_closed` waits for them, from Python 3.12 on."""

    async def script(loop: AbstractEventLoop, log: Log) -> None:
        clients = Clients()
        server: Any = await loop.create_server(clients.make, "127.0.0.1", 0)
        address = address_of(server)
        sock = await clients.connect(loop, address)
        await clients.until_made(1)
        server.close()
        server.close()
        log.append(("closed", server.is_serving(), server.sockets))
        closing = asyncio.ensure_future(server.wait_closed())
        sock.send(b"x")
        await clients.protocols[0].until_received(1)
        log.append(("waits", closing.done()))
        with pytest.raises(ConnectionRefusedError):
            await Clients().connect(loop, address)
        await clients.close()
        await closing
        log.append(("served", failure_of(server.start_serving)))

    compare(loop_factory, script)


def failure_of(start: Callable[[], Any]) -> object:
    """How a coroutine fails in its first step."""
    coroutine = start()
    try:
        return failure(lambda: coroutine.send(None))
    finally:
        coroutine.close()


@pytest.mark.skipif(sys.version_info < (3, 13), reason="new in Python 3.13")
@pytest.mark.parametrize("how", ["close_clients", "abort_clients"])
async def test_a_server_can_end_its_connections(loop: AbstractEventLoop, how: str) -> None:
    clients = Clients()
    server: Any = await loop.create_server(clients.make, "127.0.0.1", 0)
    for _ in range(5):
        await clients.connect(loop, address_of(server))
    await clients.until_made(5)
    size = len(b"x" * 10_000_000)
    for protocol in clients.protocols:
        protocol.transport.write(b"x" * size)
    getattr(server, how)()
    assert server.is_serving()
    assert all(protocol.transport.is_closing() for protocol in clients.protocols)
    for sock in clients.sockets:
        received = 0
        try:
            while data := await loop.sock_recv(sock, 1 << 18):
                received += len(data)
        except ConnectionResetError:
            assert how == "abort_clients"
        assert (received == size) is (how == "close_clients")
    await clients.close()
    server.close()
    await server.wait_closed()


class Unmade(Exception):
    """There is no protocol."""


@pytest.mark.parametrize("debug", [False, True])
async def test_a_factory_that_fails_closes_the_connection(
    loop: AbstractEventLoop, errors: Errors, debug: bool
) -> None:
    """In debug mode the exception handler hears of it; else nobody. Others are served."""
    loop.set_debug(debug)
    clients = Clients()
    fails = iter([True, False])

    def make() -> Recording:
        if next(fails):
            raise Unmade
        return clients.make()

    server = await loop.create_server(make, "127.0.0.1", 0)
    unlucky = await clients.connect(loop, address_of(server))
    await clients.connect(loop, address_of(server))
    await clients.until_made(1)
    reports = [
        (
            context["message"],
            type(context["exception"]),
            "protocol" in context,
            "transport" in context,
        )
        for context in errors
    ]
    expected = ("Error on transport creation for incoming connection", Unmade, False, False)
    assert reports == ([expected] if debug else [])
    errors.clear()  # The exception's traceback may have held the socket.
    gc.collect()
    assert await received_of(loop, unlucky) == b""
    await clients.close()
    server.close()
    await server.wait_closed()


async def received_of(loop: AbstractEventLoop, sock: socket.socket) -> bytes:
    """A reset is an end too."""
    try:
        return await loop.sock_recv(sock, 1)
    except ConnectionResetError:
        return b""


async def test_a_protocol_that_fails_at_first_is_connected_all_the_same(
    loop: AbstractEventLoop, errors: Errors
) -> None:
    def fail(transport: Any) -> None:
        raise LookupError

    clients = Clients(connection_made=fail)
    server = await loop.create_server(clients.make, "127.0.0.1", 0)
    sock = await clients.connect(loop, address_of(server))
    await clients.until_made(1)
    sock.send(b"x")
    await clients.protocols[0].until_received(1)
    assert [type(context["exception"]) for context in errors] == [LookupError]
    errors.clear()
    await clients.close()
    server.close()
    await server.wait_closed()


async def test_a_server_closed_by_its_first_connection(loop: AbstractEventLoop) -> None:
    """What was accepted with it is served or dropped; nothing hangs and nothing fails."""
    server: Any = None
    clients = Clients(connection_made=lambda transport: server.close())
    server = await loop.create_server(clients.make, "127.0.0.1", 0, start_serving=False)
    await server.start_serving()
    address = address_of(server)
    connecting = (clients.connect(loop, address) for _ in range(20))
    await asyncio.gather(*connecting, return_exceptions=True)
    while not any(protocol.transport for protocol in clients.protocols):
        await rounds(loop, 1)
    await rounds(loop, 5)
    assert not server.is_serving()
    await clients.close()
    await server.wait_closed()


async def test_a_server_takes_over_a_socket(loop: AbstractEventLoop) -> None:
    """And closes it in the end."""
    clients = Clients()
    listener = socket.create_server(("127.0.0.1", 0))
    server = await loop.create_server(clients.make, sock=listener)
    assert address_of(server) == listener.getsockname()
    await clients.connect(loop, listener.getsockname())
    await clients.until_made(1)
    server.close()
    assert listener.fileno() == -1
    await clients.close()
    await server.wait_closed()


def test_a_unix_server_and_its_path(loop_factory: LoopFactory, tmp_path: Path) -> None:
    """Removed from Python 3.13 on; before, a new server takes it over."""

    async def script(loop: AbstractEventLoop, log: Log) -> None:
        path = str(tmp_path / "socket")
        clients = Clients()
        for _ in range(2):
            server = await loop.create_unix_server(clients.make, path)
            await clients.connect(loop, path)
            await clients.until_made(len(clients.sockets))
            server.close()
            log.append((os.path.exists(path),))
        log.append((clients.protocols[0].transport.get_extra_info("sockname") == path,))
        await clients.close()
        await server.wait_closed()

    compare(loop_factory, script)


async def test_a_server_s_socket_is_its_own(loop: AbstractEventLoop) -> None:
    """But unlike a transport's it is not protected: whoever watches it takes it over."""
    server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
    sock = server.sockets[0]
    assert type(sock).__name__ == "TransportSocket"
    assert loop.remove_reader(sock.fileno()) is True
    readable = asyncio.Event()
    loop.add_reader(sock.fileno(), readable.set)
    clients = Clients()
    await clients.connect(loop, sock.getsockname())
    await readable.wait()
    loop.remove_reader(sock.fileno())
    await clients.close()
    server.close()
    await server.wait_closed()


async def test_a_closed_server_is_freed(loop: AbstractEventLoop) -> None:
    clients = Clients()
    server: Any = await loop.create_server(clients.make, "127.0.0.1", 0)
    await clients.connect(loop, address_of(server))
    await clients.until_made(1)
    server.close()
    await clients.close()
    await server.wait_closed()
    await rounds(loop)
    references = [
        weakref.ref(server),
        weakref.ref(clients.protocols[0].transport),
        weakref.ref(clients),
    ]
    del server, clients
    gc.collect()
    assert [reference() for reference in references] == [None, None, None]


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_a_factory_may_end_the_run(
    loop: AbstractEventLoop, errors: Errors, error: type[BaseException]
) -> None:
    """The server goes on with the next connection. On the stock loop a task has failed that nobody
    awaits."""
    clients: Any = None
    fails = [error(7)]

    def make() -> Recording:
        if fails:
            raise fails.pop()
        return clients.make()

    async def start() -> Any:
        nonlocal clients
        clients = Clients()
        server = await loop.create_server(make, "127.0.0.1", 0)
        await clients.connect(loop, address_of(server))
        return server

    server: Any = None

    async def start_and_wait() -> None:
        nonlocal server
        server = await start()

    task = loop.create_task(start_and_wait())
    with pytest.raises(error, match="7"):
        loop.run_forever()
    if not task.done():
        loop.run_until_complete(task)

    async def go_on() -> None:
        await clients.connect(loop, address_of(server))
        await clients.until_made(1)
        await clients.close()
        server.close()
        await server.wait_closed()

    loop.run_until_complete(go_on())
    gc.collect()
    assert {type(context["exception"]) for context in errors} <= {error}
    errors.clear()


def test_a_listener_that_takes_the_number_of_a_closed_one_has_its_own_connections(
    loop: Any,
) -> None:
    """Though the closed one had been reported in the same iteration."""
    made: list[str] = []

    class Hangup(asyncio.Protocol):
        def __init__(self, name: str) -> None:
            made.append(name)

        def connection_made(self, transport: Any) -> None:
            transport.close()

    def listen(name: str) -> socket.socket:
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        loop._start_serving(functools.partial(Hangup, name), listener)
        return listener

    def replace() -> None:
        number = old.fileno()
        loop._stop_serving(old)
        new.append(listen("new"))
        assert new[0].fileno() == number
        clients.append(socket.create_connection(new[0].getsockname()))
        loop.call_later(0.02, loop.stop)

    old, new = listen("old"), list[socket.socket]()
    clients = [socket.create_connection(old.getsockname())]
    loop.call_soon(replace)
    loop.run_forever()
    loop._stop_serving(new[0])
    loop.run_until_complete(asyncio.sleep(0))
    for client in clients:
        client.close()
    assert made == ["new"]
