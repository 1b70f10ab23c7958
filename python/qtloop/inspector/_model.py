"""What a snapshot consists of. Everything is plain: texts, numbers and tuples of such."""

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

    #: What tells tasks apart, as `id()`.
    id: int
    name: str
    #: The name of its coroutine.
    coroutine: str
    #: "running", "ready" (it runs in one of the next turns) or "waiting".
    state: str
    #: What it waits for, in words.
    waits_for: str
    #: Where it stands: from its coroutine inwards through all that it awaits.
    stack: tuple[Frame, ...]
    #: Somebody has asked it to end, and it has not ended yet.
    cancelling: bool
    #: The names of the tasks that wait for it.
    awaited_by: tuple[str, ...]
    #: The `id` of the task under which it is in the tree, and how deep it is there. A task that
    #: several wait for is under the first of them.
    parent: int | None
    depth: int


@dataclass(frozen=True)
class Timer:
    """A `call_later` or `call_at` that is still to come."""

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
    #: Who gets to know when it can be read and when it can be written; None if nobody.
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
    #: It is about to be closed.
    closing: bool


@dataclass(frozen=True)
class Snapshot:
    """A loop at one moment."""

    pid: int
    #: The loop's clock.
    time: float
    debug: bool
    #: In the order of their tree: each task is followed by those that it waits for. It is flat,
    #: since a chain of tasks may be longer than nesting can be deep.
    tasks: tuple[Task, ...]
    #: The next one first.
    timers: tuple[Timer, ...]
    fds: tuple[WatchedFd, ...]
    transports: tuple[Transport, ...]
    metrics: Metrics
    #: The worst first. The watchdog notes them, in debug mode and while an inspector is open.
    blockers: tuple[Blocker, ...]
    #: How many of what there was no room for, by the name above.
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
