"""What `call_soon` promises: order, iterations, contexts, and that bad calls fail as on stock
asyncio."""

import asyncio
import contextvars
import socket
from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Any

import pytest

from qtloop import EventLoop

from ..support.loops import EVERY_LOOP, Errors, LoopFactory, failure, nothing, opened, run_briefly

name = contextvars.ContextVar("name", default="nobody")


def test_callbacks_run_in_the_order_of_their_scheduling(loop: AbstractEventLoop) -> None:
    ran: list[int] = []
    for n in range(5_000):
        loop.call_soon(ran.append, n)
    run_briefly(loop)
    assert ran == list(range(5_000))


def test_threadsafe_and_plain_calls_of_one_thread_keep_their_order(loop: AbstractEventLoop) -> None:
    ran: list[int] = []
    for n in range(100):
        schedule = loop.call_soon_threadsafe if n % 3 == 0 else loop.call_soon
        schedule(ran.append, n)
    loop.call_soon_threadsafe(loop.stop)
    loop.run_forever()
    assert ran == list(range(100))


def test_order_is_kept_when_both_kinds_are_scheduled_from_a_callback(
    loop: AbstractEventLoop,
) -> None:
    ran: list[int] = []

    def schedule() -> None:
        loop.call_soon(ran.append, 0)
        loop.call_soon_threadsafe(ran.append, 1)
        loop.call_soon(ran.append, 2)
        loop.call_soon_threadsafe(loop.stop)

    loop.call_soon(schedule)
    loop.run_forever()
    assert ran == [0, 1, 2]


def test_what_a_callback_schedules_waits_for_the_next_iteration(loop: AbstractEventLoop) -> None:
    ran: list[str] = []
    loop.call_soon(lambda: loop.call_soon(ran.append, "second iteration"))
    loop.call_soon(loop.stop)
    loop.call_soon(ran.append, "first iteration")
    loop.run_forever()
    assert ran == ["first iteration"]
    run_briefly(loop)
    assert ran == ["first iteration", "second iteration"]


def test_timers_get_their_turn_between_iterations(loop: AbstractEventLoop) -> None:
    ran: list[str] = []

    def first() -> None:
        loop.call_at(loop.time() - 1, ran.append, "timer")
        loop.call_soon(second)

    def second() -> None:
        ran.append("second")
        loop.call_soon(ran.append, "third")
        loop.call_soon(loop.stop)

    loop.call_soon(first)
    loop.run_forever()
    assert ran == ["second", "timer", "third"]


LOOKING_BETWEEN_ITERATIONS = {
    name: make for name, make in EVERY_LOOP.items() if "notifier" not in name
}


@pytest.mark.parametrize(
    "loop_factory", LOOKING_BETWEEN_ITERATIONS.values(), ids=LOOKING_BETWEEN_ITERATIONS.keys()
)
def test_fds_get_their_turn_between_iterations(loop: AbstractEventLoop) -> None:
    """Notifiers cannot: what they have to say comes when Qt has its turn, after the slice at the
    latest."""
    ran: list[str] = []
    reader, writer = socket.socketpair()

    def first() -> None:
        writer.send(b"x")
        loop.call_soon(second)

    def second() -> None:
        ran.append("second")
        loop.call_soon(ran.append, "third")
        loop.call_soon(loop.stop)

    def readable() -> None:
        ran.append("reader")
        loop.remove_reader(reader)

    loop.add_reader(reader, readable)
    loop.call_soon(first)
    loop.run_forever()
    reader.close()
    writer.close()
    assert ran == ["second", "reader", "third"]


def test_endless_rescheduling_starves_neither_fds_nor_timers(loop: AbstractEventLoop) -> None:
    reader, writer = socket.socketpair()
    awaited = {"fd", "timer"}

    def readable() -> None:
        awaited.discard("fd")
        loop.remove_reader(reader)

    def spin() -> None:
        loop.call_soon(spin) if awaited else loop.stop()

    loop.add_reader(reader, readable)
    loop.call_later(0.005, writer.send, b"x")
    loop.call_later(0.01, awaited.discard, "timer")
    loop.call_soon(spin)
    loop.run_forever()
    reader.close()
    writer.close()
    assert not awaited


def test_arguments_are_passed_on_as_they_are(loop: AbstractEventLoop) -> None:
    got: list[tuple[Any, ...]] = []
    marker = object()
    loop.call_soon(lambda *args: got.append(args), 1, None, marker)
    run_briefly(loop)
    assert got == [(1, None, marker)]


def test_every_argument_may_be_given_by_name(loop: AbstractEventLoop) -> None:
    ran: list[int] = []
    now = loop.time()
    loop.call_soon(callback=lambda: ran.append(1))
    loop.call_soon_threadsafe(callback=lambda: ran.append(2), context=None)
    loop.call_at(when=now - 2, callback=lambda: ran.append(3))
    loop.call_later(callback=lambda: ran.append(4), delay=0)
    loop.call_later(0.002, callback=loop.stop)
    loop.run_forever()
    assert ran == [1, 2, 3, 4]


def test_the_context_is_copied_when_the_call_is_scheduled(loop: AbstractEventLoop) -> None:
    seen: list[str] = []
    token = name.set("scheduler")
    loop.call_soon(lambda: seen.append(name.get()))
    loop.call_soon(lambda: seen.append(name.get()), context=None)
    name.reset(token)
    run_briefly(loop)
    assert seen == ["scheduler", "scheduler"]


@pytest.mark.parametrize("keyword", ["context", "".join(["con", "text"])], ids=["name", "copy"])
@pytest.mark.parametrize("method", ["call_soon", "call_soon_threadsafe", "call_later", "call_at"])
def test_a_given_context_is_used_itself(loop: AbstractEventLoop, method: str, keyword: str) -> None:
    """Whether its name is the one that Python code has, or only equal to it, as a task's is."""
    context = contextvars.copy_context()
    when = {"call_later": (0,), "call_at": (loop.time(),)}.get(method, ())
    getattr(loop, method)(*when, name.set, "callback", **{keyword: context})
    getattr(loop, method)(*when, loop.stop)
    loop.run_forever()
    assert context[name] == "callback"
    assert name.get() == "nobody"


def test_an_object_that_is_no_context_is_an_error_of_the_callback(
    loop: AbstractEventLoop, errors: Errors
) -> None:
    loop.call_soon(nothing, context="no context")  # type: ignore[arg-type]
    run_briefly(loop)
    context = errors.pop()
    assert isinstance(context["exception"], TypeError | AttributeError)


@pytest.mark.parametrize("error", [ValueError("x"), asyncio.CancelledError(), GeneratorExit()])
def test_an_exception_goes_to_the_handler_and_the_loop_goes_on(
    loop: AbstractEventLoop, errors: Errors, error: BaseException
) -> None:
    ran: list[str] = []

    def fail(argument: int) -> None:
        raise error

    handle = loop.call_soon(fail, 5)
    loop.call_soon(ran.append, "next")
    run_briefly(loop)
    context = errors.pop()
    assert context["exception"] is error
    assert context["handle"] is handle
    assert context["message"].startswith(
        "Exception in callback test_an_exception_goes_to_the_handler"
    )
    assert context["message"].endswith(f" at {__file__}:{fail.__code__.co_firstlineno}")
    assert ran == ["next"]


def test_an_exception_in_the_exception_handler_does_not_end_the_loop(
    loop: AbstractEventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    ran: list[str] = []

    def failing_handler(loop: AbstractEventLoop, context: dict[str, Any]) -> None:
        raise LookupError("the handler fails too")

    loop.set_exception_handler(failing_handler)
    loop.call_soon(lambda: 1 / 0)
    loop.call_soon(ran.append, "next")
    run_briefly(loop)
    assert ran == ["next"]
    assert "Unhandled error in exception handler" in caplog.text


def test_the_default_exception_handler_logs_the_traceback(
    loop: AbstractEventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    loop.set_exception_handler(None)
    loop.call_soon(lambda: 1 / 0)
    run_briefly(loop)
    (record,) = caplog.records
    assert record.getMessage().startswith("Exception in callback")
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError


def test_a_subclass_may_override_what_it_likes() -> None:
    class Counting(EventLoop):
        calls = 0

        def call_soon(self, *args: Any, **kwargs: Any) -> asyncio.Handle:  # type: ignore[override]
            self.calls += 1
            return super().call_soon(*args, **kwargs)

    async def main() -> str:
        await asyncio.sleep(0)
        return "done"

    with opened(Counting) as loop:
        assert loop.run_until_complete(main()) == "done"
        assert isinstance(loop, Counting)
        assert loop.calls >= 2


async def _coroutine() -> None: ...


BAD_CALLS: dict[str, Callable[[AbstractEventLoop], Any]] = {
    "call_soon()": lambda loop: loop.call_soon(),  # type: ignore[call-arg]
    "call_soon_threadsafe()": lambda loop: loop.call_soon_threadsafe(),  # type: ignore[call-arg]
    "call_later()": lambda loop: loop.call_later(),  # type: ignore[call-arg]
    "call_later(1)": lambda loop: loop.call_later(1),  # type: ignore[call-arg]
    "call_later(callback=)": lambda loop: loop.call_later(callback=nothing),  # type: ignore[call-arg]
    "call_at()": lambda loop: loop.call_at(),  # type: ignore[call-arg]
    "call_at(1)": lambda loop: loop.call_at(1),  # type: ignore[call-arg]
    "call_later(None)": lambda loop: loop.call_later(None, nothing),  # type: ignore[arg-type]
    "call_at(None)": lambda loop: loop.call_at(None, nothing),  # type: ignore[arg-type]
    "call_later(text)": lambda loop: loop.call_later("1", nothing),  # type: ignore[arg-type]
    "unknown keyword": lambda loop: loop.call_soon(nothing, spam=1),  # type: ignore[call-arg]
    "unknown keyword, later": lambda loop: loop.call_later(1, nothing, spam=1),  # type: ignore[call-arg]
    "callback twice": lambda loop: loop.call_soon(nothing, callback=nothing),  # type: ignore[misc]
    "delay twice": lambda loop: loop.call_later(1, nothing, delay=1),  # type: ignore[misc]
    "exception handler": lambda loop: loop.set_exception_handler(5),  # type: ignore[arg-type]
    "task factory": lambda loop: loop.set_task_factory(5),  # type: ignore[arg-type]
    "executor": lambda loop: loop.set_default_executor(5),  # type: ignore[arg-type]
    "run_until_complete": lambda loop: loop.run_until_complete(5),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("call", BAD_CALLS.values(), ids=BAD_CALLS)
def test_a_bad_call_fails_as_on_stock(
    qt_loop: AbstractEventLoop,
    stock_loop: AbstractEventLoop,
    call: Callable[[AbstractEventLoop], Any],
) -> None:
    expected = failure(lambda: call(stock_loop))
    assert expected is not None
    assert failure(lambda: call(qt_loop)) == expected


@pytest.mark.parametrize("method", ["call_soon", "call_soon_threadsafe", "call_later", "call_at"])
@pytest.mark.parametrize("callback", [None, 5, _coroutine])
def test_debug_mode_refuses_what_cannot_be_called_back_as_on_stock(
    qt_loop: AbstractEventLoop, stock_loop: AbstractEventLoop, method: str, callback: Any
) -> None:
    def outcome(loop: AbstractEventLoop) -> tuple[type[BaseException], str] | None:
        loop.set_debug(True)
        when = (1,) if method in ("call_later", "call_at") else ()
        return failure(lambda: getattr(loop, method)(*when, callback))

    expected = outcome(stock_loop)
    assert expected is not None
    assert outcome(qt_loop) == expected


@pytest.mark.parametrize("method", ["call_soon", "call_soon_threadsafe", "call_later", "call_at"])
def test_a_closed_loop_refuses_calls(loop_factory: LoopFactory, method: str) -> None:
    loop = loop_factory()
    loop.close()
    when = (1,) if method in ("call_later", "call_at") else ()
    with pytest.raises(RuntimeError, match=r"^Event loop is closed$"):
        getattr(loop, method)(*when, nothing)
