"""Writes the outcomes of tests, as they come."""

from __future__ import annotations

import json
import time
import unittest
from collections.abc import Callable
from dataclasses import asdict
from types import TracebackType
from typing import TextIO

from . import injection
from .discovery import PACKAGE
from .outcomes import ERROR, FAILED, PASSED, SKIPPED, Outcome

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

    def addSubTest(
        self, test: unittest.TestCase, subtest: unittest.TestCase, err: ExcInfo | None
    ) -> None:
        if err is not None:
            self._worsen(FAILED, self._text(subtest, err))

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        self._record(test, SKIPPED, reason)

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        self._worsen(FAILED, "unexpected success")

    def _record(self, test: unittest.TestCase, status: str, detail: str) -> None:
        if not isinstance(test, unittest.TestCase):
            # A fixture of the class or of the module. It counts for every test that has not run
            # yet.
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
