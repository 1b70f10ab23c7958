"""How late things happen in a loop that has nothing else to do."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from time import perf_counter, perf_counter_ns

from benches import loadgen
from benches.timing import in_thread, quantile
from benches.workload import Group, Metric, Metrics, workload

LATENCY = Group(
    "Latency",
    "Microseconds in an idle loop. `wake-by-fd`: from another process's write to the callback of "
    "`add_reader`; `wake-by-thread`: from `call_soon_threadsafe` to the callback; `sleep-1ms`: how "
    "much "
    "longer than asked `sleep(0.001)` takes, and how often it takes less.",
)

P50 = Metric("p50", "µs p50")
P99 = Metric("p99", "µs p99")
EARLY = Metric("early", "% early")

INTERVAL = 0.002
STAMP = struct.Struct("<Q")
SLEEP = 0.001


@workload("wake-by-fd", LATENCY, (P50, P99))
async def wake_by_fd(seconds: float) -> Metrics:
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    count = int(seconds / INTERVAL)
    delays: list[float] = []

    def arrive() -> None:
        now = perf_counter_ns()
        data = reader.recv(STAMP.size * count)
        delays.extend((now - stamp) / 1e3 for (stamp,) in STAMP.iter_unpack(data))
        if not data or len(delays) >= count:
            loop.remove_reader(reader.fileno())
            done.set_result(None)

    reader, writer = socket.socketpair()
    reader.setblocking(False)
    loop.add_reader(reader.fileno(), arrive)
    with reader:
        with writer:
            process = loadgen.stamp(count, INTERVAL, writer.fileno())
        await done
        process.wait()
    return _percentiles(delays)


@workload("wake-by-thread", LATENCY, (P50, P99))
async def wake_by_thread(seconds: float) -> Metrics:
    loop = asyncio.get_running_loop()
    delays: list[float] = []

    def arrive(stamp: int) -> None:
        delays.append((perf_counter_ns() - stamp) / 1e3)

    def send() -> None:
        for _ in range(int(seconds / INTERVAL)):
            time.sleep(INTERVAL)
            loop.call_soon_threadsafe(arrive, perf_counter_ns())

    await in_thread(send)
    return _percentiles(delays)


@workload("sleep-1ms", LATENCY, (P50, P99, EARLY))
async def sleep_lateness(seconds: float) -> Metrics:
    delays: list[float] = []
    end = perf_counter() + seconds
    while (start := perf_counter()) < end:
        await asyncio.sleep(SLEEP)
        delays.append((perf_counter() - start - SLEEP) * 1e6)
    early = sum(delay < 0 for delay in delays) / len(delays) * 100
    return _percentiles(delays) | {"early": early}


def _percentiles(delays: list[float]) -> Metrics:
    return {"p50": quantile(delays, 0.5), "p99": quantile(delays, 0.99), "max": max(delays)}
