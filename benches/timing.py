"""How the workloads measure: rates over chunks of work, and percentiles of lateness."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter, process_time
from typing import TypeVar

from benches.workload import Metrics

T = TypeVar("T")


async def rate(chunk: Callable[[], Awaitable[object]], size: int, seconds: float) -> Metrics:
    """Runs chunks of `size` operations until the time is up; the clock is read between chunks
    only. `cpu_us` is the CPU time of one, in all threads."""
    await chunk()  # warm-up
    count = 0
    start, cpu = perf_counter(), process_time()
    while True:
        await chunk()
        count += size
        elapsed = perf_counter() - start
        if elapsed >= seconds:
            cpu_us = (process_time() - cpu) / count * 1e6
            return {"rate": count / elapsed, "cpu_us": cpu_us}


def quantile(values: Sequence[float], share: float) -> float:
    """The value that `share` of all values do not exceed; NaN of nothing."""
    ordered = sorted(values)
    return ordered[int(share * (len(ordered) - 1))] if ordered else float("nan")


async def in_thread(work: Callable[[], T]) -> T:
    """Runs `work` in a thread while the loop goes on.

    Not `run_in_executor`, which is itself under measurement: all this asks of a loop is
    call_soon_threadsafe.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            result = work()
        except Exception as error:
            loop.call_soon_threadsafe(done.set_exception, error)
        else:
            loop.call_soon_threadsafe(done.set_result, result)

    threading.Thread(target=run, daemon=True).start()
    return await done
