"""Runs the tests of one class in this process and writes how each came out, as it happens.

It is started by `runner.py`: the order comes as JSON on stdin, the events go as lines of JSON to a file, so
that what was done is known even if this process hangs or crashes in the next test.
"""

from __future__ import annotations

import faulthandler
import gc
import importlib
import json
import platform
import signal
import sys
import time
import unittest
from collections.abc import Callable
from dataclasses import asdict
from types import TracebackType
from typing import Any, TextIO

from . import injection, loops
from .discovery import PACKAGE
from .results import ERROR, FAILED, PASSED, SKIPPED, Facts, Outcome

ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]


class Reporter(unittest.TestResult):
    """Writes an event at the start and at the end of each test."""

    def __init__(self, events: TextIO, census: injection.Census) -> None:
        super().__init__()
        self._events = events
        self._census = census
        self._outcome = Outcome("", PASSED)
        self._started = 0.0

    def emit(self, kind: str, body: object) -> None:
        self._events.write(json.dumps({kind: body}) + "\n")
        self._events.flush()

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        self._outcome = Outcome(_short_id(test), PASSED)
        self._started = time.perf_counter()
        self.emit("start", self._outcome.test)

    def stopTest(self, test: unittest.TestCase) -> None:
        super().stopTest(test)
        if _short_id(test) != self._outcome.test:
            return
        if self._census.strangers:
            self._worsen(FAILED, "not the loop under test: " + "; ".join(self._census.strangers))
            self._census.strangers.clear()
        self._outcome.seconds = round(time.perf_counter() - self._started, 3)
        self.emit("outcome", asdict(self._outcome))

    def addFailure(self, test: unittest.TestCase, err: ExcInfo) -> None:
        self._record(test, FAILED, self._text(test, err))

    def addError(self, test: unittest.TestCase, err: ExcInfo) -> None:
        self._record(test, ERROR, self._text(test, err))

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: ExcInfo | None) -> None:
        if err is not None:
            self._worsen(FAILED, self._text(subtest, err))

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        self._record(test, SKIPPED, reason)

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        self._worsen(FAILED, "unexpected success")

    def _record(self, test: unittest.TestCase, status: str, detail: str) -> None:
        if not isinstance(test, unittest.TestCase):
            # A fixture of the class or of the module: it speaks for every test not yet run.
            self.emit("rest", asdict(Outcome("", status, detail)))
        elif _short_id(test) == self._outcome.test:
            self._worsen(status, detail)
        else:
            # Some versions of unittest skip a test without starting it.
            self.emit("outcome", asdict(Outcome(_short_id(test), status, detail)))

    def _worsen(self, status: str, detail: str) -> None:
        """A failure outweighs a skip; of several failures the first one names the status."""
        if self._outcome.status in (PASSED, SKIPPED):
            self._outcome.status = status
        self._outcome.detail = "\n".join(filter(None, (self._outcome.detail, detail)))

    def _text(self, test: unittest.TestCase, err: ExcInfo) -> str:
        convert: Callable[..., str] = vars(unittest.TestResult)["_exc_info_to_string"]
        return convert(self, err, test)


def _short_id(test: unittest.TestCase) -> str:
    return test.id().removeprefix(f"{PACKAGE}.")


def _facts(choice: loops.Choice, binding: str | None) -> Facts:
    """Look at what is really there; the Qt part needs the application to exist."""
    facts = Facts(python=platform.python_version(), loop=choice.version)
    if binding is not None:
        core: Any = importlib.import_module(f"{binding}.QtCore")
        package: Any = importlib.import_module(binding)
        facts.binding = getattr(core, "PYQT_VERSION_STR", None) or package.__version__
        facts.qt = core.qVersion()
        facts.dispatcher = core.QAbstractEventDispatcher.instance().metaObject().className()
    return facts


def _make_application(binding: str | None) -> object:
    """Qt wants its application in the main thread before a loop runs in any other one."""
    if binding is None:
        return None
    core: Any = importlib.import_module(f"{binding}.QtCore")
    return core.QCoreApplication([])


def main() -> None:
    # Whoever starts us in the background may have SIGINT ignored, and then Python leaves it so.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    order = json.load(sys.stdin)
    faulthandler.dump_traceback_later(order["dump_after"])
    binding = order["binding"]
    application = _make_application(binding)
    choice = loops.load(order["loop"])
    census = injection.install(choice, order["host"])
    module = importlib.import_module(f"{PACKAGE}.{order['module']}")
    injection.adapt(module)
    case = getattr(module, order["class"])
    with open(order["events"], "w") as events:
        reporter = Reporter(events, census)
        reporter.emit("facts", asdict(_facts(choice, binding)))
        unittest.TestSuite(case(method) for method in order["methods"]).run(reporter)
        reporter.emit("census", census.summary())
    # Loops left over go before the application they run in.
    gc.collect()
    del application


if __name__ == "__main__":
    main()
