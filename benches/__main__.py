"""`python -m benches`: choose, measure, print, write."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from fnmatch import fnmatch
from pathlib import Path

import benches.workloads  # noqa: F401
from benches import document, machine, plot, report, session
from benches.loops import BINDINGS, LOOPS, OURS, Loop, is_installed
from benches.results import Results
from benches.workload import WORKLOADS, Workload

QUICK_SECONDS = 0.1


def main() -> None:
    """Runs from the command line."""
    options = _parse(sys.argv[1:])
    workloads = _able(choose_workloads(options))
    loops = choose_loops(options.loops)
    names = [loop.name for loop in loops]
    settings = _settings(options)
    facts = machine.describe() | {
        "Measured": (
            f"{settings.rounds} rounds of {settings.seconds:g} s, a process each, loops in turns"
        ),
        "Command": _command(sys.argv[1:]),
    }

    terminal = report.Terminal(names)
    results = Results()

    def finished(workload: Workload) -> None:
        terminal.print(report.medians(results, workload, names))
        if options.json:
            options.json.write_text(_json(results, facts, settings))

    session.run(workloads, loops, settings, results, finished)
    for line in report.reasons(results):
        print("failed:", line)
    if options.write:
        parts = {
            "summary": report.short(results, workloads, names),
            "figures": report.markdown(results, workloads, names, facts),
        }
        plots = {"speed.svg": plot.speeds(results, workloads)}
        plots["lateness.svg"] = plot.lateness(results, workloads)
        drawn = {name: plot.svg(each) for name, each in plots.items() if each.rows}
        document.write(options.write, parts, drawn)
    if any(name in results.reasons() for name in OURS):
        sys.exit("a workload failed on qtloop itself")


def choose_workloads(options: argparse.Namespace) -> list[Workload]:
    """Those that match a pattern; without patterns all of a kind, or those good for a quick
    look."""
    if options.only is None:
        return [
            workload
            for workload in WORKLOADS.values()
            if workload.whole == options.whole and (workload.in_quick or not options.quick)
        ]
    chosen = []
    for pattern in options.only.split(","):
        matches = [name for name in WORKLOADS if fnmatch(name, pattern)]
        if not matches:
            sys.exit(f"no workload {pattern!r}; there are: {', '.join(WORKLOADS)}")
        chosen += matches
    return [workload for name, workload in WORKLOADS.items() if name in chosen]


def _able(workloads: list[Workload]) -> list[Workload]:
    """Those for which this machine lets a process have enough fds, and a word about the others."""
    fds = machine.raise_file_limit()
    for workload in workloads:
        if workload.needs_fds > fds:
            print(f"left out: {workload.name} needs {workload.needs_fds} fds, {fds} are allowed")
    return [workload for workload in workloads if workload.needs_fds <= fds]


def choose_loops(names: str | None) -> list[Loop]:
    """Those asked for; without names the usual ones that are installed, and a word about those
    that are not."""
    if names is None:
        usual = [loop for loop in LOOPS.values() if loop.by_default]
        missing = [loop.name for loop in usual if not is_installed(loop)]
        if missing:
            print(f"not installed: {', '.join(missing)}")
        return [loop for loop in usual if loop.name not in missing]
    unknown = [name for name in names.split(",") if name not in LOOPS]
    if unknown:
        sys.exit(f"no loop {', '.join(unknown)}; there are: {', '.join(LOOPS)}")
    return [LOOPS[name] for name in names.split(",")]


def _settings(options: argparse.Namespace) -> session.Settings:
    quick = options.quick
    return session.Settings(
        rounds=options.rounds or (1 if quick else 5),
        seconds=options.seconds or (QUICK_SECONDS if quick else 1.0),
        binding=options.binding,
        no_glib=options.no_glib,
        gui=options.gui,
        at_once=2 if quick else 1,
    )


def _json(results: Results, facts: dict[str, str], settings: session.Settings) -> str:
    samples = [asdict(sample) for sample in results.samples]
    return json.dumps({"facts": facts, "settings": asdict(settings), "samples": samples}, indent=1)


def _parse(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benches", description="Measures loops side by side.", parents=[_outputs()]
    )
    parser.add_argument(
        "--quick", action="store_true", help="a brief look whether everything works"
    )
    parser.add_argument(
        "--whole", action="store_true", help="the servers of other libraries, and nothing else"
    )
    parser.add_argument("--only", metavar="NAME,...", help="workloads; * and ? match")
    parser.add_argument("--loops", metavar="NAME,...", help=f"of {', '.join(LOOPS)}")
    parser.add_argument("--rounds", type=int, help="5, or 1 with --quick")
    parser.add_argument("--seconds", type=float, help=f"each; 1, or {QUICK_SECONDS} with --quick")
    parser.add_argument("--binding", choices=BINDINGS, default=BINDINGS[0])
    parser.add_argument(
        "--no-glib", action="store_true", help="Qt's own dispatcher instead of GLib's"
    )
    parser.add_argument(
        "--gui", action="store_true", help="under a QApplication, not a QCoreApplication"
    )
    return parser.parse_args(words)


def _outputs() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument(
        "--write",
        type=Path,
        metavar="FILE",
        help="put the tables into this document, and plots beside it",
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="keep every sample, error and stderr"
    )
    return parser


def _command(words: Sequence[str]) -> str:
    """What to type for the same figures; where they went does not matter."""
    _, rest = _outputs().parse_known_args(words)
    return shlex.join(["python", "-m", "benches", *rest])


if __name__ == "__main__":
    main()
