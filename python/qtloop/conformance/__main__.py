"""The command line: `python -m qtloop.conformance`."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from .discovery import plan
from .outcomes import ERROR, FAILED, PASSED, SKIPPED, Outcome
from .runs import outcomes, run_tests


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m qtloop.conformance",
        description="CPython's own tests of asyncio, on your loop.",
    )
    parser.add_argument(
        "loop", nargs="?", metavar="MODULE:FACTORY", help="its class, or what makes one"
    )
    parser.add_argument(
        "--before", metavar="MODULE:FUNCTION", help="called before any loop is made"
    )
    parser.add_argument(
        "--clock", metavar="MODULE:CLASS", help="mixed in to put it on a clock that jumps"
    )
    parser.add_argument(
        "--select", metavar="PATTERN", help="a part of module.Class.test, or a glob"
    )
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--timeout", type=float, default=120, help="seconds a class may take")
    parser.add_argument("--order", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.order:
        run_tests(json.loads(options.order))
        return 0
    if options.loop is None:
        parser.error("which loop? MODULE:FACTORY")

    chosen = plan(options.select)
    tallies: dict[str, Counter[str]] = {}
    failures: list[Outcome] = []
    with ThreadPoolExecutor(options.jobs) as pool:
        for outcomes_of_class in pool.map(
            lambda each: list(outcomes(each, options)), chosen.classes
        ):
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
    for name, tally in sorted(
        {**tallies, "all": total}.items(), key=lambda row: (row[0] == "all", row)
    ):
        print(f"| {name} | {tally[PASSED]} | {tally[FAILED] + tally[ERROR]} | {tally[SKIPPED]} |")
    judged = total.total() - total[SKIPPED]
    share = total[PASSED] / max(judged, 1)
    print(f"\n{share:.2%}: {total[PASSED]} of {judged} tests passed, {left_out} are left out")


if __name__ == "__main__":
    sys.exit(main())
