"""Random programs on simulated clocks: stock asyncio and qtloop do the same in the same order."""

import asyncio
import random
import socket
from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Any

import pytest

from qtloop import EventLoop, _core

from ..support.loops import opened

PROGRAMS = 150
STEPS = 300


class SimulatedStock(asyncio.SelectorEventLoop):
    """Stock asyncio whose clock jumps to the next deadline instead of waiting for it."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._clock_resolution = 1e-6  # A deadline that is reached must lie before the end of now.
        selector: Any = self._selector  # type: ignore[attr-defined]
        self._select = selector.select
        selector.select = self._leap

    def time(self) -> float:
        return self._now

    def _leap(self, timeout: float | None) -> Any:
        events = self._select(0)
        if not events and timeout:
            self._now += timeout
        return events


class Program:
    """Callbacks that schedule and cancel one another as a seeded generator says, and a log of what
    ran when.

    Times are whole seconds, exact on both clocks, and all different: stock promises no order among
    equals.
    """

    def __init__(self, loop: AbstractEventLoop, seed: int) -> None:
        self._loop = loop
        self._random = random.Random(seed)
        self._handles: list[asyncio.Handle] = []
        self._deadlines: set[int] = set()
        self._reader, self._writer = socket.socketpair()
        self.log: list[tuple[float, str]] = []

    def run(self) -> list[tuple[float, str]]:
        self._loop.add_reader(self._reader, self._readable)
        for n in range(5):
            self._loop.call_soon(self._step, f"start {n}")
        self._loop.call_at(1_000_000, self._loop.stop)
        self._loop.run_forever()
        self._loop.remove_reader(self._reader)
        self._reader.close()
        self._writer.close()
        return self.log

    def _step(self, label: str) -> None:
        self.log.append((self._loop.time(), label))
        if len(self.log) > STEPS:
            return
        actions = [
            self._soon,
            self._threadsafe,
            self._later,
            self._at,
            self._cancel,
            self._write,
            self._task,
        ]
        for _ in range(self._random.choice([0, 1, 1, 2, 3])):
            self._random.choice(actions)(f"{label[:20]}.{len(self.log)}")

    def _readable(self) -> None:
        self._step(f"read {self._reader.recv(1)!r}")

    def _keep(self, handle: asyncio.Handle) -> None:
        self._handles.append(handle)

    def _soon(self, label: str) -> None:
        self._keep(self._loop.call_soon(self._step, f"soon {label}"))

    def _threadsafe(self, label: str) -> None:
        self._keep(self._loop.call_soon_threadsafe(self._step, f"safe {label}"))

    def _later(self, label: str) -> None:
        delay = self._deadline() - self._loop.time()
        self._keep(self._loop.call_later(delay, self._step, f"later {label}"))

    def _at(self, label: str) -> None:
        self._keep(self._loop.call_at(self._deadline(), self._step, f"at {label}"))

    def _deadline(self) -> int:
        # Some lie in the past.
        deadline = max(0, int(self._loop.time()) + self._random.randrange(-5, 50))
        while deadline in self._deadlines:
            deadline += 1
        self._deadlines.add(deadline)
        return deadline

    def _cancel(self, label: str) -> None:
        if self._handles:
            self._random.choice(self._handles).cancel()

    def _write(self, label: str) -> None:
        self._writer.send(b"x")

    def _task(self, label: str) -> None:
        self._loop.create_task(self._walk(f"task {label}"))

    async def _walk(self, label: str) -> None:
        for n in range(self._random.randrange(3)):
            await asyncio.sleep(0)
            self._step(f"{label} {n}")
            await asyncio.sleep(self._deadline() - self._loop.time())


def logged(factory: Callable[[], AbstractEventLoop], seed: int) -> list[tuple[float, str]]:
    with opened(factory) as loop:
        return Program(loop, seed).run()


@pytest.mark.parametrize("seeds", [range(n, n + 10) for n in range(0, PROGRAMS, 10)], ids=str)
def test_a_random_program_does_the_same_on_both(seeds: range) -> None:
    for seed in seeds:
        expected = logged(SimulatedStock, seed)
        logs = logged(lambda: EventLoop(host="sim", fds=_core.POLLER), seed)
        assert logs == expected, f"seed {seed}"


def test_the_programs_do_something() -> None:
    lengths = [len(logged(SimulatedStock, seed)) for seed in range(30)]
    assert sum(length > STEPS for length in lengths) > 5
