"""The stock loop's private side on ours: it tells what the stock loop's does, or raises."""

import asyncio
from asyncio import AbstractEventLoop
from typing import Any
from unittest import mock

import pytest

from ..support.loops import nothing, run_briefly


def test_queues_show_what_waits(loop: Any) -> None:
    assert not loop._ready and not loop._scheduled
    first, second = loop.call_soon(nothing), loop.call_soon(nothing)
    late, early = loop.call_later(200, nothing), loop.call_later(100, nothing)
    assert [*loop._ready] == [first, second]
    assert (len(loop._ready), len(loop._scheduled)) == (2, 2)
    assert loop._scheduled[0] is early and late in loop._scheduled
    assert {handle.when() for handle in loop._scheduled} == {late.when(), early.when()}
    run_briefly(loop)
    assert not loop._ready
    late.cancel()
    early.cancel()


def test_what_another_thread_sent_is_ready(loop: Any) -> None:
    handle = loop.call_soon_threadsafe(nothing)
    assert [*loop._ready] == [handle]
    run_briefly(loop)


def test_a_handle_can_be_queued(loop: Any) -> None:
    seen: list[int] = []
    loop._ready.append(asyncio.Handle(seen.append, (1,), loop))
    loop._call_soon(seen.append, (2,), None)
    run_briefly(loop)
    assert seen == [1, 2]


async def test_transports_are_among_what_is_ready(qt_loop: Any, pair: Any) -> None:
    transport, _ = await qt_loop.connect_accepted_socket(asyncio.Protocol, pair[0])
    assert all(isinstance(handle, asyncio.Handle) for handle in qt_loop._ready)
    transport.close()


@pytest.mark.parametrize(
    "change",
    [
        lambda loop: loop._ready.popleft(),
        lambda loop: loop._ready.appendleft(None),
        lambda loop: loop._ready.clear(),
        lambda loop: loop._scheduled.append(None),
        lambda loop: loop._scheduled.clear(),
        lambda loop: setattr(loop, "_ready", []),
        lambda loop: setattr(loop, "_scheduled", []),
    ],
)
def test_queues_cannot_be_changed(qt_loop: AbstractEventLoop, change: Any) -> None:
    with pytest.raises(RuntimeError, match=r"_(ready|scheduled) cannot be .*: use call_soon"):
        change(qt_loop)


@pytest.mark.parametrize(
    "call",
    [
        lambda loop: loop._run_once(),
        lambda loop: loop._process_events([]),
        lambda loop: loop._selector.select(0),
        lambda loop: setattr(loop, "_run_once", nothing),
        lambda loop: setattr(loop, "_process_events", nothing),
        lambda loop: setattr(loop._selector, "select", nothing),
    ],
)
def test_who_turns_the_loop_by_hand_is_told(qt_loop: AbstractEventLoop, call: Any) -> None:
    with pytest.raises(RuntimeError, match=r"Qt turns this loop: use run_forever\(\)"):
        call(qt_loop)


def test_the_selector_cannot_be_replaced(qt_loop: Any) -> None:
    with pytest.raises(RuntimeError, match="_selector cannot be replaced: Qt waits"):
        qt_loop._selector = mock.Mock()
    with pytest.raises(RuntimeError, match="_clock_resolution cannot be replaced: a timer"):
        qt_loop._clock_resolution = 1.0
    assert qt_loop._clock_resolution == asyncio.SelectorEventLoop()._clock_resolution  # type: ignore[attr-defined]


def test_closing_lets_go_of_them(loop: Any) -> None:
    loop.call_soon(nothing)
    loop.call_later(100, nothing)
    loop.close()
    assert (len(loop._ready), len(loop._scheduled), loop._selector) == (0, 0, None)


async def test_the_self_pipe_wakes_the_loop(loop: Any) -> None:
    received = loop.create_future()
    loop._process_self_data = received.set_result
    loop._csock.send(b"\x01")
    assert await received == b"\x01"
    del loop._process_self_data
