"""The command line: `python -m tests.conformance`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from qtloop.conformance.discovery import Plan, plan
from qtloop.conformance.outcomes import ERROR, FAILED, PASSED, SKIPPED, Outcome, summary, tally

from .configuration import (
    BINDINGS,
    DISPATCHERS,
    FD_STRATEGIES,
    HOSTS,
    LOOPS,
    OTHER_HOSTS,
    Configuration,
    default_matrix,
    installed_bindings,
)
from .results import Run, differences, load, save, stock_runs, worse
from .runner import ClassReport, run


def main() -> int:
    options = _parse(sys.argv[1:])
    chosen = plan(options.select, options.without)
    runs: list[Run] = []
    baseline = load(options.baseline) if options.baseline else []
    waiting = _configurations(options)
    while waiting:
        runs.append(_run_one(waiting.pop(0), chosen, options))
        if options.json:
            save(runs, options.json)
        waiting[:0] = _what_the_binding_breaks(runs[-1], [*runs, *baseline], options.no_worse)
    known = [*runs, *baseline]
    equal = _compare(runs, known, options.no_worse)
    # What fails on stock asyncio too is no fault of a loop that is compared with it.
    alone = (each for each in runs if not stock_runs(each, known))
    well = equal and (options.no_worse or not any(each.failures for each in alone))
    for each in runs:
        print(f"{each.configuration.label}: {each.seconds:.0f} s")
    total = tally(outcome for each in runs for outcome in each.outcomes)
    print(summary(total))
    return 0 if well else 1


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--loop", choices=LOOPS, default="qtloop")
    parser.add_argument("--binding", choices=BINDINGS, help="default: the first one installed")
    parser.add_argument("--host", choices=HOSTS)
    parser.add_argument("--no-glib", action="store_true", help="Qt's plain dispatcher")
    parser.add_argument("--fd", choices=FD_STRATEGIES)
    parser.add_argument(
        "--matrix",
        nargs="*",
        type=Configuration.parse,
        metavar="CONFIGURATION",
        help=(
            f"stock, then each of these (as PyQt6/qt/{DISPATCHERS[1]}), compared with stock; "
            f"default: all"
        ),
    )
    parser.add_argument(
        "--baseline", type=Path, metavar="FILE", help="compare with the stock run stored here"
    )
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--timeout", type=float, default=120, help="seconds a class may take")
    parser.add_argument(
        "--select", metavar="PATTERN", help="a glob, or a part of module.Class.test"
    )
    parser.add_argument(
        "--without", metavar="PATTERN", nargs="*", default=[], help="leaves such tests out"
    )
    parser.add_argument(
        "--no-worse",
        action="store_true",
        help="the run has failed if a test fails that stock passes, and only then",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="store the results")
    parser.add_argument("-v", "--verbose", action="store_true", help="a line for each test")
    return parser.parse_args(arguments)


def _configurations(options: argparse.Namespace) -> list[Configuration]:
    if options.matrix is not None:
        chosen = options.matrix or default_matrix()
        stock = Configuration("stock")
        return chosen if options.baseline or stock in chosen else [stock, *chosen]
    if options.loop != "qtloop":
        return [Configuration(options.loop)]
    needs_qt = options.host not in OTHER_HOSTS
    binding = options.binding or (next(iter(installed_bindings()), None) if needs_qt else None)
    dispatcher = "plain" if options.no_glib else None
    return [Configuration("qtloop", binding, options.host, options.fd, dispatcher)]


def _what_the_binding_breaks(run: Run, known: list[Run], no_worse: bool) -> list[Configuration]:
    """The stock run that shows whether the binding alone makes the difference, if there is one."""
    stocks, binding = stock_runs(run, known), run.configuration.binding
    if binding is None or run.configuration.loop == "stock" or len(stocks) != 1:
        return []
    found = worse(run, stocks[0]) if no_worse else differences(run, stocks)
    return [Configuration("stock", binding)] if found else []


def _run_one(configuration: Configuration, chosen: Plan, options: argparse.Namespace) -> Run:
    print(f"== {configuration.label}", flush=True)

    def progress(report: ClassReport) -> None:
        _print_class(report, options.verbose)

    finished = run(configuration, chosen, options.jobs, options.timeout, progress)
    for outcome in finished.failures:
        print(f"{outcome.status.upper()} {outcome.test}\n    {_last_lines(outcome)}")
    return finished


def _print_class(report: ClassReport, verbose: bool) -> None:
    counts = tally(report.outcomes)
    print(
        f"{report.test_class.id:60} {counts[PASSED]:4} passed {counts[FAILED]:3} failed"
        f" {counts[ERROR]:3} errors {counts[SKIPPED]:3} skipped"
        f" {sum(outcome.seconds for outcome in report.outcomes):6.1f} s {report.loops_made:4} "
        f"loops",
        flush=True,
    )
    if verbose:
        for outcome in report.outcomes:
            print(f"    {outcome.status:8} {outcome.seconds:7.3f} s {outcome.test}")


def _last_lines(outcome: Outcome) -> str:
    lines = [line for line in outcome.detail.splitlines() if line.strip()]
    return "\n    ".join(lines[-3:])


def _compare(runs: list[Run], known: list[Run], no_worse: bool) -> bool:
    """Print what differs from stock, on the same Python; whether no other loop differs, or none
    for the worse."""
    equal = True
    for each in runs:
        stocks = stock_runs(each, known)
        if not stocks:
            continue
        found = differences(each, stocks)
        counted = worse(each, stocks[0]) if no_worse else found
        equal = equal and not (counted and each.configuration.loop != "stock")
        print(
            f"{each.configuration.label}: {len(found)} of {len(stocks[0].outcomes)} tests differ "
            f"from {' and '.join(stock.configuration.label for stock in stocks)}"
        )
        for difference in found:
            print(f"    {difference}")
    return equal


if __name__ == "__main__":
    sys.exit(main())
