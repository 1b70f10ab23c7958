"""A hundred connections of every kind leave nothing behind: no fd, no object, no Qt object, no
memory."""

import asyncio
import gc
import os
import socket
import struct
import sys
import tracemalloc
from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from ..support.loops import Errors, qt_core
from ..support.recording import (
    Recording,
    RecordingBuffered,
    RecordingDatagrams,
    connected,
    receive,
    rounds,
)

ROUNDS = 100
#: Rounds after which everything is cached that ever will be.
WARM = 5
#: Bytes that may be left after all rounds: less than one object for each.
SLACK = 60_000

#: More than a socket takes at once.
MUCH = bytes(500_000)

Round = Callable[[AbstractEventLoop, Path, int], Awaitable[None]]


def census(loop: Any, application: Any) -> dict[str, int]:
    for _ in range(3):  # What is freed may have held other cycles.
        gc.collect()
    kinds: dict[str, Any] = {
        "handles": asyncio.Handle,
        "transports": asyncio.BaseTransport,
        "protocols": asyncio.BaseProtocol,
        "futures": asyncio.Future,
        "sockets": socket.socket,
        "Qt objects": qt_core.QObject,
    }
    things = gc.get_objects()
    counts = {
        name: sum(isinstance(thing, kind) for thing in things) for name, kind in kinds.items()
    }
    counts["fds"] = len(os.listdir("/proc/self/fd"))
    counts["children"] = len(application.children())
    if hasattr(loop, "metrics"):
        metrics = loop.metrics()
        counts |= {"watched": metrics.fds, "ready": metrics.ready, "timers": metrics.timers}
    return counts


# What a round does.


async def close(loop: AbstractEventLoop, folder: Path, number: int) -> None:
    protocol = [Recording, RecordingBuffered][number % 2]([])
    with await connected(loop, protocol) as peer:
        peer.send(b"hello")
        await protocol.until_received(5)
        protocol.transport.write(b"hello")
        await receive(loop, peer, 5)
        protocol.transport.close()
        await protocol.lost


async def abort_with_data(loop: AbstractEventLoop, folder: Path, number: int) -> None:
    protocol = Recording([])
    with await connected(loop, protocol):
        protocol.transport.write(MUCH)
        protocol.transport.pause_reading()
        protocol.transport.abort()
        await protocol.lost


async def flush_and_close(loop: AbstractEventLoop, folder: Path, number: int) -> None:
    protocol = Recording([])
    with await connected(loop, protocol) as peer:
        protocol.transport.write(MUCH)
        protocol.transport.close()
        await receive(loop, peer, len(MUCH))
        await protocol.lost


async def reset_by_peer(loop: AbstractEventLoop, folder: Path, number: int) -> None:
    protocol = Recording([])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        await loop.create_connection(lambda: protocol, *listener.getsockname())
        peer, _ = listener.accept()
    protocol.transport.write(b"hello")
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
    await protocol.lost


async def fail(loop: AbstractEventLoop, folder: Path, number: int) -> None:
    def raise_it(*args: Any) -> None:
        raise LookupError

    callback = ["connection_made", "data_received", "eof_received", "connection_lost"][number % 4]
    protocol = Recording([], **{callback: raise_it})
    with await connected(loop, protocol) as peer:
        peer.send(b"x")
        await protocol.until_received(1)
    await protocol.lost


async def cancel(loop: AbstractEventLoop, folder: Path, number: int) -> None:
    """While connecting, receiving and sending."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        connecting = asyncio.ensure_future(loop.create_connection(lambda: Recording([]), *address))
        await asyncio.sleep(0)
        connecting.cancel()
        await asyncio.wait([connecting])
    left, right = socket.socketpair()
    with left, right:
        left.setblocking(False)
        waiting = [
            asyncio.ensure_future(loop.sock_recv(left, 1)),
            asyncio.ensure_future(loop.sock_sendall(left, MUCH)),
        ]
        await asyncio.sleep(0)
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)


async def serve(loop: AbstractEventLoop, folder: Path, number: int) -> None:
    protocols = [Recording([], "server"), Recording([], "client")]
    if number % 2:
        server: Any = await loop.create_server(lambda: protocols[0], "127.0.0.1", 0)
        await loop.create_connection(lambda: protocols[1], *server.sockets[0].getsockname())
    else:
        path = str(folder / f"{number}")
        server = await loop.create_unix_server(lambda: protocols[0], path)
        await loop.create_unix_connection(lambda: protocols[1], path)
    await protocols[0].until_called("connection_made")
    protocols[1].transport.close()
    for protocol in protocols:
        await protocol.lost
    server.close()
    await server.wait_closed()


async def stream(loop: AbstractEventLoop, folder: Path, number: int) -> None:
    ended = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(5))
        writer.close()
        await writer.wait_closed()
        ended.set()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"hello")
        await reader.read()
        writer.close()
        await writer.wait_closed()
        await ended.wait()


async def datagrams(loop: AbstractEventLoop, folder: Path, number: int) -> None:
    server, client = RecordingDatagrams([]), RecordingDatagrams([])
    await loop.create_datagram_endpoint(lambda: server, local_addr=("127.0.0.1", 0))
    address = server.transport.get_extra_info("sockname")
    await loop.create_datagram_endpoint(lambda: client, remote_addr=address)
    client.transport.sendto(b"hello")
    await server.until_called("datagram_received")
    for protocol in (server, client):
        protocol.transport.close()
        await protocol.lost


async def pipes(loop: AbstractEventLoop, folder: Path, number: int) -> None:
    reading, writing = os.pipe()
    reader, writer = Recording([]), Recording([])
    await loop.connect_read_pipe(lambda: reader, os.fdopen(reading, "rb", 0))
    await loop.connect_write_pipe(lambda: writer, os.fdopen(writing, "wb", 0))
    writer.transport.write(MUCH)
    writer.transport.close()
    await writer.lost
    await reader.lost


ROUND_OF: list[Round] = [
    close,
    abort_with_data,
    flush_and_close,
    reset_by_peer,
    fail,
    cancel,
    serve,
    stream,
    datagrams,
    pipes,
]


@pytest.mark.parametrize("play", ROUND_OF, ids=lambda play: play.__name__)
async def test_a_hundred_rounds_leave_nothing_behind(
    loop: AbstractEventLoop, errors: Errors, application: Any, tmp_path: Path, play: Round
) -> None:
    async def play_all(numbers: range) -> dict[str, int]:
        for number in numbers:
            await play(loop, tmp_path, number)
        await rounds(loop)
        errors.clear()
        return census(loop, application)

    before = await play_all(range(WARM))
    after = await play_all(range(WARM, ROUNDS))
    # Fewer is no leak: what an earlier test has left to a thread may end in between.
    assert {
        name: (before[name], count) for name, count in after.items() if count > before[name]
    } == {}


def clear_caches() -> None:
    """Python's cache of methods keeps the names by which bindings look them up, until others take
    their places."""
    clear: Any = getattr(sys, "_clear_internal_caches", None)
    (clear or sys._clear_type_cache)()


async def test_memory_stays_flat(loop: AbstractEventLoop, errors: Errors, tmp_path: Path) -> None:
    """All kinds after one another."""

    async def play_all(numbers: range) -> int:
        for number in numbers:
            for play in ROUND_OF:
                await play(loop, tmp_path, number)
        await rounds(loop)
        errors.clear()
        for _ in range(3):
            gc.collect()
        clear_caches()
        return tracemalloc.get_traced_memory()[0]

    await play_all(range(WARM))
    tracemalloc.start()
    try:
        before = await play_all(range(10))
        after = await play_all(range(10, 40))
    finally:
        tracemalloc.stop()
    assert after - before < SLACK
