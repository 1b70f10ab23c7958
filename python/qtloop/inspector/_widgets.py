"""The modules of the binding for windows, and names that bindings have in different places."""

import functools
import importlib
import logging
from collections.abc import Callable
from typing import Any

from .. import _core, _qt

core: Any = _qt.core()
gui: Any = importlib.import_module(f"{_qt.binding()}.QtGui")
widgets: Any = importlib.import_module(f"{_qt.binding()}.QtWidgets")

#: In QtWidgets before Qt 6.
QShortcut: Any = getattr(gui, "QShortcut", None) or widgets.QShortcut

_logger: logging.Logger = logging.getLogger("qtloop")


def entrance(call: Callable[[], object]) -> Any:
    """A function for Qt to call instead, with any arguments. Qt must get no exception, so it is
    logged."""
    return _core.Entrance(functools.partial(_contained, call))


def contained(call: Callable[[], object]) -> None:
    """The same for a method that Qt itself calls."""
    _core.enter(_contained, call)


def _contained(call: Callable[[], object], *_: object) -> None:
    try:
        call()
    except Exception:
        _logger.exception("the inspector failed")
