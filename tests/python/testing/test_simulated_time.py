"""The simulated host: time passes only when there is nothing else to do, and then it jumps."""

import asyncio
import os
import socket
import time

import pytest

import qtloop.testing
from qtloop import EventLoop

from ..support.loops import STRATEGIES, opened


def sim() -> EventLoop:
    return EventLoop(host="sim")


def test_simulated_time_starts_at_zero_and_stands_still() -> None:
    with opened(sim) as loop:
        assert loop.time() == 0.0
        loop.run_until_complete(asyncio.sleep(0))
        assert loop.time() == 0.0


def test_simulated_sleeping_takes_no_time() -> None:
    async def main() -> list[float]:
        times = []
        for hours in (1, 24, 1000):
            await asyncio.sleep(hours * 3600)
            times.append(loop.time())
        return times

    with opened(sim) as loop:
        start = time.monotonic()
        assert loop.run_until_complete(main()) == [3600.0, 90_000.0, 3_690_000.0]
        assert time.monotonic() - start < 60


def test_simulated_timers_interleave_as_real_ones_would() -> None:
    async def tick(log: list[tuple[str, float]], who: str, period: float) -> None:
        for _ in range(3):
            await asyncio.sleep(period)
            log.append((who, loop.time()))

    async def main() -> list[tuple[str, float]]:
        log: list[tuple[str, float]] = []
        await asyncio.gather(tick(log, "slow", 30), tick(log, "quick", 20))
        return log

    with opened(sim) as loop:
        assert loop.run_until_complete(main()) == [
            ("quick", 20.0),
            ("slow", 30.0),
            ("quick", 40.0),
            ("slow", 60.0),
            ("quick", 60.0),
            ("slow", 90.0),
        ]


def test_a_test_runs_on_the_simulated_clock() -> None:
    async def main() -> float:
        start = asyncio.get_running_loop().time()
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time() - start

    assert qtloop.testing.run(main()) == 3600.0
    with asyncio.Runner(loop_factory=qtloop.testing.new_event_loop) as runner:
        assert runner.run(main()) == 3600.0


def test_a_simulated_timeout_times_out_at_once() -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3600):
                await asyncio.Event().wait()

    with opened(sim) as loop:
        loop.run_until_complete(main())
        assert loop.time() == 3600.0


def test_a_simulated_loop_waits_for_real_fds_and_threads() -> None:
    async def main() -> bytes:
        left, right = socket.socketpair()
        with left, right:
            left.setblocking(False)
            right.setblocking(False)
            sending = asyncio.to_thread(lambda: right.send(b"real"))
            received, _ = await asyncio.gather(loop.sock_recv(left, 10), sending)
            return received

    with opened(sim) as loop:
        assert loop.run_until_complete(main()) == b"real"
        assert loop.time() == 0.0


def test_what_is_ready_comes_before_the_clock_jumps() -> None:
    async def main() -> list[str]:
        reader, writer = os.pipe()
        log: list[str] = []
        loop.call_later(1, log.append, "a second later")
        loop.add_reader(reader, lambda: (log.append("at once"), loop.remove_reader(reader)))
        os.write(writer, b"x")
        await asyncio.sleep(2)
        os.close(reader)
        os.close(writer)
        return log

    with opened(sim) as loop:
        assert loop.run_until_complete(main()) == ["at once", "a second later"]


@pytest.mark.parametrize("fds", STRATEGIES)
def test_fds_are_served_though_tasks_spin_while_the_clock_stands_still(fds: str) -> None:
    async def main() -> int:
        reader, writer = os.pipe()
        got: list[bytes] = []
        loop.add_reader(reader, lambda: got.append(os.read(reader, 1)))
        for _ in range(100):
            await asyncio.sleep(0)
        os.write(writer, b"x")
        spins = 0
        while not got and spins < 100_000:
            await asyncio.sleep(0)
            spins += 1
        loop.remove_reader(reader)
        os.close(reader)
        os.close(writer)
        return spins

    with opened(lambda: EventLoop(host="sim", fds=fds)) as loop:
        assert loop.run_until_complete(main()) < 100_000
        assert loop.time() == 0.0
