"""TLS at its edges: each program is run on a loop, and on stock asyncio, which is the oracle."""

import asyncio
import gc
import inspect
import logging
import os
import re
import socket
import ssl
import subprocess
import sys
import warnings
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from qtloop import _tls

from ..support.loops import LoopFactory
from ..support.tls_peer import Peer, Recorder

BIG = bytes(range(256)) * 8_192  # 2 MiB
PATIENCE = 15

Program = Callable[[], Awaitable[Any]]


@dataclass
class Contexts:
    server: ssl.SSLContext
    client: ssl.SSLContext
    make_server: Callable[[], ssl.SSLContext]


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> Contexts:
    folder = tmp_path_factory.mktemp("certificate")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    make_certificate(certificate, key)

    def make_server() -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        return context

    return Contexts(make_server(), ssl.create_default_context(cafile=certificate), make_server)


def make_certificate(certificate: Path, key: Path) -> None:
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-out", str(certificate), "-keyout", str(key)]
    subprocess.run([*command.split(), *names, *files], check=True, capture_output=True)


def run(factory: LoopFactory, program: Program) -> tuple[Any, list[Any]]:
    """What the program returns, and what the loop's exception handler was given."""
    reported: list[Any] = []

    def note(_loop: Any, context: dict[str, Any]) -> None:
        error = context.get("exception")
        reported.append((context["message"], type(error).__name__, str(error)))

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.get_loop().set_exception_handler(note)
        outcome = runner.run(asyncio.wait_for(program(), PATIENCE))  # type: ignore[arg-type]
    return outcome, reported


def as_on_stock(factory: LoopFactory, program: Program) -> Any:
    """Runs the program on the loop and on stock asyncio, and checks that all is the same."""
    ours, stock = run(factory, program), run(asyncio.SelectorEventLoop, program)
    assert ours == stock
    return ours[0]


async def accept(
    contexts: Contexts, protocol: asyncio.BaseProtocol, **options: Any
) -> tuple[Peer, "asyncio.Task[Any]"]:
    """A server's end of a connection, and its peer."""
    own, other = socket.socketpair()
    own.setblocking(False)
    loop = asyncio.get_running_loop()
    options = {"ssl": contexts.server, **options}
    connecting = loop.create_task(
        loop.connect_accepted_socket(lambda: protocol, own, **options)  # type: ignore[arg-type]
    )
    return Peer(other, contexts.client), connecting


async def outcome_of(connecting: "asyncio.Task[Any]") -> str:
    try:
        await connecting
    except Exception as error:
        return f"{type(error).__name__}: {without_place(error)}"
    return "connected"


def without_place(error: BaseException) -> str:
    return re.sub(r"\(_ssl.c:\d+\)|0x[0-9a-f]+", "", str(error))


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


# What comes from the peer.


def test_records_cut_at_every_byte(loop_factory: LoopFactory, contexts: Contexts) -> None:
    async def program() -> Any:
        protocol = Recorder()
        peer, connecting = await accept(contexts, protocol)
        await peer.handshake()
        await connecting
        expected = b""
        for cut in range(1, 60):
            records = peer.encrypt(b"%03d" % cut, b"second")
            expected += b"%03dsecond" % cut
            await peer.send(records[:cut])
            await turns()
            await peer.send(records[cut:])
            await protocol.until(lambda: len(protocol.received) >= len(expected))  # noqa: B023
        protocol.transport.abort()
        await protocol.is_over
        peer.close()
        return protocol.received == expected, protocol.events

    same, events = as_on_stock(loop_factory, program)
    assert same
    assert events == ["made", "data", ("lost", "NoneType")]


def test_a_handshake_byte_by_byte(loop_factory: LoopFactory, contexts: Contexts) -> None:
    async def program() -> Any:
        protocol = Recorder()
        peer, connecting = await accept(contexts, protocol)
        while not peer.step():
            for byte in peer._outgoing.read():
                await peer.send(bytes([byte]))
                await turns(2)
            await peer.receive()
        await peer.flush()
        outcome = await outcome_of(connecting)
        await peer.send(peer.encrypt(b"hello"))
        await protocol.until(lambda: protocol.received == b"hello")
        protocol.transport.abort()
        await protocol.is_over
        peer.close()
        return outcome, protocol.events

    outcome, events = as_on_stock(loop_factory, program)
    assert (outcome, events) == ("connected", ["made", "data", ("lost", "NoneType")])


@pytest.mark.parametrize("stage", ["at once", "after the hello", "after the handshake"])
@pytest.mark.parametrize("what", ["garbage", "end"])
def test_a_peer_that_fails(
    loop_factory: LoopFactory, contexts: Contexts, stage: str, what: str
) -> None:
    async def program() -> Any:
        protocol = Recorder()
        peer, connecting = await accept(contexts, protocol)
        if stage == "after the hello":
            peer.step()
            await peer.flush()
            await peer.receive()
        elif stage == "after the handshake":
            await peer.handshake()
            await connecting
        if what == "garbage":
            await peer.send(b"\x17\x03\x03\x00\x20" + b"garbage" * 20)
        else:
            peer.close()
        outcome = await outcome_of(connecting)
        if stage == "after the handshake":
            await protocol.is_over
        peer.close()
        await turns()
        return outcome, protocol.events

    outcome, events = as_on_stock(loop_factory, program)
    if stage == "after the handshake":
        assert outcome == "connected"
        assert events[0] == "made"
        assert events[-1][0] == "lost"
    else:
        assert outcome != "connected"
        assert events == []


@pytest.mark.parametrize("then", ["nothing", "write", "close", "abort"])
def test_a_peer_that_says_goodbye(loop_factory: LoopFactory, contexts: Contexts, then: str) -> None:
    def act(protocol: Recorder, name: str) -> None:
        if name == "eof":
            if then == "write":
                protocol.transport.write(b"late")
            elif then != "nothing":
                getattr(protocol.transport, then)()

    async def program() -> Any:
        protocol = Recorder(act)
        peer, connecting = await accept(contexts, protocol)
        await peer.handshake()
        await connecting
        await peer.send(peer.encrypt(b"last words") + peer.goodbye())
        answer = await peer.read()
        await protocol.is_over
        peer.close()
        return answer, protocol.received, protocol.events, protocol.transport.is_closing()

    _, received, events, is_closing = as_on_stock(loop_factory, program)
    assert received == b"last words"
    assert events[:3] == ["made", "data", "eof"]
    assert is_closing


def test_half_closed_tls_is_refused(
    loop_factory: LoopFactory, contexts: Contexts, caplog: pytest.LogCaptureFixture
) -> None:
    class KeepOpen(Recorder):
        def eof_received(self) -> bool:
            super().eof_received()
            return True

    async def program() -> Any:
        caplog.clear()
        protocol = KeepOpen()
        peer, connecting = await accept(contexts, protocol)
        await peer.handshake()
        await connecting
        can = protocol.transport.can_write_eof()
        with pytest.raises(NotImplementedError):
            protocol.transport.write_eof()
        await peer.send(peer.goodbye())
        await protocol.is_over
        peer.close()
        return can, protocol.events, [record.getMessage() for record in caplog.records]

    can, events, messages = as_on_stock(loop_factory, program)
    assert not can
    assert events == ["made", "eof", ("lost", "NoneType")]
    assert messages == ["returning true from eof_received() has no effect when using ssl"]


# Flow control.


def test_a_slow_reader(loop_factory: LoopFactory, contexts: Contexts) -> None:
    async def program() -> Any:
        protocol = Recorder()
        peer, connecting = await accept(contexts, protocol)
        await peer.handshake()
        await connecting
        transport = protocol.transport
        transport.set_write_buffer_limits(high=10_000, low=100)
        limits = transport.get_write_buffer_limits()
        transport.write(BIG)
        transport.write(bytes(20_000))
        transport.writelines([b"a", bytearray(b"b"), memoryview(b"c")])
        is_full = transport.get_write_buffer_size() > 10_000
        paused = list(protocol.events)
        received = await peer.read(len(BIG) + 20_003)
        await protocol.until(lambda: "resume" in protocol.events)
        transport.close()
        await peer.send(peer.goodbye())
        await protocol.is_over
        peer.close()
        return limits, is_full, paused, received == BIG + bytes(20_000) + b"abc", protocol.events

    _, is_full, paused, same, events = as_on_stock(loop_factory, program)
    assert is_full
    assert same
    assert paused == ["made", "pause"]
    assert "resume" in events


def test_a_program_that_does_not_read(loop_factory: LoopFactory, contexts: Contexts) -> None:
    async def program() -> Any:
        protocol = Recorder()
        peer, connecting = await accept(contexts, protocol)
        await peer.handshake()
        transport = await connecting
        transport = transport[0]
        transport.set_read_buffer_limits(high=4096, low=1024)
        transport.pause_reading()
        sending = asyncio.create_task(peer.send(peer.encrypt(*[bytes(1000)] * 500)))
        while transport.get_read_buffer_size() < 4096:
            await asyncio.sleep(0)
        await turns(20)
        before = len(protocol.received), transport.is_reading(), sending.done()
        limits = transport.get_read_buffer_limits()
        transport.resume_reading()
        await protocol.until(lambda: len(protocol.received) == 500_000)
        await sending
        transport.abort()
        await protocol.is_over
        peer.close()
        return before, limits, protocol.events

    before, limits, events = as_on_stock(loop_factory, program)
    assert before[:2] == (0, False)
    assert limits == (1024, 4096)
    assert events == ["made", "data", ("lost", "NoneType")]


@pytest.mark.parametrize("size", [1, 7, 16_384, 100_000])
def test_buffers_of_any_size(loop_factory: LoopFactory, contexts: Contexts, size: int) -> None:
    class Buffered(asyncio.BufferedProtocol):
        def __init__(self) -> None:
            self.memory, self.received = bytearray(size), b""
            self.is_over = asyncio.get_running_loop().create_future()
            self.events: list[str] = []

        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def get_buffer(self, sizehint: int) -> memoryview:
            return memoryview(self.memory)

        def buffer_updated(self, nbytes: int) -> None:
            self.received += self.memory[:nbytes]

        def eof_received(self) -> None:
            self.events.append("eof")

        def connection_lost(self, error: Exception | None) -> None:
            self.events.append(f"lost {error}")
            self.is_over.set_result(None)

    data = BIG[: size * 50 + 3] if size < 1000 else BIG

    async def program() -> Any:
        protocol = Buffered()
        peer, connecting = await accept(contexts, protocol)
        await peer.handshake()
        await connecting
        await peer.send(peer.encrypt(*[data[n : n + 5000] for n in range(0, len(data), 5000)]))
        while len(protocol.received) < len(data):
            await asyncio.sleep(0)
        await peer.send(peer.goodbye())
        await protocol.is_over
        peer.close()
        return protocol.received == data, protocol.events

    assert as_on_stock(loop_factory, program) == (True, ["eof", "lost None"])


@pytest.mark.parametrize("method", ["pause_writing", "resume_writing", "data_received"])
def test_a_callback_that_raises(loop_factory: LoopFactory, contexts: Contexts, method: str) -> None:
    class Raising(Recorder):
        pass

    def fail(_self: Any, *_args: Any) -> None:
        raise RuntimeError(method)

    setattr(Raising, method, fail)

    async def program() -> Any:
        protocol = Raising()
        peer, connecting = await accept(contexts, protocol)
        await peer.handshake()
        await connecting
        protocol.transport.set_write_buffer_limits(high=1000)
        protocol.transport.write(BIG)
        protocol.transport.write(bytes(2000))
        await peer.read(len(BIG) + 2000)
        await peer.send(peer.encrypt(b"x"))
        if method == "data_received":
            await protocol.is_over
        else:
            await protocol.until(lambda: protocol.received == b"x")
            protocol.transport.abort()
            await protocol.is_over
        peer.close()
        return protocol.events

    (events, reported) = run(loop_factory, program)
    assert (events, reported) == run(asyncio.SelectorEventLoop, program)
    is_data = method == "data_received"
    message = "Fatal error on SSL protocol" if is_data else f"protocol.{method}() failed"
    assert reported == [(message, "RuntimeError", method)]


# Calls out of calls.


@pytest.mark.parametrize("action", ["write", "close", "abort", "close twice", "pause", "big"])
@pytest.mark.parametrize("callback", ["made", "data", "eof", "pause", "resume", "lost"])
def test_a_call_out_of_each_callback(
    loop_factory: LoopFactory, contexts: Contexts, callback: str, action: str
) -> None:
    def act(protocol: Recorder, name: str) -> None:
        if name != callback:
            return
        transport = protocol.transport
        if action == "write":
            transport.write(b"out of a callback")
        elif action == "big":
            transport.write(BIG)
        elif action == "pause":
            transport.pause_reading()
            asyncio.get_running_loop().call_soon(transport.resume_reading)
        else:
            transport.abort() if action == "abort" else transport.close()
            if action == "close twice":
                transport.close()

    async def answer(peer: Peer) -> None:
        try:
            await peer.handshake()
            await peer.send(peer.encrypt(b"request"))
            await peer.read(1)
            await peer.send(peer.goodbye())
            await peer.read()
        except (OSError, ssl.SSLError):
            pass
        peer.close()

    async def program() -> Any:
        protocol = Recorder()
        done: list[str] = []

        def then(_: Recorder, name: str) -> None:
            if name == callback and not done:
                done.append(name)
                act(protocol, name)
            if name == "data" and not protocol.transport.is_closing():
                protocol.transport.set_write_buffer_limits(high=1000)
                protocol.transport.write(BIG[:400_000])
                protocol.transport.write(bytes(2000))

        protocol._then = then
        peer, connecting = await accept(contexts, protocol, ssl_shutdown_timeout=5.0)
        reading = asyncio.create_task(answer(peer))
        outcome = await outcome_of(connecting)
        await protocol.is_over
        await reading
        await turns()
        names = [event for event in protocol.events if event not in ("pause", "resume")]
        # Whether the peer is gone before all is written is a matter of time.
        return outcome, [event[0] if event[0] == "lost" else event for event in names]

    outcome, events = as_on_stock(loop_factory, program)
    assert events[0] == "made"
    assert events[-1] == "lost"
    assert outcome == "connected"


# What is written.


@pytest.mark.parametrize("when", ["before", "closed", "lost"])
def test_what_can_be_written(loop_factory: LoopFactory, contexts: Contexts, when: str) -> None:
    async def program() -> Any:
        protocol = Recorder()
        peer, connecting = await accept(contexts, protocol)
        await peer.handshake()
        await connecting
        transport = protocol.transport
        if when != "before":
            transport.abort() if when == "lost" else transport.close()
        if when == "lost":
            await protocol.is_over
        said = []
        for data in ["text", 5, None, [1], b"", bytearray(), memoryview(b"")]:
            try:
                said.append(transport.write(data))
            except Exception as error:
                said.append(f"{type(error).__name__}: {error}")
        for call in [lambda: transport.write(), lambda: transport.write(b"", b"")]:
            with pytest.raises(TypeError):
                call()
        transport.write(data=b"one")
        transport.write(bytearray(b"two"))
        transport.write(memoryview(b"_three_")[1:-1])
        transport.writelines(iter([b"four"]))
        received = await peer.read(15) if when == "before" else b""
        transport.abort()
        await protocol.is_over
        peer.close()
        return said, received

    said, received = as_on_stock(loop_factory, program)
    assert said[0] == "TypeError: data: expecting a bytes-like instance, got str"
    assert received == (b"onetwothreefour" if when == "before" else b"")


async def test_items_of_any_size_are_written(
    qt_loop: asyncio.AbstractEventLoop, contexts: Contexts
) -> None:
    """The stock class counts items, and loses the others' bytes."""
    protocol = Recorder()
    peer, connecting = await accept(contexts, protocol)
    await peer.handshake()
    await connecting
    data = memoryview(BIG[:100_000]).cast("I")
    protocol.transport.write(data)
    assert await peer.read(100_000) == BIG[:100_000]
    protocol.transport.abort()
    await protocol.is_over
    peer.close()


@pytest.mark.parametrize("is_unread", [False, True], ids=["all is read", "something is unread"])
def test_closing_writes_what_waits(
    loop_factory: LoopFactory, contexts: Contexts, is_unread: bool
) -> None:
    async def program() -> Any:
        protocol = Recorder()
        peer, connecting = await accept(contexts, protocol)
        await peer.handshake()
        await connecting
        protocol.transport.write(BIG)
        if is_unread:
            await peer.send(peer.encrypt(b"never read"))
        protocol.transport.close()
        received = await peer.read()
        peer.close()
        await protocol.is_over
        return received == BIG, protocol.events

    is_whole, events = as_on_stock(loop_factory, program)
    assert events[0] == "made"
    # OpenSSL refuses data after the goodbye, which costs what waits to be written.
    assert is_whole is not is_unread


# Time.


def test_a_peer_that_never_shakes_hands(loop_factory: LoopFactory, contexts: Contexts) -> None:
    async def program() -> Any:
        protocol = Recorder()
        peer, connecting = await accept(contexts, protocol, ssl_handshake_timeout=0.03)
        outcome = await outcome_of(connecting)
        peer.close()
        return outcome, protocol.events

    outcome, events = as_on_stock(loop_factory, program)
    message = "SSL handshake is taking longer than 0.03 seconds: aborting the connection"
    assert (outcome, events) == (f"ConnectionAbortedError: {message}", [])


def test_a_peer_that_never_says_goodbye(loop_factory: LoopFactory, contexts: Contexts) -> None:
    async def program() -> Any:
        protocol = Recorder()
        peer, connecting = await accept(contexts, protocol, ssl_shutdown_timeout=0.03)
        await peer.handshake()
        await connecting
        protocol.transport.close()
        await protocol.is_over
        peer.close()
        return protocol.events

    assert as_on_stock(loop_factory, program)[0] == "made"


@pytest.mark.parametrize("option", ["ssl_handshake_timeout", "ssl_shutdown_timeout"])
def test_a_timeout_of_nothing(loop_factory: LoopFactory, contexts: Contexts, option: str) -> None:
    async def program() -> Any:
        peer, connecting = await accept(contexts, Recorder(), **{option: 0})
        outcome = await outcome_of(connecting)
        peer.close()
        return outcome

    assert as_on_stock(loop_factory, program).startswith(f"ValueError: {option} should be")


# Certificates and names.


def test_a_name_callback_that_raises(
    loop_factory: LoopFactory, contexts: Contexts, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_args: Any) -> None:
        raise RuntimeError("no such name")

    context = contexts.make_server()
    context.sni_callback = refuse  # type: ignore[assignment]
    unraisable: list[str] = []

    async def program() -> Any:
        hook, sys.unraisablehook = (
            sys.unraisablehook,
            lambda args: unraisable.append(str(args.exc_value)),
        )
        try:
            protocol = Recorder()
            peer, connecting = await accept(contexts, protocol, ssl=context)
            try:
                await peer.handshake()
                said = "connected"
            except (OSError, ssl.SSLError) as error:
                said = type(error).__name__
            outcome = await outcome_of(connecting)
        finally:
            sys.unraisablehook = hook
        peer.close()
        return said, outcome, protocol.events

    said, _, events = as_on_stock(loop_factory, program)
    assert said != "connected"
    assert events == []
    assert unraisable == ["no such name"] * 2


def test_another_context_by_name(loop_factory: LoopFactory, contexts: Contexts) -> None:
    other = contexts.make_server()
    other.set_alpn_protocols(["second"])
    context = contexts.make_server()

    def switch(tls: Any, name: str, _context: Any) -> None:
        tls.context = other

    context.sni_callback = switch  # type: ignore[assignment]

    async def program() -> Any:
        protocol = Recorder()
        peer, connecting = await accept(contexts, protocol, ssl=context)
        await peer.handshake()
        transport, _ = await connecting
        tls = transport.get_extra_info("ssl_object")
        known = tls.context is other, transport.get_extra_info("sslcontext") is context
        transport.write(b"switched")
        received = await peer.read(8)
        transport.abort()
        await protocol.is_over
        peer.close()
        return known, received

    assert as_on_stock(loop_factory, program) == ((True, True), b"switched")


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_a_client_without_a_certificate(
    loop_factory: LoopFactory, contexts: Contexts, version: str
) -> None:
    context = contexts.make_server()
    context.verify_mode = ssl.CERT_REQUIRED
    context.maximum_version = ssl.TLSVersion[version]

    async def program() -> Any:
        protocol = Recorder()
        peer, connecting = await accept(contexts, protocol, ssl=context)
        try:
            await peer.handshake()
            await peer.read()
        except (OSError, ssl.SSLError):
            pass
        outcome = await outcome_of(connecting)
        peer.close()
        return outcome, protocol.events

    outcome, events = as_on_stock(loop_factory, program)
    assert outcome.startswith("SSLError")
    assert events == []


def test_what_a_transport_knows(loop_factory: LoopFactory, contexts: Contexts) -> None:
    names = ["cipher", "compression", "peercert", "ssl_object", "sslcontext", "socket", "sockname"]

    async def program() -> Any:
        protocol = Recorder()
        peer, connecting = await accept(contexts, protocol)
        await peer.handshake()
        transport, _ = await connecting
        known = [type(transport.get_extra_info(name)).__name__ for name in names]
        missing = transport.get_extra_info("missing", 5)
        has = transport.get_protocol() is protocol, transport.is_reading(), transport.is_closing()
        other = Recorder()
        transport.set_protocol(other)
        await peer.send(peer.encrypt(b"for the other"))
        await other.until(lambda: other.received == b"for the other")
        transport.abort()
        await other.is_over
        peer.close()
        return known, missing, has, other.events, protocol.events

    known, *_ = as_on_stock(loop_factory, program)
    assert known[3] == "SSLObject"


# TLS on top.


@pytest.mark.parametrize("data", [b"x", BIG], ids=["a byte", "big"])
def test_tls_in_tls(loop_factory: LoopFactory, contexts: Contexts, data: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        await writer.drain()
        await writer.start_tls(contexts.server)
        while part := await reader.read(65536):
            writer.write(part)
            await writer.drain()
        writer.close()

    async def program() -> Any:
        async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=contexts.server) as server:
            port = server.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, ssl=contexts.client, server_hostname="localhost"
            )
            outer = writer.get_extra_info("ssl_object")
            writer.write(b"STARTTLS\n")
            line = await reader.readline()
            await writer.start_tls(contexts.client, server_hostname="localhost")
            inner = writer.get_extra_info("ssl_object")
            sending = asyncio.create_task(send(writer, data))
            received = await reader.readexactly(len(data))
            await sending
            writer.close()
            await writer.wait_closed()
        return line, outer is inner, received == data

    async def send(writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(data)
        await writer.drain()

    assert as_on_stock(loop_factory, program) == (b"STARTTLS\n", False, True)


def test_what_starts_no_tls(loop_factory: LoopFactory, contexts: Contexts) -> None:
    async def program() -> Any:
        loop = asyncio.get_running_loop()
        protocol = Recorder()
        peer, connecting = await accept(contexts, protocol)
        await peer.handshake()
        transport, _ = await connecting
        said = []
        for wrong, context in [(transport, "context"), (asyncio.Transport(), contexts.client)]:
            try:
                await loop.start_tls(wrong, protocol, context)  # type: ignore[arg-type]
            except TypeError as error:
                said.append(re.sub("<.*>", "", without_place(error)))
        transport.abort()
        await protocol.is_over
        peer.close()
        return said

    assert len(as_on_stock(loop_factory, program)) == 2


# Debug mode, warnings, leaks.


def test_debug_mode_says_the_same(
    loop_factory: LoopFactory, contexts: Contexts, caplog: pytest.LogCaptureFixture
) -> None:
    async def program() -> Any:
        asyncio.get_running_loop().set_debug(True)
        caplog.clear()
        protocol = Recorder()
        peer, connecting = await accept(contexts, protocol)
        await peer.handshake()
        await connecting
        await peer.send(b"\x17\x03\x03\x00\x20" + b"garbage" * 20)
        await protocol.is_over
        peer.close()
        return [
            (
                re.sub(r"<.*>|[\d.]+ ms", "", record.getMessage()),
                bool(record.exc_info and record.exc_info[0]),
            )
            for record in caplog.records
            if "SSL" in record.getMessage() and "Executing" not in record.getMessage()
        ]

    with caplog.at_level(logging.DEBUG, "asyncio"):
        logged = as_on_stock(loop_factory, program)
    assert (": Fatal error on SSL protocol", True) in logged


def test_an_unclosed_transport_warns(loop_factory: LoopFactory, contexts: Contexts) -> None:
    def warned(factory: LoopFactory) -> list[str]:
        async def connect() -> Peer:
            peer, connecting = await accept(contexts, Recorder())
            await peer.handshake()
            await connecting
            return peer

        loop = factory()
        peer = loop.run_until_complete(connect())
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            loop.close()
            del loop
            gc.collect()
        peer.close()
        messages = [str(warning.message) for warning in caught]
        return [message for message in messages if "_SSLProtocolTransport" in message]

    expected = ["unclosed transport <asyncio._SSLProtocolTransport object>"]
    assert warned(loop_factory) == warned(asyncio.SelectorEventLoop) == expected


@pytest.mark.parametrize("end", ["close", "abort"])
def test_many_connections_leave_nothing(
    loop_factory: LoopFactory, contexts: Contexts, end: str
) -> None:
    async def one() -> None:
        own, other = socket.socketpair()
        loop = asyncio.get_running_loop()
        (first, a), (second, b) = await asyncio.gather(
            loop.connect_accepted_socket(Recorder, own, ssl=contexts.server),
            loop.create_connection(
                Recorder, sock=other, ssl=contexts.client, server_hostname="localhost"
            ),
        )
        second.write(b"hello")
        await a.until(lambda: a.received == b"hello")
        getattr(first, end)()
        second.abort()
        await asyncio.gather(a.is_over, b.is_over)

    def count() -> tuple[int, int]:
        gc.collect()
        kinds = ("SSLProtocol", "SSLObject", "SSLTransport", "SocketTransport")
        objects = sum(type(thing).__name__ in kinds for thing in gc.get_objects())
        return objects, len(os.listdir("/proc/self/fd"))

    async def program() -> Any:
        await asyncio.gather(*(one() for _ in range(10)))
        await turns(20)
        before = count()
        for _ in range(25):
            await asyncio.gather(*(one() for _ in range(20)))
        await turns(20)
        after = count()
        return after[0] - before[0], after[1] - before[1]

    outcome, reported = run(loop_factory, program)
    # Fewer is no leak: what an earlier test has left may go in between.
    assert max(outcome) <= 0, outcome
    assert reported == []


# What it costs.


async def test_no_python_between_transport_and_program(
    qt_loop: asyncio.AbstractEventLoop, contexts: Contexts
) -> None:
    """For a record that comes and one that goes, Python sees the program's own method only."""
    called: list[tuple[str, str]] = []
    answered = asyncio.get_running_loop().create_future()

    class Echo(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.transport.write(data)
            if not answered.done():
                answered.set_result(None)

    protocol = Echo()
    peer, connecting = await accept(contexts, protocol)
    await peer.handshake()
    await connecting

    def profile(frame: Any, event: str, _arg: Any) -> None:
        if event == "call":
            called.append((frame.f_code.co_filename, frame.f_code.co_name))

    records = peer.encrypt(b"a", b"b")
    sys.setprofile(profile)
    try:
        await peer.send(records)
        await answered
    finally:
        sys.setprofile(None)
    assert await peer.read(2) == b"ab"
    assert (__file__, "data_received") in called
    between = {inspect.getfile(module) for module in (asyncio.sslproto, ssl, _tls)}
    assert [name for file, name in called if file in between] == []
    protocol.transport.abort()
    await turns()
    peer.close()
