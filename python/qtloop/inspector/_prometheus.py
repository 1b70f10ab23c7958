"""A loop's metrics in Prometheus' text format, version 0.0.4."""

import math
import re
from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from .. import _current
from .._metrics import Histogram, Metrics

if TYPE_CHECKING:
    from .._loop import EventLoop

#: Name, attribute and explanation of the counters that only grow.
_COUNTERS: Final = (
    ("qtloop_turns_total", "turns", "How often the host handed its thread to the loop."),
    ("qtloop_callbacks_total", "callbacks", "Callbacks run; a step of a task is one."),
    ("qtloop_overruns_total", "overruns", "Turns that ended because their time was spent."),
)

#: The same of the values that rise and fall.
_GAUGES: Final = (
    ("qtloop_ready_callbacks", "ready", "Callbacks that wait to run."),
    ("qtloop_pending_timers", "timers", "Timers that can still fire."),
    ("qtloop_watched_fds", "fds", "File descriptors that are watched."),
)

#: The same of the durations.
_HISTOGRAMS: Final = (
    (
        "qtloop_timer_lateness_seconds",
        "lateness",
        "From a timer's deadline to the loop's noticing it.",
    ),
    (
        "qtloop_turn_duration_seconds",
        "turn_lengths",
        "How long a turn kept the host's event loop waiting.",
    ),
)

_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")

#: The Content-Type of what `prometheus` returns.
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


def prometheus(loop: "EventLoop | None" = None, labels: Mapping[str, str] | None = None) -> str:
    """The loop's metrics in the text format 0.0.4 of Prometheus. `loop` is by default the one of
    this thread. Each sample gets the `labels`, to distinguish loops, and a label `host`.

    From any thread, also when the loop is closed: the loop is not asked to do anything.

    Raises RuntimeError if there is no loop; ValueError for what cannot be a label's name.
    """
    metrics = (_current.current() if loop is None else loop).metrics()
    pairs = {"host": metrics.host, **(labels or {})}
    for name in pairs:
        if not _LABEL.fullmatch(name) or name.startswith("__") or name == "le":
            raise ValueError(f"not the name of a label: {name!r}")
    text = [f'{name}="{_escaped(value)}"' for name, value in pairs.items()]
    return "".join(f"{line}\n" for line in _lines(metrics, text))


def _lines(metrics: Metrics, labels: list[str]) -> Iterator[str]:
    for kind, table in (("counter", _COUNTERS), ("gauge", _GAUGES)):
        for name, attribute, explanation in table:
            yield from _head(name, kind, explanation)
            yield f"{_series(name, labels)} {getattr(metrics, attribute)}"
    for name, attribute, explanation in _HISTOGRAMS:
        yield from _head(name, "histogram", explanation)
        yield from _buckets(name, getattr(metrics, attribute), labels)


def _head(name: str, kind: str, explanation: str) -> Iterator[str]:
    yield f"# HELP {name} {explanation}"
    yield f"# TYPE {name} {kind}"


def _buckets(name: str, histogram: Histogram, labels: list[str]) -> Iterator[str]:
    """In this format each bucket includes the counts of the buckets before it."""
    for bound, count in zip(histogram.bounds, accumulate(histogram.counts), strict=True):
        end = repr(bound) if math.isfinite(bound) else "+Inf"
        series = _series(f"{name}_bucket", [*labels, f'le="{end}"'])
        yield f"{series} {count}"
    yield f"{_series(f'{name}_sum', labels)} {histogram.total!r}"
    yield f"{_series(f'{name}_count', labels)} {histogram.count}"


def _series(name: str, labels: list[str]) -> str:
    return f"{name}{{{','.join(labels)}}}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
