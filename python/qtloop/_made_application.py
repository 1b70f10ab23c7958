"""The end of the QCoreApplication that a loop has made because there was none.

The application is deleted when the last loop that has run with it is closed. Then a program may
make the QApplication that it wants. A loop that runs later makes a new one. The application stays
if somebody uses it.
"""

import gc
import importlib
import itertools
import threading
import weakref
from typing import TYPE_CHECKING, Any

from . import _interpreter_exit, _qt

if TYPE_CHECKING:
    from ._loop import EventLoop

#: The loops that have run with an application of ours, or were attached with it, and are not
#: closed.
_loops: "weakref.WeakSet[EventLoop]" = weakref.WeakSet()


def use(loop: "EventLoop") -> None:
    """Notes that the loop runs. An application that we have made stays until that loop is
    closed."""
    if _qt.made is not None:
        _loops.add(loop)


def is_used_by(loop: "EventLoop") -> bool:
    """Whether the loop has run with an application of ours and has not given it up."""
    return loop in _loops


def give_up(loop: "EventLoop") -> None:
    """The loop is closed. Deletes the application if it is ours, if this is its thread, and if
    nobody uses it."""
    made = _qt.made
    is_last = made is not None and all(other is loop for other in _loops)
    if (
        made is not None
        and is_last
        and not _interpreter_exit.is_ending()
        and _qt.is_gui_thread()
        and not _is_used(made)
    ):
        _qt.made = None
        _delete(made.application)
    _loops.discard(loop)


def _is_used(made: _qt.Made) -> bool:
    """Whether there is any sign that the application is used: an event loop runs; a thread of Qt's
    pool works; somebody else refers to the Python object, or has given it children; or Python code
    has made a QObject, whose timers and notifiers would end with the application."""
    qt_core = _qt.core()
    return bool(
        threading.current_thread() is not threading.main_thread()
        or qt_core.QThread.currentThread().loopLevel() > 0
        or qt_core.QThreadPool.globalInstance().activeThreadCount() > 0
        or made.count_references() > made.references
        or len(made.application.children()) > made.children
        or any(wrapper is not made.application for wrapper in _owned_by_python(qt_core))
    )


def _owned_by_python(qt_core: Any) -> list[Any]:
    """The QObjects that Python code has made, and has not given to a parent."""
    name = _qt.binding()
    if name.startswith("PySide"):
        shiboken = _shiboken(name)
        wrappers = shiboken.getAllValidWrappers()
        return [
            o
            for o in wrappers
            if issubclass(type(o), qt_core.QObject) and shiboken.ownedByPython(o)
        ]
    sip = importlib.import_module(f"{name}.sip")
    objects = gc.get_objects()
    # There are many objects, so the work for each is done in C. There are fewer classes. A thread
    # pool needs no application.
    ignored = (qt_core.QCoreApplication, qt_core.QThreadPool)
    classes = {cls for cls in set(map(type, objects)) if issubclass(cls, qt_core.QObject)}
    classes.difference_update(ignored)
    if not classes:
        return []
    found = itertools.compress(objects, map(classes.__contains__, map(type, objects)))
    return [o for o in found if not sip.isdeleted(o) and sip.ispyowned(o)]


def _delete(application: Any) -> None:
    name = _qt.binding()
    if name.startswith("PySide"):
        _shiboken(name).delete(application)
    else:
        importlib.import_module(f"{name}.sip").delete(application)


def _shiboken(name: str) -> Any:
    return importlib.import_module(name.replace("PySide", "shiboken"))
