"""What it costs to run a callback, a task step, a timer."""

from __future__ import annotations

import asyncio

from benches.timing import rate
from benches.workload import Group, Metrics, workload

SCHEDULING = Group(
    "Scheduling",
    "Callbacks, task steps and timers a second. `call-soon-chain`: each callback schedules the "
    "next; "
    "`call-soon-burst`: 100,000 scheduled at once, then run; `sleep0`: one task in a loop of "
    "`sleep(0)`; "
    "`sleep0-1000-tasks`: a thousand of them; `task-create`: `create_task` of a trivial coroutine, "
    "awaited; "
    "`timers-cancelled`: `call_later`, nine of ten cancelled, the tenth fires; `wait-for`: "
    "`wait_for(sleep(0), 10)`.",
)

CHUNK = 20_000
BURST = 100_000
TASKS = 1_000
SMALL_CHUNK = 5_000


@workload("call-soon-chain", SCHEDULING)
async def call_soon_chain(seconds: float) -> Metrics:
    loop = asyncio.get_running_loop()

    def chain() -> asyncio.Future[None]:
        done = loop.create_future()
        left = CHUNK

        def step() -> None:
            nonlocal left
            left -= 1
            if left:
                loop.call_soon(step)
            else:
                done.set_result(None)

        loop.call_soon(step)
        return done

    return await rate(chain, CHUNK, seconds)


@workload("call-soon-burst", SCHEDULING)
async def call_soon_burst(seconds: float) -> Metrics:
    loop = asyncio.get_running_loop()

    def burst() -> asyncio.Future[None]:
        done = loop.create_future()
        for _ in range(BURST - 1):
            loop.call_soon(_nothing)
        loop.call_soon(done.set_result, None)
        return done

    return await rate(burst, BURST, seconds)


@workload("sleep0", SCHEDULING)
async def sleep0(seconds: float) -> Metrics:
    return await rate(lambda: _sleeps(CHUNK), CHUNK, seconds)


@workload("sleep0-1000-tasks", SCHEDULING)
async def sleep0_in_tasks(seconds: float) -> Metrics:
    async def crowd() -> None:
        await asyncio.gather(*(_sleeps(CHUNK // TASKS) for _ in range(TASKS)))

    return await rate(crowd, CHUNK, seconds)


@workload("task-create", SCHEDULING)
async def task_create(seconds: float) -> Metrics:
    loop = asyncio.get_running_loop()

    async def create() -> None:
        for _ in range(SMALL_CHUNK):
            await loop.create_task(_trivial())

    return await rate(create, SMALL_CHUNK, seconds)


@workload("timers-cancelled", SCHEDULING)
async def timers_cancelled(seconds: float) -> Metrics:
    """The deadlines of those that fire are over before the last is set, so that nothing is waited
    for."""
    loop = asyncio.get_running_loop()

    def timers() -> asyncio.Future[None]:
        done = loop.create_future()
        left = SMALL_CHUNK // 10

        def fire() -> None:
            nonlocal left
            left -= 1
            if not left:
                done.set_result(None)

        for number in range(SMALL_CHUNK // 10):
            for place in range(9):
                loop.call_later(10 + place, _nothing).cancel()
            loop.call_later(number * 1e-6, fire)
        return done

    return await rate(timers, SMALL_CHUNK, seconds)


@workload("wait-for", SCHEDULING)
async def wait_for(seconds: float) -> Metrics:
    async def waits() -> None:
        for _ in range(SMALL_CHUNK):
            await asyncio.wait_for(asyncio.sleep(0), 10)

    return await rate(waits, SMALL_CHUNK, seconds)


async def _sleeps(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def _trivial() -> None:
    pass


def _nothing() -> None:
    pass
