"""The parts of a snapshot. All of them are plain: texts, numbers, and tuples of such."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from .._blockers import Blocker
from .._metrics import Histogram, Metrics

__all__ = ["Blocker", "Frame", "Snapshot", "Task", "Timer", "Transport", "WatchedFd"]


@dataclass(frozen=True)
class Frame:
    """A place in the code."""

    file: str
    line: int
    function: str


@dataclass(frozen=True)
class Task:
    """A task that is not done."""

    #: The identity of the task, as `id()`.
    id: int
    name: str
    #: The name of its coroutine.
    coroutine: str
    #: "running", "ready" (it runs in one of the next turns) or "waiting".
    state: str
    #: What it waits for, as a text.
    waits_for: str
    #: Where it is in its code: from its coroutine inwards, through everything that it awaits.
    stack: tuple[Frame, ...]
    #: Whether somebody has cancelled it, and it has not ended yet.
    cancelling: bool
    #: The names of the tasks that wait for it.
    awaited_by: tuple[str, ...]
    #: The `id` of the task below which it is in the tree, and its depth there. A task that several
    #: tasks wait for is below the first of them.
    parent: int | None
    depth: int


@dataclass(frozen=True)
class Timer:
    """A `call_later` or `call_at` that has not run yet."""

    #: Seconds until it is due; negative if it is late.
    due_in: float
    callback: str
    #: The name of the task that waits for it; empty if it is not known.
    task: str


@dataclass(frozen=True)
class WatchedFd:
    """A file descriptor that the loop watches."""

    fd: int
    #: "socket", "pipe", "character device", "file" or "other"; "closed" if it is open no more.
    kind: str
    #: What is told when it can be read, and what is told when it can be written; None if nothing.
    reader: str | None
    writer: str | None


@dataclass(frozen=True)
class Transport:
    """A transport whose file is open."""

    #: "stream", "tls", "datagram", "read pipe" or "write pipe".
    kind: str
    fd: int
    #: The addresses of the two ends; empty if there are none.
    local: str
    peer: str
    #: The class of the protocol.
    protocol: str
    #: Bytes that wait to be written.
    buffered: int
    reading_paused: bool
    #: Whether it is about to be closed.
    closing: bool


@dataclass(frozen=True)
class Snapshot:
    """A loop at one moment."""

    pid: int
    #: The loop's clock.
    time: float
    debug: bool
    #: In the order of their tree: each task is followed by the tasks that it waits for. It is a
    #: flat list, since a chain of tasks may be longer than lists can be nested.
    tasks: tuple[Task, ...]
    #: The next one first.
    timers: tuple[Timer, ...]
    fds: tuple[WatchedFd, ...]
    transports: tuple[Transport, ...]
    metrics: Metrics
    #: The worst first. The watchdog notes them, in debug mode and while an inspector is open.
    blockers: tuple[Blocker, ...]
    #: How many items were left out of each list, by the names above.
    left_out: dict[str, int]

    def as_dict(self) -> dict[str, Any]:
        """The same for `json.dumps`."""
        plain = asdict(self)
        metrics = plain["metrics"]
        for name in ("lateness", "turn_lengths"):
            metrics[name] = _histogram(getattr(self.metrics, name))
        return plain


def _histogram(histogram: Histogram) -> dict[str, Any]:
    """JSON has no infinity: the last bound is None."""
    bounds = [bound if math.isfinite(bound) else None for bound in histogram.bounds]
    return {
        "bounds": bounds,
        "counts": list(histogram.counts),
        "count": histogram.count,
        "total": histogram.total,
        "max": histogram.max,
        "p50": histogram.quantile(0.5),
        "p99": histogram.quantile(0.99),
    }
