"""What the slice costs and what it buys: `python -m benches.slices` prints a table for some slices.

The default slice (`EventLoop.slice`) was chosen by this measurement.
"""

from __future__ import annotations

import asyncio
from itertools import pairwise
from time import perf_counter
from typing import Any

import qtloop
from benches.timing import quantile

SLICES = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.005)
SPINNERS = 200
SECONDS = 1.0
TICK = 5
ROUNDS = 3


async def spin(counts: list[int]) -> None:
    while True:
        await asyncio.sleep(0)
        counts[0] += 1


async def measure(qt_core: Any) -> tuple[float, list[float]]:
    """Steps per second of 200 spinning tasks, and by how many ms each tick of a 5 ms QTimer was
    late."""
    counts, ticks = [0], list[float]()
    timer = qt_core.QTimer()
    timer.setTimerType(qt_core.Qt.TimerType.PreciseTimer)
    timer.timeout.connect(lambda: ticks.append(perf_counter()))
    tasks = [asyncio.create_task(spin(counts)) for _ in range(SPINNERS)]
    timer.start(TICK)
    start = perf_counter()
    await asyncio.sleep(SECONDS)
    rate = counts[0] / (perf_counter() - start)
    timer.stop()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    gaps = [(after - before) * 1000 - TICK for before, after in pairwise(ticks)]
    return rate, [max(0.0, gap) for gap in gaps]


def main() -> None:
    from qtloop import _qt

    print(f"{'slice ms':>9} {'steps/s':>10} {'late p50':>9} {'p99':>7} {'max ms':>7}")
    results: dict[float, list[tuple[float, list[float]]]] = {slice_: [] for slice_ in SLICES}
    for _ in range(ROUNDS):
        for slice_, samples in results.items():
            with asyncio.Runner(loop_factory=qtloop.new_event_loop) as runner:
                loop = runner.get_loop()
                assert isinstance(loop, qtloop.EventLoop)
                loop.slice = slice_
                samples.append(runner.run(measure(_qt.core())))
    for slice_, samples in results.items():
        rate = sorted(rate for rate, _ in samples)[ROUNDS // 2]
        late = [gap for _, gaps in samples for gap in gaps]
        p50, p99 = quantile(late, 0.5), quantile(late, 0.99)
        print(f"{slice_ * 1000:9.2f} {rate:10,.0f} {p50:9.3f} {p99:7.3f} {max(late):7.3f}")


if __name__ == "__main__":
    main()
