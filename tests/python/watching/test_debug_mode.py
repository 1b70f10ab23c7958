"""Debug mode: what is slow, forgotten or wrongly done is named, with the place where it came
from."""

import asyncio
import gc
import logging
import sys
import time
from asyncio import AbstractEventLoop
from typing import Any

import pytest

from ..support.loops import Errors, LoopFactory, nothing, opened, run_briefly


@pytest.fixture
def debug_loop(loop: AbstractEventLoop) -> AbstractEventLoop:
    loop.set_debug(True)
    return loop


def work_for(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def slow() -> None:
    work_for(0.02)


def slow_warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "took" in record.getMessage()]


def test_a_slow_callback_is_named(
    debug_loop: AbstractEventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    debug_loop.slow_callback_duration = 0.01
    debug_loop.call_soon(slow)
    debug_loop.call_soon(nothing)
    run_briefly(debug_loop)
    (message,) = slow_warnings(caplog)
    assert message.startswith("Executing <Handle slow() at ")
    assert f"created at {__file__}" in message
    assert float(message.split()[-2]) >= 0.02


def test_a_slow_callback_that_cancels_itself_is_named_too(
    debug_loop: AbstractEventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    def cancel_and_dawdle() -> None:
        handle.cancel()
        slow()

    debug_loop.slow_callback_duration = 0.01
    handle = debug_loop.call_soon(cancel_and_dawdle)
    run_briefly(debug_loop)
    (message,) = slow_warnings(caplog)
    assert "cancel_and_dawdle" in message


def test_a_slow_task_is_named(
    debug_loop: AbstractEventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        slow()

    debug_loop.slow_callback_duration = 0.01
    debug_loop.run_until_complete(debug_loop.create_task(main(), name="dawdler"))
    (message,) = slow_warnings(caplog)
    assert "name='dawdler'" in message


def test_what_is_fast_enough_is_not_named(
    debug_loop: AbstractEventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    debug_loop.slow_callback_duration = 10
    debug_loop.call_soon(slow)
    run_briefly(debug_loop)
    assert not slow_warnings(caplog)


def test_without_debug_mode_nothing_is_named(
    loop: AbstractEventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    loop.slow_callback_duration = 0
    loop.call_soon(slow)
    run_briefly(loop)
    assert not slow_warnings(caplog)


def test_an_exception_comes_with_the_place_of_the_scheduling(
    debug_loop: AbstractEventLoop, errors: Errors
) -> None:
    debug_loop.call_soon(lambda: 1 / 0)
    run_briefly(debug_loop)
    context = errors.pop()
    innermost = context["source_traceback"][-1]
    assert innermost.filename == __file__
    assert innermost.name == "test_an_exception_comes_with_the_place_of_the_scheduling"


@pytest.mark.parametrize("method", ["call_soon", "call_soon_threadsafe", "call_later", "call_at"])
def test_every_handle_knows_where_it_was_made(debug_loop: AbstractEventLoop, method: str) -> None:
    when = {"call_later": (0,), "call_at": (debug_loop.time(),)}.get(method, ())
    handle: Any = getattr(debug_loop, method)(*when, nothing)
    assert handle._source_traceback[-1].name == "test_every_handle_knows_where_it_was_made"


def test_coroutine_origins_are_tracked_during_the_run_only(debug_loop: AbstractEventLoop) -> None:
    depths: list[int] = []
    before = sys.get_coroutine_origin_tracking_depth()
    debug_loop.call_soon(lambda: depths.append(sys.get_coroutine_origin_tracking_depth()))
    run_briefly(debug_loop)
    assert depths[0] > 0
    assert sys.get_coroutine_origin_tracking_depth() == before


def test_debug_mode_can_be_switched_while_the_loop_runs(loop: AbstractEventLoop) -> None:
    """The tracking follows in the next iteration."""
    depths: list[int] = []

    async def main() -> None:
        for debug in (True, False):
            loop.set_debug(debug)
            await asyncio.sleep(0)
            depths.append(sys.get_coroutine_origin_tracking_depth())

    loop.run_until_complete(main())
    assert depths[0] > 0
    assert depths[1] == 0


def test_a_coroutine_that_is_never_awaited_is_traced(debug_loop: AbstractEventLoop) -> None:
    async def forgotten() -> None: ...

    async def main() -> None:
        forgotten()  # type: ignore[unused-coroutine]

    with pytest.warns(RuntimeWarning, match=r"forgotten' was never awaited\nCoroutine created at"):
        debug_loop.run_until_complete(main())


def test_a_task_destroyed_while_pending_is_reported(loop_factory: LoopFactory) -> None:
    reports: list[dict[str, Any]] = []

    async def wait(future: asyncio.Future[None]) -> None:
        await future

    with opened(loop_factory) as loop:
        loop.set_debug(True)
        loop.set_exception_handler(lambda loop, context: reports.append(context))
        loop.create_task(wait(loop.create_future()), name="pending")
        run_briefly(loop)
        gc.collect()
    (report,) = reports
    assert report["message"] == "Task was destroyed but it is pending!"
    assert report["task"].get_name() == "pending"
    assert report["source_traceback"][-1].name == "test_a_task_destroyed_while_pending_is_reported"


def test_an_exception_nobody_asked_for_is_reported(loop: AbstractEventLoop, errors: Errors) -> None:
    async def fail() -> None:
        raise LookupError("unheard")

    task = loop.create_task(fail())
    run_briefly(loop)
    run_briefly(loop)
    assert task.done()
    del task
    context = errors.pop()
    assert context["message"] == "Task exception was never retrieved"
    assert str(context["exception"]) == "unheard"


def test_the_environment_switches_debug_mode_on(
    loop_factory: LoopFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")
    with opened(loop_factory) as loop:
        assert loop.get_debug()


def test_debug_mode_logs_nothing_of_its_own(
    debug_loop: AbstractEventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    debug_loop.slow_callback_duration = 10
    with caplog.at_level(logging.WARNING):
        debug_loop.run_until_complete(asyncio.sleep(0.001))
    assert not caplog.records
