"""Runs the tests of one class in this process and writes how each came out, as it happens.

It is started by `runner.py`: the order comes as JSON on stdin, the events go as lines of JSON to a
file, so that what was done is known even if this process hangs or crashes in the next test.
"""

from __future__ import annotations

import faulthandler
import gc
import importlib
import json
import platform
import signal
import sys
import unittest
from dataclasses import asdict
from typing import Any

from qtloop.conformance import injection
from qtloop.conformance.choice import Choice
from qtloop.conformance.discovery import PACKAGE
from qtloop.conformance.reporter import Reporter

from . import loops
from .results import Facts


def _facts(choice: Choice, binding: str | None) -> Facts:
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
