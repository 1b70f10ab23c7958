"""The binding's modules for windows, and what bindings have in different places."""

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
    """What Qt calls instead, whatever arguments it has. Qt must get no exception: it is logged."""
    return _core.Entrance(functools.partial(_contained, call))


def contained(call: Callable[[], object]) -> None:
    """The same for a method that Qt calls itself."""
    _core.enter(_contained, call)


def _contained(call: Callable[[], object], *_: object) -> None:
    try:
        call()
    except Exception:
        _logger.exception("the inspector failed")
