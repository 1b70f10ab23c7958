"""Who gets how many turns: asyncio starves Qt as little as Qt starves asyncio, and idling takes
none.

Times are counted in events, not measured: a test is done when everyone has had a fair number of
turns.
"""

import asyncio
import itertools
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from qtloop import EventLoop

from ..support.loops import nothing, qt_core, run_briefly

ENOUGH = 10

MakeTimer = Callable[[int, Callable[[], None]], Any]


class Count:
    """Counts up to ENOUGH, then is an event that has happened."""

    def __init__(self) -> None:
        self.value = 0
        self.reached = asyncio.Event()

    def __call__(self) -> None:
        self.value += 1
        if self.value == ENOUGH:
            self.reached.set()


@pytest.fixture
def qt_timer() -> Iterator[MakeTimer]:
    """Makes repeating QTimers, stopped in the end."""
    timers: list[Any] = []

    def make(milliseconds: int, slot: Callable[[], None]) -> Any:
        timer = qt_core.QTimer()
        timer.timeout.connect(slot)
        timer.start(milliseconds)
        timers.append(timer)
        return timer

    yield make
    for timer in timers:
        timer.stop()


async def spin() -> None:
    while True:
        await asyncio.sleep(0)


async def test_qt_timers_fire_while_tasks_spin(qt_loop: EventLoop, qt_timer: MakeTimer) -> None:
    ticks = Count()
    qt_timer(5, ticks)
    spinning = [asyncio.ensure_future(spin()) for _ in range(5)]
    await ticks.reached.wait()
    for task in spinning:
        task.cancel()
    assert qt_loop.metrics().overruns >= ENOUGH


async def test_qt_timers_fire_while_a_crowd_of_callbacks_is_ready(
    qt_loop: EventLoop, qt_timer: MakeTimer
) -> None:
    """One batch that takes many slices is cut: Qt gets its turns before the batch is done."""
    ticks, done = Count(), asyncio.Event()
    qt_timer(0, ticks)
    ticks_in_between: list[int] = []
    for n in range(100_000):
        qt_loop.call_soon(nothing, n)
    qt_loop.call_soon(lambda: (ticks_in_between.append(ticks.value), done.set()))
    await done.wait()
    assert ticks_in_between[0] >= ENOUGH


async def test_asyncio_goes_on_while_qt_timers_flood(
    qt_loop: EventLoop, qt_timer: MakeTimer
) -> None:
    steps, timeouts, reads, calls = Count(), Count(), Count(), Count()
    reader, writer = socket.socketpair()

    async def step() -> None:
        while True:
            steps()
            await asyncio.sleep(0)

    def timeout() -> None:
        timeouts()
        qt_loop.call_later(0.001, timeout)

    def flood_from_elsewhere() -> None:
        for _ in range(ENOUGH):
            qt_loop.call_soon_threadsafe(calls)

    for _ in range(5):
        qt_timer(0, nothing)
    stepping = asyncio.ensure_future(step())
    timeout()
    writer.send(b"x")
    qt_loop.add_reader(reader, reads)
    thread = threading.Thread(target=flood_from_elsewhere)
    thread.start()
    await asyncio.gather(*(count.reached.wait() for count in (steps, timeouts, reads, calls)))
    thread.join()
    stepping.cancel()
    qt_loop.remove_reader(reader)
    reader.close()
    writer.close()
    assert qt_loop.metrics().turns > 0


async def test_two_floods_share_the_thread(qt_loop: EventLoop, qt_timer: MakeTimer) -> None:
    ticks, steps = Count(), Count()
    qt_timer(0, ticks)

    async def step() -> None:
        while True:
            steps()
            await asyncio.sleep(0)

    stepping = asyncio.ensure_future(step())
    await asyncio.gather(ticks.reached.wait(), steps.reached.wait())
    stepping.cancel()
    assert min(ticks.value, steps.value) >= ENOUGH


async def test_posted_events_are_delivered_while_tasks_spin(qt_loop: EventLoop) -> None:
    received = Count()

    class Receiver(qt_core.QObject):  # type: ignore[misc]
        def event(self, event: Any) -> bool:
            received()
            return True

    def post_again() -> None:
        qt_core.QCoreApplication.postEvent(receiver, qt_core.QEvent(qt_core.QEvent.Type.User))
        qt_loop.call_later(0.0005, post_again)

    receiver = Receiver()
    spinning = asyncio.ensure_future(spin())
    post_again()
    await received.reached.wait()
    spinning.cancel()
    assert received.value >= ENOUGH


def turns_during(loop: EventLoop, seconds: float, meanwhile: Callable[[], Any]) -> int:
    """How many turns the loop takes in so many seconds in which nothing but `meanwhile` happens."""
    turns: list[int] = []

    def begin() -> None:
        meanwhile()
        turns.append(loop.metrics().turns)
        loop.call_later(seconds, end)

    def end() -> None:
        turns.append(loop.metrics().turns)
        loop.stop()

    # From a timer, so that all that starting brings with it is over.
    loop.call_later(0.01, begin)
    loop.run_forever()
    return turns[1] - turns[0]


def test_an_idle_loop_makes_no_wake_ups(qt_loop: EventLoop) -> None:
    reader, writer = socket.socketpair()
    qt_loop.add_reader(reader, nothing)
    far = qt_loop.call_later(3600, nothing)
    turns = turns_during(qt_loop, 0.15, lambda: None)
    far.cancel()
    qt_loop.remove_reader(reader)
    reader.close()
    writer.close()
    assert turns == 1, "the one that ends the wait"


def test_a_waiting_main_makes_no_wake_ups(qt_loop: EventLoop) -> None:
    waiting = qt_loop.create_task(asyncio.Event().wait())
    turns = turns_during(qt_loop, 0.1, lambda: None)
    waiting.cancel()
    run_briefly(qt_loop)
    assert turns == 1


def test_qts_own_timers_are_no_turns_of_the_loop(qt_loop: EventLoop, qt_timer: MakeTimer) -> None:
    ticks: list[int] = []
    qt_timer(1, lambda: ticks.append(1))
    assert turns_during(qt_loop, 0.05, lambda: None) == 1
    assert len(ticks) > 1


def test_a_cancelled_timer_does_not_keep_waking_the_loop(qt_loop: EventLoop) -> None:
    def set_and_cancel() -> None:
        for n in range(1, 50):
            qt_loop.call_later(n / 1000, nothing).cancel()

    assert turns_during(qt_loop, 0.1, set_and_cancel) <= 2


def test_a_slow_callback_takes_one_turn_of_its_own(qt_loop: EventLoop) -> None:
    """The slice is spent after each: Qt has its turn in between."""
    ticks: list[str] = []
    timer = qt_core.QTimer()
    timer.timeout.connect(lambda: ticks.append("qt"))
    timer.start(0)

    def dawdle() -> None:
        end = qt_loop.time() + 2 * qt_loop.slice
        while qt_loop.time() < end:
            pass
        ticks.append("asyncio")

    for _ in range(5):
        qt_loop.call_soon(dawdle)
    qt_loop.call_soon(qt_loop.stop)
    qt_loop.run_forever()
    timer.stop()
    ours = [n for n, tick in enumerate(ticks) if tick == "asyncio"]
    assert len(ours) == 5
    assert all(after - before > 1 for before, after in itertools.pairwise(ours)), ticks


def test_a_slice_of_nothing_gives_qt_a_turn_after_every_callback(qt_loop: EventLoop) -> None:
    qt_loop.slice = 0
    for _ in range(20):
        qt_loop.call_soon(nothing)
    run_briefly(qt_loop)
    metrics = qt_loop.metrics()
    assert metrics.callbacks == 21
    assert metrics.turns >= 20


def test_a_long_slice_does_many_iterations_in_a_turn(qt_loop: EventLoop) -> None:
    qt_loop.slice = 10.0

    async def main() -> int:
        before = qt_loop.metrics().turns
        for _ in range(1_000):
            await asyncio.sleep(0)
        return qt_loop.metrics().turns - before

    assert qt_loop.run_until_complete(main()) == 0


def test_the_slice_can_be_read_and_set(qt_loop: EventLoop) -> None:
    assert qt_loop.slice == pytest.approx(0.00025)
    qt_loop.slice = 0.25
    assert qt_loop.slice == pytest.approx(0.25)


@pytest.mark.parametrize("slice", [-1, float("nan"), float("inf"), 1e300])
def test_a_slice_that_is_no_duration_is_refused(qt_loop: EventLoop, slice: float) -> None:
    with pytest.raises(ValueError, match="slice must be a non-negative number of seconds"):
        qt_loop.slice = slice
    assert qt_loop.slice == pytest.approx(0.00025)
