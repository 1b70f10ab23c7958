"""A loop that nobody refers to is collected, with all its fds, whatever waits on it."""

import asyncio
import contextlib
import gc
import os
import socket
import sys
import warnings
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from ..support.loops import LoopFactory, nothing, run_briefly


class Holder:
    """Refers to a loop and one of its handles, which refers to it."""

    loop: Any
    handle: Any
    reference: Any


def cycle(schedule: Callable[[Any, Holder], asyncio.Handle]) -> Callable[[Any], None]:
    def hold(loop: Any) -> None:
        holder = Holder()
        holder.loop, holder.handle = loop, schedule(loop, holder)

    return hold


def cancelled(handle: asyncio.Handle) -> asyncio.Handle:
    handle.cancel()
    return handle


def by_weak_reference(loop: Any, holder: Holder) -> asyncio.Handle:
    """The handle is taken by a weak reference when the queue alone has it."""
    holder.reference = weakref.ref(loop.call_later(1_000, nothing, holder))
    loop.call_later(1_000, nothing)
    handle: asyncio.Handle = holder.reference()
    return handle


def several(loop: Any, holder: Holder) -> Any:
    return [loop.call_later(1_000, nothing, holder) for _ in range(5)]


def with_others_behind(loop: Any, holder: Holder) -> asyncio.Handle:
    handle = loop.call_later(1_000, nothing, holder)
    for _ in range(5):
        loop.call_soon(nothing, holder)
        loop.call_later(1_000, nothing, holder)
    return handle


def keep_the_context(loop: Any, context: dict[str, Any]) -> None:
    loop.context = context


def failing(loop: Any) -> None:
    """The exception handler keeps the handle."""
    loop.set_exception_handler(keep_the_context)
    loop.call_soon(lambda: loop.no_such_attribute)


def failing_in_debug_mode(loop: Any) -> None:
    loop.set_debug(True)
    failing(loop)


def exiting(loop: Any) -> None:
    loop.call_soon(lambda: sys.exit(loop.no_such_attribute if not loop else 3))


HANDLES: dict[str, Callable[[Any], None]] = {
    "call_soon": cycle(lambda loop, holder: loop.call_soon(nothing, holder)),
    "call_soon_threadsafe": cycle(lambda loop, holder: loop.call_soon_threadsafe(nothing, holder)),
    "call_later": cycle(lambda loop, holder: loop.call_later(1_000, nothing, holder)),
    "call_at": cycle(lambda loop, holder: loop.call_at(loop.time() + 1_000, nothing, holder)),
    "add_reader": cycle(lambda loop, holder: loop._add_reader(loop._ssock.dup(), nothing, holder)),
    "cancelled": cycle(lambda loop, holder: cancelled(loop.call_soon(nothing, holder))),
    "cancelled timer": cycle(
        lambda loop, holder: cancelled(loop.call_later(1_000, nothing, holder))
    ),
    "weak reference": cycle(by_weak_reference),
    "several": cycle(several),
    "others behind": cycle(with_others_behind),
    "failing": failing,
    "failing in debug mode": failing_in_debug_mode,
    "exiting": exiting,
}


def forget(make_loop: LoopFactory, hold: Callable[[Any], Any], runs: int) -> weakref.ref[Any]:
    loop = make_loop()
    for _ in range(runs):
        run_briefly(loop)
    hold(loop)
    for _ in range(runs):
        with contextlib.suppress(SystemExit):
            run_briefly(loop)
    return weakref.ref(loop)


def check(make_loop: LoopFactory, hold: Callable[[Any], Any], runs: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        forget(make_loop, nothing, runs)  # What Qt opens once for the thread it keeps.
        gc.collect()
        before = sorted(os.listdir("/proc/self/fd"))
        reference = forget(make_loop, hold, runs)
        gc.collect()
        gc.collect()  # What a finalizer has made alive again.
        assert reference() is None
        assert sorted(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("runs", [0, 3], ids=["never run", "run"])
@pytest.mark.parametrize("hold", HANDLES.values(), ids=HANDLES)
def test_a_handle_in_a_cycle(
    loop_factory: LoopFactory, hold: Callable[[Any], None], runs: int
) -> None:
    check(loop_factory, hold, runs)


async def sleeps(loop: Any) -> None:
    await asyncio.sleep(1_000)


async def times_out(loop: Any) -> None:
    async with asyncio.timeout(1_000):
        await loop.create_future()


async def waits_for(loop: Any) -> None:
    await asyncio.wait_for(loop.create_future(), 1_000)


async def gathers(loop: Any) -> None:
    await asyncio.gather(sleeps(loop), sleeps(loop))


async def iterates(loop: Any) -> None:
    async def numbers() -> AsyncIterator[int]:
        while True:
            yield 1
            await sleeps(loop)

    async for _ in numbers():
        pass


def pair(loop: Any, kind: int = socket.SOCK_STREAM) -> socket.socket:
    here, loop.there = socket.socketpair(type=kind)
    here.setblocking(False)
    return here


def pipe() -> tuple[Any, Any]:
    reader, writer = os.pipe()
    return os.fdopen(reader, "rb", 0), os.fdopen(writer, "wb", 0)


async def receives(loop: Any) -> None:
    await loop.sock_recv(pair(loop), 10)


async def sends(loop: Any) -> None:
    await loop.sock_sendall(pair(loop), b"x" * 10_000_000)


async def reads(loop: Any) -> None:
    reader, loop.writer = await asyncio.open_connection(sock=pair(loop))
    await reader.read()


async def writes(loop: Any) -> None:
    _, writer = await asyncio.open_connection(sock=pair(loop))
    writer.write(b"x" * 10_000_000)
    await writer.drain()


async def has_a_connection(loop: Any) -> None:
    loop.transport = await loop.create_connection(asyncio.Protocol, sock=pair(loop))
    await sleeps(loop)


async def has_an_endpoint(loop: Any) -> None:
    loop.transport = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, sock=pair(loop, socket.SOCK_DGRAM)
    )
    await sleeps(loop)


async def reads_a_pipe(loop: Any) -> None:
    reader, loop.writer = pipe()
    loop.transport = await loop.connect_read_pipe(asyncio.Protocol, reader)
    await sleeps(loop)


async def writes_a_pipe(loop: Any) -> None:
    loop.reader, writer = pipe()
    transport, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, writer)
    transport.write(b"x" * 1_000_000)
    await sleeps(loop)


TASKS: list[Callable[[Any], Awaitable[None]]] = [
    sleeps,
    times_out,
    waits_for,
    gathers,
    iterates,
    receives,
    sends,
    reads,
    writes,
    has_a_connection,
    has_an_endpoint,
    reads_a_pipe,
    writes_a_pipe,
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.__name__)
def test_a_task(loop_factory: LoopFactory, task: Callable[[Any], Any]) -> None:
    def hold(loop: Any) -> None:
        loop.set_exception_handler(nothing)  # It would say that the task was pending.
        loop.task = loop.create_task(task(loop))

    check(loop_factory, hold, runs=3)


def test_the_collector_sees_what_a_handle_refers_to(loop_factory: LoopFactory) -> None:
    """If somebody has the handle, it is its own; if nobody has, it is the loop's."""
    loop: Any = loop_factory()
    kept, forgotten = Holder(), Holder()
    handle = loop.call_later(1_000, nothing, kept)
    loop.call_later(1_000, nothing, forgotten)
    loop.call_soon(nothing)

    def refers(thing: Any, target: Any, depth: int = 8) -> bool:
        if thing is target:
            return True
        steps = (tuple, list, dict, asyncio.Handle, asyncio.AbstractEventLoop)
        below = gc.get_referents(thing) if isinstance(thing, steps) and depth else []
        return any(refers(other, target, depth - 1) for other in below)

    assert gc.is_tracked(handle)
    assert refers(handle._args, kept) and refers(loop, kept) and refers(loop, forgotten)
    loop.close()


def test_a_burst_of_calls_costs_the_collector_nothing(qt_loop: Any) -> None:
    def tracked() -> int:
        gc.collect()
        return sum(isinstance(thing, asyncio.Handle) for thing in gc.get_objects())

    before = tracked()
    for _ in range(10_000):
        qt_loop.call_soon(nothing)
        qt_loop.call_later(0, nothing)
        qt_loop.call_soon_threadsafe(nothing)
    assert tracked() <= before + 1
    handles = [qt_loop.call_soon(nothing) for _ in range(1_000)]
    assert tracked() <= before + len(handles) + 1
    assert all(map(gc.is_tracked, handles))
