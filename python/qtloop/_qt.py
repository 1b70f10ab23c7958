"""Which Qt binding is in use, and the few things that bindings name differently."""

import importlib
import importlib.util
import os
import sys
import threading
from types import ModuleType
from typing import Any, Final

#: Bindings in the order in which they are tried, by the name of their package.
BINDINGS: Final = ("PyQt6", "PySide6", "PyQt5", "PySide2")

#: The module `_qt6` of a program that embeds the interpreter and is linked against Qt itself: its Qt needs no
#: binding. Set by the program.
own: Any = None

_application: Any = None
_abandoned: list[Any] = []


def binding() -> str:
    """The package name of the Qt binding to use.

    The one that is imported already, else the one that the environment variable `QT_API` names, else the
    first that is installed.

    Raises ImportError if there is none.
    """
    if (name := imported()) is not None:
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


def imported() -> str | None:
    """The binding that is imported already."""
    return next((name for name in BINDINGS if f"{name}.QtCore" in sys.modules), None)


def core() -> ModuleType:
    """The QtCore module of the binding in use, imported now if it was not."""
    return importlib.import_module(f"{binding()}.QtCore")


def version(qt_core: Any) -> str:
    """The version of the Qt in this process."""
    return str(qt_core.qVersion())


def dispatcher(qt_core: Any) -> Any:
    """This thread's event dispatcher, which the thread must have.

    Whoever makes children of it keeps it until they are gone: with their parent's wrapper PySide loses track
    of them, and never frees theirs.
    """
    found = qt_core.QAbstractEventDispatcher.instance()
    try:
        found.thread()
    except RuntimeError:
        # PyQt5 may take it for one at the same address, of a thread that has ended, and say it is gone.
        # Asked again, with that one forgotten, it gives the right one.
        del found
        found = qt_core.QAbstractEventDispatcher.instance()
    return found


def execute(loop: Any) -> int:
    """Runs a QCoreApplication or a QEventLoop: the method's name was a Python keyword once. The exit code."""
    return int((loop.exec if hasattr(loop, "exec") else loop.exec_)())


def quit_application() -> None:
    """`QCoreApplication.quit()`: from Qt 6 on windows may refuse."""
    if own is not None:
        own.quit_application()
    else:
        core().QCoreApplication.quit()


def exit_thread(qt_core: Any) -> None:
    """Ends every event loop of this thread, as quitting the application or the thread does."""
    application = qt_core.QCoreApplication.instance()
    thread = qt_core.QThread.currentThread()
    (application if application is not None and application.thread() == thread else thread).exit(0)


def is_gui_thread() -> bool:
    """Whether this is the thread of the application, if there is one."""
    if own is not None:
        return bool(own.is_gui_thread())
    qt_core = core()
    application = qt_core.QCoreApplication.instance()
    return application is not None and bool(application.thread() == qt_core.QThread.currentThread())


def has_gui() -> bool:
    """Whether the process has an application that can have windows."""
    if own is not None:
        return bool(own.has_gui())
    application = core().QCoreApplication.instance()
    return application is not None and bool(application.inherits("QGuiApplication"))


def abandon(qobject: Any) -> None:
    """Keeps an object, and PyQt from deleting the C++ object at exit: for one that cannot be deleted any
    more."""
    _abandoned.append(qobject)
    name = binding()
    if name.startswith("PyQt"):
        importlib.import_module(f"{name}.sip").transferto(qobject, None)


def has_application() -> bool:
    """Whether the process has an application."""
    if own is not None:
        return bool(own.has_application())
    return core().QCoreApplication.instance() is not None


def ensure_application() -> None:
    """Makes a QCoreApplication if the process has none. It lives as long as the process.

    Raises RuntimeError on any other than the main thread: Qt takes the thread of its application for the main
    one.
    """
    global _application
    if has_application():
        return
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError(
            "no QCoreApplication exists: create one in the main thread before a loop runs in another"
        )
    if own is not None:
        own.make_application()
    else:
        _application = core().QCoreApplication(sys.argv[:1] or ["qtloop"])
