"""Which Qt binding is in use, and the few things that bindings name differently."""

import functools
import importlib
import importlib.util
import os
import sys
import threading
from collections.abc import Callable, Container
from types import ModuleType
from typing import Any, Final

#: Bindings in the order in which they are tried, by the name of their package.
BINDINGS: Final = ("PyQt6", "PySide6", "PyQt5", "PySide2")

#: Qt.EventPriority.HighEventPriority, as the number that all bindings take.
_HIGH_PRIORITY: Final = 1

_application: Any = None


def binding() -> str:
    """The package name of the Qt binding to use.

    The one that is imported already, else the one that the environment variable `QT_API` names, else the
    first that is installed.

    Raises ImportError if there is none.
    """
    for name in BINDINGS:
        if f"{name}.QtCore" in sys.modules:
            return name
    wanted = os.environ.get("QT_API", "")
    if wanted:
        for name in BINDINGS:
            if name.lower() == wanted.lower():
                return name
        raise ImportError(f"QT_API is {wanted!r}, which is none of {', '.join(BINDINGS)}")
    for name in BINDINGS:
        if importlib.util.find_spec(name) is not None:
            return name
    raise ImportError(f"qtloop needs a Qt binding: install one of {', '.join(BINDINGS)}")


def core() -> ModuleType:
    """The QtCore module of the binding in use, imported now if it was not."""
    return importlib.import_module(f"{binding()}.QtCore")


def version(qt_core: Any) -> str:
    """The version of the Qt in this process."""
    return str(qt_core.qVersion())


def execute(loop: Any) -> int:
    """Runs a QCoreApplication or a QEventLoop: the method's name was a Python keyword once. The exit code."""
    return int((loop.exec if hasattr(loop, "exec") else loop.exec_)())


def quit_application() -> None:
    """`QCoreApplication.quit()`: from Qt 6 on windows may refuse."""
    core().QCoreApplication.quit()


def exit_thread(qt_core: Any) -> None:
    """Ends every event loop of this thread, as quitting the application or the thread does."""
    application = qt_core.QCoreApplication.instance()
    thread = qt_core.QThread.currentThread()
    (application if application is not None and application.thread() == thread else thread).exit(0)


def kind(thing: Any, names: Container[str]) -> str | None:
    """The first of Qt's classes in `names` that the object belongs to, by name; None if it is of none.

    So objects of modules that a headless program never imports can be told apart.
    """
    for cls in type(thing).__mro__:
        if cls.__name__ in names and cls.__module__.partition(".")[0] in BINDINGS:
            return cls.__name__
    return None


def is_deleted(thing: Any) -> bool:
    """Whether the C++ object of the binding's is gone, as far as the binding knows."""
    name = binding()
    if name.startswith("PySide"):
        return not importlib.import_module(f"shiboken{name[-1]}").isValid(thing)
    return bool(importlib.import_module(f"{name}.sip").isdeleted(thing))


def call_next(function: Callable[[], object]) -> Any:
    """Calls the function when control is back in Qt's event loop, before what was posted until then, provided
    that what is returned is still referenced. The function must not raise."""
    caller = _caller_class()(function)
    qt_core: Any = core()
    event = qt_core.QEvent(qt_core.QEvent.Type.User)
    qt_core.QCoreApplication.postEvent(caller, event, _HIGH_PRIORITY)
    return caller


@functools.cache
def _caller_class() -> Any:
    qt_core: Any = core()

    class Caller(qt_core.QObject):  # type: ignore[misc]
        def __init__(self, function: Callable[[], object]) -> None:
            super().__init__()
            self._function = function

        def customEvent(self, event: Any) -> None:
            self._function()

    return Caller


def is_gui_thread() -> bool:
    """Whether this is the thread of the application, if there is one."""
    qt_core = core()
    application = qt_core.QCoreApplication.instance()
    return application is not None and bool(application.thread() == qt_core.QThread.currentThread())


def ensure_application() -> None:
    """Makes a QCoreApplication if the process has none. It lives as long as the process.

    Raises RuntimeError on any other than the main thread: Qt takes the thread of its application for the main
    one.
    """
    global _application
    qt_core = core()
    if qt_core.QCoreApplication.instance() is not None:
        return
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError(
            "no QCoreApplication exists: create one in the main thread before a loop runs in another"
        )
    _application = qt_core.QCoreApplication(sys.argv[:1] or ["qtloop"])
