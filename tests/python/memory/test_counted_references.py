"""The Rust half counts references by hand: none may be kept and none lost, whichever way a call
goes."""

import contextvars
import gc
import os
import sys
from collections.abc import Callable
from typing import Any

import pytest

from qtloop import EventLoop

from ..support.loops import OURS, Errors, failure, run_briefly, run_for

ROUNDS = 200

Use = Callable[[Any, Any, Any, contextvars.Context], Any]


class Argument:
    """Something to count references of."""


def callback(*args: Any) -> None: ...


def failing(*args: Any) -> None:
    raise LookupError


def watch_and_replace(loop: Any, call: Any, argument: Any, context: contextvars.Context) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"x")
    for _ in range(3):
        loop.add_reader(reader, call, argument)
        loop.add_writer(writer, call, argument)
    run_briefly(loop)
    loop.remove_reader(reader)
    loop.remove_writer(writer)
    os.close(reader)
    os.close(writer)


USES: dict[str, Use] = {
    "call_soon": lambda loop, call, arg, context: loop.call_soon(call, arg),
    "call_soon in a context": lambda loop, call, arg, context: loop.call_soon(
        call, arg, context=context
    ),
    "call_soon by name": lambda loop, call, arg, context: loop.call_soon(callback=call),
    "call_soon and cancel": lambda loop, call, arg, context: loop.call_soon(call, arg).cancel(),
    "call_soon_threadsafe": lambda loop, call, arg, context: loop.call_soon_threadsafe(call, arg),
    "call_later": lambda loop, call, arg, context: loop.call_later(0, call, arg, context=context),
    "call_later and cancel": lambda loop, call, arg, context: loop.call_later(
        9, call, arg
    ).cancel(),
    "call_at": lambda loop, call, arg, context: loop.call_at(loop.time(), call, arg),
    "call_at by name": lambda loop, call, arg, context: loop.call_at(
        when=0, callback=call, context=context
    ),
    "watch": watch_and_replace,
    "unexpected keyword": lambda loop, call, arg, context: failure(
        lambda: loop.call_soon(call, arg, spam=arg)
    ),
    "callback twice": lambda loop, call, arg, context: failure(
        lambda: loop.call_soon(call, callback=arg)
    ),
    "no callback": lambda loop, call, arg, context: failure(lambda: loop.call_later(arg)),
    "no number": lambda loop, call, arg, context: failure(lambda: loop.call_later(arg, call)),
    "no context": lambda loop, call, arg, context: loop.call_soon(call, arg, context=arg),
    "not callable": lambda loop, call, arg, context: failure(lambda: loop.call_soon(arg, call)),
    "no fd": lambda loop, call, arg, context: failure(lambda: loop.add_reader(arg, call)),
    "unopened fd": lambda loop, call, arg, context: failure(
        lambda: loop.add_reader(9_999, call, arg)
    ),
    "handle's repr": lambda loop, call, arg, context: repr(loop.call_soon(call, arg)),
}


#: Counting is the same on every host.
ONE_LOOP = dict(list(OURS.items())[:1])


@pytest.mark.parametrize("qt_loop_factory", ONE_LOOP.values(), ids=ONE_LOOP)
@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("call", [callback, failing])
@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_every_reference_is_given_back(
    qt_loop: EventLoop, errors: Errors, use: Use, call: Callable[..., None], debug: bool
) -> None:
    argument, context = Argument(), contextvars.copy_context()
    qt_loop.set_debug(debug)

    def counts() -> list[int]:
        errors.clear()
        gc.collect()
        return [sys.getrefcount(thing) for thing in (call, argument, context, qt_loop)]

    def rounds() -> None:
        for _ in range(ROUNDS if use is not watch_and_replace else 5):
            use(qt_loop, call, argument, context)
        run_for(qt_loop)

    rounds()
    before = counts()
    rounds()
    assert counts() == before


def test_a_held_handle_holds_exactly_what_it_shows(qt_loop: EventLoop) -> None:
    argument = Argument()
    before = sys.getrefcount(argument)
    handles: list[Any] = [
        qt_loop.call_soon(callback, argument),
        qt_loop.call_later(0, callback, argument),
    ]
    assert sys.getrefcount(argument) == before + 2
    run_for(qt_loop)
    assert sys.getrefcount(argument) == before + 2
    assert [handle._args for handle in handles] == [(argument,), (argument,)]
    handles.clear()
    assert sys.getrefcount(argument) == before
