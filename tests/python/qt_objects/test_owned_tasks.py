"""`create_task`: tasks that end with a QObject."""

import asyncio
import contextvars
import gc
import inspect
import sys
import threading
import weakref
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from qtloop import EventLoop, _owned_tasks
from qtloop._owned_tasks import create_task

from ..support import child
from ..support.loops import LoopFactory, opened, qt_core
from ..support.nested_loop import Nested
from ..support.objects import IS_PYQT, WAYS_TO_DIE, Sender, delete, settle

ROUNDS = 100

needs_eager_tasks = pytest.mark.skipif(
    sys.version_info < (3, 12), reason="eager tasks came with Python 3.12"
)


@pytest.fixture
def owner() -> Any:
    return Sender()


@pytest.fixture(autouse=True)
def nothing_left(no_exception_in_a_slot: None) -> Iterator[None]:
    """No slot raises, and no watch and no task stays."""
    yield
    _owned_tasks._running.clear()


def watches(owner: Any) -> int:
    """How many connections the owner's `destroyed` has."""
    if IS_PYQT:
        return int(owner.receivers(owner.destroyed))
    return sum(
        owner.receivers(qt_core.SIGNAL(name)) for name in ("destroyed()", "destroyed(QObject*)")
    )


async def forever() -> None:
    await asyncio.get_running_loop().create_future()


async def ended(task: asyncio.Task[Any]) -> bool:
    """Waits for the task; True if it was cancelled."""
    await asyncio.wait([task])
    return task.cancelled()


async def test_it_is_a_task_like_others(qt_loop: AbstractEventLoop, owner: Any) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    context = contextvars.copy_context()
    context.run(variable.set, "value")

    async def work() -> tuple[str, asyncio.Task[Any] | None]:
        await asyncio.sleep(0)
        return variable.get(), asyncio.current_task()

    task = create_task(work(), owner=owner, name="name", context=context)
    assert task.get_name() == "name"
    assert await task == ("value", task)


@pytest.mark.parametrize("die", WAYS_TO_DIE.values(), ids=WAYS_TO_DIE)
async def test_it_is_cancelled_with_its_owner(
    qt_loop: AbstractEventLoop, die: Callable[[list[Any]], None]
) -> None:
    box: list[Any] = [Sender()]
    tasks = [create_task(forever(), owner=box[0]) for _ in range(3)]
    await asyncio.sleep(0)
    die(box)
    for task in tasks:
        assert await ended(task)


async def test_the_reason_is_given(qt_loop: AbstractEventLoop, owner: Any) -> None:
    task = create_task(forever(), owner=owner)
    await asyncio.sleep(0)
    delete(owner)
    with pytest.raises(asyncio.CancelledError, match="owner was destroyed"):
        await task


async def test_a_task_that_has_not_begun_never_does(qt_loop: AbstractEventLoop, owner: Any) -> None:
    begun: list[bool] = []

    async def work() -> None:
        begun.append(True)

    task = create_task(work(), owner=owner)
    delete(owner)
    assert await ended(task)
    assert not begun


async def test_a_task_that_is_ready_does_not_touch_its_owner(
    qt_loop: AbstractEventLoop, owner: Any
) -> None:
    async def work() -> None:
        while True:
            await asyncio.sleep(0)
            owner.objectName()

    task = create_task(work(), owner=owner)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    delete(owner)
    assert await ended(task)


async def test_a_task_destroys_its_owner(qt_loop: AbstractEventLoop, owner: Any) -> None:
    steps: list[str] = []

    async def work() -> None:
        delete(owner)
        steps.append("goes on")
        await asyncio.sleep(0)
        steps.append("goes on too far")

    assert await ended(create_task(work(), owner=owner))
    assert steps == ["goes on"]


async def test_cleaning_up_may_take_its_time(qt_loop: AbstractEventLoop, owner: Any) -> None:
    """Also for a task that nobody keeps, and whose owner is gone."""
    cleaned = asyncio.Event()

    async def work() -> None:
        try:
            await forever()
        finally:
            gc.collect()
            await asyncio.sleep(0.001)
            gc.collect()
            cleaned.set()

    create_task(work(), owner=owner)
    await asyncio.sleep(0)
    delete(owner)
    await cleaned.wait()


async def test_destroyed_in_a_nested_event_loop(qt_loop: AbstractEventLoop, owner: Any) -> None:
    nested = Nested()
    task = create_task(forever(), owner=owner)
    task.add_done_callback(lambda _: nested.quit())
    qt_loop.call_later(0.001, owner.deleteLater)
    qt_loop.call_soon(nested.exec)
    assert await ended(task)


async def test_a_task_is_kept_alive(qt_loop: AbstractEventLoop, owner: Any) -> None:
    task = weakref.ref(create_task(forever(), owner=owner))
    await asyncio.sleep(0)
    gc.collect()
    kept = task()
    assert kept is not None and not kept.done()
    kept.cancel()
    assert await ended(kept)
    del kept
    await asyncio.sleep(0)
    gc.collect()
    assert task() is None


async def test_the_owner_is_not_kept_alive(qt_loop: AbstractEventLoop) -> None:
    owner = Sender()
    alive = weakref.ref(owner)
    task = create_task(forever(), owner=owner)
    await asyncio.sleep(0)
    del owner
    assert alive() is None
    assert await ended(task)


async def test_an_owner_has_one_connection_while_it_has_tasks(
    qt_loop: AbstractEventLoop, owner: Any
) -> None:
    await _start_and_end(owner)
    # PySide keeps one for itself; PyQt removes its own later.
    before = 0 if IS_PYQT else watches(owner)
    while watches(owner) > before:
        await settle()
    tasks = [create_task(forever(), owner=owner) for _ in range(ROUNDS)]
    await asyncio.sleep(0)
    with_tasks = watches(owner)
    assert with_tasks > before
    tasks.append(create_task(forever(), owner=owner))
    assert watches(owner) == with_tasks
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    await asyncio.sleep(0)
    assert not _owned_tasks._watches and not _owned_tasks._running
    for _ in range(ROUNDS):
        await create_task(asyncio.sleep(0), owner=owner)
        await asyncio.sleep(0)
    while watches(owner) > before:
        await settle()
    create_task(forever(), owner=owner)
    assert watches(owner) == with_tasks
    delete(owner)


async def test_disconnecting_everything_counts_as_the_owners_end(
    qt_loop: AbstractEventLoop, owner: Any
) -> None:
    task = create_task(forever(), owner=owner)
    await asyncio.sleep(0)
    owner.destroyed.disconnect()
    assert await ended(task)


async def test_owners_come_and_go_at_the_same_address(qt_loop: AbstractEventLoop) -> None:
    for _ in range(ROUNDS):
        owner = Sender()
        task = create_task(forever(), owner=owner)
        other = create_task(asyncio.sleep(0), owner=owner)
        await other
        del owner
        assert await ended(task)


async def test_an_owner_that_is_equal_to_others_and_has_no_hash(qt_loop: AbstractEventLoop) -> None:
    class Odd(qt_core.QObject):  # type: ignore[misc]
        def __eq__(self, other: object) -> bool:
            return True

    first, second = Odd(), Odd()
    tasks = [create_task(forever(), owner=first), create_task(forever(), owner=second)]
    await asyncio.sleep(0)
    delete(first)
    assert await ended(tasks[0])
    await asyncio.sleep(0)
    assert not tasks[1].done()
    delete(second)
    assert await ended(tasks[1])


def test_destroyed_while_the_loop_is_stopped(qt_loop: AbstractEventLoop, owner: Any) -> None:
    async def start() -> asyncio.Task[Any]:
        return create_task(forever(), owner=owner)

    task = qt_loop.run_until_complete(start())
    delete(owner)
    assert not task.done()
    assert qt_loop.run_until_complete(ended(task))


def test_destroyed_after_the_loop_is_closed(qt_loop_factory: LoopFactory, owner: Any) -> None:
    async def start() -> asyncio.Task[Any]:
        return create_task(forever(), owner=owner)

    with opened(qt_loop_factory) as loop:
        task: Any = loop.run_until_complete(start())
        loop.close()
    delete(owner)
    task._log_destroy_pending = False


def test_a_closed_loop_is_let_go_of(qt_loop_factory: LoopFactory, owner: Any) -> None:
    async def start() -> None:
        task: Any = create_task(forever(), owner=owner)
        task._log_destroy_pending = False

    with opened(qt_loop_factory) as loop:
        loop.run_until_complete(start())
        alive = weakref.ref(loop)
        loop.close()
    delete(owner)
    del loop
    with opened(qt_loop_factory) as loop:
        another = Sender()
        loop.run_until_complete(_start_and_end(another))
    gc.collect()
    assert alive() is None


async def _start_and_end(owner: Any) -> None:
    await create_task(asyncio.sleep(0), owner=owner)
    await asyncio.sleep(0)


async def test_a_deleted_owner_is_refused(qt_loop: AbstractEventLoop, owner: Any) -> None:
    coroutine = forever()
    delete(owner)
    with pytest.raises(RuntimeError, match="deleted already"):
        create_task(coroutine, owner=owner)
    assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED


@pytest.mark.parametrize("wrong", [None, object(), Sender])
async def test_only_qobjects_own_tasks(qt_loop: AbstractEventLoop, wrong: Any) -> None:
    coroutine = forever()
    with pytest.raises(TypeError, match="QObject"):
        create_task(coroutine, owner=wrong)
    assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED


async def test_only_coroutines_become_tasks(qt_loop: AbstractEventLoop, owner: Any) -> None:
    with pytest.raises(TypeError):
        create_task(print, owner=owner)  # type: ignore[arg-type]


def test_a_running_loop_is_needed(owner: Any) -> None:
    coroutine = forever()
    with pytest.raises(RuntimeError, match="no running event loop"):
        create_task(coroutine, owner=owner)
    assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED


async def test_debug_mode_refuses_an_owner_of_another_thread(
    qt_loop: AbstractEventLoop, owner: Any
) -> None:
    qt_loop.set_debug(True)
    await _start_and_end(owner)
    thread = qt_core.QThread()
    owner.moveToThread(thread)
    coroutine = forever()
    with pytest.raises(RuntimeError, match="another thread"):
        create_task(coroutine, owner=owner)
    assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED


async def test_an_owner_that_dies_in_another_thread(qt_loop: AbstractEventLoop) -> None:
    """It should not; but its tasks are cancelled all the same, in their own thread."""
    box: list[Any] = []
    made, go = threading.Event(), threading.Event()

    def work() -> None:
        box.append(Sender())
        made.set()
        go.wait()
        box.clear()

    thread = threading.Thread(target=work)
    thread.start()
    made.wait()
    task = create_task(forever(), owner=box[0])
    await asyncio.sleep(0)
    go.set()
    assert await ended(task)
    thread.join()


@pytest.mark.parametrize("close", [True, False])
def test_the_interpreter_ends_in_silence(name: str, close: bool) -> None:
    program = f"""
        from qtloop._owned_tasks import create_task

        owner, parent = qt_core.QObject(), qt_core.QObject()
        other = qt_core.QObject(parent)

        async def main():
            for qobject in (owner, other):
                task = create_task(asyncio.sleep(100), owner=qobject)
                task._log_destroy_pending = False
                await asyncio.sleep(0)

        loop = qtloop.EventLoop()
        loop.run_until_complete(main())
        if {close}:
            loop.close()
        """
    outcome = child.run(program, name)
    assert (outcome.code, outcome.err) == (0, "")


@needs_eager_tasks
async def test_eager_tasks(qt_loop: EventLoop, owner: Any) -> None:
    qt_loop.set_task_factory(asyncio.eager_task_factory)
    before = watches(owner)

    async def at_once() -> int:
        return 1

    task = create_task(at_once(), owner=owner, name="name")
    assert task.done() and task.result() == 1
    assert watches(owner) == before
    waiting = create_task(forever(), owner=owner)
    delete(owner)
    assert await ended(waiting)


@needs_eager_tasks
async def test_an_eager_task_destroys_its_owner(qt_loop: EventLoop, owner: Any) -> None:
    qt_loop.set_task_factory(asyncio.eager_task_factory)

    async def work() -> None:
        delete(owner)
        await forever()

    assert await ended(create_task(work(), owner=owner))
