"""The Qt binding of this process: the one `QT_API` names, else the first that can be imported.

Everything else here imports Qt from this file, and sticks to what the bindings have in common:
scoped enums, plain callables as slots, no signals of its own.
"""

import os
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

__all__ = ["QtCore", "QtGui", "QtWidgets", "versions"]

PACKAGES = {"pyqt6": "PyQt6", "pyside6": "PySide6", "pyqt5": "PyQt5"}


def choose() -> str:
    wanted = os.environ.get("QT_API", "").lower()
    if wanted:
        if wanted not in PACKAGES:
            raise SystemExit(f"QT_API={wanted}: expected one of {', '.join(PACKAGES)}")
        return PACKAGES[wanted]
    for package in PACKAGES.values():
        if find_spec(package):
            return package
    raise SystemExit(f"none of {', '.join(PACKAGES.values())} is installed")


BINDING = choose()

if TYPE_CHECKING:
    from PySide6 import QtCore, QtGui, QtWidgets
else:
    QtCore = import_module(f"{BINDING}.QtCore")
    QtGui = import_module(f"{BINDING}.QtGui")
    QtWidgets = import_module(f"{BINDING}.QtWidgets")


def versions() -> str:
    """Such as `PyQt6 6.8.0, Qt 6.8.1`: binding and Qt have versions of their own."""
    binding = getattr(QtCore, "PYQT_VERSION_STR", None) or import_module(BINDING).__version__
    return f"{BINDING} {binding}, Qt {QtCore.qVersion()}"
