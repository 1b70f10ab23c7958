"""The order of tasks that a seed decides, and what a simulated loop does when nothing is left."""

import asyncio
import gc
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import qtloop
import qtloop.testing
from qtloop import _qt
from qtloop.testing import Deadlock

from ..support.loops import qt_core


async def race() -> list[str]:
    """Two tasks, of which the second is always later on asyncio."""
    log: list[str] = []

    async def step(name: str, steps: int) -> None:
        for _ in range(steps):
            await asyncio.sleep(0)
        log.append(name)

    await asyncio.gather(step("first", 1), step("second", 3))
    return log


async def lose_an_update() -> None:
    """Reads, lets others run, and writes: right only as long as nobody does so meanwhile."""
    balance = 0

    async def pay(steps: int) -> None:
        nonlocal balance
        for _ in range(steps):
            await asyncio.sleep(0)
        before = balance
        await asyncio.sleep(0)
        balance = before + 1

    await asyncio.gather(pay(0), pay(2))
    assert balance == 2


def test_without_a_seed_the_order_is_that_of_asyncio() -> None:
    for _ in range(10):
        assert qtloop.testing.run(race()) == asyncio.run(race()) == ["first", "second"]


def test_seeds_give_both_orders_and_each_seed_the_same() -> None:
    orders = qtloop.testing.explore(race)
    assert {tuple(order) for order in orders} == {("first", "second"), ("second", "first")}
    assert qtloop.testing.explore(race) == orders


def test_the_seed_that_fails_is_told_and_fails_again() -> None:
    qtloop.testing.run(lose_an_update())
    with pytest.raises(AssertionError) as caught:
        qtloop.testing.explore(lose_an_update)
    failing = [seed for seed in range(100) if fails(seed)]
    assert 0 < len(failing) < 100
    (note,) = caught.value.__notes__
    assert f"seed={failing[0]}:" in note
    assert fails(failing[0])


def fails(seed: int) -> bool:
    try:
        qtloop.testing.run(lose_an_update(), seed=seed)
    except AssertionError:
        return True
    return False


def test_what_asyncio_promises_is_kept() -> None:
    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        log: list[int] = []
        future = loop.create_future()
        for number in range(5):
            loop.call_soon(log.append, number)
            future.add_done_callback(lambda _, number=number: log.append(10 + number))
        future.set_result(None)
        for number in range(5):
            loop.call_later(number, log.append, 20 + number)

        async def queued() -> None:
            for number in range(5):
                log.append(30 + number)
                await asyncio.sleep(0)

        await asyncio.gather(queued(), asyncio.sleep(10))
        assert loop.time() == 10
        return log

    for log in qtloop.testing.explore(main, seeds=range(20)):
        for first in (0, 10, 20, 30):
            group = [number for number in log if first <= number < first + 10]
            assert group == list(range(first, first + 5))
        assert [number for number in log if number < 20][:5] == [0, 1, 2, 3, 4]


def test_context_and_cancellation_survive_a_delay() -> None:
    async def main() -> None:
        task = asyncio.create_task(asyncio.sleep(10), name="slow")
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.Event().wait()
        lock, inside = asyncio.Lock(), 0

        async def enter() -> None:
            nonlocal inside
            async with lock:
                inside += 1
                await asyncio.sleep(0)
                assert inside == 1
                inside -= 1

        await asyncio.gather(*(enter() for _ in range(10)))

    qtloop.testing.explore(main, seeds=range(20))


# Nothing is left that could go on.


async def wait_in_vain() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("seed", [None, 1])
def test_a_deadlock_names_the_tasks(seed: int | None) -> None:
    async def main() -> None:
        other = asyncio.create_task(wait_in_vain(), name="the other")
        lock = asyncio.Lock()
        async with lock, lock:
            await other

    with pytest.raises(Deadlock) as caught:
        qtloop.testing.run(main(), seed=seed)
    text = str(caught.value)
    assert "task 'the other' (wait_in_vain at " in text
    assert "main at " in text and f"{__file__}:" in text
    assert "Qt's timers" in text


def test_a_deadlock_is_seen_after_timers_that_change_nothing() -> None:
    ended: list[float] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(5, lambda: None)
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(loop.time())

    with pytest.raises(Deadlock):
        qtloop.testing.run(main())
    assert ended == [5]


def test_the_look_for_a_deadlock_does_not_move_the_clock() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(3600):
            await asyncio.sleep(1)
        await asyncio.to_thread(threading.Event().wait, 0.05)
        return loop.time()

    assert qtloop.testing.run(main()) == 1


def test_a_deadlock_is_seen_after_a_thread_has_ended() -> None:
    async def main() -> None:
        assert await asyncio.to_thread(lambda: 5) == 5
        await wait_in_vain()

    with pytest.raises(Deadlock):
        qtloop.testing.run(main())


def test_a_thread_may_call_and_end_during_the_look(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> str:
        loop = asyncio.get_running_loop()
        future = loop.create_future()

        def call_from_a_thread() -> bool:
            if not called:
                called.append(True)
                args = (future.set_result, "called")
                thread = threading.Thread(target=loop.call_soon_threadsafe, args=args)
                thread.start()
                thread.join()
            return False

        called: list[bool] = []
        monkeypatch.setattr("qtloop.testing._idle.waits_for_qt", call_from_a_thread)
        result: str = await future
        return result

    assert qtloop.testing.run(main()) == "called"


def test_a_thread_that_lives_may_still_wake_the_loop() -> None:
    async def main() -> str:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        began = threading.Event()

        def work() -> None:
            began.wait()
            loop.call_soon_threadsafe(future.set_result, "woken")

        threading.Thread(target=work).start()
        threading.Timer(0.2, began.set).start()
        result: str = await future
        return result

    assert qtloop.testing.run(main()) == "woken"


def test_a_signal_handler_may_still_wake_the_loop() -> None:
    async def main() -> None:
        came = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGALRM, came.set)
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        await came.wait()

    qtloop.testing.run(main())


def test_a_loop_works_on_after_a_deadlock() -> None:
    loop = qtloop.testing.new_event_loop()
    try:
        for _ in range(2):
            with pytest.raises(Deadlock):
                loop.run_until_complete(wait_in_vain())
            loop.run_until_complete(asyncio.sleep(1))
        with pytest.raises(Deadlock):
            loop.run_until_complete(loop.create_future())
        assert loop.time() == 2
    finally:
        loop.close()


# Qt's events.


@pytest.fixture
def application() -> Iterator[Any]:
    if (instance := qt_core.QCoreApplication.instance()) is not None:
        yield instance
        return
    made = qt_core.QCoreApplication([])
    yield made
    del made
    gc.collect()


def test_queued_signals_and_deferred_deletes_take_place(application: Any) -> None:
    signal_of = getattr(qt_core, "pyqtSignal", None) or qt_core.Signal

    class Sender(qt_core.QObject):  # type: ignore[misc]
        sent = signal_of(int)

    async def main() -> float:
        sender, got = Sender(), asyncio.Queue[int]()
        sender.sent.connect(got.put_nowait, qt_core.Qt.ConnectionType.QueuedConnection)
        asyncio.get_running_loop().call_later(5, sender.sent.emit, 1)
        sender.sent.emit(0)
        assert got.empty()
        assert [await got.get(), await got.get()] == [0, 1]
        destroyed = asyncio.Event()
        sender.destroyed.connect(lambda *_: destroyed.set())
        sender.deleteLater()
        await destroyed.wait()
        return asyncio.get_running_loop().time()

    assert _qt.imported() is not None
    assert qtloop.testing.run(main()) == 5


def test_a_signal_of_a_pool_thread_arrives(application: Any) -> None:
    signal_of = getattr(qt_core, "pyqtSignal", None) or qt_core.Signal
    began = threading.Event()

    class Sender(qt_core.QObject):  # type: ignore[misc]
        sent = signal_of(int)

    class Receiver(qt_core.QObject):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.came: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def take(self, number: int) -> None:
            self.came.set_result(number)

    class Work(qt_core.QRunnable):  # type: ignore[misc]
        def run(self) -> None:
            began.wait()
            sender.sent.emit(5)

    sender = Sender()

    async def main() -> int:
        receiver = Receiver()
        sender.sent.connect(receiver.take, qt_core.Qt.ConnectionType.QueuedConnection)
        qt_core.QThreadPool.globalInstance().start(Work())
        threading.Timer(0.1, began.set).start()
        return await receiver.came

    assert qtloop.testing.run(main()) == 5


def test_a_timer_of_qt_fails_at_once(application: Any) -> None:
    async def main() -> None:
        timer = qt_core.QTimer()
        timer.start(10)
        await qtloop.emitted(timer.timeout)

    with pytest.raises(Deadlock, match="Qt's timers, sockets and windows do not run"):
        qtloop.testing.run(main())
