"""Prints the table: `python -m tests.comparison [--bridge NAME] [--probe NAME]`."""

import argparse
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass

from .bridges import BRIDGES
from .probes import PROBES

#: Seconds after which a probe hangs.
PATIENCE = 10


@dataclass(frozen=True)
class Result:
    """What a cell says, and the note about it, if any."""

    cell: str
    note: str = ""


def run(bridge: str, probe: str) -> Result:
    """What two runs of a probe agree on. If they do not, a third one decides, and a note says so:
    some bridges have luck with some probes, and a busy machine makes some probes fail."""
    first, second = once(bridge, probe), once(bridge, probe)
    if first.cell == second.cell or first.cell.isdigit():
        return first
    third = once(bridge, probe)
    failed = next(result for result in (first, second) if result.cell == "no")
    if third.cell == "no":
        return Result("no", f"{third.note}; works in one of three runs")
    return Result(third.cell, f"in two of three runs; in one: {failed.note}")


def once(bridge: str, probe: str) -> Result:
    command = [sys.executable, "-m", "tests.comparison.one", bridge, probe]
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "QT_API": "pyside6"}
    try:
        child = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired:
        return Result("no", f"has not ended after {PATIENCE} s")
    if child.returncode < 0:
        return Result("no", f"{signal.Signals(-child.returncode).name} ends the process")
    if child.returncode or not child.stdout:
        return Result("no", f"the process ends with {child.returncode}")
    result = json.loads(child.stdout.splitlines()[-1])
    if isinstance(result, str):
        return Result(result)
    kind, text = result
    return Result("-" if kind == "lacks" else "no", text)


def table(bridges: list[str], probes: list[str]) -> str:
    """The table in Markdown, with its notes."""
    notes: list[str] = []
    rows = [["", *(f"{name} {BRIDGES[name].version()}" for name in bridges)]]
    for probe in probes:
        row = [PROBES[probe][0]]
        for bridge in bridges:
            result = run(bridge, probe)
            cell = result.cell
            if result.note:
                if result.note not in notes:
                    notes.append(result.note)
                cell = f"{cell} ({notes.index(result.note) + 1})"
            row.append(cell)
        rows.append(row)
        print(f"{probe}: {row[1:]}", file=sys.stderr, flush=True)
    lines = [f"| {' | '.join(row)} |" for row in rows]
    lines.insert(1, "|---" * (len(bridges) + 1) + "|")
    lines += ["", *(f"{number}. {note}" for number, note in enumerate(notes, 1))]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.comparison", description=__doc__)
    parser.add_argument("--bridge", action="append", choices=list(BRIDGES))
    parser.add_argument("--probe", action="append", choices=list(PROBES))
    chosen = parser.parse_args()
    print(table(chosen.bridge or list(BRIDGES), chosen.probe or list(PROBES)))


if __name__ == "__main__":
    main()
