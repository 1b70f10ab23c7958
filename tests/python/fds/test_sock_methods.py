"""`loop.sock_*`: coroutines around bare sockets."""

import asyncio
import socket
from asyncio import AbstractEventLoop
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..support.loops import Errors, Pair

BIG = bytes(range(256)) * 16_384  # 4 MiB: more than any socket buffer takes at once.


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener


def tcp_socket() -> socket.socket:
    sock = socket.socket()
    sock.setblocking(False)
    return sock


async def receive_exactly(loop: AbstractEventLoop, sock: socket.socket, size: int) -> bytes:
    received = bytearray()
    while len(received) < size:
        chunk = await loop.sock_recv(sock, 65536)
        assert chunk, "the stream ended too soon"
        received += chunk
    return bytes(received)


async def test_connect_accept_and_exchange(
    loop: AbstractEventLoop, listener: socket.socket
) -> None:
    with tcp_socket() as client:
        accepted, _ = await asyncio.gather(
            loop.sock_accept(listener), loop.sock_connect(client, listener.getsockname())
        )
        server, address = accepted
        with server:
            assert address == client.getsockname()
            assert server.getblocking() is False
            await loop.sock_sendall(client, b"ping")
            assert await loop.sock_recv(server, 100) == b"ping"
            client.close()
            assert await loop.sock_recv(server, 100) == b""


async def test_a_refused_connection_raises(
    loop: AbstractEventLoop, listener: socket.socket
) -> None:
    address = listener.getsockname()
    listener.close()
    with tcp_socket() as client, pytest.raises(ConnectionRefusedError):
        await loop.sock_connect(client, address)


async def test_big_data_goes_through_while_the_other_side_is_slow(
    loop: AbstractEventLoop, pair: Pair
) -> None:
    left, right = pair
    sending = asyncio.ensure_future(loop.sock_sendall(left, BIG))
    await asyncio.sleep(0)
    assert not sending.done()
    assert await receive_exactly(loop, right, len(BIG)) == BIG
    await sending


async def test_both_directions_at_once(loop: AbstractEventLoop, pair: Pair) -> None:
    left, right = pair
    received = await asyncio.gather(
        receive_exactly(loop, left, len(BIG)),
        receive_exactly(loop, right, len(BIG)),
        loop.sock_sendall(left, BIG),
        loop.sock_sendall(right, BIG),
    )
    assert list(received[:2]) == [BIG, BIG]


async def test_receiving_into_a_buffer(loop: AbstractEventLoop, pair: Pair) -> None:
    left, right = pair
    buffer = bytearray(10)
    receiving = asyncio.ensure_future(loop.sock_recv_into(left, memoryview(buffer)[2:]))
    await asyncio.sleep(0)
    right.send(b"hello")
    assert await receiving == 5
    assert buffer == b"\0\0hello\0\0\0"


async def test_a_cancelled_receive_leaves_the_data_to_the_next(
    loop: AbstractEventLoop, pair: Pair
) -> None:
    left, right = pair
    receiving = asyncio.ensure_future(loop.sock_recv(left, 10))
    await asyncio.sleep(0)
    right.send(b"kept")
    receiving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await receiving
    assert await loop.sock_recv(left, 10) == b"kept"


async def test_a_cancelled_accept_leaves_the_connection_to_the_next(
    loop: AbstractEventLoop, listener: socket.socket
) -> None:
    accepting = asyncio.ensure_future(loop.sock_accept(listener))
    await asyncio.sleep(0)
    accepting.cancel()
    with tcp_socket() as client:
        await loop.sock_connect(client, listener.getsockname())
        server, _ = await loop.sock_accept(listener)
        server.close()
    assert accepting.cancelled()


async def test_a_cancelled_connect_does_not_harm_the_next(
    loop: AbstractEventLoop, listener: socket.socket
) -> None:
    for _ in range(10):
        with tcp_socket() as client:
            connecting = asyncio.ensure_future(loop.sock_connect(client, listener.getsockname()))
            await asyncio.sleep(0)
            connecting.cancel()
            await asyncio.wait([connecting])
    with tcp_socket() as client:
        await loop.sock_connect(client, listener.getsockname())
        assert client.getpeername() == listener.getsockname()


async def test_many_receivers_wait_at_once(loop: AbstractEventLoop) -> None:
    pairs = [socket.socketpair() for _ in range(100)]
    for left, right in pairs:
        left.setblocking(False)
        right.setblocking(False)
    receiving = [asyncio.ensure_future(loop.sock_recv(left, 10)) for left, _ in pairs]
    await asyncio.sleep(0)
    for n, (_, right) in reversed(list(enumerate(pairs))):
        right.send(b"%d" % n)
    assert await asyncio.gather(*receiving) == [b"%d" % n for n in range(100)]
    for left, right in pairs:
        left.close()
        right.close()


async def test_datagrams(loop: AbstractEventLoop) -> None:
    with (
        socket.socket(type=socket.SOCK_DGRAM) as one,
        socket.socket(type=socket.SOCK_DGRAM) as other,
    ):
        for sock in (one, other):
            sock.setblocking(False)
            sock.bind(("127.0.0.1", 0))
        receiving = asyncio.ensure_future(loop.sock_recvfrom(other, 100))
        await asyncio.sleep(0)
        assert await loop.sock_sendto(one, b"hello", other.getsockname()) == 5
        assert await receiving == (b"hello", one.getsockname())
        buffer = bytearray(10)
        await loop.sock_sendto(other, b"back", one.getsockname())
        assert await loop.sock_recvfrom_into(one, buffer) == (4, other.getsockname())
        assert buffer.startswith(b"back")


async def test_debug_mode_refuses_a_blocking_socket(loop: AbstractEventLoop) -> None:
    loop.set_debug(True)
    left, right = socket.socketpair()
    with left, right:
        for call in (
            loop.sock_recv(left, 1),
            loop.sock_sendall(left, b"x"),
            loop.sock_accept(left),
        ):
            with pytest.raises(ValueError, match="the socket must be non-blocking"):
                await call


@pytest.mark.parametrize("fallback", [False, True])
async def test_a_file_is_sent(
    loop: AbstractEventLoop,
    pair: Pair,
    tmp_path: Path,
    fallback: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left, right = pair
    path = tmp_path / "file"
    path.write_bytes(BIG)
    if fallback:
        monkeypatch.delattr("os.sendfile")
    with path.open("rb") as file:
        sent, received = await asyncio.gather(
            loop.sock_sendfile(left, file, offset=5, count=len(BIG) - 10),
            receive_exactly(loop, right, len(BIG) - 10),
        )
        assert file.tell() == len(BIG) - 5
    assert sent == len(BIG) - 10
    assert received == BIG[5:-5]


async def test_closing_the_peer_while_sending_raises(
    loop: AbstractEventLoop, pair: Pair, errors: Errors
) -> None:
    left, right = pair
    sending = asyncio.ensure_future(loop.sock_sendall(left, BIG))
    await asyncio.sleep(0)
    right.close()
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        await sending


async def test_names_are_resolved_without_blocking_the_loop(loop: AbstractEventLoop) -> None:
    infos = await loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
    assert infos[0][:2] == (socket.AF_INET, socket.SOCK_STREAM)
    assert infos[0][4] == ("127.0.0.1", 80)
    assert (
        await loop.getnameinfo(("127.0.0.1", 80), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)
    ) == (
        "127.0.0.1",
        "80",
    )
