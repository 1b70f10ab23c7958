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


def differences(ours: Run, stocks: list[Run]) -> list[str]:
    """Each test that came out as on none of these stock runs, or that only one side ran."""
    expected: dict[str, list[str]] = {}
    for place, stock in enumerate(stocks):
        for outcome in stock.outcomes:
            statuses = expected.setdefault(outcome.test, ["absent"] * place)
            statuses.append(outcome.status)
    found = []
    for outcome in ours.outcomes:
        statuses = expected.pop(outcome.test, ["absent"])
        if outcome.status not in statuses:
            found.append(f"{outcome.test}: {outcome.status} (stock: {_any_of(statuses)})")
    found.extend(
        f"{test}: absent (stock: {_any_of(statuses)})" for test, statuses in expected.items()
    )
    return found


def _any_of(statuses: list[str]) -> str:
    return " or ".join(dict.fromkeys(statuses))


def stock_runs(run: Run, runs: list[Run]) -> list[Run]:
    """The stock runs to compare with, on the same Python: alone, and beside the run's own binding
    if that was run too.

    Stock asyncio needs no binding. A stock run beside one shows what the binding breaks by itself.
    It is compared with stock asyncio alone.
    """
    stocks = [
        each
        for each in runs
        if each is not run
        and each.configuration.loop == "stock"
        and each.facts.python == run.facts.python
    ]
    alone = [each for each in stocks if each.configuration.binding is None]
    if run.configuration.loop == "stock":
        return alone if run.configuration.binding else []
    binding = run.configuration.binding
    return alone + [each for each in stocks if binding and each.configuration.binding == binding]


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
