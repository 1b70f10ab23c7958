"""Calls that one thread has another make, in Qt's event loop there: what hands a slot's call
over."""

import asyncio
import gc
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from qtloop import _posted_calls, _qt

from ..support.loops import LoopFactory, opened, qt_core

#: More calls than may wait for the receiver.
MANY = 4_000


def work() -> None:
    """Takes longer than to ask for it."""
    sum(range(2_000))


@pytest.fixture
def flood() -> Iterator[Callable[..., list[int]]]:
    """Starts a thread that asks for calls without a pause, until the test ends. Gives the number of
    calls."""
    is_over = threading.Event()
    threads: list[threading.Thread] = []

    def start(call: Callable[[], object]) -> list[int]:
        posted = [0]
        receiver = qt_core.QThread.currentThread()

        def post() -> None:
            while not is_over.is_set():
                _posted_calls.call_in_thread(receiver, call)
                posted[0] += 1

        threads.append(threading.Thread(target=post))
        threads[-1].start()
        return posted

    yield start
    is_over.set()
    for thread in threads:
        thread.join()
    are_made = threading.Event()
    _posted_calls.call_in_thread(qt_core.QThread.currentThread(), are_made.set)
    while not are_made.is_set():
        qt_core.QCoreApplication.processEvents()


def test_a_flood_leaves_timers_and_fds_their_turns(
    qt_loop_factory: LoopFactory, flood: Callable[..., list[int]]
) -> None:
    """Not so on the stock loop, with `call_soon_threadsafe`: each of its iterations takes longer
    than the one before."""
    reader, writer = os.pipe()
    calls: list[int] = []
    seen: list[str] = []

    def call() -> None:
        work()
        calls.append(1)

    with opened(qt_loop_factory) as loop:

        def tick() -> None:
            seen.append("timer")
            os.write(writer, b"x")
            loop.call_later(0.001, tick)

        def read() -> None:
            os.read(reader, 1)
            seen.append("fd")
            if seen.count("fd") == 20:
                loop.stop()

        def begin() -> None:
            loop.add_reader(reader, read)
            loop.call_later(0.001, tick)
            flood(call)

        loop.call_soon(begin)
        loop.run_forever()  # Until the fd was ready so often: without turns for it, for ever.
        loop.remove_reader(reader)
    os.close(reader)
    os.close(writer)
    assert calls, "nor do the calls wait for ever"


def test_a_flood_does_not_grow_without_bound(
    qt_loop_factory: LoopFactory, flood: Callable[..., list[int]]
) -> None:
    made = [0]
    behind: list[int] = []

    def call() -> None:
        work()
        made[0] += 1

    with opened(qt_loop_factory) as loop:

        def look(left: int) -> None:
            behind.append(posted[0] - made[0])
            if left:
                loop.call_later(0.005, look, left - 1)
            else:
                loop.stop()

        posted = flood(call)
        loop.call_soon(look, 40)
        loop.run_forever()
    assert max(behind) < MANY
    assert made[0] > 0


async def test_the_order_is_kept_and_nothing_is_lost(qt_loop: asyncio.AbstractEventLoop) -> None:
    receiver = qt_core.QThread.currentThread()
    made: list[int] = []
    done = asyncio.Event()

    def post() -> None:
        for number in range(MANY):
            _posted_calls.call_in_thread(receiver, lambda number=number: made.append(number))
        _posted_calls.call_in_thread(receiver, done.set)

    thread = threading.Thread(target=post)
    thread.start()
    await done.wait()
    thread.join()
    assert made == [*range(MANY)]


async def test_a_call_that_runs_an_event_loop_holds_nobody_up(
    qt_loop: asyncio.AbstractEventLoop,
) -> None:
    receiver = qt_core.QThread.currentThread()
    made: list[str] = []
    done = asyncio.Event()
    nested = qt_core.QEventLoop()

    def run_nested() -> None:
        made.append("begins")
        _qt.execute(nested)
        made.append("ends")
        done.set()

    def end_nested() -> None:
        made.append("inside")
        nested.quit()

    def post() -> None:
        _posted_calls.call_in_thread(receiver, run_nested)
        _posted_calls.call_in_thread(receiver, end_nested)

    thread = threading.Thread(target=post)
    thread.start()
    thread.join()
    await done.wait()
    assert made == ["begins", "inside", "ends"]


def test_a_thread_that_is_started_again_makes_what_was_asked_for_meanwhile() -> None:
    made: list[int] = []
    thread = qt_core.QThread()
    for number in range(2):
        thread.start()
        _posted_calls.call_in_thread(thread, lambda: made.append(0))
        is_done = threading.Event()
        _posted_calls.call_in_thread(thread, is_done.set)
        assert is_done.wait(10)
        assert len(made) == 2 * number + 1
        thread.quit()
        assert thread.wait(10_000)
        _posted_calls.call_in_thread(thread, lambda: made.append(1))
    thread.start()
    is_done = threading.Event()
    _posted_calls.call_in_thread(thread, is_done.set)
    assert is_done.wait(10)
    thread.quit()
    assert thread.wait(10_000)
    assert made == [0, 1, 0, 1]


async def test_a_call_that_was_made_is_forgotten(qt_loop: asyncio.AbstractEventLoop) -> None:
    class Call:
        def __call__(self) -> None:
            done.set()

    def post() -> None:
        call = Call()
        watches.append(weakref.ref(call))
        _posted_calls.call_in_thread(receiver, call)

    watches: list[Any] = []
    done = asyncio.Event()
    receiver = qt_core.QThread.currentThread()
    thread = threading.Thread(target=post)
    thread.start()
    thread.join()
    await done.wait()
    gc.collect()
    assert watches[0]() is None
