"""What the measurements gave: every sample is kept, and summed up by median and range."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median

from benches.loops import PEERS
from benches.workload import Metric, Metrics, Workload


@dataclass(frozen=True)
class Sample:
    """One measurement: metrics, or the reason why there are none."""

    workload: str
    loop: str
    round: int
    metrics: Metrics | None = None
    error: str | None = None
    qt: dict[str, str] | None = None
    """Which Qt it ran on, if it did."""
    noise: str = ""
    """What else the process had to say."""


@dataclass(frozen=True)
class Spread:
    """The values of one metric over the rounds."""

    median: float
    low: float
    high: float


@dataclass
class Results:
    """All samples of a session."""

    samples: list[Sample] = field(default_factory=list)

    def add(self, sample: Sample) -> None:
        self.samples.append(sample)

    def of(self, workload: str, loop: str) -> list[Sample]:
        return [
            sample for sample in self.samples if sample.workload == workload and sample.loop == loop
        ]

    def spread(self, workload: Workload, loop: str, metric: Metric) -> Spread | None:
        """Sums up a cell of the table; None where nothing was measured."""
        samples = (sample.metrics for sample in self.of(workload.name, loop))
        values = [metrics[metric.key] for metrics in samples if metrics is not None]
        return Spread(median(values), min(values), max(values)) if values else None

    def failed(self, workload: str, loop: str) -> bool:
        """Whether any of the rounds gave an error."""
        return any(sample.error for sample in self.of(workload, loop))

    def best_peer(self, workload: Workload, metric: Metric) -> float | None:
        """The best median among the loops without Qt."""
        spreads = (self.spread(workload, loop, metric) for loop in PEERS)
        medians = [spread.median for spread in spreads if spread is not None]
        if not medians:
            return None
        return max(medians) if metric.more_is_better else min(medians)

    def reasons(self) -> dict[str, dict[str, list[str]]]:
        """For each loop: why it has no figures, and for which workloads."""
        reasons: dict[str, dict[str, list[str]]] = {}
        for sample in self.samples:
            if sample.error:
                workloads = reasons.setdefault(sample.loop, {}).setdefault(sample.error, [])
                if sample.workload not in workloads:
                    workloads.append(sample.workload)
        return reasons

    def qts(self) -> dict[str, dict[str, str]]:
        """The Qt that each loop ran on."""
        return {sample.loop: sample.qt for sample in self.samples if sample.qt}


def advantage(metric: Metric, value: float, reference: float | None) -> float | None:
    """How many times better than the reference; above 1 is better whatever the direction of the
    metric."""
    if reference is None or value <= 0 or reference <= 0:
        return None
    return value / reference if metric.more_is_better else reference / value


def by_group(workloads: Iterable[Workload]) -> dict[str, list[Workload]]:
    """The workloads of each table."""
    groups: dict[str, list[Workload]] = {}
    for workload in workloads:
        groups.setdefault(workload.group.name, []).append(workload)
    return groups
