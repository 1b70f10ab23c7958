"""The counters of a loop: what is counted, and what the histograms say about it."""

import asyncio
import dataclasses
import math
import time

import pytest

import qtloop
from qtloop import EventLoop, _qt

from ..support.loops import Pair, nothing, qt_core, run_briefly

BOUNDS = (1.0, 2.0, 4.0, math.inf)


def test_what_is_done_and_what_is_pending_is_counted(qt_loop: EventLoop) -> None:
    for _ in range(10):
        qt_loop.call_soon(nothing)
    timer = qt_loop.call_later(100, nothing)
    metrics = qt_loop.metrics()
    assert (metrics.turns, metrics.callbacks, metrics.overruns) == (0, 0, 0)
    assert (metrics.ready, metrics.timers) == (10, 1)
    run_briefly(qt_loop)
    metrics = qt_loop.metrics()
    assert (metrics.callbacks, metrics.ready, metrics.timers) == (11, 0, 1)
    assert metrics.turns > 0
    timer.cancel()
    assert qt_loop.metrics().timers == 0


def test_watched_fds_are_counted(qt_loop: EventLoop, pair: Pair) -> None:
    own = qt_loop.metrics().fds
    for sock in pair:
        qt_loop.add_reader(sock, nothing)
        qt_loop.add_writer(sock, nothing)
    assert qt_loop.metrics().fds == own + 2
    for sock in pair:
        qt_loop.remove_reader(sock)
        qt_loop.remove_writer(sock)
    assert qt_loop.metrics().fds == own


@pytest.mark.parametrize("host", ["qt", "binding", "sim"])
def test_the_host_is_named(host: str) -> None:
    if host == "qt" and not _qt.version(qt_core).startswith("6"):
        host = "binding"
    loop = EventLoop(host=host)
    assert loop.metrics().host == host
    loop.close()


def test_only_timers_that_fire_have_a_lateness(qt_loop: EventLoop) -> None:
    qt_loop.call_later(0.001, nothing)
    qt_loop.call_later(0.001, nothing).cancel()
    qt_loop.call_later(3600, nothing)
    qt_loop.call_later(0.005, qt_loop.stop)
    qt_loop.run_forever()
    metrics = qt_loop.metrics()
    assert metrics.timers_fired == metrics.lateness.count == 2, (
        "the first, and the one that ends the run"
    )


def test_a_timer_is_late_when_something_blocks(qt_loop: EventLoop) -> None:
    def block() -> None:
        qt_loop.call_later(0.01, qt_loop.stop)
        time.sleep(0.06)

    qt_loop.call_soon(block)
    qt_loop.run_forever()
    lateness = qt_loop.metrics().lateness
    assert lateness.max >= 0.05
    assert lateness.total == lateness.max
    assert lateness.quantile(0.5) == lateness.max


def test_a_turn_is_as_long_as_what_runs_in_it(qt_loop: EventLoop) -> None:
    qt_loop.call_soon(time.sleep, 0.03)
    qt_loop.call_later(0.005, qt_loop.stop)
    qt_loop.run_forever()
    metrics = qt_loop.metrics()
    assert metrics.turn_lengths.max >= 0.03
    assert metrics.turn_lengths.count == metrics.turns


def test_a_turn_with_a_nested_loop_in_it_is_not_long(qt_loop: EventLoop) -> None:
    """It has no length of its own: most of that was the nested loop's."""
    nested = qt_core.QEventLoop()
    qt_loop.call_soon(_qt.execute, nested)
    qt_loop.call_later(0.005, nothing)
    qt_loop.call_later(0.05, nested.quit)
    qt_loop.call_later(0.06, qt_loop.stop)
    qt_loop.run_forever()
    metrics = qt_loop.metrics()
    assert metrics.turn_lengths.count == metrics.turns - 1


def test_simulated_time_has_exact_metrics() -> None:
    loop = EventLoop(host="sim")

    async def main() -> None:
        for n in range(1, 101):
            await asyncio.sleep(n)

    loop.run_until_complete(main())
    metrics = loop.metrics()
    loop.close()
    assert metrics.timers_fired == 100
    assert (metrics.lateness.max, metrics.turn_lengths.max) == (0, 0)
    assert metrics.lateness.counts[0] == 100


def test_another_thread_may_look(qt_loop: EventLoop) -> None:
    seen: list[qtloop.Metrics] = []

    async def main() -> None:
        await asyncio.to_thread(lambda: seen.append(qt_loop.metrics()))

    qt_loop.run_until_complete(main())
    assert seen[0].callbacks > 0


def test_the_counts_outlive_the_loop(qt_loop: EventLoop) -> None:
    qt_loop.call_soon(nothing)
    run_briefly(qt_loop)
    qt_loop.call_soon(nothing)
    qt_loop.close()
    metrics = qt_loop.metrics()
    assert (metrics.callbacks, metrics.ready, metrics.timers, metrics.fds) == (2, 0, 0, 0)


def test_metrics_do_not_change_any_more(qt_loop: EventLoop) -> None:
    metrics = qt_loop.metrics()
    with pytest.raises(dataclasses.FrozenInstanceError):
        metrics.turns = 5  # type: ignore[misc]
    run_briefly(qt_loop)
    assert metrics.turns == 0
    assert metrics != qt_loop.metrics()


def test_the_bounds_double_from_a_microsecond_on(qt_loop: EventLoop) -> None:
    for histogram in (qt_loop.metrics().lateness, qt_loop.metrics().turn_lengths):
        assert histogram.bounds[:-1] == pytest.approx([1e-6 * 2**n for n in range(25)])
        assert histogram.bounds[-1] == math.inf
        assert len(histogram.counts) == len(histogram.bounds)


@pytest.mark.parametrize(
    ("q", "expected"),
    [(0, 1.0), (0.1, 1.0), (0.5, 2.0), (0.6, 2.0), (0.7, 4.0), (0.8, 4.0), (0.9, 9.0), (1, 9.0)],
)
def test_a_quantile_is_the_bound_of_its_bucket(q: float, expected: float) -> None:
    histogram = qtloop.Histogram(BOUNDS, (1, 5, 2, 2), 30.0, 9.0)
    assert histogram.quantile(q) == expected
    assert histogram.count == 10


def test_no_quantile_is_above_the_longest() -> None:
    assert qtloop.Histogram(BOUNDS, (0, 3, 0, 0), 4.0, 1.5).quantile(0.5) == 1.5


def test_the_quantile_of_nothing_is_zero() -> None:
    assert qtloop.Histogram(BOUNDS, (0, 0, 0, 0), 0.0, 0.0).quantile(0.99) == 0.0


@pytest.mark.parametrize("q", [-0.1, 1.1, math.nan])
def test_a_share_is_between_zero_and_one(q: float) -> None:
    with pytest.raises(ValueError, match="q must be between 0 and 1"):
        qtloop.Histogram(BOUNDS, (1, 0, 0, 0), 1.0, 1.0).quantile(q)
