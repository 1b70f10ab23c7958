"""Signals: handlers of the loop's and of `signal`'s, and Ctrl-C wherever the loop is.

A program that is to be interrupted says "ready" from a timer: the signal then finds the loop
asleep.
"""

import asyncio
import os
import signal
import textwrap
import threading
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ..support import child
from ..support.loops import LoopFactory, failure, nothing, opened, run_briefly

SIGNAL = signal.SIGUSR1


@pytest.fixture(autouse=True)
def undisturbed() -> Iterator[None]:
    """Every test leaves the process as it was."""
    before = signal.getsignal(signal.SIGINT), signal.getsignal(SIGNAL)
    yield
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(SIGNAL)) == before
    assert signal.set_wakeup_fd(-1) == -1


def send_from_elsewhere(loop: AbstractEventLoop, sig: signal.Signals = SIGNAL) -> None:
    """Sends the signal once the loop sleeps, as far as one can tell.

    The thread is there before: a callback that starts it takes long enough for the signal to come
    in the middle of it.
    """
    is_about_to_sleep = threading.Event()

    def send() -> None:
        is_about_to_sleep.wait()
        time.sleep(0.01)
        os.kill(os.getpid(), sig)

    threading.Thread(target=send).start()
    loop.call_later(0.01, is_about_to_sleep.set)


def test_a_handler_is_called_in_the_loop(loop: AbstractEventLoop) -> None:
    calls: list[tuple[str, AbstractEventLoop]] = []

    def handle(argument: str) -> None:
        calls.append((argument, asyncio.get_running_loop()))
        loop.stop()

    loop.add_signal_handler(SIGNAL, handle, "argument")
    send_from_elsewhere(loop)
    loop.run_forever()
    assert loop.remove_signal_handler(SIGNAL)
    assert calls == [("argument", loop)]


def test_handlers_of_different_signals_are_told_apart(loop: AbstractEventLoop) -> None:
    calls: list[str] = []
    loop.add_signal_handler(SIGNAL, calls.append, "replaced")
    loop.add_signal_handler(SIGNAL, calls.append, "usr1")
    loop.add_signal_handler(signal.SIGUSR2, lambda: (calls.append("usr2"), loop.stop()))
    os.kill(os.getpid(), SIGNAL)
    loop.call_soon(os.kill, os.getpid(), signal.SIGUSR2)
    loop.run_forever()
    assert loop.remove_signal_handler(SIGNAL)
    assert loop.remove_signal_handler(signal.SIGUSR2)
    assert calls == ["usr1", "usr2"]


def test_a_handler_works_in_every_run(loop: AbstractEventLoop) -> None:
    calls: list[str] = []
    loop.add_signal_handler(SIGNAL, lambda: (calls.append("called"), loop.stop()))
    for _ in range(3):
        send_from_elsewhere(loop)
        loop.run_forever()
    assert loop.remove_signal_handler(SIGNAL) is True
    assert loop.remove_signal_handler(SIGNAL) is False
    assert calls == ["called"] * 3


def test_a_removed_handler_leaves_the_other_signals_alone(loop: AbstractEventLoop) -> None:
    calls: list[str] = []
    loop.add_signal_handler(SIGNAL, calls.append, "removed")
    loop.add_signal_handler(signal.SIGUSR2, lambda: (calls.append("kept"), loop.stop()))
    loop.call_soon(loop.remove_signal_handler, SIGNAL)
    send_from_elsewhere(loop, signal.SIGUSR2)
    loop.run_forever()
    loop.remove_signal_handler(signal.SIGUSR2)
    assert calls == ["kept"]


def test_a_handler_of_pythons_own_acts_at_once(loop: AbstractEventLoop) -> None:
    """The loop sleeps inside Qt, where no Python code runs that could notice the signal."""
    calls: list[str] = []

    def handle(number: int, frame: Any) -> None:
        calls.append("handled")
        loop.call_soon_threadsafe(loop.stop)

    before = signal.signal(SIGNAL, handle)
    try:
        send_from_elsewhere(loop)
        guard = loop.call_later(20, loop.stop)
        start = loop.time()
        loop.run_forever()
        guard.cancel()
    finally:
        signal.signal(SIGNAL, before)
    assert calls == ["handled"]
    assert loop.time() - start < 10


def test_what_a_signal_handler_raises_leaves_an_idle_loop(loop: AbstractEventLoop) -> None:
    """Test runners end a test that hangs that way, by an alarm."""

    class TookTooLong(BaseException):
        pass

    def handle(number: int, frame: Any) -> None:
        raise TookTooLong

    before = signal.signal(SIGNAL, handle)
    try:
        send_from_elsewhere(loop)
        guard = loop.call_later(20, loop.stop)
        with pytest.raises(TookTooLong):
            loop.run_forever()
        guard.cancel()
    finally:
        signal.signal(SIGNAL, before)
    run_briefly(loop)


async def _coroutine() -> None: ...


BAD_CALLS: dict[str, Callable[[AbstractEventLoop], Any]] = {
    "uncatchable": lambda loop: loop.add_signal_handler(signal.SIGKILL, nothing),
    "no signal": lambda loop: loop.add_signal_handler(12_345, nothing),
    "no number": lambda loop: loop.add_signal_handler("SIGINT", nothing),  # type: ignore[arg-type]
    "coroutine": lambda loop: loop.add_signal_handler(SIGNAL, _coroutine),
    "remove no signal": lambda loop: loop.remove_signal_handler(0),
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


def test_closing_removes_the_handlers(loop_factory: LoopFactory) -> None:
    before = signal.getsignal(SIGNAL)
    loop = loop_factory()
    loop.add_signal_handler(SIGNAL, nothing)
    assert signal.getsignal(SIGNAL) != before
    loop.close()
    assert signal.getsignal(SIGNAL) == before


def test_a_run_gives_back_the_wakeup_fd_it_found(loop: AbstractEventLoop) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    run_briefly(loop)
    found = signal.set_wakeup_fd(-1)
    os.close(reader)
    os.close(writer)
    assert found == writer


def test_a_signal_acts_at_once_though_the_program_has_a_wakeup_fd_of_its_own(
    loop: AbstractEventLoop,
) -> None:
    """As another loop that handles signals has. Its owner is told all the same."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    ended_by: list[str] = []

    def handle(number: int, frame: Any) -> None:
        ended_by.append("signal")
        loop.call_soon_threadsafe(loop.stop)

    before = signal.signal(SIGNAL, handle)
    signal.set_wakeup_fd(writer)
    try:
        send_from_elsewhere(loop)
        guard = loop.call_later(2, lambda: (ended_by.append("guard"), loop.stop()))
        loop.run_forever()
        guard.cancel()
    finally:
        signal.set_wakeup_fd(-1)
        signal.signal(SIGNAL, before)
    told = os.read(reader, 10)
    os.close(reader)
    os.close(writer)
    assert ended_by == ["signal"]
    assert told == bytes([SIGNAL])


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit(3)])
@pytest.mark.parametrize("method", ["call_soon", "call_soon_threadsafe", "call_later"])
def test_an_exit_from_a_callback_reaches_the_caller(
    loop: AbstractEventLoop, method: str, error: type[BaseException] | BaseException
) -> None:
    ran: list[str] = []

    def leave() -> None:
        loop.call_soon(ran.append, "later")
        raise error

    getattr(loop, method)(*((0.001,) if method == "call_later" else ()), leave)
    expected = error if isinstance(error, type) else type(error)
    with pytest.raises(expected) as raised:
        loop.run_forever()
    assert not loop.is_running()
    assert getattr(raised.value, "code", 3) == 3
    run_briefly(loop)
    assert ran == ["later"]


def test_what_was_ready_when_a_callback_left_is_run_next_time(loop: AbstractEventLoop) -> None:
    ran: list[int] = []

    def leave() -> None:
        raise SystemExit

    loop.call_soon(ran.append, 1)
    loop.call_soon(leave)
    loop.call_soon(ran.append, 2)
    with pytest.raises(SystemExit):
        loop.run_forever()
    assert ran == [1]
    run_briefly(loop)
    assert ran == [1, 2]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_exit_from_a_task_reaches_the_caller(
    loop: AbstractEventLoop, error: type[BaseException]
) -> None:
    async def leave() -> None:
        await asyncio.sleep(0)
        raise error

    async def main() -> None:
        background.append(asyncio.ensure_future(leave()))
        await asyncio.Event().wait()

    background: list[asyncio.Task[None]] = []
    waiting = loop.create_task(main())
    with pytest.raises(error):
        loop.run_until_complete(waiting)
    assert isinstance(background[0].exception(), error)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(waiting)


def test_an_exit_from_the_exception_handler_reaches_the_caller(loop: AbstractEventLoop) -> None:
    def handler(loop: AbstractEventLoop, context: dict[str, Any]) -> None:
        raise SystemExit(4)

    loop.set_exception_handler(handler)
    loop.call_soon(lambda: 1 / 0)
    with pytest.raises(SystemExit) as raised:
        loop.run_forever()
    loop.set_exception_handler(None)
    assert raised.value.code == 4


def test_the_signal_of_a_closed_loop_takes_its_default_effect(name: str) -> None:
    outcome = child.run(
        textwrap.dedent(
            """
            loop = qtloop.EventLoop()
            loop.add_signal_handler(signal.SIGTERM, print)
            loop.call_soon(loop.stop)
            loop.run_forever()
            loop.close()
            os.kill(os.getpid(), signal.SIGTERM)
            """
        ),
        name,
    )
    assert outcome.code == -signal.SIGTERM


def test_a_loop_in_another_thread_cannot_handle_signals(loop_factory: LoopFactory) -> None:
    refusals: list[str] = []

    def attempt() -> None:
        with opened(loop_factory) as loop:
            try:
                loop.add_signal_handler(SIGNAL, nothing)
            except RuntimeError as error:
                refusals.append(str(error))

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    assert refusals == ["set_wakeup_fd only works in main thread of the main interpreter"]
