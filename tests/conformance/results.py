"""What a run found, how it is stored, and how two runs compare."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from qtloop.conformance.outcomes import ERROR, FAILED, PASSED, SKIPPED, Outcome, Tally, tally

from .configuration import Configuration


@dataclass
class Facts:
    """What the run really ran on, as its own processes saw it."""

    python: str = ""
    loop: str = ""
    binding: str = ""
    qt: str = ""
    host: str = ""
    dispatcher: str = ""


@dataclass
class Run:
    """One configuration, run."""

    configuration: Configuration
    facts: Facts = field(default_factory=Facts)
    outcomes: list[Outcome] = field(default_factory=list)
    excluded: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def tally(self) -> Tally:
        return tally(self.outcomes)

    @property
    def classes(self) -> int:
        return len({outcome.test.rpartition(".")[0] for outcome in self.outcomes})

    @property
    def failures(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.status in (FAILED, ERROR)]

    def select(self, status: str) -> set[str]:
        return {outcome.test for outcome in self.outcomes if outcome.status == status}


def differences(ours: Run, stock: Run) -> list[str]:
    """Each test that came out differently than on stock asyncio, or that only one of the two
    ran."""
    theirs = {outcome.test: outcome.status for outcome in stock.outcomes}
    found = []
    for outcome in ours.outcomes:
        expected = theirs.pop(outcome.test, "absent")
        if outcome.status != expected:
            found.append(f"{outcome.test}: {outcome.status} (stock: {expected})")
    found.extend(f"{test}: absent (stock: {expected})" for test, expected in theirs.items())
    return found


def stock_like(run: Run, runs: list[Run]) -> Run | None:
    """The stock run to compare with: on the same Python, with the same binding if there is one.

    Stock asyncio needs no binding. A run with one shows what the binding breaks without any other
    loop. Such a run is compared with stock asyncio without a binding.
    """
    stocks = [
        each
        for each in runs
        if each is not run
        and each.configuration.loop == "stock"
        and each.facts.python == run.facts.python
    ]
    if run.configuration.loop == "stock":
        if run.configuration.binding is None:
            return None
        stocks = [each for each in stocks if each.configuration.binding is None]
    same = (each for each in stocks if each.configuration.binding == run.configuration.binding)
    alone = (each for each in stocks if each.configuration.binding is None)
    return next(same, None) or next(alone, None)


def worse(ours: Run, stock: Run) -> list[str]:
    """Each test that passes or skips itself on stock asyncio, and has failed or is absent here."""
    passed = ours.select(PASSED) | ours.select(SKIPPED)
    return sorted((stock.select(PASSED) | stock.select(SKIPPED)) - passed)


def save(runs: list[Run], path: Path) -> None:
    path.write_text(json.dumps([asdict(run) for run in runs], indent=1) + "\n")


def load(path: Path) -> list[Run]:
    return [
        Run(
            configuration=Configuration(**item["configuration"]),
            facts=Facts(**item["facts"]),
            outcomes=[Outcome(**outcome) for outcome in item["outcomes"]],
            excluded=item["excluded"],
            seconds=item["seconds"],
        )
        for item in json.loads(path.read_text())
    ]
