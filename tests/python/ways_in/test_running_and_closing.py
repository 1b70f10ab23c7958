"""Running, stopping and closing: what is allowed when, and what a loop leaves behind in its
thread."""

import asyncio
import gc
import sys
import threading
from asyncio import AbstractEventLoop
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from qtloop import EventLoop

from ..support import child
from ..support.loops import LoopFactory, failure, nothing, opened, run_briefly


async def _return(value: int = 0) -> int:
    return value


def test_a_stop_before_the_run_makes_it_one_iteration_long(loop: AbstractEventLoop) -> None:
    ran: list[str] = []
    loop.call_soon(lambda: (ran.append("first"), loop.call_soon(ran.append, "second")))
    loop.stop()
    loop.run_forever()
    assert ran == ["first"]
    loop.stop()
    loop.run_forever()
    assert ran == ["first", "second"]


def test_a_stop_before_the_run_ends_one_that_has_nothing_to_do(loop: AbstractEventLoop) -> None:
    loop.stop()
    loop.run_forever()
    assert not loop.is_running()


def test_stopping_twice_stops_once(loop: AbstractEventLoop) -> None:
    ran: list[str] = []
    loop.call_soon(loop.stop)
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.call_soon(lambda: loop.call_soon(lambda: (ran.append("second iteration"), loop.stop())))
    loop.run_forever()
    assert ran == ["second iteration"]


def test_a_loop_can_be_run_again_and_again(loop: AbstractEventLoop) -> None:
    assert [loop.run_until_complete(_return(n)) for n in range(100)] == list(range(100))


def test_work_left_over_by_a_run_is_done_in_the_next(loop: AbstractEventLoop) -> None:
    ran: list[str] = []

    async def main() -> None:
        await asyncio.sleep(0.002)
        ran.append("finished")
        loop.stop()

    task = loop.create_task(main())
    run_briefly(loop)
    assert not task.done()
    loop.run_forever()
    assert task.done()
    assert ran == ["finished"]


def test_running_is_only_reported_while_it_is_so(loop: AbstractEventLoop) -> None:
    seen: list[tuple[bool, AbstractEventLoop]] = []
    loop.call_soon(lambda: seen.append((loop.is_running(), asyncio.get_running_loop())))
    run_briefly(loop)
    assert seen == [(True, loop)]
    assert not loop.is_running()
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()


NESTED: dict[str, Callable[[AbstractEventLoop], Any]] = {
    "run_forever": lambda loop: loop.run_forever(),
    "run_until_complete": lambda loop: loop.run_until_complete(loop.create_future()),
    "close": lambda loop: loop.close(),
}


@pytest.mark.parametrize("call", NESTED.values(), ids=NESTED)
def test_a_running_loop_refuses_as_on_stock(
    qt_loop: AbstractEventLoop,
    stock_loop: AbstractEventLoop,
    call: Callable[[AbstractEventLoop], Any],
) -> None:
    def outcome(loop: AbstractEventLoop, called: AbstractEventLoop) -> Any:
        outcomes: list[Any] = []
        loop.call_soon(lambda: outcomes.append(failure(lambda: call(called))))
        run_briefly(loop)
        return outcomes[0]

    expected = outcome(stock_loop, stock_loop)
    assert expected[0] is RuntimeError
    assert outcome(qt_loop, qt_loop) == expected


@pytest.mark.parametrize("method", ["run_forever", "run_until_complete"])
def test_a_second_loop_on_the_thread_is_refused(
    qt_loop: AbstractEventLoop, stock_loop: AbstractEventLoop, method: str
) -> None:
    def outcome(outer: AbstractEventLoop, inner: AbstractEventLoop) -> Any:
        arguments = (inner.create_future(),) if method == "run_until_complete" else ()
        outcomes: list[Any] = []
        outer.call_soon(
            lambda: outcomes.append(failure(lambda: getattr(inner, method)(*arguments)))
        )
        run_briefly(outer)
        return outcomes[0]

    expected = (RuntimeError, "Cannot run the event loop while another loop is running")
    assert outcome(stock_loop, qt_loop) == expected
    assert outcome(qt_loop, stock_loop) == expected


def test_a_refused_run_does_not_disturb_the_running_one(qt_loop: AbstractEventLoop) -> None:
    ran: list[str] = []

    def attempt() -> None:
        with pytest.raises(RuntimeError):
            qt_loop.run_forever()
        assert asyncio.get_running_loop() is qt_loop
        qt_loop.call_later(0.001, lambda: (ran.append("still running"), qt_loop.stop()))

    qt_loop.call_soon(attempt)
    qt_loop.run_forever()
    assert ran == ["still running"]


def test_closing_twice_is_fine(loop_factory: LoopFactory) -> None:
    loop = loop_factory()
    loop.close()
    loop.close()
    assert loop.is_closed()


CLOSED: dict[str, Callable[[AbstractEventLoop], Any]] = {
    "run_forever": lambda loop: loop.run_forever(),
    "run_until_complete": lambda loop: loop.run_until_complete(loop.create_future()),
    "run_in_executor": lambda loop: loop.run_in_executor(None, nothing),
    "stop": lambda loop: loop.stop(),
    "time": lambda loop: loop.time() > 0,
    "is_running": lambda loop: loop.is_running(),
    "get_debug": lambda loop: loop.get_debug(),
    "set_debug": lambda loop: loop.set_debug(False),
    "repr": lambda loop: repr(loop),
    "exception handler": lambda loop: loop.call_exception_handler({"message": "on a closed loop"}),
}


@pytest.mark.parametrize("call", CLOSED.values(), ids=CLOSED)
def test_a_closed_loop_does_and_refuses_what_stock_does(
    qt_loop_factory: LoopFactory,
    loop_factory: LoopFactory,
    call: Callable[[AbstractEventLoop], Any],
) -> None:
    ours, stock = qt_loop_factory(), asyncio.SelectorEventLoop()
    ours.close()
    stock.close()
    assert failure(lambda: call(ours)) == failure(lambda: call(stock))


def test_what_is_pending_when_the_loop_closes_is_dropped(loop_factory: LoopFactory) -> None:
    ran: list[str] = []
    loop = loop_factory()
    loop.call_soon(ran.append, "soon")
    loop.call_soon_threadsafe(ran.append, "threadsafe")
    loop.call_later(0, ran.append, "later")
    loop.close()
    with pytest.raises(RuntimeError, match=r"^Event loop is closed$"):
        loop.run_forever()
    assert ran == []


def test_a_loop_that_was_never_closed_warns(loop_factory: LoopFactory) -> None:
    box = [loop_factory()]

    def forget() -> None:
        box.clear()
        gc.collect()

    with pytest.warns(ResourceWarning, match="unclosed event loop"):
        forget()


def test_a_forgotten_loop_only_warns_though_its_sockets_were_finalized_first(
    qt_loop_factory: LoopFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The garbage collector finalizes what it has found in any order."""
    seen: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", seen.append)
    box: list[Any] = [qt_loop_factory()]
    for sock in (box[0]._ssock, box[0]._csock):
        sock.close()
    del sock
    with pytest.warns(ResourceWarning, match="unclosed event loop"):
        box.clear()
        gc.collect()
    assert seen == []


FORGETFUL = """
    import asyncio, gc, qtloop, warnings
    with warnings.catch_warnings():
        # Policies are deprecated from Python 3.14 on.
        warnings.simplefilter("ignore", DeprecationWarning)
        asyncio.set_event_loop_policy({policy})
    asyncio.new_event_loop()
    asyncio.new_event_loop().run_until_complete(asyncio.sleep(0))
    gc.collect()
    """


@pytest.mark.parametrize("policy", ["None", "qtloop.EventLoopPolicy()"])
def test_a_program_that_forgets_its_loops_says_no_more_than_that(policy: str) -> None:
    outcome = child.run_bare(FORGETFUL.format(policy=policy))
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")


def test_repr_tells_the_state(loop_factory: LoopFactory) -> None:
    loop = loop_factory()
    shown: list[str] = []
    loop.call_soon(lambda: shown.append(repr(loop)))
    shown.append(repr(loop))
    run_briefly(loop)
    loop.close()
    shown.append(repr(loop))
    states = [text.removeprefix(f"<{type(loop).__name__} ") for text in shown]
    assert states == [
        "running=False closed=False debug=False>",
        "running=True closed=False debug=False>",
        "running=False closed=True debug=False>",
    ]


def test_a_run_restores_the_async_generator_hooks(loop: AbstractEventLoop) -> None:
    before = sys.get_asyncgen_hooks()
    hooks: list[Any] = []
    loop.call_soon(lambda: hooks.append(sys.get_asyncgen_hooks()))
    run_briefly(loop)
    assert sys.get_asyncgen_hooks() == before != hooks[0]


def test_async_generators_are_shut_down(loop_factory: LoopFactory) -> None:
    closed: list[str] = []

    async def endless() -> AsyncIterator[int]:
        try:
            while True:
                yield 1
        finally:
            await asyncio.sleep(0)
            closed.append("generator")

    async def main() -> None:
        await anext(generator)

    generator = endless()
    loop = loop_factory()
    loop.run_until_complete(main())
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
    assert closed == ["generator"]


def test_a_forgotten_async_generator_is_closed_on_the_loop(loop: AbstractEventLoop) -> None:
    closed = asyncio.Event()

    async def endless() -> AsyncIterator[int]:
        try:
            while True:
                yield 1
        finally:
            await asyncio.sleep(0)
            closed.set()

    async def main() -> None:
        await anext(endless())
        await closed.wait()

    loop.run_until_complete(main())
    assert closed.is_set()


def test_the_default_executor_is_shut_down(loop_factory: LoopFactory) -> None:
    threads: list[threading.Thread] = []
    loop = loop_factory()
    loop.run_until_complete(
        loop.run_in_executor(None, lambda: threads.append(threading.current_thread()))
    )
    assert threads[0].is_alive()
    loop.run_until_complete(loop.shutdown_default_executor())
    assert not threads[0].is_alive()
    with pytest.raises(RuntimeError, match="Executor shutdown has been called"):
        loop.run_until_complete(loop.run_in_executor(None, nothing))
    loop.close()


def test_closing_does_not_wait_for_the_executor(loop_factory: LoopFactory) -> None:
    hold = threading.Event()
    with ThreadPoolExecutor(1) as executor:
        loop = loop_factory()
        loop.set_default_executor(executor)
        started = threading.Event()
        loop.run_in_executor(None, lambda: (started.set(), hold.wait(30)))
        assert started.wait(10)
        loop.close()
        hold.set()


def test_a_future_of_another_loop_is_refused(
    loop: AbstractEventLoop, stock_loop: AbstractEventLoop
) -> None:
    with pytest.raises(ValueError, match="The future belongs to a different loop"):
        loop.run_until_complete(stock_loop.create_future())


def test_a_loop_stopped_before_its_future_is_done_says_so(loop: AbstractEventLoop) -> None:
    loop.call_soon(loop.stop)
    with pytest.raises(RuntimeError, match=r"^Event loop stopped before Future completed\.$"):
        loop.run_until_complete(loop.create_future())


def test_an_exception_of_the_awaited_is_raised_and_not_logged(
    loop: AbstractEventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail() -> None:
        raise LookupError("raised")

    with pytest.raises(LookupError, match="raised"):
        loop.run_until_complete(fail())
    assert not caplog.records


def test_a_subclass_that_forgets_to_initialize_is_told_so() -> None:
    class Forgetful(EventLoop):
        def __init__(self) -> None: ...

    loop = Forgetful()
    for use in (loop.time, loop.metrics, lambda: loop.call_soon(nothing)):
        with pytest.raises(RuntimeError, match=r"EventLoop\.__init__\(\) was not called"):
            use()


def test_initializing_twice_is_refused(qt_loop_factory: LoopFactory) -> None:
    with opened(qt_loop_factory) as loop:
        with pytest.raises(RuntimeError, match=r"EventLoop\.__init__\(\) was called twice"):
            loop.__init__()  # type: ignore[misc]
        assert loop.run_until_complete(_return(5)) == 5
