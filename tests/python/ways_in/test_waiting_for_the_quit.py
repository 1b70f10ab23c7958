"""Programs that wait for the application's quit themselves, and go on when it comes."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import qtloop

from ..support.loops import LoopFactory, qt_core


async def in_a_group(event: asyncio.Event) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(event.wait())


async def in_a_nest(event: asyncio.Event) -> None:
    await asyncio.wait_for(asyncio.gather(asyncio.wait_for(asyncio.shield(event.wait()), 60)), 60)


async def in_emissions(event: asyncio.Event) -> None:
    async with qtloop.emissions(application().aboutToQuit) as emissions:
        await anext(emissions)


Wait = Callable[[asyncio.Event], Awaitable[Any]]

WAYS: dict[str, Wait] = {
    "plain": lambda event: event.wait(),
    "with a timeout": lambda event: asyncio.wait_for(event.wait(), 60),
    "gathered": lambda event: asyncio.gather(event.wait(), asyncio.sleep(0)),
    "in a group": in_a_group,
    "in a nest": in_a_nest,
    "first of two": lambda event: asyncio.wait([asyncio.ensure_future(event.wait())], timeout=60),
    "emitted": lambda event: qtloop.emitted(application().aboutToQuit),
    "emissions": in_emissions,
}

QUITS: dict[str, Callable[[], Any]] = {
    "quit": lambda: application().quit(),
    "exit": lambda: application().exit(0),
    "posted": lambda: application().postEvent(
        application(), qt_core.QEvent(qt_core.QEvent.Type(20))
    ),
}


def application() -> Any:
    return qt_core.QCoreApplication.instance()


def quit_soon(quit: Callable[[], Any]) -> None:
    """By Qt, and not by a callback of the loop's."""
    timer = qt_core.QTimer(application())
    timer.setSingleShot(True)
    timer.timeout.connect(quit)
    timer.timeout.connect(timer.deleteLater)
    timer.start(2)


async def main(way: Wait, quit: Callable[[], Any], steps: list[str]) -> str:
    event = asyncio.Event()
    application().aboutToQuit.connect(event.set)
    try:
        quit_soon(quit)
        await way(event)
        steps.append("woken")
        await asyncio.sleep(0.005)
        await asyncio.to_thread(steps.append, "cleaned up")
    except asyncio.CancelledError:
        steps.append("cancelled")
        raise
    finally:
        application().aboutToQuit.disconnect(event.set)
    return "result"


@pytest.mark.parametrize("quit", QUITS)
@pytest.mark.parametrize("way", WAYS)
def test_it_goes_on_and_ends_by_itself(qt_loop_factory: LoopFactory, way: str, quit: str) -> None:
    steps: list[str] = []
    program = main(WAYS[way], QUITS[quit], steps)
    assert qtloop.run(program, loop_factory=qt_loop_factory) == "result"  # type: ignore[arg-type]
    assert steps == ["woken", "cleaned up"]


@pytest.mark.parametrize("way", WAYS)
def test_so_does_a_runners_main(qt_loop_factory: LoopFactory, way: str) -> None:
    steps: list[str] = []
    with asyncio.Runner(loop_factory=qt_loop_factory) as runner:
        assert runner.run(main(WAYS[way], QUITS["quit"], steps)) == "result"
        assert runner.run(main(WAYS[way], QUITS["exit"], steps)) == "result"
    assert steps == ["woken", "cleaned up"] * 2


def test_a_task_may_end_just_before_the_quit(qt_loop_factory: LoopFactory) -> None:
    """The loop knows that it is to stop, but its slice is spent before it does."""

    async def end(done: list[int]) -> str:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, qtloop.EventLoop)
        loop.slice = 1e-9
        task = asyncio.current_task()
        assert task is not None
        task.add_done_callback(lambda _task: application().exit(0))
        for number in range(2_000):
            task.add_done_callback(lambda _task, number=number: done.append(number))
        return "result"

    done: list[int] = []
    with asyncio.Runner(loop_factory=qt_loop_factory) as runner:
        assert runner.run(end(done)) == "result"
    assert done == list(range(2_000))


def test_a_loop_that_was_to_stop_before_the_quit_cancels_nothing(
    qt_loop_factory: LoopFactory,
) -> None:
    done: list[None] = []
    with asyncio.Runner(loop_factory=qt_loop_factory) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, qtloop.EventLoop)
        loop.slice = 1e-9
        waiting = loop.create_task(give_way())
        loop.call_soon(loop.stop)
        loop.call_soon(application().exit, 0)
        for _ in range(2_000):
            loop.call_soon(done.append, None)
        with pytest.raises(RuntimeError, match="Event loop stopped before Future completed"):
            loop.run_until_complete(waiting)
        assert not waiting.cancelling()
        waiting.cancel()
    assert len(done) == 2_000


def test_the_exit_code_is_the_applications_if_main_returns_none(
    qt_loop_factory: LoopFactory,
) -> None:
    async def wait() -> None:
        await main(WAYS["plain"], lambda: application().exit(3), [])

    with pytest.raises(SystemExit) as raised:
        qtloop.run(wait(), loop_factory=qt_loop_factory)  # type: ignore[arg-type]
    assert raised.value.code == 3


def test_a_future_that_is_no_task_may_be_done_by_the_quit(qt_loop_factory: LoopFactory) -> None:
    with asyncio.Runner(loop_factory=qt_loop_factory) as runner:
        loop = runner.get_loop()
        event = asyncio.Event()
        application().aboutToQuit.connect(event.set)

        async def gathered() -> Any:
            return asyncio.gather(event.wait(), event.wait())

        waiting = runner.run(gathered())
        loop.call_soon(quit_soon, QUITS["quit"])
        assert loop.run_until_complete(waiting) == [True, True]
        application().aboutToQuit.disconnect(event.set)


NOT_WOKEN: dict[str, Callable[[], Awaitable[Any]]] = {
    "it waits for something else": lambda: asyncio.Event().wait(),
    "it gives way to others for ever": lambda: give_way(),
    "it sleeps": lambda: asyncio.sleep(60),
}


async def give_way() -> None:
    while True:
        await asyncio.sleep(0)


@pytest.mark.parametrize("case", NOT_WOKEN)
def test_what_the_quit_does_not_wake_is_cancelled_at_once(
    qt_loop_factory: LoopFactory, case: str
) -> None:
    async def wait() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, qtloop.EventLoop)
        loop.quit_grace = 3600
        busy = asyncio.ensure_future(give_way())
        quit_soon(QUITS["quit"])
        try:
            await NOT_WOKEN[case]()
        finally:
            busy.cancel()

    assert qtloop.run(wait(), loop_factory=qt_loop_factory) is None  # type: ignore[arg-type]


def test_what_is_woken_and_does_not_end_is_cancelled_in_the_end(
    qt_loop_factory: LoopFactory,
) -> None:
    steps: list[str] = []

    async def again(event: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, qtloop.EventLoop)
        loop.quit_grace = 0.01
        await event.wait()
        steps.append("waits again")
        await asyncio.Event().wait()

    program = main(again, QUITS["quit"], steps)
    assert qtloop.run(program, loop_factory=qt_loop_factory) is None  # type: ignore[arg-type]
    assert steps == ["waits again", "cancelled"]
