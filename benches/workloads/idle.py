"""What it costs to do nothing, and to have much that does nothing beside a little that does."""

from __future__ import annotations

import asyncio
import os
import resource
from functools import partial

from benches import loadgen
from benches.servers import tcp_protocol
from benches.timing import in_thread
from benches.workload import Group, Metric, Metrics, workload
from benches.workloads.sockets import ECHO_METRICS, KIB, figures

IDLE = Group(
    "Idle",
    "`idle-loop`: how often the process wakes and how much CPU time it takes in a second of "
    "`sleep`; `busy-beside-idle`: echo of 1 KiB over 10 connections while 5,000 others stay idle.",
)

SETTLE = 0.2
"""Seconds for a loop to finish what starting it has begun."""
CONNECTIONS = 5_000
BUSY = 10


@workload("idle-loop", IDLE, (Metric("wakes", "wakes/s"), Metric("cpu_ms", "CPU ms/s")))
async def idle_loop(seconds: float) -> Metrics:
    await asyncio.sleep(SETTLE)
    before = resource.getrusage(resource.RUSAGE_SELF)
    await asyncio.sleep(seconds)
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wakes": (after.ru_nvcsw - before.ru_nvcsw) / seconds, "cpu_ms": cpu * 1e3 / seconds}


@workload("busy-beside-idle", IDLE, ECHO_METRICS)
async def busy_beside_idle(seconds: float) -> Metrics:
    async with tcp_protocol() as target:
        idle = await in_thread(partial(loadgen.hold_idle, target, CONNECTIONS))
        report = await in_thread(partial(loadgen.echo, target, BUSY, KIB, seconds, os.getpid()))
        await in_thread(partial(loadgen.release, idle))
    return figures(report)
