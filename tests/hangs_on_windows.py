"""A pytest plugin: on Windows a test that hangs ends the run, after a traceback of all threads.

It is what `hangs.py` is elsewhere, by what Windows has: a thread of faulthandler's keeps the time.
"""

import faulthandler
import os
import sys

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini(
        "hang_timeout", "seconds after which a setup, call or teardown has hung", default="100"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(_Guard(float(config.getini("hang_timeout"))))


class _Guard:
    def __init__(self, patience: float) -> None:
        self._patience = patience
        # What pytest captures is lost when the process ends.
        self._errors = os.dup(sys.__stderr__.fileno() if sys.__stderr__ else 2)

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        self._watch(f"setup of {item.nodeid}")

    def pytest_runtest_call(self, item: pytest.Item) -> None:
        self._watch(f"call of {item.nodeid}")

    def pytest_runtest_teardown(self, item: pytest.Item) -> None:
        self._watch(f"teardown of {item.nodeid}")

    def pytest_sessionfinish(self) -> None:
        faulthandler.cancel_dump_traceback_later()

    def _watch(self, what: str) -> None:
        """The traceback names the test: this function's caller has it in its own frames."""
        faulthandler.dump_traceback_later(self._patience, exit=True, file=self._errors)
