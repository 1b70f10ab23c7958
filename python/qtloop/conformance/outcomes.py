"""The outcomes of tests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

PASSED, FAILED, ERROR, SKIPPED = "passed", "failed", "error", "skipped"

# Counts of the outcomes of a class or of a run.
Tally = Counter[str]


@dataclass
class Outcome:
    """The outcome of one test. `detail` is the traceback, or the reason for skipping."""

    test: str
    status: str
    detail: str = ""
    seconds: float = 0.0


def tally(outcomes: Iterable[Outcome]) -> Tally:
    return Counter(outcome.status for outcome in outcomes)


def summary(counts: Tally) -> str:
    return (
        f"{counts[PASSED]} passed, {counts[FAILED] + counts[ERROR]} failed, {counts[SKIPPED]} "
        f"skipped"
    )
