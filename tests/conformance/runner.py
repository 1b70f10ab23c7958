"""Runs one configuration: each test class in a process of its own, under a time limit."""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TextIO

from qtloop.conformance.discovery import Plan, TestClass
from qtloop.conformance.outcomes import ERROR, FAILED, Outcome
from qtloop.conformance.runs import kill

from .configuration import VARIABLES, Configuration
from .results import Facts, Run

_ROOT = Path(__file__).resolve().parents[2]

# After this many hangs the rest of a class is given up; a crash costs little time, so any number
# may pass.
_MOST_HANGS = 3

_HUNG = "still running"

# These take the longest; started first, they do not keep a run waiting at its end.
_SLOW_MODULES = ("test_ssl", "test_events", "test_sslproto", "test_subprocess", "test_sendfile")


@dataclass
class ClassReport:
    """What came of a class: an outcome for each of its tests, and the loops that took part."""

    test_class: TestClass
    outcomes: list[Outcome] = field(default_factory=list)
    facts: Facts | None = None
    loops_made: int = 0
    loop_runs: int = 0
    host: str = ""
    hangs: int = 0

    @property
    def unreported(self) -> list[str]:
        reported = {outcome.test for outcome in self.outcomes}
        return [test for test in self.test_class.test_ids if test not in reported]


Progress = Callable[[ClassReport], None]


def run(
    configuration: Configuration, plan: Plan, jobs: int, timeout: float, progress: Progress
) -> Run:
    started = time.perf_counter()
    result = Run(configuration, Facts(platform.python_version()), excluded=dict(plan.excluded))
    classes = sorted(plan.classes, key=_slowest_first)
    with ThreadPoolExecutor(jobs) as pool:
        for report in pool.map(lambda each: run_class(configuration, each, timeout), classes):
            progress(report)
            result.outcomes.extend(report.outcomes)
            host = report.host or result.facts.host
            result.facts = replace(report.facts or result.facts, host=host)
    result.outcomes.sort(key=lambda outcome: outcome.test)
    result.seconds = round(time.perf_counter() - started, 1)
    return result


def run_class(configuration: Configuration, test_class: TestClass, timeout: float) -> ClassReport:
    """Run every test of a class; a test that hangs or crashes costs itself, not the ones after
    it."""
    report = ClassReport(test_class)
    while report.unreported and report.hangs < _MOST_HANGS:
        _start_worker(configuration, report, timeout)
    report.outcomes.extend(Outcome(test, ERROR, "not run") for test in report.unreported)
    return report


def _slowest_first(test_class: TestClass) -> tuple[bool, int]:
    return test_class.module not in _SLOW_MODULES, -len(test_class.methods)


def _start_worker(configuration: Configuration, report: ClassReport, timeout: float) -> None:
    # Windows keeps a folder in which a process is left, and an open file.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        events, output = Path(scratch, "events"), Path(scratch, "output")
        order = {
            "loop": configuration.loop,
            "binding": configuration.binding,
            "host": configuration.host,
            "module": report.test_class.module,
            "class": report.test_class.name,
            "methods": [test.rpartition(".")[2] for test in report.unreported],
            "events": str(events),
            "dump_after": timeout * 0.95,
        }
        with output.open("w") as sink:
            ending = _run_to_the_end(configuration, json.dumps(order), scratch, sink, timeout)
        in_progress = _read_events(events, report) if events.exists() else None
        report.hangs += ending.startswith(_HUNG)
        if ending or report.unreported:
            said = output.read_text(errors="replace")
            _blame(
                report, in_progress, f"{said}\n{ending or 'ended early'}{_innermost_frame(said)}"
            )


def _run_to_the_end(
    configuration: Configuration, order: str, scratch: str, sink: TextIO, timeout: float
) -> str:
    """Run a worker; say how it ended if that was not by itself and well."""
    process = subprocess.Popen(
        [sys.executable, "-X", "faulthandler", "-m", f"{__package__}.worker"],
        cwd=scratch,
        env=_environment(configuration),
        stdin=subprocess.PIPE,
        stdout=sink,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        process.communicate(order, timeout)
    except subprocess.TimeoutExpired:
        return f"{_HUNG} after {timeout:g} s"
    finally:
        # With whatever its tests left running.
        kill(process)
        process.wait()
    if process.returncode < 0:
        return f"ended by {signal.Signals(-process.returncode).name}"
    return f"ended with exit code {process.returncode:#x}" if process.returncode else ""


def _environment(configuration: Configuration) -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    env["PYTHONPATH"] = os.pathsep.join(filter(None, (str(_ROOT), env.get("PYTHONPATH"))))
    return env | configuration.environment()


def _read_events(events: Path, report: ClassReport) -> str | None:
    """Add what a worker reported; the id of the test it was in when it ended, if it was in one."""
    in_progress = None
    for line in events.read_text().splitlines():
        ((kind, body),) = json.loads(line).items()
        if kind == "facts":
            report.facts = Facts(**body)
        elif kind == "start":
            in_progress = body
        elif kind == "outcome":
            in_progress = None
            report.outcomes.append(Outcome(**body))
        elif kind == "rest":
            report.outcomes.extend(Outcome(**(body | {"test": test})) for test in report.unreported)
        elif kind == "census":
            report.loops_made += body["made"]
            report.loop_runs += body["runs"]
            report.host = body["host"] or report.host
    return in_progress


def _innermost_frame(output: str) -> str:
    """Where the interpreter was when it last dumped its stack, if it did."""
    _, found, dump = output.rpartition("(most recent call first):\n")
    return f", in {dump.splitlines()[0].strip()}" if found and dump else ""


def _blame(report: ClassReport, in_progress: str | None, detail: str) -> None:
    """A bad end is the fault of the test in progress; with none, of all that were still to come."""
    if in_progress is not None:
        report.outcomes.append(Outcome(in_progress, FAILED, detail))
    elif report.unreported:
        report.outcomes.extend(Outcome(test, ERROR, detail) for test in report.unreported)
    elif report.outcomes:
        # Every test is reported but the process did not end well: that must not go unseen.
        last = report.outcomes[-1]
        last.status, last.detail = ERROR, f"after the last test: {detail}"
