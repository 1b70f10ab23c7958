"""What a workload is, and the list of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from benches.loops import FLOOR, Loop

Metrics = dict[str, float]
Run = Callable[[float], Awaitable[Metrics]]
Floor = Callable[[float], Metrics]


@dataclass(frozen=True)
class Metric:
    """One number that a workload yields, and so one row of a table."""

    key: str
    unit: str
    more_is_better: bool = False


RATE = Metric("rate", "/s", more_is_better=True)
CPU = Metric("cpu_us", "CPU µs")


@dataclass(frozen=True)
class Group:
    """Workloads that share a table."""

    name: str
    about: str


@dataclass(frozen=True)
class Workload:
    """One thing to measure; `run` gets the seconds to spend and is already inside the running
    loop."""

    name: str
    group: Group
    metrics: tuple[Metric, ...]
    run: Run
    floor: Floor | None = None
    needs_qt: bool = False
    in_quick: bool = True
    whole: bool = False
    """Whether it is a server of somebody else's, which has to be installed for it."""
    patience: float = 60.0
    """Seconds that a measurement may last beyond the time it is asked to spend."""
    needs_fds: int = 0
    """How many fds a process has to have; without them the workload is left out."""

    @property
    def main_metric(self) -> Metric:
        """The one that says most: how late Qt was, else CPU time, which load disturbs least."""
        by_unit = {metric.unit: metric for metric in self.metrics}
        late = by_unit.get("ms p99") if self.needs_qt else None
        return late or by_unit.get(CPU.unit) or self.metrics[0]

    def suits(self, loop: Loop) -> bool:
        """Whether there is any sense in trying."""
        if loop.name == FLOOR:
            return self.floor is not None
        return loop.on_qt or not self.needs_qt


WORKLOADS: dict[str, Workload] = {}
"""By name, in the order of the tables."""


def add(workload: Workload) -> None:
    """Puts a workload on the list."""
    assert workload.name not in WORKLOADS
    WORKLOADS[workload.name] = workload


def workload(
    name: str, group: Group, metrics: tuple[Metric, ...] = (RATE,), *, needs_qt: bool = False
) -> Callable[[Run], Run]:
    """Puts the decorated function on the list."""

    def decorate(run: Run) -> Run:
        add(Workload(name, group, metrics, run, needs_qt=needs_qt))
        return run

    return decorate
