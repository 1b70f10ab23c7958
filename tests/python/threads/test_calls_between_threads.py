"""Other threads: what they may call, what happens if they call wrong, and loops of their own."""

import asyncio
import contextvars
import gc
import socket
import threading
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ..support.loops import Errors, LoopFactory, nothing, opened, run_briefly

THREADS = 8
name = contextvars.ContextVar("name", default="nobody")


def in_thread(call: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread(target=call)
    thread.start()
    return thread


def idle_for_a_while(loop: AbstractEventLoop) -> None:
    """Waits, in another thread, until the loop has had time to fall asleep."""
    time.sleep(0.01)


def test_calls_from_many_threads_all_run_each_threads_in_order(loop: AbstractEventLoop) -> None:
    calls_each = 2_000
    ran: list[tuple[int, int]] = []
    barrier = threading.Barrier(THREADS)

    def send(thread: int) -> None:
        barrier.wait()
        for n in range(calls_each):
            loop.call_soon_threadsafe(ran.append, (thread, n))

    def stop_after(threads: list[threading.Thread]) -> None:
        for thread in threads:
            thread.join()
        loop.call_soon_threadsafe(loop.stop)

    senders = [in_thread(lambda n=n: send(n)) for n in range(THREADS)]  # type: ignore[misc]
    stopper = in_thread(lambda: stop_after(senders))
    loop.run_forever()
    stopper.join()
    for thread in range(THREADS):
        assert [n for who, n in ran if who == thread] == list(range(calls_each))


#: More calls than that never wait for a loop that runs: a thread that sends has to let it have its
#: turns.
BACKLOG = 50_000


@pytest.mark.parametrize("senders", [1, 2])
def test_a_flood_of_calls_starves_nothing(loop: AbstractEventLoop, senders: int) -> None:
    """Timers and fds are served, and what waits does not grow without end."""
    sent, ran = [0] * senders, [0] * senders
    is_over = threading.Event()

    def count(sender: int, n: int) -> None:
        assert n == ran[sender]
        ran[sender] += 1

    def flood(sender: int) -> None:
        while not is_over.is_set():
            loop.call_soon_threadsafe(count, sender, sent[sender])
            sent[sender] += 1

    async def main() -> int:
        left, right = socket.socketpair()
        with left, right:
            left.setblocking(False)
            right.setblocking(False)
            for n in range(20):
                await asyncio.sleep(0.001)
                await loop.sock_sendall(left, bytes([n]))
                assert await loop.sock_recv(right, 10) == bytes([n])
        return sum(sent) - sum(ran)

    threads = [in_thread(lambda n=n: flood(n)) for n in range(senders)]  # type: ignore[misc]
    try:
        waiting = loop.run_until_complete(main())
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
    assert waiting < BACKLOG
    loop.call_soon_threadsafe(loop.stop)
    loop.run_forever()
    assert ran == sent


def test_who_sends_much_does_not_wait_for_a_loop_that_waits_for_it(loop: AbstractEventLoop) -> None:
    def send() -> None:
        for _ in range(10_000):
            loop.call_soon_threadsafe(ran.append, None)
        loop.call_soon_threadsafe(loop.stop)

    ran: list[None] = []
    loop.call_soon(lambda: in_thread(send).join())
    loop.run_forever()
    assert len(ran) == 10_000


def test_a_stop_in_a_flood_runs_what_was_sent_before_it(loop: AbstractEventLoop) -> None:
    def stop() -> None:
        loop.stop()
        loop.call_soon(ran.append, "next time")

    ran: list[Any] = []

    def send() -> None:
        loop.call_soon_threadsafe(stop)
        for n in range(5_000):
            loop.call_soon_threadsafe(ran.append, n)

    in_thread(send).join()
    loop.run_forever()
    assert ran == [*range(5_000)]
    run_briefly(loop)
    assert ran[5_000:] == ["next time"]


def test_a_call_wakes_a_sleeping_loop(loop: AbstractEventLoop) -> None:
    def ping_pong() -> None:
        for _ in range(20):
            answered = threading.Event()
            idle_for_a_while(loop)
            loop.call_soon_threadsafe(answered.set)
            assert answered.wait(10)
        loop.call_soon_threadsafe(loop.stop)

    thread = in_thread(ping_pong)
    loop.run_forever()
    thread.join()


def test_no_wake_is_lost_in_a_tight_exchange(loop: AbstractEventLoop) -> None:
    rounds = 3_000

    def ping_pong() -> None:
        answered = threading.Semaphore(0)
        for _ in range(rounds):
            loop.call_soon_threadsafe(answered.release)
            if not answered.acquire(timeout=10):
                missed.append("a wake")
                break
        loop.call_soon_threadsafe(loop.stop)

    missed: list[str] = []
    thread = in_thread(ping_pong)
    loop.run_forever()
    thread.join()
    assert not missed


def test_what_was_sent_before_the_run_is_run(loop: AbstractEventLoop) -> None:
    ran: list[int] = []
    in_thread(lambda: loop.call_soon_threadsafe(ran.append, 1)).join()
    loop.call_soon(ran.append, 2)
    run_briefly(loop)
    assert ran == [1, 2]


def test_the_context_is_the_senders(loop: AbstractEventLoop) -> None:
    seen: list[str] = []

    def send() -> None:
        name.set("sender")
        loop.call_soon_threadsafe(lambda: seen.append(name.get()))

    in_thread(send).join()
    run_briefly(loop)
    assert seen == ["sender"]


def test_a_sent_call_can_be_cancelled(loop: AbstractEventLoop) -> None:
    ran: list[str] = []
    loop.call_soon_threadsafe(ran.append, "cancelled").cancel()
    run_briefly(loop)
    assert ran == []


def test_a_thread_can_stop_the_loop(loop: AbstractEventLoop) -> None:
    def stop() -> None:
        idle_for_a_while(loop)
        loop.call_soon_threadsafe(loop.stop)

    thread = in_thread(stop)
    loop.run_forever()
    thread.join()
    assert not loop.is_running()


async def _answer() -> str:
    await asyncio.sleep(0)
    return "answer"


async def _fail() -> None:
    raise LookupError("no answer")


def test_run_coroutine_threadsafe(loop: AbstractEventLoop) -> None:
    outcomes: list[Any] = []
    cancelled = threading.Event()

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    def ask() -> None:
        outcomes.append(asyncio.run_coroutine_threadsafe(_answer(), loop).result(10))
        outcomes.append(asyncio.run_coroutine_threadsafe(_fail(), loop).exception(10))
        hung = asyncio.run_coroutine_threadsafe(endless(), loop)
        asyncio.run_coroutine_threadsafe(_answer(), loop).result(10)
        hung.cancel()
        outcomes.append(cancelled.wait(10))
        loop.call_soon_threadsafe(loop.stop)

    thread = in_thread(ask)
    loop.run_forever()
    thread.join()
    assert outcomes[0] == "answer"
    assert isinstance(outcomes[1], LookupError)
    assert outcomes[2] is True


async def test_to_thread_returns_raises_and_keeps_the_context(loop: AbstractEventLoop) -> None:
    name.set("asker")
    assert await asyncio.to_thread(name.get) == "asker"
    with pytest.raises(ZeroDivisionError):
        await asyncio.to_thread(lambda: 1 / 0)


async def test_a_thread_works_while_the_loop_sleeps(loop: AbstractEventLoop) -> None:
    """Qt must let go of the GIL while it waits."""
    assert await loop.run_in_executor(None, sum, range(300_000)) == sum(range(300_000))


async def test_an_executor_of_ones_own(loop: AbstractEventLoop) -> None:
    with ThreadPoolExecutor(3) as executor:
        jobs = [loop.run_in_executor(executor, pow, n, 2) for n in range(50)]
        assert await asyncio.gather(*jobs) == [n * n for n in range(50)]


def test_debug_mode_names_a_call_from_the_wrong_thread(loop: AbstractEventLoop) -> None:
    raised: list[Exception] = []
    loop.set_debug(True)

    def call_wrongly(method: Callable[..., Any], *arguments: Any) -> None:
        try:
            method(*arguments)
        except RuntimeError as error:
            raised.append(error)

    def make_mistakes() -> None:
        call_wrongly(loop.call_soon, nothing)
        call_wrongly(loop.call_later, 0, nothing)
        call_wrongly(loop.call_at, 0, nothing)
        loop.call_soon_threadsafe(loop.stop)

    loop.call_soon(lambda: in_thread(make_mistakes))
    loop.run_forever()
    assert [str(error) for error in raised] == [
        "Non-thread-safe operation invoked on an event loop other than the current one"
    ] * 3


def test_a_wrong_call_without_debug_mode_is_run_all_the_same(qt_loop: AbstractEventLoop) -> None:
    """On stock the loop would sleep on. Here Qt must at least not be touched from a foreign
    thread."""
    ran: list[str] = []

    def call_wrongly() -> None:
        idle_for_a_while(qt_loop)
        qt_loop.call_soon(ran.append, "call_soon")
        idle_for_a_while(qt_loop)
        qt_loop.call_later(0.001, lambda: (ran.append("call_later"), qt_loop.stop()))

    thread = in_thread(call_wrongly)
    qt_loop.run_forever()
    thread.join()
    assert ran == ["call_soon", "call_later"]


def send_until_refused(loop: AbstractEventLoop, started: threading.Barrier) -> str:
    started.wait()
    while True:
        try:
            loop.call_soon_threadsafe(nothing)
        except RuntimeError as error:
            return str(error)


def test_closing_races_with_calls(loop_factory: LoopFactory) -> None:
    """A sender either gets its call in or is told that the loop is closed."""
    with ThreadPoolExecutor(2) as executor:
        for _ in range(15):
            loop, started = loop_factory(), threading.Barrier(3)
            senders = [executor.submit(send_until_refused, loop, started) for _ in range(2)]
            started.wait()
            loop.close()
            assert [sender.result() for sender in senders] == ["Event loop is closed"] * 2


async def _exchange_with_oneself() -> bytes:
    loop = asyncio.get_running_loop()
    left, right = socket.socketpair()
    with left, right:
        left.setblocking(False)
        right.setblocking(False)
        for _ in range(50):
            await loop.sock_sendall(left, b"hello")
            received = await loop.sock_recv(right, 100)
            await asyncio.sleep(0.0002)
    return received


def test_loops_run_in_several_threads_at_once(loop_factory: LoopFactory) -> None:
    together = threading.Barrier(THREADS)

    def run_one() -> bytes:
        with opened(loop_factory) as loop:
            together.wait()
            return loop.run_until_complete(_exchange_with_oneself())

    with ThreadPoolExecutor(THREADS) as executor:
        results = [executor.submit(run_one) for _ in range(THREADS)]
        assert [result.result() for result in results] == [b"hello"] * THREADS


def test_two_loops_talk_to_each_other(loop_factory: LoopFactory, loop: AbstractEventLoop) -> None:
    async def ask(other: AbstractEventLoop) -> list[int]:
        async def double(n: int) -> int:
            await asyncio.sleep(0)
            return 2 * n

        calls = [asyncio.run_coroutine_threadsafe(double(n), other) for n in range(100)]
        return await asyncio.gather(*map(asyncio.wrap_future, calls))

    with opened(loop_factory) as other:
        thread = in_thread(other.run_forever)
        assert loop.run_until_complete(ask(other)) == [2 * n for n in range(100)]
        other.call_soon_threadsafe(other.stop)
        thread.join()


def test_a_loop_may_be_made_run_and_closed_in_three_threads(loop_factory: LoopFactory) -> None:
    box: list[Any] = []
    in_thread(lambda: box.append(loop_factory())).join()
    loop = box[0]
    in_thread(lambda: box.append(loop.run_until_complete(_exchange_with_oneself()))).join()
    in_thread(lambda: box.append(loop.run_until_complete(_exchange_with_oneself()))).join()
    in_thread(loop.close).join()
    assert box[1:] == [b"hello", b"hello"]
    assert loop.is_closed()


def test_a_loop_may_be_freed_in_another_thread(loop_factory: LoopFactory, errors: Errors) -> None:
    box = [loop_factory()]
    box[0].run_until_complete(_exchange_with_oneself())
    box[0].close()

    def free() -> None:
        box.clear()
        gc.collect()

    in_thread(free).join()
    assert not box


def test_the_running_loop_is_that_of_the_thread(loop: AbstractEventLoop) -> None:
    seen: list[Any] = []

    def look_from_elsewhere() -> None:
        with pytest.raises(RuntimeError, match="no running event loop"):
            asyncio.get_running_loop()
        seen.append("none there")

    async def main() -> None:
        seen.append(asyncio.get_running_loop() is loop)
        await asyncio.to_thread(look_from_elsewhere)

    loop.run_until_complete(main())
    assert seen == [True, "none there"]
