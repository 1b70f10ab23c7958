"""What scheduling returns: handles that are asyncio's own, in all that one can see of them."""

import asyncio
import contextvars
import gc
import sys
import weakref
from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Any

import pytest

from ..support.loops import LoopFactory, nothing, run_briefly

MAKERS: dict[str, Callable[..., asyncio.Handle]] = {
    "call_soon": lambda loop, *call: loop.call_soon(*call),
    "call_soon_threadsafe": lambda loop, *call: loop.call_soon_threadsafe(*call),
    "call_later": lambda loop, *call: loop.call_later(0, *call),
    "call_at": lambda loop, *call: loop.call_at(loop.time(), *call),
}


class Callback:
    """A callable that counts its calls and that a weak reference can be taken of."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, *args: Any) -> None:
        self.calls += 1


@pytest.fixture(params=MAKERS)
def make(request: pytest.FixtureRequest) -> Callable[..., asyncio.Handle]:
    return MAKERS[request.param]


def test_handles_are_asyncios(loop: AbstractEventLoop) -> None:
    soon, later = loop.call_soon(nothing), loop.call_later(100, nothing)
    soon.cancel()
    later.cancel()
    assert isinstance(soon, asyncio.Handle)
    assert not isinstance(soon, asyncio.TimerHandle)
    assert isinstance(later, asyncio.TimerHandle)


@pytest.mark.parametrize("arguments", [(1, 2), [1, 2], "ab"], ids=["tuple", "list", "string"])
def test_a_handle_calls_with_the_arguments_that_it_has_when_it_runs(
    loop: AbstractEventLoop, arguments: Any
) -> None:
    called: list[tuple[Any, ...]] = []
    handle: Any = loop.call_soon(lambda *args: called.append(args))
    handle._args = arguments
    run_briefly(loop)
    assert called == [tuple(arguments)]


def test_arguments_that_are_no_iterable_are_a_callbacks_error(loop: AbstractEventLoop) -> None:
    errors: list[Any] = []
    loop.set_exception_handler(lambda _, context: errors.append(context["exception"]))
    handle: Any = loop.call_soon(nothing)
    handle._args = 1
    try:
        run_briefly(loop)
    except TypeError as error:  # Python 3.11 cannot describe such a handle.
        errors.append(error)
    (error,) = errors
    assert isinstance(error, TypeError)


def test_a_cancelled_callback_does_not_run(
    loop: AbstractEventLoop, make: Callable[..., asyncio.Handle]
) -> None:
    callback = Callback()
    handle = make(loop, callback)
    assert not handle.cancelled()
    handle.cancel()
    handle.cancel()
    loop.call_later(0.002, loop.stop)
    loop.run_forever()
    assert handle.cancelled()
    assert callback.calls == 0


def test_a_callback_can_cancel_one_behind_it_in_the_same_iteration(loop: AbstractEventLoop) -> None:
    callback = Callback()
    victim: asyncio.Handle
    loop.call_soon(lambda: victim.cancel())
    victim = loop.call_soon(callback)
    run_briefly(loop)
    assert callback.calls == 0


def test_cancelling_after_the_call_or_during_it_is_harmless(
    loop: AbstractEventLoop, make: Callable[..., asyncio.Handle]
) -> None:
    calls: list[str] = []
    handle: asyncio.Handle
    handle = make(loop, lambda: (handle.cancel(), calls.append("called")))
    make(loop, loop.stop)
    loop.run_forever()
    handle.cancel()
    assert calls == ["called"]


def test_cancelling_lets_the_callback_and_its_arguments_go_at_once(
    loop: AbstractEventLoop, make: Callable[..., asyncio.Handle]
) -> None:
    callback, argument = Callback(), Callback()
    handle = make(loop, callback, argument)
    references = [weakref.ref(callback), weakref.ref(argument)]
    handle.cancel()
    del callback, argument
    assert [reference() for reference in references] == [None, None]


def test_a_finished_handle_is_freed_with_its_callback(
    loop: AbstractEventLoop, make: Callable[..., asyncio.Handle]
) -> None:
    callback = Callback()
    reference, handle_reference = weakref.ref(callback), weakref.ref(make(loop, callback))
    del callback
    loop.call_later(0.002, loop.stop)
    loop.run_forever()
    assert reference() is None
    assert handle_reference() is None


def test_a_cycle_through_a_pending_callback_is_collected_once_cancelled(
    loop: AbstractEventLoop, make: Callable[..., asyncio.Handle]
) -> None:
    callback: Any = Callback()
    callback.handle = make(loop, callback)
    reference = weakref.ref(callback)
    run_briefly(loop)
    loop.call_later(0.002, loop.stop)
    loop.run_forever()
    del callback
    gc.collect()
    assert reference() is None


def test_what_a_dropped_argument_schedules_is_run(loop: AbstractEventLoop) -> None:
    ran: list[str] = []

    class Schedules:
        def __del__(self) -> None:
            loop.call_soon(ran.append, "from a finalizer")

    handle = loop.call_later(100, nothing, Schedules())
    loop.call_soon(handle.cancel)
    run_briefly(loop)
    run_briefly(loop)
    assert ran == ["from a finalizer"]


def test_finalizers_may_use_the_loop_that_is_being_closed(loop_factory: LoopFactory) -> None:
    seen: list[tuple[bool, str]] = []

    class UsesLoop:
        def __del__(self) -> None:
            try:
                loop.call_soon(nothing)
            except RuntimeError as error:
                seen.append((loop.is_closed(), str(error)))

    loop = loop_factory()
    loop.call_soon(nothing, UsesLoop())
    loop.close()
    gc.collect()
    assert seen == [(True, "Event loop is closed")]


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("cancelled", [False, True])
def test_repr_is_that_of_stock(
    qt_loop: AbstractEventLoop, stock_loop: AbstractEventLoop, debug: bool, cancelled: bool
) -> None:
    def described(loop: AbstractEventLoop) -> list[str]:
        loop.set_debug(debug)
        soon, later = loop.call_soon(nothing, "x", 1), loop.call_at(loop.time() + 9, nothing)
        if cancelled:
            soon.cancel()
            later.cancel()
        return [repr(soon), repr(later).replace(f"when={later.when()}", "when=9")]

    expected = described(stock_loop)
    assert described(qt_loop) == expected
    assert ("cancelled" in expected[0]) == cancelled
    assert ("created at" in expected[0]) == debug


def test_timers_compare_by_deadline(loop: AbstractEventLoop) -> None:
    now = loop.time()
    early, late, same = (loop.call_at(now + delay, nothing) for delay in (50, 60, 50))
    assert early < late
    assert late > early
    assert early <= same
    assert early >= same
    assert early != late
    # Stock compares callback, arguments and state too.
    assert early == same
    assert hash(early) == hash(early.when())
    assert (early == 5) is False
    with pytest.raises(TypeError):
        early < 5  # type: ignore[operator]  # noqa: B015


def test_when_is_what_was_asked_for(loop: AbstractEventLoop) -> None:
    assert loop.call_at(1_000_000_000_000, nothing).when() == 1_000_000_000_000
    before = loop.time()
    when = loop.call_later(100, nothing).when()
    assert before + 100 <= when <= loop.time() + 100


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Handle.get_context() came with 3.12")
def test_a_handle_tells_its_context(
    loop: AbstractEventLoop, make: Callable[..., asyncio.Handle]
) -> None:
    context = contextvars.copy_context()
    assert loop.call_soon(nothing, "", context=context).get_context() is context
    handle: Any = make(loop, nothing)
    assert isinstance(handle.get_context(), contextvars.Context)


def test_a_handle_survives_its_loop(loop_factory: LoopFactory) -> None:
    loop = loop_factory()
    handles = [loop.call_soon(nothing), loop.call_later(100, nothing)]
    loop.close()
    del loop
    gc.collect()
    for handle in handles:
        handle.cancel()
        assert handle.cancelled()


def test_many_generations_of_handles_do_not_mix(loop: AbstractEventLoop) -> None:
    """Freed handles are reused; one that is still held must not be."""
    held = [loop.call_soon(nothing, n) for n in range(600)]
    for handle in held[::2]:
        handle.cancel()
    del held[::2]
    fresh = [loop.call_later(100, nothing, n) for n in range(600)]
    assert [handle._args for handle in held] == [(n,) for n in range(1, 600, 2)]
    assert not any(handle.cancelled() for handle in fresh)
    for handle in [*held, *fresh]:
        handle.cancel()
