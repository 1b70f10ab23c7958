"""QObjects with signals, and the ways in which Qt deletes them, under every binding."""

import asyncio
import gc
import importlib
from collections.abc import Callable
from typing import Any

from qtloop import _qt

from .loops import qt_core

IS_PYQT = hasattr(qt_core, "pyqtSignal")
Signal: Any = qt_core.pyqtSignal if IS_PYQT else qt_core.Signal
Slot: Any = qt_core.pyqtSlot if IS_PYQT else qt_core.Slot


class Sender(qt_core.QObject):  # type: ignore[misc]
    plain = Signal()
    number = Signal(int)
    pair = Signal(object, str)
    overloaded = Signal((int,), (str,))

    def listeners(self) -> int:
        """How many connections its signals have."""
        if IS_PYQT:
            signals = [
                self.plain,
                self.number,
                self.pair,
                self.overloaded[int],
                self.overloaded[str],
            ]
        else:
            names = ["plain()", "number(int)", "pair(PyObject,QString)", "overloaded(int)"]
            signals = [qt_core.SIGNAL(name) for name in [*names, "overloaded(QString)"]]
        return sum(self.receivers(signal) for signal in signals)


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
    if IS_PYQT:
        return int(sender.receivers(getattr(sender, signature.partition("(")[0])))
    return int(sender.receivers(qt_core.SIGNAL(signature)))


def deleter() -> Callable[[Any], None]:
    """The binding's function, of C, that deletes the C++ object under a wrapper, now."""
    name = f"{_qt.binding()}.sip" if IS_PYQT else f"shiboken{_qt.binding()[-1]}"
    delete: Callable[[Any], None] = importlib.import_module(name).delete
    return delete


def delete(qobject: Any) -> None:
    """Deletes the C++ object under a wrapper, now."""
    deleter()(qobject)


def delete_later(thing: Any) -> None:
    thing.deleteLater()


async def settle() -> None:
    """Lets Qt handle the events it has, and tasks take the steps that follow, up to twenty in a
    row."""
    for _ in range(2):  # In the first round the timer may be quicker than other events.
        over = asyncio.Event()
        timer = qt_core.QTimer()
        timer.setSingleShot(True)
        timer.timeout.connect(over.set)
        timer.start(1)
        await over.wait()
        for _ in range(20):
            await asyncio.sleep(0)


def _delete(box: list[Any]) -> None:
    delete(box[0])


def _delete_later(box: list[Any]) -> None:
    box[0].deleteLater()


def _delete_later_and_drop(box: list[Any]) -> None:
    box.pop().deleteLater()


def _delete_parent(box: list[Any]) -> None:
    parent = qt_core.QObject()
    box[0].setParent(parent)
    delete(parent)


def _drop(box: list[Any]) -> None:
    box.clear()


def _collect(box: list[Any]) -> None:
    box[0].itself = box[0]
    box.clear()
    gc.collect()


#: Each destroys the only object in the list, or has Qt do it soon.
WAYS_TO_DIE: dict[str, Callable[[list[Any]], None]] = {
    "delete": _delete,
    "deleteLater": _delete_later,
    "deleteLater and drop": _delete_later_and_drop,
    "parent": _delete_parent,
    "drop": _drop,
    "collect": _collect,
}
