"""Tasks on the loop: factories, eager ones, groups, contexts, cancellation."""

import asyncio
import contextvars
import sys
from asyncio import AbstractEventLoop
from collections.abc import Coroutine
from typing import Any

import pytest

name = contextvars.ContextVar("name", default="nobody")
since_3_12 = pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with 3.12")


class OwnTask(asyncio.Task[Any]):
    pass


async def test_tasks_interleave(loop: AbstractEventLoop) -> None:
    steps: list[tuple[str, int]] = []

    async def walk(who: str) -> None:
        for n in range(3):
            steps.append((who, n))
            await asyncio.sleep(0)

    await asyncio.gather(walk("a"), walk("b"))
    assert steps == [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2), ("b", 2)]


async def test_a_task_factory_is_used(loop: AbstractEventLoop) -> None:
    def factory(loop: AbstractEventLoop, coro: Coroutine[Any, Any, Any], **kwargs: Any) -> OwnTask:
        return OwnTask(coro, loop=loop, **kwargs)

    loop.set_task_factory(factory)
    try:
        task = asyncio.create_task(asyncio.sleep(0, "result"), name="mine")
        assert isinstance(task, OwnTask)
        assert task.get_name() == "mine"
        assert await task == "result"
    finally:
        loop.set_task_factory(None)
    assert loop.get_task_factory() is None
    assert not isinstance(asyncio.create_task(asyncio.sleep(0)), OwnTask)


@since_3_12
async def test_eager_tasks_run_at_once(loop: AbstractEventLoop) -> None:
    ran: list[str] = []

    async def quick() -> str:
        ran.append("quick")
        return "result"

    async def slow() -> str:
        ran.append("slow begins")
        await asyncio.sleep(0)
        ran.append("slow ends")
        return "late result"

    loop.set_task_factory(asyncio.eager_task_factory)
    try:
        done, pending = asyncio.create_task(quick()), asyncio.create_task(slow())
    finally:
        loop.set_task_factory(None)
    assert ran == ["quick", "slow begins"]
    assert done.done()
    assert not pending.done()
    assert list(await asyncio.gather(done, pending)) == ["result", "late result"]


async def test_every_task_has_a_context_of_its_own(loop: AbstractEventLoop) -> None:
    async def rename(to: str) -> tuple[str, str]:
        before = name.get()
        name.set(to)
        await asyncio.sleep(0)
        return before, name.get()

    name.set("parent")
    assert list(await asyncio.gather(rename("a"), rename("b"))) == [
        ("parent", "a"),
        ("parent", "b"),
    ]
    assert name.get() == "parent"


async def test_a_task_can_be_given_a_context(loop: AbstractEventLoop) -> None:
    async def rename() -> None:
        await asyncio.sleep(0)
        name.set("renamed")

    context = contextvars.copy_context()
    await asyncio.create_task(rename(), context=context)
    assert context[name] == "renamed"
    assert name.get() == "nobody"


async def test_callbacks_of_a_future_run_in_their_context(loop: AbstractEventLoop) -> None:
    seen: list[str] = []
    future = loop.create_future()
    name.set("adder")
    future.add_done_callback(lambda _: seen.append(name.get()))
    name.set("somebody else")
    future.set_result(None)
    await asyncio.sleep(0)
    assert seen == ["adder"]


async def test_the_current_task_is_known(loop: AbstractEventLoop) -> None:
    current = asyncio.current_task()
    assert current is not None
    assert current in asyncio.all_tasks(loop)
    seen: list[Any] = []
    loop.call_soon(lambda: seen.append(asyncio.current_task()))
    await asyncio.sleep(0)
    assert seen == [None]
    assert asyncio.current_task() is current


async def test_cancellation_can_be_caught_cleaned_up_and_passed_on(loop: AbstractEventLoop) -> None:
    steps: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            steps.append("cleaned up")
            raise

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel("enough")
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()
    assert steps == ["cleaned up"]


async def test_a_group_cancels_the_others_when_one_fails(loop: AbstractEventLoop) -> None:
    cancelled: list[bool] = []

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(True)

    async def fail() -> None:
        await asyncio.sleep(0)
        raise LookupError

    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(wait())
            group.create_task(fail())

    with pytest.raises(ExceptionGroup) as raised:
        await work()
    assert raised.group_contains(LookupError)
    assert cancelled == [True]


async def test_ten_thousand_tasks_at_once(loop: AbstractEventLoop) -> None:
    async def count() -> int:
        await asyncio.sleep(0)
        return 1

    assert sum(await asyncio.gather(*(count() for _ in range(10_000)))) == 10_000


async def test_a_deep_chain_of_awaits(loop: AbstractEventLoop) -> None:
    async def descend(depth: int) -> int:
        return await asyncio.create_task(descend(depth - 1)) + 1 if depth else 0

    assert await descend(500) == 500


async def test_primitives_hand_over_in_order(loop: AbstractEventLoop) -> None:
    order: list[int] = []
    lock, queue = asyncio.Lock(), asyncio.Queue[int](maxsize=1)

    async def enter(n: int) -> None:
        async with lock:
            await queue.put(n)

    tasks = [asyncio.create_task(enter(n)) for n in range(10)]
    for _ in tasks:
        order.append(await queue.get())
    assert order == list(range(10))
