"""Runs the benches of the executor several times over and writes what they say as Markdown tables.

python -m benches.executor.report [--rounds 3] [--quick] [--only EXPRESSION]

A round is every workload on every runtime, then what runs inside Qt once more with the other
dispatcher, then the frames. One table has the median of the rounds; the other the quickest sample
of all, which other work on the machine has disturbed least.
"""

import argparse
import json
import operator
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

QUICK = ["--measurement-time", "0.2", "--warm-up-time", "0.1", "--sample-size", "10"]
DISPATCHERS = {"plain": {"QT_NO_GLIB": "1"}, "GLib": {}}
INSIDE_QT = "qtloop|execute_async"

# Workload to runtime to nanoseconds an operation, one number a round.
Table = dict[str, dict[str, list[float]]]


def environment(dispatcher: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name != "QT_NO_GLIB"}
    return inherited | DISPATCHERS[dispatcher]


def build(*arguments: str) -> Path:
    """The program that cargo makes of these arguments."""
    command = [
        "cargo",
        *arguments,
        "--package",
        "qtloop-bench",
        "--features",
        "qt",
        "--message-format",
        "json",
    ]
    cargo = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    made = [
        message
        for line in cargo.stdout.splitlines()
        if (message := json.loads(line)).get("executable")
    ]
    return Path(made[-1]["executable"])


def run_bench(
    bench: Path, dispatcher: str, options: list[str], medians: Table, quickest: Table
) -> None:
    with tempfile.TemporaryDirectory() as home:
        env = environment(dispatcher) | {"CRITERION_HOME": home}
        subprocess.run(
            [bench, "--bench", "--noplot", *options], env=env, check=True, stdout=subprocess.DEVNULL
        )
        for estimates in sorted(
            Path(home).glob("*/*/new/estimates.json"), key=lambda path: path.stat().st_mtime
        ):
            about = json.loads(estimates.with_name("benchmark.json").read_text())
            group, function = about["group_id"], about["function_id"]
            operations = about["throughput"]["Elements"]
            median = json.loads(estimates.read_text())["median"]["point_estimate"]
            medians[group][function].append(median / operations)
            sample = json.loads(estimates.with_name("sample.json").read_text())
            each = map(operator.truediv, sample["times"], sample["iters"])
            quickest[group][function].append(min(each) / operations)


def run_frames(frames: Path, table: dict[tuple[str, str], list[list[int]]]) -> None:
    for dispatcher in DISPATCHERS:
        run = subprocess.run(
            [frames], env=environment(dispatcher), check=True, stdout=subprocess.PIPE, text=True
        )
        for line in run.stdout.splitlines()[1:]:
            tasks, *lateness = line.split("\t")
            table[dispatcher, tasks].append([int(text) for text in lateness])


def markdown(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def cell(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def ratio(ours: float, theirs: float | None) -> str:
    return "" if theirs is None else f"{theirs / ours:.2f}"


def report_bench(what: str, table: Table, summarise: Callable[[list[float]], float]) -> str:
    ours = "qtloop (plain)"
    runtimes = sorted(
        {name for row in table.values() for name in row},
        key=lambda name: ("qtloop" not in name, name),
    )
    rows = []
    for workload, row in table.items():
        medians = {name: summarise(values) for name, values in row.items()}
        tokio = min(
            (value for name, value in medians.items() if name.startswith("tokio")), default=None
        )
        peer = min((value for name, value in medians.items() if "qtloop" not in name), default=None)
        event = medians.get("execute_async (plain)")
        ratios = [ratio(medians[ours], other) for other in (tokio, peer, event)]
        rows.append([workload, *(cell(medians.get(name)) for name in runtimes), *ratios])
    return markdown(
        [what, *runtimes, "tokio / qtloop", "best peer / qtloop", "execute_async / qtloop"], rows
    )


def report_frames(table: dict[tuple[str, str], list[list[int]]]) -> str:
    medians = {
        key: [statistics.median(column) for column in zip(*runs, strict=True)]
        for key, runs in table.items()
    }
    rows = [
        [f"{dispatcher}, {tasks} tasks", *map(cell, values)]
        for (dispatcher, tasks), values in medians.items()
    ]
    return markdown(["lateness of a 5 ms QTimer, us", "p50", "p99", "max"], rows)


def machine() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    names = [
        line.partition(":")[2].strip()
        for line in cpuinfo.read_text().splitlines()
        if line.startswith("model name")
    ]
    rustc = subprocess.run(
        ["rustc", "--version"], check=True, stdout=subprocess.PIPE, text=True
    ).stdout.strip()
    versions = subprocess.run(
        ["cargo", "metadata", "--format-version=1", "--all-features"],
        check=True,
        stdout=subprocess.PIPE,
    ).stdout
    peers = ("tokio", "calloop", "futures", "qmetaobject", "criterion")
    found = [
        f"{it['name']} {it['version']}"
        for it in json.loads(versions)["packages"]
        if it["name"] in peers
    ]
    qt = subprocess.run(
        ["qmake6", "-query", "QT_VERSION"], check=True, stdout=subprocess.PIPE, text=True
    ).stdout.strip()
    cpu = f"{len(names)} x {names[0]}" if names else platform.machine()
    return (
        f"{cpu}, Linux {platform.release()}, {rustc.partition(' (')[0]}, Qt {qt}; "
        f"{', '.join(found)}."
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument(
        "--only", default="", help="workloads and runtimes: a regular expression for criterion"
    )
    options = parser.parse_args()
    bench = build("bench", "--no-run", "--bench", "executor")
    frames_program = build("build", "--release", "--bin", "frames")
    criterion = QUICK if options.quick else []
    medians: Table = defaultdict(lambda: defaultdict(list))
    quickest: Table = defaultdict(lambda: defaultdict(list))
    frames: dict[tuple[str, str], list[list[int]]] = defaultdict(list)
    for number in range(options.rounds):
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
        run_bench(bench, "plain", [*criterion, options.only], medians, quickest)
        run_bench(bench, "GLib", [*criterion, options.only or INSIDE_QT], medians, quickest)
        run_frames(frames_program, frames)
    print(machine())
    print("", report_bench("ns an operation, median", medians, statistics.median), sep="\n")
    print("", report_bench("ns an operation, quickest", quickest, min), sep="\n")
    print("", report_frames(frames), sep="\n")


if __name__ == "__main__":
    main()
