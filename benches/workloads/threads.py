"""Work that comes from, or goes to, other threads."""

from __future__ import annotations

import asyncio
import threading

from benches.timing import rate
from benches.workload import Group, Metrics, workload

THREADS = Group(
    "Threads",
    "`call-soon-threadsafe`: callbacks a second that one other thread gets through a busy loop; "
    "`run-in-executor`: calls a second of a function that does nothing, one after the other.",
)

CALLS = 10_000
JOBS = 500


@workload("call-soon-threadsafe", THREADS)
async def call_soon_threadsafe(seconds: float) -> Metrics:
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
                loop.call_soon_threadsafe(arrive)

        threading.Thread(target=send).start()
        return done

    return await rate(calls, CALLS, seconds)


@workload("run-in-executor", THREADS)
async def run_in_executor(seconds: float) -> Metrics:
    loop = asyncio.get_running_loop()

    async def jobs() -> None:
        for _ in range(JOBS):
            await loop.run_in_executor(None, _nothing)

    return await rate(jobs, JOBS, seconds)


def _nothing() -> None:
    pass
