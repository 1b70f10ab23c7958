"""Whether Qt keeps its beat beside asyncio, and asyncio beside Qt."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise
from time import perf_counter
from typing import Any

from benches import loadgen
from benches.loops import qt_core
from benches.servers import tcp_protocol
from benches.timing import in_thread, quantile
from benches.workload import CPU, RATE, Group, Metric, Metrics, workload
from benches.workloads.sockets import KIB, figures

GUI = Group(
    "Qt beside asyncio",
    "`qtimer-*`: milliseconds by which the ticks of a precise 5 ms QTimer come later than 5 ms "
    "after the one "
    "before, while 200 tasks spin on `sleep(0)` or a 1 KiB echo load over 10 connections runs, and "
    "how much "
    "those get done meanwhile; `sleep-beside-qt-flood`: how late `sleep(0.001)` is while a "
    "zero-timeout "
    "QTimer never rests.",
)

P50 = Metric("late_p50", "ms p50")
P99 = Metric("late_p99", "ms p99")
MAX = Metric("late_max", "ms max")
LATENESS = (P50, P99, MAX)

TICK = 5
"""Milliseconds."""
WARM_UP = 0.05
SPINNERS = 200
BUSY = 10
SLEEP = 0.001


@workload("qtimer-beside-spinning", GUI, (*LATENESS, RATE), needs_qt=True)
async def timer_beside_spinning(seconds: float) -> Metrics:
    """What the spinning gets done belongs to the result: a beat is easily kept by doing nothing
    else."""
    spinning = True
    count = 0

    async def spin() -> None:
        nonlocal count
        while spinning:
            await asyncio.sleep(0)
            count += 1

    tasks = [asyncio.ensure_future(spin()) for _ in range(SPINNERS)]
    async with _ticking() as ticks:
        start, before = perf_counter(), count
        await asyncio.sleep(seconds)
        elapsed = perf_counter() - start
        done = count - before
    spinning = False
    await asyncio.gather(*tasks)
    return _lateness(ticks) | {"rate": done / elapsed}


@workload("qtimer-beside-echo", GUI, (*LATENESS, RATE, CPU), needs_qt=True)
async def timer_beside_echo(seconds: float) -> Metrics:
    async with tcp_protocol() as target, _ticking() as ticks:
        report = await in_thread(partial(loadgen.echo, target, BUSY, KIB, seconds, os.getpid()))
    return _lateness(ticks) | figures(report)


@workload("sleep-beside-qt-flood", GUI, LATENESS, needs_qt=True)
async def sleep_beside_flood(seconds: float) -> Metrics:
    flood = _timer(0, lambda: None)
    delays = []
    end = perf_counter() + seconds
    while (start := perf_counter()) < end:
        await asyncio.sleep(SLEEP)
        delays.append((perf_counter() - start - SLEEP) * 1e3)
    flood.stop()
    return _percentiles(delays)


@asynccontextmanager
async def _ticking() -> AsyncIterator[list[float]]:
    """A beating timer and the moments of its ticks; the ends count, too, so that no tick at all
    shows."""
    ticks: list[float] = []
    timer = _timer(TICK, lambda: ticks.append(perf_counter()))
    await asyncio.sleep(WARM_UP)
    ticks[:] = [perf_counter()]
    yield ticks
    timer.stop()
    ticks.append(perf_counter())


def _timer(interval: int, callback: Any) -> Any:
    core = qt_core()
    timer = core.QTimer()
    timer.setTimerType(core.Qt.TimerType.PreciseTimer)
    timer.timeout.connect(callback)
    timer.start(interval)
    return timer


def _lateness(ticks: list[float]) -> Metrics:
    gaps = [(late - early) * 1e3 for early, late in pairwise(ticks)]
    return _percentiles([max(0.0, gap - TICK) for gap in gaps])


def _percentiles(delays: list[float]) -> Metrics:
    return {
        "late_p50": quantile(delays, 0.5),
        "late_p99": quantile(delays, 0.99),
        "late_max": max(delays),
    }
