"""Runs classes of tests, each in a process of its own."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import unittest
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from . import injection
from .choice import choice_of
from .discovery import PACKAGE, TestClass
from .outcomes import ERROR, Outcome
from .reporter import Reporter


def named(path: str | None) -> Any:
    """The object that MODULE:NAME stands for; None for none."""
    if not path:
        return None
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


# In the process of the tests.


def run_tests(order: dict[str, Any]) -> None:
    """Put the loop in place of the stock one. Then run the tests and write their outcomes."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    before = named(order["before"])
    kept = before() if before is not None else None
    census = injection.install(choice_of(named(order["loop"]), named(order["clock"])), None)
    module = importlib.import_module(f"{PACKAGE}.{order['module']}")
    injection.adapt(module)
    case = getattr(module, order["class"])
    with open(order["events"], "w") as events:
        unittest.TestSuite(map(case, order["methods"])).run(Reporter(events, census))
    del kept


# In the process that the user has started.


def outcomes(test_class: TestClass, options: argparse.Namespace) -> Iterator[Outcome]:
    """Run a class. If its process hangs or dies, the test of that moment has failed, and the others
    go on."""
    left = test_class.test_ids
    while left:
        found, fatal, last_words = run_process(test_class, left, options)
        yield from found
        done = {outcome.test for outcome in found}
        left = [test for test in left if test not in done]
        # Without a test at that moment, none of the tests can be run.
        for test in [fatal] if fatal in left else list(left):
            yield Outcome(test, ERROR, f"the process hung or died: {last_words}")
            left.remove(test)


def run_process(
    test_class: TestClass, tests: list[str], options: argparse.Namespace
) -> tuple[list[Outcome], str | None, str]:
    """Run these tests in a process. Returns their outcomes, the test in which the process hung or
    died, and the last line that it wrote."""
    # Windows keeps a folder in which a process is left, and an open file.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        events = Path(scratch, "events")
        order = {
            "loop": options.loop,
            "before": options.before,
            "clock": options.clock,
            "module": test_class.module,
            "class": test_class.name,
            "methods": [test.rpartition(".")[2] for test in tests],
            "events": str(events),
        }
        output = Path(scratch, "output")
        with output.open("w") as sink:
            process = subprocess.Popen(
                [sys.executable, "-m", __package__, "--order", json.dumps(order)],
                cwd=scratch,
                env=environment(),
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                process.wait(options.timeout)
            except subprocess.TimeoutExpired:
                kill(process)
                process.wait()
        found, fatal = read(events.read_text().splitlines() if events.exists() else (), tests)
        return found, fatal, (output.read_text(errors="replace").strip().splitlines() or [""])[-1]


def kill(process: subprocess.Popen[Any]) -> None:
    """Ends it, with what it has started where that can be done."""
    if sys.platform == "win32":
        process.kill()
    else:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def environment() -> dict[str, str]:
    """The environment of the tests. They find what this process finds, although they run elsewhere,
    and they open no window."""
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    return {"QT_QPA_PLATFORM": "offscreen", **os.environ, "PYTHONPATH": path}


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
