"""Plots of the results, as SVG: a row for each workload, a dot for each loop."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log2

from benches.report import number
from benches.results import Results, advantage
from benches.workload import Metric, Workload

SHOWN = ("asyncio", "uvloop", "rloop", "qasync", "qtinter", "QtAsyncio", "qtloop")
"""The loops of a plot. The last one is drawn over the others."""

ROW, TOP, LEFT, WIDTH, RIGHT = 20, 62, 260, 560, 30

#: A reader may have a dark page. The colours of the loops can be told apart on both.
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #24292f }
.faint { fill: #6e7781 }
line { stroke: #d0d7de }
.one { stroke: #6e7781 }
.asyncio { fill: #8c959f } .uvloop { fill: #bf8700 } .rloop { fill: #a475f9 }
.qasync { fill: #2da44e } .qtinter { fill: #e85aad } .QtAsyncio { fill: #b35900 }
.qtloop { fill: #0969da }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .faint { fill: #8d96a0 } line { stroke: #30363d }
.qtloop { fill: #4493f8 } .qasync { fill: #3fb950 } .QtAsyncio { fill: #db6d28 }
}
"""


@dataclass(frozen=True)
class Row:
    """A workload: the value of each loop, on the axis of its plot."""

    label: str
    values: dict[str, float]


@dataclass(frozen=True)
class Plot:
    """Rows over one logarithmic axis. `one` is the value that is marked by a stronger line."""

    title: str
    about: str
    rows: list[Row]
    one: float | None = None


def speeds(results: Results, workloads: Iterable[Workload]) -> Plot:
    """How many times stock asyncio each loop is, by the main metric of each workload."""
    rows = []
    for workload in workloads:
        metric = workload.main_metric
        base = results.spread(workload, "asyncio", metric)
        ratios = {
            loop: advantage(metric, spread.median, base.median)
            for loop in SHOWN
            if base and (spread := results.spread(workload, loop, metric))
        }
        values = {loop: ratio for loop, ratio in ratios.items() if ratio}
        if len(values) > 1:
            rows.append(Row(_label(workload, metric), values))
    return Plot(
        "How many times as fast as asyncio", "further to the right is better; medians", rows, 1
    )


def lateness(results: Results, workloads: Iterable[Workload]) -> Plot:
    """How late Qt's timers are beside each loop that lives in Qt, in milliseconds."""
    rows = []
    for workload in workloads:
        for metric in workload.metrics:
            if not (workload.needs_qt and metric.unit in ("ms p99", "ms max")):
                continue
            spreads = {loop: results.spread(workload, loop, metric) for loop in SHOWN}
            values = {loop: each.median for loop, each in spreads.items() if each and each.median}
            if values:
                rows.append(Row(_label(workload, metric), values))
    return Plot("How late Qt is, in milliseconds", "further to the left is better; medians", rows)


def _label(workload: Workload, metric: Metric) -> str:
    return f"{workload.name}, {metric.unit}" if metric.unit != "/s" else workload.name


def svg(plot: Plot) -> str:
    """The plot as a document."""
    values = [value for row in plot.rows for value in row.values.values()]
    low, high = floor(log2(min(values))), ceil(log2(max(values)))
    high = max(high, low + 1)

    def place(value: float) -> float:
        return LEFT + (log2(value) - low) / (high - low) * WIDTH

    height = TOP + ROW * len(plot.rows) + 12
    width = LEFT + WIDTH + RIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img">',
        f"<title>{escape(plot.title)}</title>",
        f"<style>{STYLE}</style>",
        _text(4, 18, f"{plot.title} ({plot.about})"),
        *_legend([loop for loop in SHOWN if any(loop in row.values for row in plot.rows)]),
        *_grid(plot, low, high, height, [place(2.0**step) for step in range(low, high + 1)]),
    ]
    for index, row in enumerate(plot.rows):
        y = TOP + ROW * index + ROW // 2
        parts.append(_text(LEFT - 10, y + 4, row.label, anchor="end"))
        parts += [_dot(loop, place(value), y, value) for loop, value in row.values.items()]
    return "\n".join([*parts, "</svg>", ""])


def _grid(plot: Plot, low: int, high: int, height: int, places: Sequence[float]) -> Iterator[str]:
    for step, x in zip(range(low, high + 1), places, strict=True):
        value = 2.0**step
        kind = ' class="one"' if value == plot.one else ""
        yield f'<line x1="{x:.1f}" y1="{TOP - 6}" x2="{x:.1f}" y2="{height - 8}"{kind}/>'
        text = f"{value:g}" if step >= 0 else f"1/{2**-step}"
        yield _text(x, TOP - 10, text, anchor="middle", kind="faint")


def _legend(loops: Iterable[str]) -> Iterator[str]:
    x = LEFT
    for loop in loops:
        yield _circle(loop, x, 32)
        yield _text(x + 9, 36, loop)
        x += 24 + 7 * len(loop)


def _dot(loop: str, x: float, y: float, value: float) -> str:
    return _circle(loop, x, y, f"<title>{escape(loop)}: {number(value)}</title>")


def _circle(loop: str, x: float, y: float, inner: str = "") -> str:
    radius = 6 if loop == SHOWN[-1] else 4.5
    return f'<circle class="{loop}" cx="{x:.1f}" cy="{y}" r="{radius}">{inner}</circle>'


def _text(x: float, y: float, text: str, *, anchor: str = "start", kind: str = "") -> str:
    mark = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y}" text-anchor="{anchor}"{mark}>{escape(text)}</text>'
