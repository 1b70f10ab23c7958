"""Writes stored runs as a table: `python -m tests.conformance.report FILE... >
docs/conformance.md`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from qtloop.conformance.exclusions import EXCLUSIONS
from qtloop.conformance.outcomes import ERROR, FAILED, PASSED, SKIPPED

from .results import Run, differences, load, stock_runs

_INTRODUCTION = """\
# Conformance

CPython's own tests of asyncio, `test.test_asyncio` as it comes with each interpreter, run with
qtloop in place of the stock loop. qtloop conforms where it passes and skips exactly the tests that
stock asyncio passes and skips: the last column counts those that came out differently.

If a binding breaks tests by itself, stock asyncio is run with that binding imported as well. Then a
test of qtloop with that binding has to come out as in one of the two stock runs. The row of the
stock run with the binding is compared with stock asyncio alone.

Make this table again with `make conformance`.
"""

_COLUMNS = (
    "Python",
    "Loop",
    "Binding",
    "Qt",
    "Host",
    "Dispatcher",
    "Descriptors",
    "Classes",
    "Tests",
    "Passed",
    "Failed",
    "Skipped",
    "Unlike stock",
)

#: What a binding breaks without any loop: binding, the first Python, reason.
_BINDING_FAULTS = [
    (
        "PySide6",
        (3, 15),
        "once PySide6.QtCore is imported, a call such as `concurrent.futures.ThreadPoolExecutor()` "
        "raises \"'lazy_import' object is not callable\"",
    ),
]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.report", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, help="as stored by --json")
    options = parser.parse_args()
    runs = [each for file in options.files for each in load(file)]
    print("\n".join(_document(runs)))


def _document(runs: list[Run]) -> Iterator[str]:
    yield _INTRODUCTION
    yield from _table(_COLUMNS, [_row(each, stock_runs(each, runs)) for each in runs])
    unlike = _unlike(runs)
    if unlike:
        yield ""
        yield "## What is unlike stock\n"
        yield from _table(("Python", "Binding", "Test", "Reason"), unlike)
    yield ""
    yield "## What is left out\n"
    yield "These tests are left out for every loop, also stock asyncio; the numbers count them.\n"
    counted = {each.facts.python: each.excluded for each in runs}
    rows = []
    for exclusion in EXCLUSIONS:
        counts = [str(excluded.get(exclusion.pattern, 0)) for excluded in counted.values()]
        rows.append([f"`{exclusion.pattern}`", exclusion.reason, *counts])
    yield from _table(("Tests", "Reason", *counted), rows)
    skipped = _skipped(runs)
    if skipped:
        yield ""
        yield "## What skips itself\n"
        yield from _table(("Tests", "The test's own reason"), skipped)


def _row(run: Run, stocks: list[Run]) -> list[str]:
    counts, facts, configuration = run.tally, run.facts, run.configuration
    return [
        facts.python,
        f"{configuration.loop} {facts.loop}".strip(),
        f"{configuration.binding or ''} {facts.binding}".strip(),
        facts.qt,
        facts.host,
        _dispatcher(facts.dispatcher),
        configuration.fd or ("default" if configuration.loop == "qtloop" else ""),
        str(run.classes),
        str(len(run.outcomes)),
        str(counts[PASSED]),
        str(counts[FAILED] + counts[ERROR]),
        str(counts[SKIPPED]),
        str(len(differences(run, stocks))) if stocks else "",
    ]


def _unlike(runs: list[Run]) -> list[list[str]]:
    """What came out differently than on stock asyncio, and the reason if it is known.

    What a binding breaks by itself is counted and not listed.
    """
    rows = []
    for run in runs:
        stocks = stock_runs(run, runs)
        found = differences(run, stocks) if stocks else []
        binding = f"{run.configuration.binding or ''} {run.facts.binding}".strip()
        if found and run.configuration.loop == "stock":
            tests = f"{len(found)} tests of stock asyncio beside this binding"
            rows.append([run.facts.python, binding, tests, _reason(run)])
        else:
            rows += [[run.facts.python, binding, f"`{each}`", "not known"] for each in found]
    return [row for place, row in enumerate(rows) if row not in rows[:place]]


def _reason(run: Run) -> str:
    python = tuple(map(int, run.facts.python.split(".")[:2]))
    for binding, since, reason in _BINDING_FAULTS:
        if binding == run.configuration.binding and python >= since:
            return reason
    return "not known"


def _dispatcher(class_name: str) -> str:
    if not class_name:
        return ""
    return "GLib" if "Glib" in class_name else "plain"


def _skipped(runs: list[Run]) -> list[list[str]]:
    """The classes with tests that skip themselves, and the reasons they give."""
    reasons: dict[str, set[str]] = {}
    for run in runs:
        for outcome in run.outcomes:
            if outcome.status == SKIPPED:
                test_class = outcome.test.rpartition(".")[0]
                reasons.setdefault(test_class, set()).add(" ".join(outcome.detail.split()))
    return [[f"`{name}`", "; ".join(sorted(given))] for name, given in sorted(reasons.items())]


def _table(columns: tuple[str, ...], rows: list[list[str]]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * len(columns)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"


if __name__ == "__main__":
    main()
