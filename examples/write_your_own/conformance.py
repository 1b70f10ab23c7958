"""Chapter 6: CPython's own tests of asyncio, run on your loop.

    python -m examples.write_your_own.conformance MODULE:CLASS [--before MODULE:FUNCTION]

CLASS is a loop that can be made without arguments. FUNCTION is called once in each process before
any loop is made; a GUI makes its application there. For the loop of chapter 4:

    python -m examples.write_your_own.conformance examples.write_your_own.chapter4_qt:QtLoop \\
        --before examples.write_your_own.chapter4_qt:make_application

Each class of tests runs in a process of its own, so a hang or a crash costs one test. What is left
out, and why, is in `tests/conformance/exclusions.py`; it is left out for every loop, stock included.
"""

import argparse
import asyncio
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import unittest
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.conformance import injection, simulated
from tests.conformance.discovery import PACKAGE, TestClass, plan
from tests.conformance.loops import Choice
from tests.conformance.results import ERROR, FAILED, PASSED, SKIPPED, Outcome
from tests.conformance.worker import Reporter

ROOT = Path(__file__).resolve().parents[2]


# In the process of the tests.


class JumpingClock:
    """Puts a `GuestLoop` of the course on a simulated clock, for the tests that come with a script.

    The run loop never waits: its timer ends at once. A turn that finds nothing to do jumps.
    """

    _now = 0.0

    def time(self) -> float:
        return self._now

    def _set_timer(self: Any, delay: float | None) -> None:
        super()._set_timer(None if delay is None else 0)

    def _turn(self: Any) -> None:
        self._process_events(self._selector.select(0))
        deadlines = [timer.when() for timer in self._scheduled if not timer.cancelled()]
        if deadlines and not self._ready:
            self._now = max(self._now, min(deadlines))
        super()._turn()


def named(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def choice_of(loop: type[Any]) -> Choice:
    """What the harness has to know of a loop. A loop whose clock cannot be moved leaves the tests the
    fake loop that they come with; that is then no stranger."""
    if loop is asyncio.SelectorEventLoop:
        return Choice(loop, asyncio.DefaultEventLoopPolicy, simulated.SimulatedStock)
    if hasattr(loop, "_set_timer"):
        return Choice(loop, asyncio.DefaultEventLoopPolicy, JumpingClock, ours=(loop,))
    fake: Any = importlib.import_module(f"{PACKAGE}.utils")
    return Choice(loop, asyncio.DefaultEventLoopPolicy, None, ours=(loop, fake.TestLoop))


def run_tests(order: dict[str, Any]) -> None:
    """Put the loop in the place of the stock one, then run the tests and write how they come out."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    kept = named(order["before"])() if order["before"] else None
    census = injection.install(choice_of(named(order["loop"])), None)
    module = importlib.import_module(f"{PACKAGE}.{order['module']}")
    injection.adapt(module)
    case = getattr(module, order["class"])
    with open(order["events"], "w") as events:
        unittest.TestSuite(map(case, order["methods"])).run(Reporter(events, census))
    del kept


# In the process that was started by you.


def outcomes(test_class: TestClass, options: argparse.Namespace) -> Iterator[Outcome]:
    """Run a class. The test in which its process hangs or dies has failed, and the rest go on."""
    left = test_class.test_ids
    while left:
        found, fatal, last_words = run_process(test_class, left, options)
        yield from found
        done = {outcome.test for outcome in found}
        left = [test for test in left if test not in done]
        # With no test under way it is all tests that cannot be run.
        for test in [fatal] if fatal in left else list(left):
            yield Outcome(test, ERROR, f"the process hung or died: {last_words}")
            left.remove(test)


def run_process(
    test_class: TestClass, tests: list[str], options: argparse.Namespace
) -> tuple[list[Outcome], str | None, str]:
    """Run these tests in a process: how they came out, the one that it did not come back from, and
    the last line that it wrote."""
    with tempfile.TemporaryDirectory() as scratch:
        events = Path(scratch, "events")
        order = {
            "loop": options.loop,
            "before": options.before,
            "module": test_class.module,
            "class": test_class.name,
            "methods": [test.rpartition(".")[2] for test in tests],
            "events": str(events),
        }
        output = Path(scratch, "output")
        with output.open("w") as sink:
            process = subprocess.Popen(
                [sys.executable, "-m", __spec__.name, "--order", json.dumps(order)],
                cwd=scratch,
                env={**os.environ, "PYTHONPATH": str(ROOT), "QT_QPA_PLATFORM": "offscreen"},
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                process.wait(options.timeout)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        found, fatal = read(events.read_text().splitlines() if events.exists() else (), tests)
        return found, fatal, (output.read_text(errors="replace").strip().splitlines() or [""])[-1]


def read(events: Iterable[str], tests: list[str]) -> tuple[list[Outcome], str | None]:
    found: dict[str, Outcome] = {}
    in_progress = None
    for line in events:
        ((kind, body),) = json.loads(line).items()
        if kind == "start":
            in_progress = body
        elif kind == "outcome":
            in_progress = None
            found[body["test"]] = Outcome(**body)
        elif kind == "rest":
            for test in tests:
                found.setdefault(test, Outcome(**{**body, "test": test}))
    return list(found.values()), in_progress


def main() -> int:
    parser = argparse.ArgumentParser(description="CPython's own tests of asyncio, on your loop.")
    parser.add_argument("loop", nargs="?", metavar="MODULE:CLASS")
    parser.add_argument("--before", metavar="MODULE:FUNCTION", help="called before any loop is made")
    parser.add_argument("--select", metavar="PATTERN", help="a part of module.Class.test, or a glob")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--timeout", type=float, default=120, help="seconds a class may take")
    parser.add_argument("--order", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.order:
        run_tests(json.loads(options.order))
        return 0

    chosen = plan(options.select)
    tallies: dict[str, Counter[str]] = {}
    failures: list[Outcome] = []
    with ThreadPoolExecutor(options.jobs) as pool:
        for outcomes_of_class in pool.map(lambda each: list(outcomes(each, options)), chosen.classes):
            for outcome in outcomes_of_class:
                tallies.setdefault(outcome.test.partition(".")[0], Counter())[outcome.status] += 1
                if outcome.status in (FAILED, ERROR):
                    failures.append(outcome)
    print_table(tallies, chosen.excluded.total())
    for outcome in failures:
        print(f"\n{outcome.test}\n    {' '.join(outcome.detail.splitlines()[-1:])}")
    return 1 if failures else 0


def print_table(tallies: dict[str, Counter[str]], left_out: int) -> None:
    total = sum(tallies.values(), Counter[str]())
    print("| module | passed | failed | skipped |\n|---|---|---|---|")
    for name, tally in sorted({**tallies, "all": total}.items(), key=lambda row: (row[0] == "all", row)):
        print(f"| {name} | {tally[PASSED]} | {tally[FAILED] + tally[ERROR]} | {tally[SKIPPED]} |")
    judged = total.total() - total[SKIPPED]
    share = total[PASSED] / max(judged, 1)
    print(f"\n{share:.2%}: {total[PASSED]} of {judged} tests passed, {left_out} are left out")


if __name__ == "__main__":
    sys.exit(main())
