"""Tables: on the terminal as the session goes, and in the document."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Sequence

from benches.loops import FLOOR, LOOPS, PEERS
from benches.results import Results, Spread, advantage, by_group
from benches.workload import Metric, Workload

Row = list[str]


def number(value: float) -> str:
    """Three digits that matter, and a letter for what is large."""
    for limit, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= limit * 0.9995:
            return f"{_three_digits(value / limit)}{letter}"
    return _three_digits(value)


def _three_digits(value: float) -> str:
    digits = next(
        (digits for digits, limit in enumerate((99.95, 9.995, 0.9995)) if abs(value) >= limit), 3
    )
    return f"{value:.{digits}f}" if value else "0"


def header(loops: Sequence[str]) -> Row:
    """The head of every table of medians."""
    return ["workload", "unit", *loops, *(["qtloop/uvloop"] if _has_both(loops) else [])]


def medians(results: Results, workload: Workload, loops: Sequence[str]) -> list[Row]:
    """One row for each metric: the medians, each with how many times better than the best peer it
    is."""

    def cell(loop: str, metric: Metric, spread: Spread) -> str:
        ratio = advantage(metric, spread.median, results.best_peer(workload, metric))
        mark = "!" if results.failed(workload.name, loop) else ""
        return number(spread.median) + mark + (f" ({ratio:.2f})" if ratio else "")

    rows = _rows(results, workload, loops, cell)
    if _has_both(loops):
        for row, metric in zip(rows, workload.metrics, strict=True):
            row.append(_qtloop_to_uvloop(results, workload, metric))
    return rows


def ranges(results: Results, workload: Workload, loops: Sequence[str]) -> list[Row]:
    """One row for each metric: the lowest and the highest of the rounds."""

    def cell(_loop: str, _metric: Metric, spread: Spread) -> str:
        return f"{number(spread.low)}..{number(spread.high)}"

    return _rows(results, workload, loops, cell)


def _rows(
    results: Results,
    workload: Workload,
    loops: Sequence[str],
    cell: Callable[[str, Metric, Spread], str],
) -> list[Row]:
    rows = []
    for metric in workload.metrics:
        spreads = ((loop, results.spread(workload, loop, metric)) for loop in loops)
        cells = [
            cell(loop, metric, spread) if spread else _gap(workload, loop)
            for loop, spread in spreads
        ]
        rows.append([workload.name, metric.unit, *cells])
    return rows


def _gap(workload: Workload, loop: str) -> str:
    return "-" if workload.suits(LOOPS[loop]) else ""


def _has_both(loops: Sequence[str]) -> bool:
    return "qtloop" in loops and "uvloop" in loops


def _qtloop_to_uvloop(results: Results, workload: Workload, metric: Metric) -> str:
    ours, theirs = (results.spread(workload, loop, metric) for loop in ("qtloop", "uvloop"))
    ratio = advantage(metric, ours.median, theirs.median) if ours and theirs else None
    return f"{ratio:.2f}" if ratio else "-"


class Terminal:
    """Prints rows as they come, in columns wide enough for what is usual."""

    def __init__(self, loops: Sequence[str]) -> None:
        self._widths = [24, 9, *(max(14, len(loop) + 2) for loop in loops), 14]
        self.print([header(loops)])

    def print(self, rows: list[Row]) -> None:
        for row in rows:
            texts = (text.ljust(width) for text, width in zip(row, self._widths, strict=False))
            print("".join(texts).rstrip(), flush=True)


def reasons(results: Results) -> list[str]:
    """Why there is a `-`, one line for each loop and reason."""
    lines = []
    for loop, errors in results.reasons().items():
        for error, workloads in errors.items():
            lines.append(f"{loop}: {', '.join(workloads)}: {_without_folders(error)}")
    return lines


def _without_folders(text: str) -> str:
    """Where files lie on this machine is nobody's business."""
    return re.sub(r"(?<![\w.])/(?:[^\s/'\":]+/)+", "", text)


def markdown(
    results: Results, workloads: Sequence[Workload], loops: Sequence[str], facts: dict[str, str]
) -> str:
    """The generated part of the document."""
    parts = [_facts(results, facts), _legend(loops)]
    for name, group in by_group(workloads).items():
        parts += [f"### {name}", _wrapped(group[0].group.about)]
        parts.append(
            _table(header(loops), [row for each in group for row in medians(results, each, loops)])
        )
        rows = [row for each in group for row in ranges(results, each, loops)]
        table = _table(["workload", "unit", *loops], rows)
        parts.append(
            f"<details><summary>{name}: lowest and highest</summary>\n\n{table}\n\n</details>"
        )
    why = "\n".join(_wrapped(f"- {line}", indent="  ") for line in reasons(results))
    if why:
        parts += ["### Failures", why]
    return "\n\n".join(parts)


#: The rows that say most, for the short table.
HEADLINES = (
    "call-soon-chain",
    "sleep0-1000-tasks",
    "timers-cancelled",
    "call-soon-threadsafe",
    "socketpair",
    "tcp-protocol-10x1K",
    "tcp-streams-10x1K",
    "udp-10x1K",
    "tls-10x1K",
    "connect-streams",
    "accept-streams",
    "wake-by-thread",
    "qtimer-beside-echo",
)


def short(results: Results, workloads: Sequence[Workload], loops: Sequence[str]) -> str:
    """The headlines: of each workload its main metric."""
    shown = [loop for loop in loops if loop not in (FLOOR, "qtloop-binding")]
    rows = []
    for workload in workloads:
        if workload.name not in HEADLINES:
            continue
        metric = workload.main_metric
        spreads = [results.spread(workload, loop, metric) for loop in shown]
        ours = results.spread(workload, "qtloop", metric)
        ratio = advantage(metric, ours.median, results.best_peer(workload, metric)) if ours else 0
        cells = [number(spread.median) if spread else "" for spread in spreads]
        rows.append([workload.name, metric.unit, *cells, f"{ratio:.2f}" if ratio else ""])
    return _table(["workload", "unit", *shown, "qtloop to the best without Qt"], rows)


def _facts(results: Results, facts: dict[str, str]) -> str:
    rows = [[name, text.replace("|", "\\|")] for name, text in facts.items()]
    for loop, qt in results.qts().items():
        rows.append([f"Qt under {loop}", f"{qt['version']} ({qt['binding']}), {qt['dispatcher']}"])
    return _table(["", ""], rows)


def _legend(loops: Sequence[str]) -> str:
    peers = [loop for loop in PEERS if loop in loops]
    on_qt = [loop for loop in loops if LOOPS[loop].on_qt]
    return _wrapped(
        f"Medians; in brackets how many times better than the best of "
        f"{', '.join(peers) or 'the peers'}: "
        "above 1 is better in every row. "
        f"Inside Qt's event loop: {', '.join(on_qt) or 'none'}. "
        "`-`: failed, for the reason given at the end; `!`: failed in some rounds; blank: does not "
        "apply."
    )


def _wrapped(text: str, indent: str = "") -> str:
    """A paragraph in lines of at most a hundred columns."""
    return textwrap.fill(
        text, 100, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False
    )


def _table(head: Row, rows: list[Row]) -> str:
    lines = [head, ["---"] * 2 + ["--:"] * (len(head) - 2), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
