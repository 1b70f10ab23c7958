"""The fixtures of the headless tests, but with a QApplication: these tests show widgets
(offscreen).

A process has one application object, so these run in a process of their own.
"""

import importlib
from typing import Any

import pytest
from python.conftest import (  # noqa: F401
    errors,
    loop,
    loop_factory,
    name,
    no_exception_in_a_slot,
    pair,
    pytest_pyfunc_call,
    qt_loop,
    qt_loop_factory,
    stock_loop,
)

from qtloop import _qt

qt_widgets: Any = importlib.import_module(f"{_qt.binding()}.QtWidgets")


@pytest.fixture(scope="session", autouse=True)
def application() -> Any:
    """Closing the last window does not quit it: most windows here are closed in the middle of a
    test."""
    app = qt_widgets.QApplication.instance() or qt_widgets.QApplication(["tests"])
    app.setQuitOnLastWindowClosed(False)
    return app
