"""What the dashboard measures: totals, rates and frame lateness. No Qt and no asyncio in here."""

from collections import deque
from dataclasses import dataclass, field
from time import perf_counter
from typing import NamedTuple


class Counter:
    """A total, cheap to raise by `counter.total += 1`, that remembers its last samples to tell a
    rate."""

    def __init__(self, samples: int = 10) -> None:
        self.total = 0
        self._past = deque([(perf_counter(), 0)], maxlen=samples + 1)

    def sample(self, now: float) -> float:
        """Take a sample; the answer is the rate since the one before, per second."""
        then, before = self._past[-1]
        self._past.append((now, self.total))
        return (self.total - before) / max(now - then, 1e-9)

    def rate(self) -> float:
        """The rate over all remembered samples: calmer than that of one slice, thus fit for a
        label."""
        (start, first), (end, last) = self._past[0], self._past[-1]
        return (last - first) / (end - start) if end > start else 0.0


class Spread(NamedTuple):
    """In milliseconds."""

    p50: float
    p99: float
    max: float


class Lateness:
    """How late the GUI's frame timer fires. Quantiles cover the last minute, the maximum the whole
    run."""

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=60 * 60)
        self._worst = 0.0
        self._worst_since_taken = 0.0

    def add(self, ms: float) -> None:
        self._recent.append(ms)
        self._worst = max(self._worst, ms)
        self._worst_since_taken = max(self._worst_since_taken, ms)

    def take_worst(self) -> float:
        """The worst since this was last called."""
        worst, self._worst_since_taken = self._worst_since_taken, 0.0
        return worst

    def spread(self) -> Spread:
        ordered = sorted(self._recent) or [0.0]
        last = len(ordered) - 1
        return Spread(ordered[round(last * 0.5)], ordered[round(last * 0.99)], self._worst)


@dataclass
class Meters:
    """One of each, shared by those who count and those who show."""

    round_trips: Counter = field(default_factory=Counter)
    handshakes: Counter = field(default_factory=Counter)
    lines: Counter = field(default_factory=Counter)
    frames: Counter = field(default_factory=Counter)
    lateness: Lateness = field(default_factory=Lateness)
    started: float = field(default_factory=perf_counter)

    def elapsed(self) -> float:
        return perf_counter() - self.started
