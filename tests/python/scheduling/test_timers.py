"""`call_later` and `call_at`: in order, never early, cancelled without a trace, whatever number is
given."""

import asyncio
import resource
import time
from asyncio import AbstractEventLoop
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from qtloop import EventLoop

from ..support.loops import failure, nothing, run_briefly, run_for

DAY = 24 * 3600.0


def resident_pages() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1])


def test_timers_fire_by_deadline_not_by_creation(loop: AbstractEventLoop) -> None:
    fired: list[int] = []
    now = loop.time()
    for n in (5, 1, 4, 2, 3):
        loop.call_at(now + n / 1000, fired.append, n)
    loop.call_at(now + 0.006, loop.stop)
    loop.run_forever()
    assert fired == [1, 2, 3, 4, 5]


def test_equal_deadlines_fire_in_the_order_of_their_creation(qt_loop: AbstractEventLoop) -> None:
    """Stock does not promise that: its heap is not stable."""
    fired: list[int] = []
    when = qt_loop.time() + 0.002
    for n in range(100):
        qt_loop.call_at(when, fired.append, n)
    qt_loop.call_at(when, qt_loop.stop)
    qt_loop.run_forever()
    assert fired == list(range(100))


def test_deadlines_closer_than_a_millisecond_keep_their_order(loop: AbstractEventLoop) -> None:
    fired: list[int] = []
    now = loop.time() + 0.001
    for n in (3, 1, 2, 0):
        loop.call_at(now + n * 0.0001, fired.append, n)
    run_for(loop)
    assert fired == [0, 1, 2, 3]


def test_no_timer_fires_early(loop: AbstractEventLoop) -> None:
    early: list[float] = []
    tolerance = 0 if isinstance(loop, EventLoop) else time.get_clock_info("monotonic").resolution

    def check(when: float) -> None:
        if loop.time() < when - tolerance:
            early.append(when - loop.time())

    for n in range(200):
        when = loop.time() + n * 0.000_13
        loop.call_at(when, check, when)
    run_for(loop, 0.03)
    assert not early


def test_a_sleep_takes_its_time(loop: AbstractEventLoop) -> None:
    for delay in (0.0005, 0.001, 0.0015, 0.01):
        start = loop.time()
        loop.run_until_complete(asyncio.sleep(delay))
        assert loop.time() - start >= delay - 1e-9


def test_the_clock_is_the_monotonic_one(loop: AbstractEventLoop) -> None:
    before = time.monotonic()
    now = loop.time()
    assert before <= now <= time.monotonic()


def test_a_deadline_in_the_past_comes_in_the_next_iteration(loop: AbstractEventLoop) -> None:
    ran: list[str] = []
    loop.call_at(loop.time() - 1, ran.append, "a second late")
    loop.call_at(loop.time() - 2, ran.append, "two seconds late")
    loop.call_at(-5, ran.append, "older than the clock")
    loop.call_later(-3, ran.append, "three seconds late")
    loop.call_soon(ran.append, "ready before")
    run_briefly(loop)
    assert ran[0] == "ready before"
    assert ran[1:] == [
        "older than the clock",
        "three seconds late",
        "two seconds late",
        "a second late",
    ]


def test_a_zero_delay_runs_behind_what_is_ready(loop: AbstractEventLoop) -> None:
    ran: list[str] = []
    loop.call_later(0, ran.append, "timer")
    loop.call_soon(ran.append, "ready")
    run_briefly(loop)
    assert ran == ["ready", "timer"]


@pytest.mark.parametrize("delay", [float("inf"), 1e300, 1e12, 25 * DAY, 50 * DAY, 300 * 365 * DAY])
def test_a_far_deadline_does_not_come_now(loop: AbstractEventLoop, delay: float) -> None:
    fired: list[str] = []
    handle = loop.call_later(delay, fired.append, "far too early")
    run_for(loop)
    handle.cancel()
    assert fired == []


@pytest.mark.parametrize("delay", [float("nan"), float("-inf"), -1e300, -0.0])
def test_what_is_not_in_the_future_comes_at_once(loop: AbstractEventLoop, delay: float) -> None:
    fired: list[str] = []
    loop.call_later(delay, fired.append, "now")
    run_briefly(loop)
    assert fired == ["now"]


@pytest.mark.parametrize("delay", [0, False, Fraction(1, 1000), 0.001])
def test_any_real_number_will_do(loop: AbstractEventLoop, delay: Any) -> None:
    fired: list[float] = []
    when = loop.call_later(delay, lambda: fired.append(loop.time())).when()
    run_for(loop)
    assert len(fired) == 1
    assert fired[0] >= when - 1e-9
    assert isinstance(when, float)


def test_the_deadline_may_be_any_real_number_too(loop: AbstractEventLoop) -> None:
    fired: list[str] = []
    when: Any = Fraction(loop.time())
    handle = loop.call_at(when, fired.append, "now")
    assert handle.when() is when
    run_for(loop)
    assert fired == ["now"]


@pytest.mark.parametrize("delay", ["1", b"1", [], Decimal("0.1"), 1j, object()])
def test_what_is_no_number_fails_as_on_stock(
    qt_loop: AbstractEventLoop, stock_loop: AbstractEventLoop, delay: Any
) -> None:
    expected = failure(lambda: stock_loop.call_later(delay, nothing).cancel())
    if isinstance(delay, complex):  # Stock takes it, and stumbles when it has to compare it.
        expected = (TypeError, "must be real number, not complex")
    assert failure(lambda: qt_loop.call_later(delay, nothing)) == expected


@pytest.mark.parametrize("when", ["1", [], object()])
def test_a_deadline_that_is_no_number_fails_at_once(qt_loop: AbstractEventLoop, when: Any) -> None:
    """Stock takes it and ends the loop later, when it has to compare it."""
    with pytest.raises(TypeError, match="must be real number"):
        qt_loop.call_at(when, nothing)
    run_briefly(qt_loop)


def test_a_number_that_fails_to_be_one_raises_what_it_raises(qt_loop: AbstractEventLoop) -> None:
    class Broken:
        def __radd__(self, other: float) -> float:
            raise LookupError("no sum")

        def __float__(self) -> float:
            raise LookupError("no float")

    broken: Any = Broken()
    with pytest.raises(LookupError, match="no sum"):
        qt_loop.call_later(broken, nothing)
    with pytest.raises(LookupError, match="no float"):
        qt_loop.call_at(broken, nothing)


def test_an_earlier_timer_set_later_comes_first(loop: AbstractEventLoop) -> None:
    fired: list[str] = []
    loop.call_later(0.2, loop.stop)
    loop.call_later(
        0.002, lambda: loop.call_later(0.002, lambda: (fired.append("nested"), loop.stop()))
    )
    loop.run_forever()
    assert fired == ["nested"]


def test_cancelling_the_next_timer_leaves_the_others(loop: AbstractEventLoop) -> None:
    fired: list[str] = []
    first = loop.call_later(0.001, fired.append, "cancelled")
    loop.call_later(0.002, fired.append, "kept")
    loop.call_soon(first.cancel)
    run_for(loop)
    assert fired == ["kept"]


def test_a_timer_can_cancel_another_that_is_due_with_it(loop: AbstractEventLoop) -> None:
    fired: list[str] = []
    now = loop.time()
    victim: asyncio.TimerHandle
    loop.call_at(now - 2, lambda: victim.cancel())
    victim = loop.call_at(now - 1, fired.append, "cancelled")
    run_for(loop)
    assert fired == []


def test_a_timer_that_sets_itself_again_starves_nobody(loop: AbstractEventLoop) -> None:
    rounds = 0

    def again() -> None:
        nonlocal rounds
        rounds += 1
        loop.call_later(0, again)

    again()
    loop.call_later(0.005, loop.stop)
    loop.run_forever()
    while rounds < 3:  # The machine stood still meanwhile.
        run_briefly(loop)
    loop.close()


def test_timers_wait_for_a_loop_that_does_not_run(loop: AbstractEventLoop) -> None:
    fired: list[str] = []
    loop.call_later(0.001, fired.append, "due between two runs")
    run_briefly(loop)
    deadline = time.monotonic() + 0.002
    while time.monotonic() < deadline:
        pass
    run_briefly(loop)
    assert fired == ["due between two runs"]


def test_a_million_cancelled_timers_cost_no_memory(qt_loop: EventLoop) -> None:
    survivors = [qt_loop.call_later(3600 + n, nothing) for n in range(10)]
    before = resident_pages()
    for _ in range(1_000_000):
        qt_loop.call_later(3600, nothing).cancel()
    grown = resident_pages() - before
    assert qt_loop.metrics().timers == len(survivors)
    assert grown * resource.getpagesize() < 4 << 20


def test_a_crowd_of_timers_cancelled_together_is_forgotten(qt_loop: EventLoop) -> None:
    crowd = [qt_loop.call_later(n % 97, nothing) for n in range(50_000)]
    for handle in crowd:
        handle.cancel()
    assert qt_loop.metrics().timers == 0


def test_timeouts_work(loop: AbstractEventLoop) -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.002):
                await asyncio.Event().wait()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 0.002)
        assert await asyncio.wait_for(asyncio.sleep(0, "in time"), 10) == "in time"

    loop.run_until_complete(main())
