"""Handles of `call_soon_threadsafe`: from Python 3.14 any thread may cancel them, and waits if they
run."""

import asyncio
import sys
import threading
from asyncio import AbstractEventLoop
from typing import Any

import pytest

from ..support.loops import nothing

blocks = pytest.mark.skipif(
    sys.version_info < (3, 14), reason="such handles are new in Python 3.14"
)


async def in_thread(call: Any) -> Any:
    """Calls in another thread than the loop's and that of the default executor."""
    loop = asyncio.get_running_loop()
    future = loop.create_future()

    def work() -> None:
        result = call()
        loop.call_soon_threadsafe(future.set_result, result)

    thread = threading.Thread(target=work)
    thread.start()
    result = await future
    thread.join()
    return result


async def test_one_that_another_thread_cancels_does_not_run(loop: AbstractEventLoop) -> None:
    ran: list[int] = []

    def schedule_and_cancel() -> bool:
        handle = loop.call_soon_threadsafe(ran.append, 1)
        handle.cancel()
        return handle.cancelled()

    # The loop must not come to it before it is cancelled.
    is_cancelled: list[bool] = []
    thread = threading.Thread(target=lambda: is_cancelled.append(schedule_and_cancel()))
    thread.start()
    thread.join()
    for _ in range(3):
        await asyncio.sleep(0)
    assert is_cancelled == [True] and ran == []


@blocks
@pytest.mark.parametrize("what", ["cancel", "cancelled"])
async def test_a_thread_waits_until_the_callback_has_ended(
    loop: AbstractEventLoop, what: str
) -> None:
    path: list[str] = []
    began, may_end = threading.Event(), threading.Event()

    def callback() -> None:
        began.set()
        may_end.wait(20)
        path.append("the callback ended")

    handle = loop.call_soon_threadsafe(callback)

    def ask() -> None:
        began.wait(20)
        # The other thread is in the call, as far as can be known, when the callback may end.
        threading.Timer(0.05, may_end.set).start()
        getattr(handle, what)()
        path.append("the other thread went on")

    await in_thread(ask)
    assert path == ["the callback ended", "the other thread went on"]
    assert handle.cancelled() == (what == "cancel")


@blocks
async def test_the_callback_itself_does_not_wait(loop: AbstractEventLoop) -> None:
    done = loop.create_future()
    handles: list[asyncio.Handle] = []

    def callback() -> None:
        handles[0].cancel()
        done.set_result(handles[0].cancelled())

    handles.append(loop.call_soon_threadsafe(callback))
    assert await done


@blocks
@pytest.mark.parametrize("debug", [False, True])
async def test_the_lock_is_free_after_a_callback_that_fails(
    loop: AbstractEventLoop, errors: list[Any], debug: bool
) -> None:
    loop.set_debug(debug)
    handle = loop.call_soon_threadsafe(lambda: 1 / 0)
    await asyncio.sleep(0.001)
    assert isinstance(errors.pop()["exception"], ZeroDivisionError)
    assert await in_thread(handle.cancelled) is False


def test_what_it_is(loop: AbstractEventLoop, stock_loop: AbstractEventLoop) -> None:
    ours, theirs = (each.call_soon_threadsafe(nothing) for each in (loop, stock_loop))
    assert isinstance(ours, type(theirs))
    assert {*dir(theirs)} <= {*dir(ours)}
    ours.cancel()
    theirs.cancel()
    # The class's own name is another one.
    assert repr(ours).split(maxsplit=1)[1] == repr(theirs).split(maxsplit=1)[1]


async def test_many_that_threads_schedule_and_cancel(loop: AbstractEventLoop) -> None:
    """Each runs or is cancelled; memory is reused meanwhile."""
    ran: list[int] = []

    def work() -> int:
        cancelled = 0
        for n in range(2_000):
            handle = loop.call_soon_threadsafe(ran.append, n)
            if n % 2:
                handle.cancel()
                cancelled += 1
        return cancelled

    cancelled = sum(await asyncio.gather(*(in_thread(work) for _ in range(3))))
    await asyncio.sleep(0.001)
    assert cancelled == 3_000
    assert len([n for n in ran if n % 2 == 0]) == 3_000
