"""Qt objects to test with, and what bindings name differently about them."""

import importlib
from typing import Any

from qtloop import _qt

from .loops import qt_core

Signal: Any = getattr(qt_core, "pyqtSignal", None) or qt_core.Signal


class Device(qt_core.QObject):  # type: ignore[misc]
    """Has a signal of every kind."""

    done = Signal()
    done_too = Signal()
    value = Signal(int)
    pair = Signal(int, str)
    failed = Signal(str)
    error = Signal(object)
    code = Signal(int)

    def errorString(self) -> str:
        return "as the device says"


def receivers(sender: Any, signature: str) -> int:
    """How many slots are connected to the signal, say "done()"."""
    if hasattr(qt_core, "pyqtSignal"):
        return int(sender.receivers(getattr(sender, signature.partition("(")[0])))
    return int(sender.receivers(qt_core.SIGNAL(signature)))


def delete(thing: Any) -> None:
    """Deletes the C++ object at once."""
    name = _qt.binding()
    if name.startswith("PySide"):
        importlib.import_module(f"shiboken{name[-1]}").delete(thing)
    else:
        importlib.import_module(f"{name}.sip").delete(thing)


def delete_later(thing: Any) -> None:
    thing.deleteLater()
