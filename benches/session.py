"""Takes the measurements: each in a process of its own, the loops in turns, several rounds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from benches import loadgen
from benches.loops import Loop
from benches.results import Results, Sample
from benches.workload import Workload

LOOP = "QTLOOP_BENCH_LOOP"
"""The environment variable that tells a measuring process which loop it measures."""
NOISE = 4_000
"""Characters of stderr to keep."""


@dataclass(frozen=True)
class Settings:
    """How to measure."""

    rounds: int
    seconds: float
    binding: str
    no_glib: bool = False
    gui: bool = False
    at_once: int = 1
    """Measurements at a time: more than one only to see that everything works, never for the
    figures."""

    def environment(self) -> dict[str, str]:
        """What every measuring process finds in its environment."""
        env = dict(os.environ, QT_API=self.binding.lower(), QTINTERBINDING=self.binding)
        env.setdefault("QT_QPA_PLATFORM", "offscreen")
        env.pop("QT_NO_GLIB", None)
        if self.no_glib:
            env["QT_NO_GLIB"] = "1"
        if self.gui:
            env["QTLOOP_BENCH_GUI"] = "1"
        if loadgen.PROGRAM not in env:
            env[loadgen.PROGRAM] = loadgen.build()
        return env


@dataclass(frozen=True)
class _Place:
    """A measurement to take."""

    workload: Workload
    loop: Loop
    round: int


def run(
    workloads: Sequence[Workload],
    loops: Sequence[Loop],
    settings: Settings,
    results: Results,
    finished: Callable[[Workload], None],
) -> None:
    """Takes all measurements into `results`; calls `finished` after each workload."""
    env = settings.environment()
    with ThreadPoolExecutor(settings.at_once) as pool:
        for workload in workloads:
            for places in _rounds(workload, loops, settings.rounds):
                # What failed once is not tried again: it may have taken all our patience.
                due = [
                    place for place in places if not results.failed(workload.name, place.loop.name)
                ]
                for sample in pool.map(lambda place: _measure(place, settings.seconds, env), due):
                    results.add(sample)
            finished(workload)


def _rounds(workload: Workload, loops: Sequence[Loop], count: int) -> Iterator[list[_Place]]:
    """Each round starts with another loop, so that none is always the first."""
    able = [loop for loop in loops if workload.suits(loop)]
    for number in range(count):
        turn = number % max(1, len(able))
        yield [_Place(workload, loop, number) for loop in [*able[turn:], *able[:turn]]]


def _measure(place: _Place, seconds: float, env: dict[str, str]) -> Sample:
    command = [
        sys.executable,
        "-m",
        "benches.measure",
        place.loop.name,
        place.workload.name,
        str(seconds),
    ]
    try:
        done = subprocess.run(
            command,
            check=False,
            cwd=loadgen.ROOT,
            env=env | dict(place.loop.env) | {LOOP: place.loop.name},
            capture_output=True,
            text=True,
            timeout=seconds + place.workload.patience,
        )
    except subprocess.TimeoutExpired as expired:
        noise = expired.stderr.decode(errors="replace") if expired.stderr else ""
        return _sample(place, error=f"not done after {expired.timeout:.0f} s", noise=noise)
    return _read(place, done)


def _read(place: _Place, done: subprocess.CompletedProcess[str]) -> Sample:
    lines = done.stdout.splitlines()
    if done.returncode != 0 or not lines:
        return _sample(place, error=f"the process ended with {done.returncode}", noise=done.stderr)
    *chatter, last = lines
    return _sample(place, **json.loads(last), noise="\n".join([*chatter, done.stderr]))


def _sample(
    place: _Place,
    metrics: dict[str, float] | None = None,
    error: str | None = None,
    qt: dict[str, str] | None = None,
    noise: str = "",
) -> Sample:
    return Sample(
        place.workload.name, place.loop.name, place.round, metrics, error, qt, noise[-NOISE:]
    )
