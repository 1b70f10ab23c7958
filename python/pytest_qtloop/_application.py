"""The application of a test run: one for all tests, made before any loop makes a lesser one.

A process has one application object, and the first widget in a process with a QCoreApplication
aborts it.
"""

import functools
import importlib
import os
import sys
import threading
from typing import Any

import pytest

from qtloop import _qt

#: What this plugin has made.
_made: Any = None


def ensure(request: pytest.FixtureRequest) -> Any:
    """The application, made if there is none. Fails the test if there is one that will not do."""
    config = request.config
    if _has_pytest_qt(config) and config.getini("qtloop_application") in ("auto", "widgets"):
        _choose_platform()
        application = request.getfixturevalue("qapp")
    else:
        application = _instance() or _make(config)
        _check_kind(application, config)
    _stay_without_windows(application)
    return application


def take_over(config: pytest.Config) -> None:
    """Whenever a loop would make a QCoreApplication, it makes what the tests need."""
    original = _qt.ensure_application

    @functools.wraps(original)
    def ensure_application() -> None:
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and _qt.own is None and not _qt.has_application() and _class(config) is not None:
            _stay_without_windows(_make(config))
        original()

    _qt.ensure_application = ensure_application


def _make(config: pytest.Config) -> Any:
    global _made
    name = _class(config)
    if name is None:
        cls = _qt.core().QCoreApplication
    else:
        _choose_platform()
        cls = getattr(_module("QtWidgets" if name == "QApplication" else "QtGui"), name)
    _made = cls(sys.argv[:1] or ["pytest"])
    return _made


def _class(config: pytest.Config) -> str | None:
    """The name of the class to make; None for QCoreApplication."""
    kind = config.getini("qtloop_application")
    if kind == "auto":
        kind = (
            "widgets" if _is_imported("QtWidgets") else "gui" if _is_imported("QtGui") else "core"
        )
    return {"core": None, "gui": "QGuiApplication", "widgets": "QApplication"}[kind]


def _check_kind(application: Any, config: pytest.Config) -> None:
    kind = config.getini("qtloop_application")
    wanted = {"gui": "QGuiApplication", "widgets": "QApplication"}.get(kind)
    if wanted is not None and not application.inherits(wanted):
        found = application.metaObject().className()
        pytest.fail(
            f"the tests need a {wanted} (qtloop_application = {kind}), but a {found} was made "
            f"before them",
            pytrace=False,
        )


def _stay_without_windows(application: Any) -> None:
    """Tests close windows all the time; the last one must not end what runs the test."""
    if application.inherits("QGuiApplication"):
        application.setQuitOnLastWindowClosed(False)


def _choose_platform() -> None:
    """Without any display Qt would abort the process."""
    variables = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    if sys.platform.startswith("linux") and not any(map(os.environ.get, variables)):
        os.environ["QT_QPA_PLATFORM"] = "offscreen"


def _instance() -> Any:
    return _qt.core().QCoreApplication.instance()


def _has_pytest_qt(config: pytest.Config) -> bool:
    return config.pluginmanager.has_plugin("pytest-qt")


def _is_imported(module: str) -> bool:
    name = _qt.imported()
    return name is not None and f"{name}.{module}" in sys.modules


def _module(name: str) -> Any:
    return importlib.import_module(f"{_qt.binding()}.{name}")
