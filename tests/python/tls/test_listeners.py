"""Servers with TLS: from the accepted connection to the end of the handshake. Each script runs on a
loop and on stock asyncio, whose log is the expected one."""

import asyncio
import contextvars
import gc
import logging
import os
import re
import resource
import socket
import ssl
import sys
import threading
import warnings
from asyncio import AbstractEventLoop
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import qtloop

from ..support.certificates import Contexts
from ..support.loops import LoopFactory
from ..support.recording import Log, Recording, compare, condensed
from ..support.tls_peer import Peer

GARBAGE = b"this is no handshake, and there is enough of it to show that" * 10


@asynccontextmanager
async def serving(factory: Any, contexts: Contexts, **options: Any) -> AsyncIterator[Any]:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(factory, "127.0.0.1", 0, ssl=contexts.server, **options)
    try:
        yield server
    finally:
        server.close()
        await server.wait_closed()


async def connected(server: Any) -> socket.socket:
    sock = socket.socket()
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, server.sockets[0].getsockname())
    return sock


async def shaken(server: Any, contexts: Contexts) -> Peer:
    peer = Peer(await connected(server), contexts.client)
    await peer.handshake()
    return peer


async def until_closed(sock: socket.socket) -> bytes:
    """What the server has sent until it closed the connection. A reset is an end too."""
    received = b""
    try:
        while data := await asyncio.get_running_loop().sock_recv(sock, 65536):
            received += data
    except ConnectionResetError:
        pass
    sock.close()
    return received


async def turns(count: int = 10) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_an_echo_and_what_is_known_of_it(loop_factory: LoopFactory, contexts: Contexts) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        protocol = Recording(log)
        async with serving(lambda: protocol, contexts) as server:
            peer = await shaken(server, contexts)
            own = peer.sock.getsockname()
            await peer.send(peer.encrypt(b"hello"))
            await protocol.until_received(5)
            transport = protocol.transport
            log.append(("peer", transport.get_extra_info("peername") == own))
            log.append(("cipher", transport.get_extra_info("cipher")[1]))
            log.append(("context", transport.get_extra_info("sslcontext") is contexts.server))
            transport.write(b"world")
            log.append(("answer", await peer.read(5)))
            transport.close()
            await peer.send(peer.goodbye())
            await until_closed(peer.sock)
            await protocol.lost

    compare(loop_factory, script)


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("how", ["garbage", "goes", "reset", "half"])
def test_a_handshake_that_fails(
    loop_factory: LoopFactory, contexts: Contexts, how: str, debug: bool
) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        loop.set_debug(debug)
        protocol = Recording(log)
        async with serving(lambda: protocol, contexts) as server:
            sock = await connected(server)
            if how == "garbage":
                await loop.sock_sendall(sock, GARBAGE)
            elif how == "half":
                peer = Peer(sock, contexts.client)
                peer.step()
                await peer.flush()
                await peer.receive()
                sock.shutdown(socket.SHUT_WR)
            elif how == "reset":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                sock.close()
            if how == "goes":
                sock.close()
            if sock.fileno() >= 0:
                await until_closed(sock)
            # Another one is served all the same.
            peer = await shaken(server, contexts)
            await protocol.until_called("connection_made")
            await turns()
            protocol.transport.abort()
            await protocol.lost
            peer.close()

    compare(loop_factory, script)


@pytest.mark.parametrize("debug", [False, True])
def test_a_client_that_says_nothing_is_given_up(
    loop_factory: LoopFactory, contexts: Contexts, debug: bool
) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        loop.set_debug(debug)
        server: Any
        async with serving(lambda: Recording(log), contexts, ssl_handshake_timeout=0.02) as server:
            sock = await connected(server)
            log.append(("sent", await until_closed(sock)))
            await turns()

    assert len(compare(loop_factory, script)) == 1 + debug


async def connect_in_vain(server: Any, log: Log) -> None:
    sock = await connected(server)
    await turns()
    log[:] = [tuple(map(condensed, entry)) for entry in log]  # A traceback has the socket.
    gc.collect()
    log.append(("sent", await until_closed(sock)))


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("option", ["ssl_handshake_timeout", "ssl_shutdown_timeout"])
def test_a_timeout_of_nothing(
    loop_factory: LoopFactory, contexts: Contexts, option: str, debug: bool
) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        loop.set_debug(debug)
        async with serving(lambda: Recording(log), contexts, **{option: -1}) as server:
            await connect_in_vain(server, log)

    assert len(compare(loop_factory, script)) == 1 + debug


@pytest.mark.parametrize("debug", [False, True])
def test_a_factory_that_fails(loop_factory: LoopFactory, contexts: Contexts, debug: bool) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        loop.set_debug(debug)

        def fail() -> Any:
            raise LookupError("no protocol")

        async with serving(fail, contexts) as server:
            await connect_in_vain(server, log)

    assert len(compare(loop_factory, script)) == 1 + debug


def test_a_factory_that_ends_the_run(loop_factory: LoopFactory, contexts: Contexts) -> None:
    def leave() -> Any:
        raise SystemExit(7)

    async def main() -> None:
        async with serving(leave, contexts) as server:
            sock = await connected(server)
            await until_closed(sock)

    with pytest.raises(SystemExit) as raised, asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())
    assert raised.value.code == 7
    gc.collect()


def test_a_server_closed_during_a_handshake(loop_factory: LoopFactory, contexts: Contexts) -> None:
    """The handshake goes on, and `wait_closed` waits for the connection from Python 3.12 on."""

    async def script(loop: AbstractEventLoop, log: Log) -> None:
        protocol = Recording(log)
        async with serving(lambda: protocol, contexts) as server:
            peer = Peer(await connected(server), contexts.client)
            peer.step()
            await peer.flush()
            await peer.receive()
            server.close()
            closing = asyncio.ensure_future(server.wait_closed())
            await turns()
            log.append(("waits", closing.done()))
            await peer.handshake()
            await protocol.until_called("connection_made")
            await peer.send(peer.encrypt(b"x"))
            await protocol.until_received(1)
            log.append(("waits", closing.done()))
            protocol.transport.abort()
            await protocol.lost
            await closing
            peer.close()

    compare(loop_factory, script)


@pytest.mark.skipif(sys.version_info < (3, 13), reason="new in Python 3.13")
@pytest.mark.parametrize("how", ["close_clients", "abort_clients"])
@pytest.mark.parametrize("when", ["silent", "half-way", "over"])
def test_a_server_ends_its_connections(
    loop_factory: LoopFactory, contexts: Contexts, how: str, when: str
) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        protocol = Recording(log)
        async with serving(lambda: protocol, contexts) as server:
            peer = Peer(await connected(server), contexts.client)
            if when == "half-way":
                peer.step()
                await peer.flush()
                await peer.receive()
            elif when == "over":
                await peer.handshake()
                await protocol.until_called("connection_made")
            await turns()
            getattr(server, how)()
            await until_closed(peer.sock)
            await turns()

    compare(loop_factory, script)


@pytest.mark.parametrize("debug", [False, True])
def test_a_run_that_ends_closes_what_shakes_hands(
    loop_factory: LoopFactory, contexts: Contexts, debug: bool
) -> None:
    def outcome(factory: LoopFactory) -> tuple[list[Any], list[str], bytes]:
        reported: list[Any] = []
        clients: list[socket.socket] = []

        def note(_: Any, context: dict[str, Any]) -> None:
            reported.append((context["message"], type(context["exception"]), *sorted(context)))

        async def main() -> None:
            loop = asyncio.get_running_loop()
            loop.set_debug(debug)
            loop.set_exception_handler(note)
            server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0, ssl=contexts.server)
            clients.append(await connected(server))
            await turns()
            server.close()

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with asyncio.Runner(loop_factory=factory) as runner:
                runner.run(main())
            gc.collect()
        [client] = clients
        client.setblocking(True)
        client.settimeout(5)
        received = client.recv(1)
        client.close()
        return reported, [str(warning.message) for warning in caught], received

    gc.collect()  # What earlier tests have left.
    ours, stock = outcome(loop_factory), outcome(asyncio.SelectorEventLoop)
    assert ours == stock
    assert ours[1:] == ([], b"")
    assert len(ours[0]) == debug


def test_out_of_fds_is_tried_again(
    loop_factory: LoopFactory, contexts: Contexts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the same context and the same timeouts."""
    monkeypatch.setattr(asyncio.constants, "ACCEPT_RETRY_DELAY", 0.01)  # type: ignore[attr-defined]

    async def script(loop: AbstractEventLoop, log: Log) -> None:
        protocol = Recording([])
        reported: list[Any] = []
        is_out = asyncio.Event()

        def note(_: Any, context: dict[str, Any]) -> None:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            reported.append((context["message"], str(context["exception"]), *sorted(context)))
            is_out.set()

        loop.set_exception_handler(note)
        async with serving(lambda: protocol, contexts, ssl_handshake_timeout=7) as server:
            sock = socket.socket()
            sock.setblocking(False)
            limits = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (os.dup(0), limits[1]))
            try:
                sock.connect_ex(server.sockets[0].getsockname())
                await is_out.wait()
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            peer = Peer(sock, contexts.client)
            await peer.handshake()
            await protocol.until_called("connection_made")
            log.append(reported[0])
            log.append(protocol.transport._ssl_protocol._ssl_handshake_timeout)
            protocol.transport.abort()
            await protocol.lost
            peer.close()

    def one(loop_factory: LoopFactory) -> Log:
        log: Log = []
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(asyncio.wait_for(script(runner.get_loop(), log), 15))
        return log

    assert one(loop_factory) == one(asyncio.SelectorEventLoop)


def test_the_contexts_of_a_connection(loop_factory: LoopFactory, contexts: Contexts) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")

    async def script(loop: AbstractEventLoop, log: Log) -> None:
        class Noting(asyncio.Protocol):
            def __init__(self) -> None:
                log.append(("factory", variable.get()))
                variable.set("by the factory")
                self.over = loop.create_future()

            def connection_made(self, transport: Any) -> None:
                log.append(("made", variable.get()))
                variable.set("by connection_made")

            def data_received(self, data: bytes) -> None:
                log.append(("data", variable.get()))
                variable.set("by data_received")

            def eof_received(self) -> None:
                log.append(("eof", variable.get()))

            def connection_lost(self, error: Exception | None) -> None:
                log.append(("lost", variable.get()))
                self.over.set_result(None)

        made: list[Noting] = []

        def make() -> Noting:
            made.append(Noting())
            return made[-1]

        variable.set("at the start")
        async with serving(make, contexts) as server:
            variable.set("later")
            for _ in range(2):
                peer = await shaken(server, contexts)
                await peer.send(peer.encrypt(b"x") + peer.goodbye())
                await until_closed(peer.sock)
            await asyncio.gather(*(protocol.over for protocol in made))

    compare(loop_factory, script)


def test_debug_mode_logs_what_is_accepted(
    loop_factory: LoopFactory, contexts: Contexts, caplog: pytest.LogCaptureFixture
) -> None:
    def logged(factory: LoopFactory, context: ssl.SSLContext | None) -> list[str]:
        async def main() -> None:
            loop = asyncio.get_running_loop()
            loop.set_debug(True)
            protocol = Recording([])
            server = await loop.create_server(lambda: protocol, "127.0.0.1", 0, ssl=context)
            sock = await connected(server)
            if context is not None:
                await Peer(sock, contexts.client).handshake()
            await protocol.until_called("connection_made")
            protocol.transport.abort()
            await protocol.lost
            sock.close()
            server.close()

        caplog.clear()
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(asyncio.wait_for(main(), 15))
        messages = [record.getMessage() for record in caplog.records]
        return [
            re.sub(r"\d+", "n", message.replace("qtloop._loop.EventLoop", "loop"))
            for message in messages
            if "got a new connection" in message
        ]

    with caplog.at_level(logging.DEBUG, "asyncio"):
        for context in (None, contexts.server):
            ours, stock = (logged(f, context) for f in (loop_factory, asyncio.SelectorEventLoop))
            assert len(ours) == 1
            assert ours == stock


async def test_a_handshake_is_three_callbacks(
    qt_loop: qtloop.EventLoop, contexts: Contexts
) -> None:
    """The accepting one, that which takes the first of the client's messages, and that which takes
    the last."""
    counts: list[int] = []

    def count(_: Any) -> None:
        counts.append(qt_loop.metrics().callbacks)

    protocol = Recording([], connection_made=count)
    async with serving(lambda: protocol, contexts) as server:
        sock = socket.socket()
        sock.connect(server.sockets[0].getsockname())
        tls = contexts.client.wrap_socket(
            sock, server_hostname="localhost", do_handshake_on_connect=False
        )
        tls.setblocking(False)
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        tls.setblocking(True)
        thread = threading.Thread(target=tls.do_handshake)
        before = qt_loop.metrics().callbacks
        thread.start()
        await protocol.until_called("connection_made")
        thread.join()
        assert counts[0] - before <= 3
        protocol.transport.abort()
        await protocol.lost
        tls.close()
