"""Nothing is left behind: loops, handles, fds and Qt objects are freed when they are done with."""

import asyncio
import gc
import os
import weakref
from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Any

import pytest

from qtloop import EventLoop

from ..support.loops import LoopFactory, nothing, opened, qt_core, run_briefly


def open_fds() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


async def some_work() -> None:
    loop = asyncio.get_running_loop()
    reader, writer = os.pipe()
    loop.add_reader(reader, nothing)
    await asyncio.gather(asyncio.sleep(0), asyncio.sleep(0.0005))
    await asyncio.to_thread(nothing)
    loop.remove_reader(reader)
    os.close(reader)
    os.close(writer)


def use(factory: LoopFactory) -> weakref.ref[AbstractEventLoop]:
    with opened(factory) as loop:
        loop.run_until_complete(some_work())
        return weakref.ref(loop)


def test_a_closed_loop_is_freed(loop_factory: LoopFactory) -> None:
    reference = use(loop_factory)
    gc.collect()
    assert reference() is None


HOLDERS: dict[str, Callable[[Any], Any]] = {
    "call_soon": lambda loop: loop.call_soon(lambda: loop),
    "call_soon_threadsafe": lambda loop: loop.call_soon_threadsafe(lambda: loop),
    "call_later": lambda loop: loop.call_later(100, lambda: loop),
    "add_reader": lambda loop: loop.add_reader(loop._ssock.dup(), lambda: loop),
    "task": lambda loop: loop.create_task(asyncio.sleep(100)),
    "attribute": lambda loop: setattr(loop, "itself", loop),
    "exception handler": lambda loop: loop.set_exception_handler(lambda *_: loop),
}


@pytest.mark.parametrize("hold", HOLDERS.values(), ids=HOLDERS)
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning", "ignore:coroutine:RuntimeWarning")
def test_a_forgotten_loop_is_collected(
    loop_factory: LoopFactory, hold: Callable[[Any], Any]
) -> None:
    """Whatever is scheduled on it refers to it, and it to that."""
    loop: Any = loop_factory()
    run_briefly(loop)
    hold(loop)
    reference = weakref.ref(loop)
    del loop
    gc.collect()
    assert reference() is None


def test_a_loop_that_refers_to_itself_is_freed_once_closed(loop_factory: LoopFactory) -> None:
    loop: Any = loop_factory()
    loop.itself = loop
    loop.set_exception_handler(lambda loop, context: None)
    loop.set_task_factory(lambda loop, coro, **kwargs: asyncio.Task(coro, loop=loop, **kwargs))
    loop.run_until_complete(some_work())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    reference = weakref.ref(loop)
    del loop
    gc.collect()
    assert reference() is None


def test_a_hundred_loops_leave_no_fd_behind(loop_factory: LoopFactory) -> None:
    use(loop_factory)
    before = open_fds()
    for _ in range(100):
        use(loop_factory)
    assert open_fds() == before


def test_a_closed_loop_holds_no_fd(loop_factory: LoopFactory) -> None:
    """Though somebody, such as a task that nobody forgets, still refers to the loop."""
    use(loop_factory)
    before = open_fds()
    loops = [loop_factory() for _ in range(10)]
    for loop in loops:
        run_briefly(loop)
        loop.close()
    assert open_fds() == before


def test_a_loop_that_cannot_be_made_leaves_no_fd_behind(qt_loop_factory: LoopFactory) -> None:
    use(qt_loop_factory)
    before = open_fds()
    for _ in range(10):
        with pytest.raises(ValueError, match="fds must be"):
            EventLoop(fds="nonsense")
        with pytest.raises(ValueError, match="host must be"):
            EventLoop(host="nonsense")
    assert open_fds() == before


def test_runs_leave_no_qt_object_behind(qt_loop_factory: LoopFactory, application: Any) -> None:
    """What a run makes lives in its thread; the thread's children and its timers are those of
    before."""

    def timers_and_notifiers() -> int:
        kinds = (qt_core.QTimer, qt_core.QSocketNotifier, qt_core.QEventLoop)
        gc.collect()
        return sum(isinstance(thing, kinds) for thing in gc.get_objects())

    with opened(qt_loop_factory) as loop:
        loop.run_until_complete(some_work())
        before = timers_and_notifiers(), len(application.children())
        for _ in range(20):
            loop.run_until_complete(some_work())
        assert (timers_and_notifiers(), len(application.children())) == before


def test_nothing_fires_between_runs(qt_loop: AbstractEventLoop, application: Any) -> None:
    """Whoever processes Qt's events must not run a callback of a loop that is not running."""
    ran: list[str] = []
    run_briefly(qt_loop)
    qt_loop.call_soon(ran.append, "soon")
    qt_loop.call_later(0, ran.append, "later")
    qt_loop.call_soon_threadsafe(ran.append, "threadsafe")
    for _ in range(10):
        application.processEvents()
    assert ran == []
    qt_loop.call_later(0.001, qt_loop.stop)
    qt_loop.run_forever()
    assert sorted(ran) == ["later", "soon", "threadsafe"]


SCHEDULERS: dict[str, Callable[[AbstractEventLoop, Any], Any]] = {
    "call_soon": lambda loop, call: loop.call_soon(call),
    "call_soon_threadsafe": lambda loop, call: loop.call_soon_threadsafe(call),
    "call_later": lambda loop, call: loop.call_later(100, call),
}


@pytest.mark.parametrize("schedule", SCHEDULERS.values(), ids=SCHEDULERS)
def test_closing_frees_what_was_scheduled(
    loop_factory: LoopFactory, schedule: Callable[[AbstractEventLoop, Any], Any]
) -> None:
    class Callback:
        def __call__(self) -> None: ...

    callback = Callback()
    reference = weakref.ref(callback)
    loop = loop_factory()
    schedule(loop, callback)
    del callback
    assert reference() is not None
    loop.close()
    gc.collect()
    assert reference() is None


def test_a_finished_task_is_freed_at_once(loop: AbstractEventLoop) -> None:
    async def main() -> weakref.ref[Any]:
        task = asyncio.ensure_future(asyncio.sleep(0))
        await task
        return weakref.ref(task)

    gc.disable()
    try:
        reference = loop.run_until_complete(main())
        run_briefly(loop)
        assert reference() is None
    finally:
        gc.enable()


def test_handles_do_not_pile_up(qt_loop: AbstractEventLoop) -> None:
    """Nothing counts up over many rounds of every kind of call."""

    def living() -> int:
        gc.collect()
        return sum(isinstance(thing, asyncio.Handle) for thing in gc.get_objects())

    def rounds(times: int) -> None:
        for _ in range(times):
            qt_loop.call_soon(nothing).cancel()
            qt_loop.call_later(100, nothing).cancel()
            qt_loop.call_later(0, nothing)
            qt_loop.call_soon_threadsafe(nothing)
        qt_loop.call_later(0.001, qt_loop.stop)
        qt_loop.run_forever()

    rounds(10)
    before = living()
    rounds(1_000)
    assert living() == before
