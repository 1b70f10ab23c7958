"""`qtloop.run` and its kin: results, errors, and what is cleaned up. Runners and policies."""

import asyncio
import threading
from asyncio import AbstractEventLoop
from typing import Any

import pytest

import qtloop

from ..support import child
from ..support.loops import NATIVE_HOSTS, LoopFactory, failure


def run(main: Any, factory: Any, **kwargs: Any) -> Any:
    return qtloop.run(main, loop_factory=factory, **kwargs)


def test_the_result_is_returned(qt_loop_factory: LoopFactory) -> None:
    assert run(asyncio.sleep(0.001, "result"), qt_loop_factory) == "result"


def test_an_exception_is_raised(qt_loop_factory: LoopFactory) -> None:
    async def main() -> None:
        await asyncio.sleep(0)
        raise LookupError("from main")

    with pytest.raises(LookupError, match="from main"):
        run(main(), qt_loop_factory)


def test_a_cancellation_of_mains_own_is_raised(qt_loop_factory: LoopFactory) -> None:
    async def main() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        run(main(), qt_loop_factory)


def test_an_exit_keeps_its_code(qt_loop_factory: LoopFactory) -> None:
    async def main() -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit) as raised:
        run(main(), qt_loop_factory)
    assert raised.value.code == 3


@pytest.mark.parametrize("debug", [False, True])
def test_debug_mode_is_passed_on(qt_loop_factory: LoopFactory, debug: bool) -> None:
    async def main() -> bool:
        return asyncio.get_running_loop().get_debug()

    assert run(main(), qt_loop_factory, debug=debug) is debug


def test_tasks_left_over_are_cancelled_and_cleaned_up(qt_loop_factory: LoopFactory) -> None:
    cleaned: list[str] = []

    async def linger() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.001)
            cleaned.append("task")

    async def main() -> None:
        kept.append(asyncio.ensure_future(linger()))
        await asyncio.sleep(0)

    kept: list[Any] = []
    run(main(), qt_loop_factory)
    assert cleaned == ["task"]
    assert kept[0].cancelled()


def test_the_loop_is_closed_and_gone(qt_loop_factory: LoopFactory) -> None:
    async def main() -> AbstractEventLoop:
        return asyncio.get_running_loop()

    loop = run(main(), qt_loop_factory)
    assert isinstance(loop, qtloop.EventLoop)
    assert loop.is_closed()
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()


@pytest.mark.parametrize("main", [None, 5, lambda: None])
def test_what_is_no_coroutine_is_refused_as_by_asyncio(
    qt_loop_factory: LoopFactory, main: Any
) -> None:
    expected = failure(lambda: asyncio.run(main))
    assert expected is not None
    assert failure(lambda: run(main, qt_loop_factory)) == expected


def test_it_cannot_be_called_where_a_loop_runs(qt_loop_factory: LoopFactory) -> None:
    async def main() -> None:
        inner = asyncio.sleep(0)
        with pytest.raises(
            RuntimeError, match=r"qtloop\.run\(\) cannot be called from a running event loop"
        ):
            run(inner, qt_loop_factory)
        inner.close()

    run(main(), qt_loop_factory)


def test_a_loop_in_another_thread_is_run_as_well(qt_loop_factory: LoopFactory) -> None:
    results: list[Any] = []
    thread = threading.Thread(
        target=lambda: results.append(run(asyncio.sleep(0.001, "in a thread"), qt_loop_factory))
    )
    thread.start()
    thread.join()
    assert results == ["in a thread"]


def test_install_makes_asyncio_run_on_qt(name: str) -> None:
    outcome = child.run(
        """
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        qtloop.install()

        async def main():
            await asyncio.sleep(0.001)
            process = await asyncio.create_subprocess_exec("true")
            return type(asyncio.get_running_loop()).__name__, await process.wait()

        print(*asyncio.run(main()))
        with asyncio.Runner() as runner:
            print(*runner.run(main()))
        loop = asyncio.new_event_loop()
        print(isinstance(loop, qtloop.EventLoop))
        loop.close()
        """,
        name,
    )
    assert (outcome.code, outcome.out) == (0, "EventLoop 0\nEventLoop 0\nTrue\n"), outcome.err


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_policys_loops_are_qtloops() -> None:
    policy = qtloop.EventLoopPolicy()
    loop = policy.new_event_loop()
    assert isinstance(loop, qtloop.EventLoop)
    loop.close()


def test_new_event_loop_takes_the_best_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QTLOOP_HOST", raising=False)
    monkeypatch.delenv("QTLOOP_FD", raising=False)
    loop = qtloop.new_event_loop()
    assert (loop.host, loop.fds) == ("qt" if NATIVE_HOSTS else "binding", qtloop._core.POLLER)
    loop.close()
