"""Work that comes from, or goes to, other threads."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from functools import partial

from benches.timing import rate
from benches.workload import CPU, RATE, Group, Metrics, workload

THREADS = Group(
    "Threads",
    "`call-soon-threadsafe`: callbacks a second that one other thread gets through a busy loop, "
    "and with a context given (rloop's callbacks never get the sender's, and so need no copy of "
    "it); `run-in-executor`: calls a second of a function that does nothing, one after the other. "
    "And the CPU time of each, in all threads.",
)

METRICS = (RATE, CPU)
CALLS = 10_000
JOBS = 500


@workload("call-soon-threadsafe", THREADS, METRICS)
async def call_soon_threadsafe(seconds: float) -> Metrics:
    call = asyncio.get_running_loop().call_soon_threadsafe
    return await _sent(call, seconds)


@workload("call-soon-threadsafe-in-context", THREADS, METRICS)
async def call_soon_threadsafe_in_context(seconds: float) -> Metrics:
    call = asyncio.get_running_loop().call_soon_threadsafe
    return await _sent(partial(call, context=contextvars.Context()), seconds)


async def _sent(call: Callable[[Callable[[], None]], object], seconds: float) -> Metrics:
    loop = asyncio.get_running_loop()

    def calls() -> asyncio.Future[None]:
        done = loop.create_future()
        left = CALLS

        def arrive() -> None:
            nonlocal left
            left -= 1
            if not left:
                done.set_result(None)

        def send() -> None:
            for _ in range(CALLS):
                call(arrive)

        threading.Thread(target=send).start()
        return done

    return await rate(calls, CALLS, seconds)


@workload("run-in-executor", THREADS, METRICS)
async def run_in_executor(seconds: float) -> Metrics:
    loop = asyncio.get_running_loop()

    async def jobs() -> None:
        for _ in range(JOBS):
            await loop.run_in_executor(None, _nothing)

    return await rate(jobs, JOBS, seconds)


def _nothing() -> None:
    pass
