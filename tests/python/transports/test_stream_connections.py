"""TCP and Unix stream transports: connections, servers, flow control, half-closing, errors."""

import asyncio
import socket
from asyncio import AbstractEventLoop, StreamReader, StreamWriter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ..support.loops import Errors

BIG = bytes(range(256)) * 16_384  # 4 MiB


async def echo(reader: StreamReader, writer: StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def exchange(reader: StreamReader, writer: StreamWriter, data: bytes) -> bytes:
    async def send() -> None:
        writer.write(data)
        await writer.drain()
        writer.write_eof()

    _, received = await asyncio.gather(send(), reader.read())
    writer.close()
    await writer.wait_closed()
    return received


def port_of(server: asyncio.Server) -> int:
    return int(server.sockets[0].getsockname()[1])


@pytest.mark.parametrize("data", [b"", b"x", BIG], ids=["nothing", "a byte", "big"])
async def test_tcp_echo(loop: AbstractEventLoop, data: bytes) -> None:
    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        streams = await asyncio.open_connection("127.0.0.1", port_of(server))
        assert await exchange(*streams, data) == data


async def test_unix_echo(loop: AbstractEventLoop, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    async with await asyncio.start_unix_server(echo, path):
        streams = await asyncio.open_unix_connection(path)
        assert await exchange(*streams, BIG) == BIG


async def test_a_hundred_connections_at_once(loop: AbstractEventLoop) -> None:
    async def one(port: int, n: int) -> bytes:
        return await exchange(*await asyncio.open_connection("127.0.0.1", port), b"%d" % n)

    async with await asyncio.start_server(echo, "127.0.0.1", 0, backlog=200) as server:
        answers = await asyncio.gather(*(one(port_of(server), n) for n in range(100)))
    assert answers == [b"%d" % n for n in range(100)]


async def test_many_small_exchanges_in_turn(loop: AbstractEventLoop) -> None:
    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
        for n in range(300):
            writer.write(b"%04d\n" % n)
            assert await reader.readline() == b"%04d\n" % n
        writer.close()
        await writer.wait_closed()


async def test_localhost_connects_whatever_family_the_server_has(loop: AbstractEventLoop) -> None:
    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        streams = await asyncio.open_connection(
            "localhost", port_of(server), happy_eyeballs_delay=0.25
        )
        assert await exchange(*streams, b"hello") == b"hello"


async def test_a_refused_connection_raises(loop: AbstractEventLoop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_a_taken_port_is_refused(loop: AbstractEventLoop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        starting = asyncio.start_server(echo, *taken.getsockname())
        with pytest.raises(OSError, match="address already in use"):
            await starting


class Recorder(asyncio.Protocol):
    """Notes what it is told, in order."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.received = bytearray()
        self.closed = asyncio.get_running_loop().create_future()
        self.transport: Any = None
        self._heard = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._note("made")

    def data_received(self, data: bytes) -> None:
        assert isinstance(data, bytes)
        self.received += data
        self._heard.set()

    def eof_received(self) -> bool:
        self._note("eof")
        return True

    def pause_writing(self) -> None:
        self._note("pause")

    def resume_writing(self) -> None:
        self._note("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self._note("lost")
        self.closed.set_result(exc)

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._heard.clear()
            await self._heard.wait()

    async def until_received(self, size: int) -> None:
        await self.until(lambda: len(self.received) >= size)

    def _note(self, call: str) -> None:
        self.calls.append(call)
        self._heard.set()


async def connect(loop: AbstractEventLoop) -> tuple[Recorder, Recorder]:
    left, right = socket.socketpair()
    _, one = await loop.create_connection(Recorder, sock=left)
    _, other = await loop.create_connection(Recorder, sock=right)
    return one, other


async def test_a_protocol_hears_of_everything_in_order(loop: AbstractEventLoop) -> None:
    one, other = await connect(loop)
    one.transport.write(b"ab")
    one.transport.writelines([b"c", bytearray(b"d"), memoryview(b"e")])
    one.transport.write(b"")
    one.transport.write_eof()
    await other.until(lambda: "eof" in other.calls)
    other.transport.write_eof()
    await one.until(lambda: "eof" in one.calls)
    other.transport.close()
    one.transport.close()
    assert list(await asyncio.gather(one.closed, other.closed)) == [None, None]
    assert other.received == b"abcde"
    assert one.calls == ["made", "eof", "lost"]
    assert other.calls == ["made", "eof", "lost"]


async def test_a_writer_is_paused_while_the_reader_is(loop: AbstractEventLoop) -> None:
    one, other = await connect(loop)
    one.transport.set_write_buffer_limits(high=1000, low=100)
    other.transport.pause_reading()
    assert not other.transport.is_reading()
    one.transport.write(BIG)
    assert one.calls == ["made", "pause"]
    assert one.transport.get_write_buffer_size() > 1000
    await asyncio.sleep(0.005)
    assert not other.received
    other.transport.resume_reading()
    await other.until_received(len(BIG))
    assert other.received == BIG
    assert one.calls == ["made", "pause", "resume"]
    one.transport.close()
    other.transport.close()
    await asyncio.gather(one.closed, other.closed)


async def test_closing_sends_what_is_buffered_first(loop: AbstractEventLoop) -> None:
    one, other = await connect(loop)
    one.transport.write(BIG)
    one.transport.close()
    assert one.transport.is_closing()
    await other.until_received(len(BIG))
    await one.closed
    other.transport.close()
    assert other.received == BIG


async def test_aborting_drops_what_is_buffered(loop: AbstractEventLoop) -> None:
    one, other = await connect(loop)
    one.transport.write(BIG)
    one.transport.abort()
    assert await one.closed is None
    await other.until(lambda: "eof" in other.calls)
    other.transport.close()
    assert len(other.received) < len(BIG)


async def test_a_reset_connection_is_reported(loop: AbstractEventLoop) -> None:
    accepted: asyncio.Future[StreamWriter] = loop.create_future()

    async def keep(reader: StreamReader, writer: StreamWriter) -> None:
        accepted.set_result(writer)

    async with await asyncio.start_server(keep, "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
        peer = await accepted
        peer.transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
        )
        peer.transport.abort()
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()


async def test_a_failing_protocol_is_reported_and_disconnected(
    loop: AbstractEventLoop, errors: Errors
) -> None:
    class Fails(Recorder):
        def data_received(self, data: bytes) -> None:
            raise LookupError("cannot take data")

    left, right = socket.socketpair()
    right.setblocking(False)
    with right:
        _, protocol = await loop.create_connection(Fails, sock=left)
        await loop.sock_sendall(right, b"x")
        assert isinstance(await protocol.closed, LookupError)
    assert errors.pop()["message"] == "Fatal error: protocol.data_received() call failed."


async def test_a_buffered_protocol_is_given_its_own_buffer(loop: AbstractEventLoop) -> None:
    class Buffered(asyncio.BufferedProtocol):
        def __init__(self) -> None:
            self.buffer = bytearray(7)
            self.received = bytearray()
            self.done = loop.create_future()

        def get_buffer(self, sizehint: int) -> bytearray:
            return self.buffer

        def buffer_updated(self, nbytes: int) -> None:
            self.received += self.buffer[:nbytes]

        def eof_received(self) -> None:
            self.done.set_result(bytes(self.received))

    left, right = socket.socketpair()
    transport, protocol = await loop.create_connection(Buffered, sock=left)
    with right:
        right.sendall(b"more than seven bytes")
        right.shutdown(socket.SHUT_WR)
        assert await protocol.done == b"more than seven bytes"
    transport.close()


async def test_the_protocol_may_be_exchanged(loop: AbstractEventLoop) -> None:
    one, other = await connect(loop)
    second = Recorder()
    other.transport.set_protocol(second)
    assert other.transport.get_protocol() is second
    one.transport.write(b"for the second")
    await second.until_received(14)
    one.transport.close()
    other.transport.close()
    await asyncio.gather(one.closed, second.closed)
    assert not other.received


async def test_a_transport_tells_about_its_socket(loop: AbstractEventLoop) -> None:
    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
        sock = writer.get_extra_info("socket")
        assert writer.get_extra_info("peername") == ("127.0.0.1", port_of(server))
        assert writer.get_extra_info("sockname") == sock.getsockname()
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        assert writer.get_extra_info("no such thing", "default") == "default"
        writer.close()
        await writer.wait_closed()


async def test_a_transports_repr_tells_whether_it_polls(loop: AbstractEventLoop) -> None:
    one, other = await connect(loop)
    assert "read=idle" in repr(one.transport) or "read=polling" in repr(one.transport)
    await asyncio.sleep(0)
    assert "read=polling" in repr(one.transport)
    assert "write=<idle" in repr(one.transport)
    one.transport.close()
    other.transport.close()
    await asyncio.gather(one.closed, other.closed)


async def test_a_closed_server_takes_no_more_connections(loop: AbstractEventLoop) -> None:
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = port_of(server)
    assert server.is_serving()
    server.close()
    await server.wait_closed()
    assert not server.is_serving()
    assert not server.sockets
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_serve_forever_ends_by_cancellation(loop: AbstractEventLoop) -> None:
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    serving = asyncio.ensure_future(server.serve_forever())
    streams = await asyncio.open_connection("127.0.0.1", port_of(server))
    assert await exchange(*streams, b"served") == b"served"
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert not server.is_serving()


async def test_a_file_is_sent_through_a_transport(loop: AbstractEventLoop, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(BIG)
    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        transport, protocol = await loop.create_connection(Recorder, "127.0.0.1", port_of(server))
        transport.write(b"head")
        with path.open("rb") as file:
            assert await loop.sendfile(transport, file, 1, len(BIG) - 1) == len(BIG) - 1
        transport.write(b"tail")
        await protocol.until_received(len(BIG) + 7)
        transport.close()
        await protocol.closed
    assert protocol.received == b"head" + BIG[1:] + b"tail"


async def test_an_accepted_socket_becomes_a_transport(loop: AbstractEventLoop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
        client.connect(listener.getsockname())
        accepted, _ = listener.accept()
        transport, protocol = await loop.connect_accepted_socket(Recorder, accepted)
        client.sendall(b"hello")
        await protocol.until_received(5)
        transport.close()
        await protocol.closed
