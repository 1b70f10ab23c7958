"""What each of many things that wait takes of the process's memory."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

from benches import loadgen
from benches.loadgen import Target
from benches.servers import tcp_protocol, tls
from benches.timing import in_thread
from benches.workload import Group, Metric, Metrics, workload

MEMORY = Group(
    "Memory",
    "Bytes of the process's own memory (`Pss_Anon` of `/proc/self/smaps_rollup`) for each of many "
    "that wait, with what asyncio and the program keep for it. `memory-tcp`, `memory-tls`: an idle "
    "connection of a server, with its protocol; `memory-timer`: a `call_later` an hour away; "
    "`memory-task`: a task that waits for a future; `memory-fd`: `add_reader` of an fd.",
)

BYTES = (Metric("bytes", "bytes each"),)

CONNECTIONS = 10_000
SESSIONS = 1_000
TIMERS = 100_000
TASKS = 20_000
FDS = 10_000
WARM_UP = 20
"""As many come first, so that what is made only once is there already."""
HOUR = 3600.0


@workload("memory-tcp", MEMORY, BYTES)
async def memory_tcp(seconds: float) -> Metrics:
    return await _connections(tcp_protocol, _some(CONNECTIONS, seconds))


@workload("memory-tls", MEMORY, BYTES)
async def memory_tls(seconds: float) -> Metrics:
    return await _connections(tls, _some(SESSIONS, seconds))


@workload("memory-timer", MEMORY, BYTES)
async def memory_timer(seconds: float) -> Metrics:
    loop = asyncio.get_running_loop()

    def timers(count: int) -> None:
        for number in range(count):
            loop.call_later(HOUR + number, _nothing)

    return await _each(timers, _some(TIMERS, seconds))


@workload("memory-task", MEMORY, BYTES)
async def memory_task(seconds: float) -> Metrics:
    loop = asyncio.get_running_loop()
    waiting: list[asyncio.Future[None]] = []

    async def wait(future: asyncio.Future[None]) -> None:
        await future

    def tasks(count: int) -> None:
        for _ in range(count):
            future = loop.create_future()
            waiting.extend((future, loop.create_task(wait(future))))

    return await _each(tasks, _some(TASKS, seconds))


@workload("memory-fd", MEMORY, BYTES)
async def memory_fd(seconds: float) -> Metrics:
    loop = asyncio.get_running_loop()
    count = _some(FDS, seconds)
    fds = [os.eventfd(0) for _ in range(WARM_UP + count)]

    def readers(count: int) -> None:
        for _ in range(count):
            loop.add_reader(fds.pop(), _nothing)

    return await _each(readers, count)


def _some(most: int, seconds: float) -> int:
    """Fewer for a brief look."""
    return int(most * min(1.0, seconds))


async def _each(make: Callable[[int], None], count: int) -> Metrics:
    make(WARM_UP)
    await asyncio.sleep(0.01)
    before = own_memory()
    make(count)
    await asyncio.sleep(0.01)
    return {"bytes": (own_memory() - before) / count}


async def _connections(
    serve: Callable[[], AbstractAsyncContextManager[Target]], count: int
) -> Metrics:
    async with serve() as target, _held(target, WARM_UP):
        before = own_memory()
        async with _held(target, count):
            return {"bytes": (own_memory() - before) / count}


@asynccontextmanager
async def _held(target: Target, count: int) -> AsyncIterator[None]:
    idle = await in_thread(partial(loadgen.hold_idle, target, count))
    try:
        yield
    finally:
        await in_thread(partial(loadgen.release, idle))


def own_memory() -> int:
    """How many bytes of memory this process has for itself."""
    gc.collect()
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    kib = next(line.split()[1] for line in lines if line.startswith("Pss_Anon:"))
    return int(kib) * 1024


def _nothing() -> None:
    pass
