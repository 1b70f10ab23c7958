"""UDP and Unix datagram endpoints."""

import asyncio
import socket
from asyncio import AbstractEventLoop
from pathlib import Path
from typing import Any

import pytest

Address = Any


class Mailbox(asyncio.DatagramProtocol):
    """Queues what comes in."""

    def __init__(self) -> None:
        self.mail: asyncio.Queue[tuple[bytes, Address]] = asyncio.Queue()
        self.errors: asyncio.Queue[Exception] = asyncio.Queue()
        self.closed = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self.mail.put_nowait((data, addr))

    def error_received(self, exc: Exception) -> None:
        self.errors.put_nowait(exc)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set_result(exc)


async def close(*endpoints: tuple[Any, Mailbox]) -> None:
    for transport, _ in endpoints:
        transport.close()
    for _, mailbox in endpoints:
        assert await mailbox.closed is None


async def test_datagrams_go_both_ways_each_by_itself(loop: AbstractEventLoop) -> None:
    server = await loop.create_datagram_endpoint(Mailbox, local_addr=("127.0.0.1", 0))
    address = server[0].get_extra_info("sockname")
    client = await loop.create_datagram_endpoint(Mailbox, remote_addr=address)
    for data in (b"first", b"second", b"third"):
        client[0].sendto(data)
    received = [await server[1].mail.get() for _ in range(3)]
    assert [data for data, _ in received] == [b"first", b"second", b"third"]
    server[0].sendto(b"answer", received[0][1])
    assert await client[1].mail.get() == (b"answer", address)
    await close(server, client)


async def test_hundreds_of_datagrams_arrive_in_order(loop: AbstractEventLoop) -> None:
    server = await loop.create_datagram_endpoint(Mailbox, local_addr=("127.0.0.1", 0))
    client = await loop.create_datagram_endpoint(
        Mailbox, remote_addr=server[0].get_extra_info("sockname")
    )
    for batch in range(10):
        for n in range(20):
            client[0].sendto(b"%d" % (20 * batch + n))
        got = [await server[1].mail.get() for _ in range(20)]
        assert [int(data) for data, _ in got] == list(range(20 * batch, 20 * batch + 20))
    await close(server, client)


async def test_nobody_listening_is_reported_as_an_error(loop: AbstractEventLoop) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as unused:
        unused.bind(("127.0.0.1", 0))
        address = unused.getsockname()
    client = await loop.create_datagram_endpoint(Mailbox, remote_addr=address)
    client[0].sendto(b"anybody there?")
    assert isinstance(await client[1].errors.get(), ConnectionRefusedError)
    await close(client)


async def test_a_datagram_too_big_is_reported(loop: AbstractEventLoop) -> None:
    server = await loop.create_datagram_endpoint(Mailbox, local_addr=("127.0.0.1", 0))
    server[0].sendto(bytes(100_000), server[0].get_extra_info("sockname"))
    assert isinstance(await server[1].errors.get(), OSError)
    await close(server)


async def test_unix_datagrams(loop: AbstractEventLoop, tmp_path: Path) -> None:
    server = await loop.create_datagram_endpoint(
        Mailbox, local_addr=str(tmp_path / "server"), family=socket.AF_UNIX
    )
    client = await loop.create_datagram_endpoint(
        Mailbox,
        local_addr=str(tmp_path / "client"),
        remote_addr=str(tmp_path / "server"),
        family=socket.AF_UNIX,
    )
    client[0].sendto(b"hello")
    assert await server[1].mail.get() == (b"hello", str(tmp_path / "client"))
    await close(server, client)


async def test_a_closed_endpoint_sends_nothing(loop: AbstractEventLoop) -> None:
    server = await loop.create_datagram_endpoint(Mailbox, local_addr=("127.0.0.1", 0))
    await close(server)
    with pytest.raises((RuntimeError, OSError, AttributeError)):
        server[0].sendto(b"late", ("127.0.0.1", 9))
