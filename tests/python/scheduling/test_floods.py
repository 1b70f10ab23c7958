"""Fairness, both ways: amid a flood of Qt's asyncio gets a fixed amount of work done, and in
reverse.

A flood counts its turns and gives up after so many that only somebody who is starved is not done by
then.
"""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from queue import SimpleQueue
from typing import Any

import pytest

from qtloop import EventLoop

from ..support.loops import Pair, qt_core

#: Turns after which a flood of Qt's gives up: some seconds' worth.
PATIENCE = 2_000_000
#: How often a timer of Qt's is to fire amid a flood of asyncio's.
TICKS = 20
USER_EVENT = qt_core.QEvent.Type.User


class Flood:
    """What all floods of Qt's share. Each turn ends with the question whether there is to be
    another."""

    def __init__(self) -> None:
        self.turns = 0
        self.stopped = False

    def goes_on(self) -> bool:
        self.turns += 1
        return not self.stopped and not self.gave_up()

    def gave_up(self) -> bool:
        return self.turns >= PATIENCE


@contextmanager
def zero_timer(flood: Flood) -> Iterator[None]:
    """A zero-interval QTimer."""
    timer = qt_core.QTimer()
    timer.timeout.connect(lambda: None if flood.goes_on() else timer.stop())
    timer.start(0)
    yield
    timer.stop()


@contextmanager
def posted_events(flood: Flood, priority: int = 0) -> Iterator[None]:
    """An event whose receiver posts the next to itself. Qt looks at its other sources in
    between."""

    class Receiver(qt_core.QObject):  # type: ignore[misc]
        def event(self, event: Any) -> bool:
            if event.type() == USER_EVENT and flood.goes_on():
                post(self)
            return True

    def post(receiver: Any) -> None:
        qt_core.QCoreApplication.postEvent(receiver, qt_core.QEvent(USER_EVENT), priority)

    receiver = Receiver()
    post(receiver)
    yield
    qt_core.QCoreApplication.removePostedEvents(receiver)


@contextmanager
def animation(flood: Flood) -> Iterator[None]:
    """A QVariantAnimation that is stepped as fast as Qt allows."""
    stepped = qt_core.QVariantAnimation()
    stepped.setStartValue(0)
    stepped.setEndValue(PATIENCE)
    stepped.setDuration(PATIENCE)
    values: list[int] = []
    stepped.valueChanged.connect(values.append)
    stepped.start()
    stepped.pause()
    timer = qt_core.QTimer()

    def step() -> None:
        if flood.goes_on():
            stepped.setCurrentTime(flood.turns)
        else:
            timer.stop()

    timer.timeout.connect(step)
    timer.start(0)
    yield
    timer.stop()
    stepped.stop()
    assert values, "nothing was animated"


@contextmanager
def socket_notifier(flood: Flood) -> Iterator[None]:
    """A QSocketNotifier whose fd stays readable."""
    reader, writer = socket.socketpair()
    writer.send(b"x")
    notifier = qt_core.QSocketNotifier(reader.fileno(), qt_core.QSocketNotifier.Type.Read)
    notifier.activated.connect(lambda *_: None if flood.goes_on() else notifier.setEnabled(False))
    yield
    notifier.setEnabled(False)
    reader.close()
    writer.close()


FLOODS: dict[str, Callable[[Flood], AbstractContextManager[None]]] = {
    "zero timer": zero_timer,
    "posted events": posted_events,
    "urgent posted events": partial(posted_events, priority=1000),
    "animation": animation,
    "socket notifier": socket_notifier,
}


async def spin(steps: int) -> None:
    for _ in range(steps):
        await asyncio.sleep(0)


async def sleep(times: int) -> None:
    for _ in range(times):
        await asyncio.sleep(0.001)


async def echo(times: int, pair: Pair) -> None:
    loop = asyncio.get_running_loop()
    ours, theirs = pair

    async def serve() -> None:
        for _ in range(times):
            await loop.sock_sendall(theirs, await loop.sock_recv(theirs, 1))

    async def ask() -> None:
        for _ in range(times):
            await loop.sock_sendall(ours, b"x")
            assert await loop.sock_recv(ours, 1) == b"x"

    await asyncio.gather(serve(), ask())


async def hear_from_a_thread(times: int) -> None:
    loop = asyncio.get_running_loop()
    for _ in range(times):
        heard = asyncio.Event()
        threading.Thread(target=loop.call_soon_threadsafe, args=(heard.set,)).start()
        await heard.wait()


WORK: dict[str, Callable[[Pair], Any]] = {
    "steps": lambda pair: spin(1_000),
    "sleeps": lambda pair: sleep(10),
    "round trips": lambda pair: echo(100, pair),
    "calls from threads": lambda pair: hear_from_a_thread(10),
}


@pytest.mark.parametrize("work", [*WORK])
@pytest.mark.parametrize("name", [*FLOODS])
def test_asyncio_gets_its_work_done_amid_a_flood_of_qts(
    qt_loop: EventLoop, name: str, work: str, pair: Pair
) -> None:
    flood = Flood()
    for side in pair:
        side.setblocking(False)
    with FLOODS[name](flood):
        qt_loop.run_until_complete(WORK[work](pair))
        flood.stopped = True
    assert not flood.gave_up()


@pytest.mark.parametrize("name", [*FLOODS])
def test_the_flood_goes_on_meanwhile(qt_loop: EventLoop, name: str) -> None:
    """Or the test above would show nothing."""
    flood = Flood()

    async def until_flooded() -> None:
        while flood.turns < TICKS:
            await asyncio.sleep(0)

    with FLOODS[name](flood):
        qt_loop.run_until_complete(asyncio.wait_for(until_flooded(), 30))
        flood.stopped = True
    assert flood.turns >= TICKS


@pytest.mark.parametrize("name", [*FLOODS])
def test_qt_itself_is_fair_amid_its_floods(name: str) -> None:
    """What the loop builds upon: no dispatcher starves a zero-interval timer or a notifier."""
    flood = Flood()
    loop = qt_core.QEventLoop()
    seen = {"timer": 0, "notifier": 0}

    def saw(what: str) -> None:
        seen[what] += 1
        if min(seen.values()) >= TICKS or flood.gave_up():
            loop.quit()

    ours, theirs = socket.socketpair()
    theirs.send(b"x")
    notifier = qt_core.QSocketNotifier(ours.fileno(), qt_core.QSocketNotifier.Type.Read)
    notifier.activated.connect(lambda *_: saw("notifier"))
    timer = qt_core.QTimer()
    timer.timeout.connect(lambda: saw("timer"))
    timer.start(0)
    with ours, theirs, FLOODS[name](flood):
        (loop.exec if hasattr(loop, "exec") else loop.exec_)()
        flood.stopped = True
        notifier.setEnabled(False)
    timer.stop()
    assert not flood.gave_up()
    assert min(seen.values()) >= TICKS


@contextmanager
def spinning_tasks(loop: EventLoop) -> Iterator[None]:
    async def forever() -> None:
        while True:
            await asyncio.sleep(0)

    tasks = [loop.create_task(forever()) for _ in range(50)]
    yield
    for task in tasks:
        task.cancel()


@contextmanager
def chained_calls(loop: EventLoop) -> Iterator[None]:
    going = [True]

    def again() -> None:
        if going:
            loop.call_soon(again)

    again()
    yield
    going.clear()


@contextmanager
def overdue_timers(loop: EventLoop) -> Iterator[None]:
    going = [True]

    def again() -> None:
        if going:
            loop.call_later(0, again)

    again()
    yield
    going.clear()


@contextmanager
def calls_from_a_thread(loop: EventLoop) -> Iterator[None]:
    """As many as can be while at most so many are outstanding."""
    permits: SimpleQueue[bool] = SimpleQueue()
    for _ in range(100):
        permits.put(True)

    def call() -> None:
        while permits.get():
            loop.call_soon_threadsafe(permits.put, True)

    thread = threading.Thread(target=call)
    thread.start()
    yield
    permits.put(False)
    thread.join()


@contextmanager
def a_readable_fd(loop: EventLoop) -> Iterator[None]:
    reader, writer = socket.socketpair()
    writer.send(b"x")
    loop.add_reader(reader, lambda: None)
    yield
    loop.remove_reader(reader)
    reader.close()
    writer.close()


ASYNCIOS_FLOODS = [
    spinning_tasks,
    chained_calls,
    overdue_timers,
    calls_from_a_thread,
    a_readable_fd,
]


@pytest.mark.parametrize("interval", [0, 5])
@pytest.mark.parametrize("flood", ASYNCIOS_FLOODS)
async def test_a_timer_of_qts_fires_amid_a_flood_of_asyncios(
    qt_loop: EventLoop, flood: Callable[[EventLoop], AbstractContextManager[None]], interval: int
) -> None:
    ticks, enough = [0], asyncio.Event()

    def tick() -> None:
        ticks[0] += 1
        if ticks[0] == TICKS:
            timer.stop()
            enough.set()

    timer = qt_core.QTimer()
    timer.timeout.connect(tick)
    with flood(qt_loop):
        timer.start(interval)
        await enough.wait()
    assert ticks == [TICKS]


@pytest.mark.parametrize("flood", ASYNCIOS_FLOODS)
async def test_posted_events_arrive_amid_a_flood_of_asyncios(
    qt_loop: EventLoop, flood: Callable[[EventLoop], AbstractContextManager[None]]
) -> None:
    received: list[int] = []
    enough = asyncio.Event()

    class Receiver(qt_core.QObject):  # type: ignore[misc]
        def event(self, event: Any) -> bool:
            if event.type() != USER_EVENT:
                return bool(super().event(event))
            received.append(len(received))
            if len(received) == TICKS:
                enough.set()
            else:
                qt_core.QCoreApplication.postEvent(self, qt_core.QEvent(USER_EVENT))
            return True

    receiver = Receiver()
    with flood(qt_loop):
        qt_core.QCoreApplication.postEvent(receiver, qt_core.QEvent(USER_EVENT))
        await enough.wait()
    assert len(received) == TICKS
