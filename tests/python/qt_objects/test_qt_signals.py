"""`emitted` and `emissions`: Qt's signals, awaited."""

import asyncio
import contextlib
import functools
import gc
import threading
import warnings
import weakref
from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from qtloop import _qobjects
from qtloop._qt_signals import Emissions, EmissionsOverflow, SenderDestroyed, emissions, emitted

from ..support import child
from ..support.loops import LoopFactory, nothing, opened, qt_core
from ..support.nested_loop import Nested
from ..support.objects import IS_PYQT, WAYS_TO_DIE, Sender, delete, settle

ROUNDS = 100


@pytest.fixture
def sender() -> Any:
    return Sender()


pytestmark = pytest.mark.usefixtures("no_exception_in_a_slot")


def in_thread(call: Callable[[], object]) -> None:
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()


# emitted


async def test_a_builtin_signal_without_arguments(qt_loop: AbstractEventLoop) -> None:
    timer = qt_core.QTimer()
    timer.setSingleShot(True)
    timer.start(0)
    assert await emitted(timer.timeout) == ()


async def test_the_arguments_are_a_tuple(qt_loop: AbstractEventLoop, sender: Any) -> None:
    thing = object()
    qt_loop.call_soon(sender.pair.emit, thing, "text")
    assert await emitted(sender.pair) == (thing, "text")
    qt_loop.call_soon(sender.number.emit, 7)
    assert await emitted(sender.number) == (7,)


async def test_overloads_are_told_apart(qt_loop: AbstractEventLoop, sender: Any) -> None:
    number, text = emitted(sender.overloaded[int]), emitted(sender.overloaded[str])
    default = emitted(sender.overloaded)
    sender.overloaded[str].emit("text")
    sender.overloaded[int].emit(1)
    assert (await number, await text, await default) == ((1,), ("text",), (1,))


async def test_it_listens_from_the_call_on_and_hears_one(
    qt_loop: AbstractEventLoop, sender: Any
) -> None:
    waiter = emitted(sender.number)
    for number in range(3):
        sender.number.emit(number)
    assert await waiter == (0,)
    assert sender.listeners() == 0


async def with_timeout(waiter: Any) -> Any:
    async with asyncio.timeout(30):
        return await waiter


async def in_group(waiter: Any) -> Any:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(waiter)
    return task.result()


async def in_gather(waiter: Any) -> Any:
    (result,) = await asyncio.gather(waiter)
    return result


async def first_of_tasks(waiter: Any) -> Any:
    done, _ = await asyncio.wait([asyncio.create_task(waiter)])
    return done.pop().result()


USES: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "timeout": with_timeout,
    "wait_for": lambda waiter: asyncio.wait_for(waiter, 30),
    "gather": in_gather,
    "create_task": lambda waiter: asyncio.create_task(waiter),
    "ensure_future": lambda waiter: asyncio.ensure_future(waiter),
    "shield": lambda waiter: asyncio.shield(waiter),
    "TaskGroup": in_group,
    "wait": first_of_tasks,
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
async def test_it_stands_wherever_a_coroutine_does(
    qt_loop: AbstractEventLoop, sender: Any, use: Callable[[Any], Awaitable[Any]]
) -> None:
    assert asyncio.iscoroutine(emitted(sender.plain))
    qt_loop.call_later(0.001, sender.number.emit, 1)
    assert await use(emitted(sender.number)) == (1,)
    early = emitted(sender.number)
    sender.number.emit(2)
    assert await use(early) == (2,)
    assert sender.listeners() == 0


async def test_a_timeout_ends_the_connection(qt_loop: AbstractEventLoop, sender: Any) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(emitted(sender.plain), 0.001)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await emitted(sender.plain)
    assert sender.listeners() == 0


@pytest.mark.parametrize("steps", [0, 1, 2])
async def test_cancelling_ends_the_connection(
    qt_loop: AbstractEventLoop, sender: Any, steps: int
) -> None:
    waiter = emitted(sender.plain)
    task = asyncio.create_task(waiter)
    for _ in range(steps):
        await asyncio.sleep(0)
    assert sender.listeners() == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sender.listeners() == 0


async def test_dropping_ends_the_connection_without_a_warning(
    qt_loop: AbstractEventLoop, sender: Any
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        waiter = emitted(sender.plain)
        assert sender.listeners() == 1
        del waiter
    assert sender.listeners() == 0
    waiter = emitted(sender.plain)
    waiter.close()
    assert sender.listeners() == 0


async def test_it_is_awaited_once(qt_loop: AbstractEventLoop, sender: Any) -> None:
    waiter = emitted(sender.plain)
    sender.plain.emit()
    assert await waiter == ()
    with pytest.raises(RuntimeError, match="second time"):
        await waiter
    with pytest.raises(RuntimeError, match="second time"):
        await asyncio.create_task(waiter)


@pytest.mark.parametrize(
    "wrong", [None, print, "timeout()", qt_core.QObject(), qt_core.QTimer.timeout], ids=repr
)
async def test_only_bound_signals_are_taken(qt_loop: AbstractEventLoop, wrong: Any) -> None:
    with pytest.raises(TypeError, match="bound signal"):
        emitted(wrong)
    with pytest.raises(TypeError, match="bound signal"):
        emissions(wrong)


def test_a_running_loop_is_needed(sender: Any) -> None:
    with pytest.raises(RuntimeError, match="no running event loop"):
        emitted(sender.plain)
    with pytest.raises(RuntimeError, match="no running event loop"):
        emissions(sender.plain)
    assert sender.listeners() == 0


@pytest.mark.parametrize("die", WAYS_TO_DIE.values(), ids=WAYS_TO_DIE)
async def test_a_destroyed_sender_is_an_error(
    qt_loop: AbstractEventLoop, die: Callable[[list[Any]], None]
) -> None:
    box: list[Any] = [Sender()]
    waiting = asyncio.create_task(emitted(box[0].number))
    late = emitted(box[0].number)
    heard = emitted(box[0].number)
    await asyncio.sleep(0)
    waiting_too = asyncio.create_task(emitted(box[0].plain))
    box[0].number.emit(1)
    assert await waiting == (1,)
    die(box)
    with pytest.raises(SenderDestroyed):
        await waiting_too
    assert await late == await heard == (1,)


async def test_the_last_signal_is_heard(qt_loop: AbstractEventLoop, sender: Any) -> None:
    waiter = emitted(sender.destroyed)
    delete(sender)
    assert len(await waiter) == int(IS_PYQT)  # PySide gives none.


async def test_the_last_signal_of_a_collected_sender(qt_loop: AbstractEventLoop) -> None:
    """The collector may end the connection before the sender emits for the last time."""
    sender = Sender()
    sender.itself = sender
    waiters = [emitted(sender.destroyed) for _ in range(3)]
    del sender
    gc.collect()
    for waiter in waiters:
        with contextlib.suppress(SenderDestroyed):
            assert len(await waiter) == int(IS_PYQT)


def test_a_slot_that_the_collector_takes_apart_with_its_sender_can_still_be_called(
    no_exception_in_a_slot: None,
) -> None:
    """PyQt calls one then, depending on where the collector begins."""
    ended: list[int] = []
    for number in range(8):
        sender, other = qt_core.QObject(), qt_core.QObject()
        ring: list[object] = [sender, other] if number % 2 else [other, sender]
        # What PySide refers to the collector cannot see.
        called = functools.partial(nothing, ring) if IS_PYQT else functools.partial(nothing)
        if number % 4 < 2:
            ring.append(called)
        _qobjects.connect(sender.destroyed, called, functools.partial(ended.append, number))
        sender.ring = other.ring = ring
        del sender, other, ring, called
    gc.collect()
    gc.collect()
    assert sorted(ended) == [*range(8)]


def test_sender_destroyed_is_a_runtime_error() -> None:
    """As bindings raise for what is deleted."""
    assert issubclass(SenderDestroyed, RuntimeError)


async def test_a_sender_that_dies_with_its_thread(qt_loop: AbstractEventLoop) -> None:
    thread = qt_core.QThread()
    worker = Sender()
    worker.moveToThread(thread)
    thread.finished.connect(worker.deleteLater)
    waiter = emitted(worker.number)
    thread.start()
    thread.quit()
    with pytest.raises(SenderDestroyed):
        await waiter
    thread.wait()


async def test_disconnecting_everything_ends_the_wait(
    qt_loop: AbstractEventLoop, sender: Any
) -> None:
    waiter, stream = emitted(sender.number), emissions(sender.number)
    sender.number.disconnect()
    with pytest.raises(SenderDestroyed):
        await waiter
    assert [args async for args in stream] == []


async def test_the_sender_is_not_kept_alive(qt_loop: AbstractEventLoop) -> None:
    sender = Sender()
    alive = weakref.ref(sender)
    waiter, stream = emitted(sender.number), emissions(sender.plain)
    task = asyncio.create_task(emitted(sender.plain))
    await asyncio.sleep(0)
    del sender
    assert alive() is None
    with pytest.raises(SenderDestroyed):
        await waiter
    with pytest.raises(SenderDestroyed):
        await task
    assert [args async for args in stream] == []


async def test_a_waiting_task_is_kept_alive(qt_loop: AbstractEventLoop, sender: Any) -> None:
    heard: list[Any] = []

    async def listen() -> None:
        heard.append(await emitted(sender.number))

    asyncio.create_task(listen())  # noqa: RUF006
    await asyncio.sleep(0)
    gc.collect()
    sender.number.emit(1)
    await settle()
    assert heard == [(1,)]


async def test_emitted_in_another_thread(qt_loop: AbstractEventLoop, sender: Any) -> None:
    waiter = emitted(sender.number)
    in_thread(lambda: sender.number.emit(1))
    assert await waiter == (1,)
    waiter = emitted(sender.number)
    threading.Timer(0.01, lambda: sender.number.emit(2)).start()
    assert await waiter == (2,)


async def test_a_sender_of_another_thread_without_an_event_loop(qt_loop: AbstractEventLoop) -> None:
    box: list[Any] = []
    made, go = threading.Event(), threading.Event()

    def work() -> None:
        box.append(Sender())
        made.set()
        go.wait()
        box[0].number.emit(2)
        box.clear()

    thread = threading.Thread(target=work)
    thread.start()
    made.wait()
    first, stream, never = emitted(box[0].number), emissions(box[0].number), emitted(box[0].plain)
    box[0].number.emit(1)
    assert await first == (1,)
    go.set()
    assert [args async for args in stream] == [(1,), (2,)]
    with pytest.raises(SenderDestroyed):
        await never
    thread.join()


async def test_emitted_in_a_nested_event_loop(qt_loop: AbstractEventLoop, sender: Any) -> None:
    nested = Nested()
    heard: list[Any] = []

    async def listen() -> None:
        stream = emissions(sender.number)
        heard.append(await emitted(sender.number))
        async for args in stream:
            heard.append(args)
            if args == (3,):
                break
        nested.quit()

    task = asyncio.create_task(listen())
    await asyncio.sleep(0)
    for number in range(1, 4):
        qt_loop.call_later(number / 500, sender.number.emit, number)
    qt_loop.call_soon(nested.exec)
    await task
    assert heard == [(1,), (1,), (2,), (3,)]


async def test_destroyed_in_a_nested_event_loop(qt_loop: AbstractEventLoop) -> None:
    nested = Nested()
    box: list[Any] = [Sender()]
    task = asyncio.create_task(emitted(box[0].number))
    await asyncio.sleep(0)
    task.add_done_callback(lambda _: nested.quit())
    qt_loop.call_later(0.001, box[0].deleteLater)
    qt_loop.call_soon(nested.exec)
    with pytest.raises(SenderDestroyed):
        await task


def test_emitted_while_the_loop_is_stopped(qt_loop: AbstractEventLoop, sender: Any) -> None:
    async def listen() -> tuple[Any, Any]:
        return emitted(sender.number), emissions(sender.number)

    async def hear() -> list[Any]:
        return [await waiter, await anext(stream), await anext(stream)]

    waiter, stream = qt_loop.run_until_complete(listen())
    sender.number.emit(1)
    in_thread(lambda: sender.number.emit(2))
    assert qt_loop.run_until_complete(hear()) == [(1,), (1,), (2,)]


@pytest.mark.parametrize(
    "emit", [lambda sender: sender.number.emit(1), delete], ids=["emit", "delete"]
)
def test_nothing_happens_after_the_loop_is_closed(
    qt_loop_factory: LoopFactory, emit: Callable[[Any], None]
) -> None:
    sender = Sender()
    kept: list[Any] = []

    async def wait() -> None:
        kept.append(emitted(sender.number))
        kept.append(emissions(sender.number))
        kept.append(asyncio.create_task(emitted(sender.number)))
        await asyncio.sleep(0)

    with opened(qt_loop_factory) as loop:
        loop.run_until_complete(wait())
        task = kept.pop()
        loop.close()
    emit(sender)
    kept.clear()
    task._log_destroy_pending = False


@pytest.mark.parametrize("when", ["waiting", "unawaited", "stream"])
def test_the_interpreter_ends_in_silence(name: str, when: str) -> None:
    program = f"""
        from qtloop._qt_signals import emitted, emissions

        timer = qt_core.QTimer()

        async def main():
            global kept, too
            too = emitted(timer.destroyed)
            if {when!r} == "waiting":
                kept = asyncio.create_task(emitted(timer.timeout))
                await asyncio.sleep(0)
                kept._log_destroy_pending = False
            elif {when!r} == "unawaited":
                kept = emitted(timer.timeout)
            else:
                kept = emissions(timer.timeout)

        loop = qtloop.EventLoop()
        loop.run_until_complete(main())
        loop.close()
        """
    outcome = child.run(program, name)
    assert (outcome.code, outcome.err) == (0, "")


async def test_nothing_is_left_after_many_rounds(qt_loop: AbstractEventLoop, sender: Any) -> None:
    def slots() -> int:
        gc.collect()
        return sum(isinstance(thing, _qobjects._Slot) for thing in gc.get_objects())

    async def rounds() -> None:
        for number in range(ROUNDS):
            waiter = emitted(sender.number)
            sender.number.emit(number)
            assert await waiter == (number,)
            task = asyncio.create_task(emitted(sender.number))
            await asyncio.sleep(0)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            emitted(sender.number)
            async with emissions(sender.number) as stream:
                sender.number.emit(number)
                assert await anext(stream) == (number,)
            emissions(sender.number)
            assert sender.listeners() == 0

    await rounds()
    while slots():
        await settle()


# emissions


async def test_emissions_come_in_order(qt_loop: AbstractEventLoop, sender: Any) -> None:
    stream = emissions(sender.pair)
    for number in range(10):
        sender.pair.emit(number, str(number))
    seen = []
    async for args in stream:
        seen.append(args)
        if len(seen) == 10:
            break
    assert seen == [(number, str(number)) for number in range(10)]


async def test_leaving_the_iteration_ends_the_connection(
    qt_loop: AbstractEventLoop, sender: Any
) -> None:
    qt_loop.call_soon(sender.number.emit, 1)
    async for args in emissions(sender.number):
        assert args == (1,) and sender.listeners() == 1
        break
    assert sender.listeners() == 0
    qt_loop.call_soon(sender.number.emit, 1)
    with pytest.raises(LookupError):
        async for _ in emissions(sender.number):
            raise LookupError
    assert sender.listeners() == 0


async def test_as_a_context_manager(qt_loop: AbstractEventLoop, sender: Any) -> None:
    async with emissions(sender.number) as stream:
        assert isinstance(stream, Emissions) and sender.listeners() == 1
        sender.number.emit(1)
        sender.number.emit(2)
        assert await anext(stream) == (1,)
    assert sender.listeners() == 0
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    with pytest.raises(LookupError):
        async with emissions(sender.number):
            raise LookupError
    assert sender.listeners() == 0


async def test_closing_ends_the_iteration_of_those_who_wait(
    qt_loop: AbstractEventLoop, sender: Any
) -> None:
    async def consume() -> list[Any]:
        return [args async for args in stream]

    stream = emissions(sender.number)
    tasks = [asyncio.create_task(consume()) for _ in range(3)]
    await asyncio.sleep(0)
    await stream.aclose()
    await stream.aclose()
    sender.number.emit(1)
    assert await asyncio.gather(*tasks) == [[], [], []]


async def test_a_dropped_iterator_ends_the_connection(
    qt_loop: AbstractEventLoop, sender: Any
) -> None:
    stream = emissions(sender.number)
    assert sender.listeners() == 1
    del stream
    assert sender.listeners() == 0

    async def consume() -> None:
        async for _ in emissions(sender.number):
            pass

    task = asyncio.create_task(consume())
    await asyncio.sleep(0)
    assert sender.listeners() == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sender.listeners() == 0


async def taken(stream: Emissions, count: int) -> list[int]:
    return [(await anext(stream))[0] for _ in range(count)]


async def test_overflow_drops_the_oldest(qt_loop: AbstractEventLoop, sender: Any) -> None:
    stream = emissions(sender.number, maxsize=4, overflow="drop-oldest")
    for number in range(10):
        sender.number.emit(number)
    assert await taken(stream, 2) == [6, 7]
    for number in range(10, 14):
        sender.number.emit(number)
    assert await taken(stream, 4) == [10, 11, 12, 13]


async def test_overflow_drops_the_newest(qt_loop: AbstractEventLoop, sender: Any) -> None:
    stream = emissions(sender.number, maxsize=4, overflow="drop-newest")
    for number in range(10):
        sender.number.emit(number)
    assert await taken(stream, 2) == [0, 1]
    for number in range(10, 14):
        sender.number.emit(number)
    assert await taken(stream, 4) == [2, 3, 10, 11]


async def test_overflow_raises_after_what_was_kept(qt_loop: AbstractEventLoop, sender: Any) -> None:
    stream = emissions(sender.number, maxsize=4)
    for number in range(4):
        sender.number.emit(number)
    assert await taken(stream, 1) == [0]
    for number in range(4, 10):
        sender.number.emit(number)
    assert await taken(stream, 4) == [1, 2, 3, 4]
    for _ in range(2):
        with pytest.raises(EmissionsOverflow, match="more than 4"):
            await anext(stream)
    sender.number.emit(10)
    with pytest.raises(EmissionsOverflow):
        await anext(stream)
    await stream.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_overflow_wakes_who_waits(qt_loop: AbstractEventLoop, sender: Any) -> None:
    stream = emissions(sender.number, maxsize=1)
    task = asyncio.create_task(taken(stream, 2))
    await asyncio.sleep(0)
    sender.number.emit(0)
    sender.number.emit(1)
    with pytest.raises(EmissionsOverflow):
        await task


async def test_nonsense_is_refused(qt_loop: AbstractEventLoop, sender: Any) -> None:
    with pytest.raises(ValueError, match="maxsize"):
        emissions(sender.number, maxsize=0)
    with pytest.raises(ValueError, match="overflow"):
        emissions(sender.number, overflow="drop")  # type: ignore[arg-type]
    assert sender.listeners() == 0


@pytest.mark.parametrize("die", WAYS_TO_DIE.values(), ids=WAYS_TO_DIE)
async def test_the_iteration_ends_with_the_sender(
    qt_loop: AbstractEventLoop, die: Callable[[list[Any]], None]
) -> None:
    box: list[Any] = [Sender()]
    stream, empty = emissions(box[0].number), emissions(box[0].number)
    waiting = asyncio.create_task(taken(empty, 3))
    box[0].number.emit(1)
    box[0].number.emit(2)
    await asyncio.sleep(0)
    die(box)
    assert [args async for args in stream] == [(1,), (2,)]
    with pytest.raises(StopAsyncIteration):
        await waiting


async def test_each_emission_goes_to_one_consumer_in_turn(
    qt_loop: AbstractEventLoop, sender: Any
) -> None:
    stream = emissions(sender.number)
    seen: list[tuple[str, int]] = []

    async def consume(name: str) -> None:
        async for (number,) in stream:
            seen.append((name, number))

    tasks = [asyncio.create_task(consume(name)) for name in "abc"]
    await settle()
    for number in range(6):
        sender.number.emit(number)
        await settle()
    assert seen == [("a", 0), ("b", 1), ("c", 2), ("a", 3), ("b", 4), ("c", 5)]
    seen.clear()
    for number in range(100):
        sender.number.emit(number)
    await settle()
    while len(seen) < 100:
        await asyncio.sleep(0)
    assert sorted(number for _, number in seen) == list(range(100))
    await stream.aclose()
    await asyncio.gather(*tasks)


async def test_a_cancelled_consumer_loses_no_emission(
    qt_loop: AbstractEventLoop, sender: Any
) -> None:
    stream = emissions(sender.number)
    task = asyncio.create_task(taken(stream, 1))
    await asyncio.sleep(0)
    sender.number.emit(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await taken(stream, 1) == [1]


async def test_ten_thousand_emissions_across_threads(
    qt_loop: AbstractEventLoop, sender: Any
) -> None:
    threads, each = 4, 2_500

    def emit(thread: int) -> None:
        for number in range(each):
            sender.pair.emit((thread, number), "")

    workers = [threading.Thread(target=emit, args=(number,)) for number in range(threads)]
    stream = emissions(sender.pair, maxsize=threads * each)
    for worker in workers:
        worker.start()
    seen: list[list[int]] = [[] for _ in workers]
    for _ in range(threads * each):
        (thread, number), _text = await anext(stream)
        seen[thread].append(number)
    assert seen == [list(range(each))] * threads
    for worker in workers:
        worker.join()


async def test_a_worker_in_a_qthread(qt_loop: AbstractEventLoop) -> None:
    count = 1_000

    class Worker(Sender):  # type: ignore[misc]
        def work(self) -> None:
            assert qt_core.QThread.currentThread() == thread
            for number in range(count):
                self.number.emit(number)
            thread.quit()

    thread = qt_core.QThread()
    worker = Worker()
    worker.moveToThread(thread)
    thread.started.connect(worker.work)
    thread.finished.connect(worker.deleteLater)
    stream, finished = emissions(worker.number), emitted(thread.finished)
    thread.start()
    assert [number async for (number,) in stream] == list(range(count))
    assert await finished == ()
    thread.wait()


async def test_a_flood_from_a_thread_leaves_the_loop_its_turn(
    qt_loop: AbstractEventLoop, sender: Any
) -> None:
    enough = threading.Event()

    def flood() -> None:
        while not enough.is_set():
            sender.number.emit(1)

    async def consume() -> None:
        async for _ in emissions(sender.number, maxsize=10, overflow="drop-oldest"):
            pass

    consumer = asyncio.create_task(consume())
    await asyncio.sleep(0)
    thread = threading.Thread(target=flood)
    thread.start()
    qt_loop.call_later(0.02, enough.set)
    while not enough.is_set():
        await asyncio.sleep(0)
    thread.join()
    consumer.cancel()


async def test_listening_comes_and_goes_under_fire(qt_loop: AbstractEventLoop, sender: Any) -> None:
    """Connections are made and ended while threads emit, twenty times each in a round."""
    permits = threading.Semaphore(0)
    is_over = False

    def fire() -> None:
        while permits.acquire() and not is_over:
            for _ in range(20):
                sender.number.emit(1)

    threads = [threading.Thread(target=fire) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(ROUNDS):
            waiter, stream = (
                emitted(sender.number),
                emissions(sender.number, overflow="drop-newest"),
            )
            permits.release(2)
            assert await waiter == (1,)
            emitted(sender.number)
            assert await anext(stream) == (1,)
            await stream.aclose()
    finally:
        is_over = True
        permits.release(2)
        for thread in threads:
            thread.join()
    assert sender.listeners() == 0


def test_emissions_of_a_loop_in_another_thread(qt_loop_factory: LoopFactory, sender: Any) -> None:
    """The sender and the loop live in different threads, as do the emissions."""
    seen: list[Any] = []
    listening = threading.Event()

    async def listen() -> None:
        stream = emissions(sender.number)
        listening.set()
        async for args in stream:
            seen.append(args)
            if args == (99,):
                return

    def work() -> None:
        with opened(qt_loop_factory) as loop:
            loop.run_until_complete(listen())

    thread = threading.Thread(target=work)
    thread.start()
    listening.wait()
    for number in range(100):
        sender.number.emit(number)
    thread.join(30)
    assert seen == [(number,) for number in range(100)]


def test_the_binding_is_asked_only_when_needed() -> None:
    """Naming the module imports no binding."""
    program = """
        import sys
        import qtloop._qt_signals, qtloop._slots, qtloop._owned_tasks
        bindings = ("PyQt", "PySide", "sip", "shiboken")
        assert not [name for name in sys.modules if name.startswith(bindings)]
        """
    outcome = child.run_bare(program)
    assert (outcome.code, outcome.err) == (0, "")
