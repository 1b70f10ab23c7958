"""Which Qt binding is in use, and the few things that bindings name differently."""

import functools
import importlib
import importlib.util
import os
import sys
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final, TypeVar

_T = TypeVar("_T")

#: Bindings in the order in which they are tried, by the name of their package.
BINDINGS: Final = ("PyQt6", "PySide6", "PyQt5", "PySide2")

#: The module `_qt6` of a program that embeds the interpreter and is linked against Qt itself: its
#: Qt needs no binding. Set by the program.
own: Any = None

#: `QEvent::DeferredDelete`, as a number, which every binding takes.
DEFERRED_DELETE: Final = 52

#: How often an object of Qt is asked for, while each answer is a deleted object.
_ATTEMPTS: Final = 5

#: The application that `ensure_application` has made.
made: "Made | None" = None

_abandoned: list[Any] = []


def _nothing() -> None:
    """A slot that does nothing."""


class Made:
    """An application that we have made, and what could be counted when it was new."""

    def __init__(self, application: Any) -> None:
        self.application = application
        # PySide gives it a child at the first connection.
        application.aboutToQuit.connect(_nothing)
        application.aboutToQuit.disconnect(_nothing)
        self.children = len(application.children())
        self.references = 0

    def count_references(self) -> int:
        """The number of references to the Python object. It is the same wherever this is called,
        unless somebody else has a reference."""
        return sys.getrefcount(self.application)


def binding() -> str:
    """The package name of the Qt binding to use.

    The one that is imported already, else the one that the environment variable `QT_API` names,
    else the first that is installed.

    Raises ImportError if there is none, or not the one that is named.
    """
    if (name := imported()) is not None:
        return name
    wanted = os.environ.get("QT_API", "")
    if wanted:
        for name in BINDINGS:
            if name.lower() == wanted.lower():
                if name not in sys.modules and importlib.util.find_spec(name) is None:
                    raise ImportError(f"QT_API is {wanted!r}, but {name} is not installed")
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
    name = binding()
    module = importlib.import_module(f"{name}.QtCore")
    if sys.version_info >= (3, 15) and name == "PySide6":
        _resolve_executor()
    return module


@functools.cache
def _resolve_executor() -> None:
    """Does what Python does at the first use of `concurrent.futures.ThreadPoolExecutor`.

    In Python 3.15 that name is imported lazily. PySide6 6.12 changes how attributes of modules are
    looked up, and then `asyncio.to_thread` finds an object that cannot be called.
    """
    package = importlib.import_module("concurrent.futures")
    thread = importlib.import_module("concurrent.futures.thread")
    vars(package)["ThreadPoolExecutor"] = thread.ThreadPoolExecutor


def version(qt_core: Any) -> str:
    """The version of the Qt in this process."""
    return str(qt_core.qVersion())


def with_dispatcher(qt_core: Any, use: Callable[[Any], _T]) -> _T:
    """Calls `use` with this thread's event dispatcher, which the thread must have. `use` may do one
    thing with it, and may keep it only as the parent of an object."""
    return _alive(qt_core.QAbstractEventDispatcher.instance, use)


def in_thread(qt_core: Any, use: Callable[[Any], _T]) -> _T:
    """Likewise, with this thread's QThread."""
    return _alive(qt_core.QThread.currentThread, use)


def _alive(get: Callable[[], Any], use: Callable[[Any], _T]) -> _T:
    """Calls `use` with an object that belongs to Qt.

    Threads come and go, and so do their dispatchers and their QThreads. Bindings are not told. If
    somebody keeps the wrapper of a deleted object, a binding may return it for a new object of Qt
    at the same address. When it is used, the binding says that it was deleted. Then the wrapper is
    forgotten, and the object is asked for again.
    """
    for _ in range(_ATTEMPTS - 1):
        found = get()
        try:
            return use(found)
        except RuntimeError:
            if not _forget_if_deleted(found):
                raise
    return use(get())


def proven_alive(qobject: Any) -> Any:
    """Returns the QObject itself. Raises the binding's RuntimeError if it was deleted."""
    qobject.thread()
    return qobject


def _forget_if_deleted(wrapper: Any) -> bool:
    """Whether the binding says that the wrapper's object is deleted. If so, the binding will not
    find this wrapper again."""
    if not binding().startswith("PyQt"):
        return not importlib.import_module(f"shiboken{binding()[-1]}").isValid(wrapper)
    sip = importlib.import_module(f"{binding()}.sip")
    is_deleted = bool(sip.isdeleted(wrapper))
    if is_deleted:
        sip.setdeleted(wrapper)
    return is_deleted


def make_parent(qt_core: Any) -> Any:
    """A parent in this thread for objects of ours. Then Python does not own them: at exit bindings
    delete what Python owns, even if a daemon thread uses it.

    The maker of the children keeps the parent until they are gone, and then calls `release_parent`.
    """
    if not binding().startswith("PyQt"):
        # PySide cannot give an object away. It is told when a dispatcher is deleted. Together with
        # the wrapper it would lose track of the children, and never free theirs.
        return with_dispatcher(qt_core, proven_alive)
    parent = qt_core.QObject()
    importlib.import_module(f"{binding()}.sip").transferto(parent, None)
    return parent


def release_parent(parent: Any) -> None:
    """Ends what `make_parent` has begun, in the same thread. The parent must have no children any
    more."""
    if binding().startswith("PyQt"):
        importlib.import_module(f"{binding()}.sip").transferback(parent)


def slots_outlive_thread(qt_core: Any) -> bool:
    """Whether a connection that ends now may be left to Qt, even if Qt does not turn in this thread
    again.

    PyQt makes a proxy for each slot. The proxy is deleted later and takes the GIL for that. If the
    thread ends first, Qt deletes the proxy when Python no longer knows the thread. The interpreter
    may be ending by then, and that aborts the process.
    """
    return (
        binding().startswith("PyQt")
        and not is_gui_thread(qt_core)
        and in_thread(qt_core, lambda thread: int(thread.loopLevel())) == 0
    )


def delete_deferred(qt_core: Any) -> None:
    """Deletes, in this thread, everything that Qt was to delete later."""
    qt_core.QCoreApplication.sendPostedEvents(None, DEFERRED_DELETE)


def execute(loop: Any) -> int:
    """Runs a QCoreApplication or a QEventLoop, whatever the method is called: its name was a Python
    keyword once. Returns the exit code."""
    return int((loop.exec if hasattr(loop, "exec") else loop.exec_)())


def quit_application() -> None:
    """`QCoreApplication.quit()`. From Qt 6 on, windows may refuse it."""
    if own is not None:
        own.quit_application()
    else:
        core().QCoreApplication.quit()


def exit_thread(qt_core: Any) -> None:
    """Ends every event loop of this thread, as quitting the application or the thread does."""
    if is_gui_thread(qt_core):
        qt_core.QCoreApplication.exit(0)
    else:
        in_thread(qt_core, lambda thread: thread.exit(0))


def is_gui_thread(qt_core: Any = None) -> bool:
    """Whether this is the thread of the application, if there is one."""
    if own is not None and qt_core is None:
        return bool(own.is_gui_thread())
    if qt_core is None:
        qt_core = core()
    application = qt_core.QCoreApplication.instance()
    return application is not None and in_thread(
        qt_core, lambda thread: bool(application.thread() == thread)
    )


def has_gui() -> bool:
    """Whether the process has an application that can have windows."""
    if own is not None:
        return bool(own.has_gui())
    application = core().QCoreApplication.instance()
    return application is not None and bool(application.inherits("QGuiApplication"))


def abandon(qobject: Any) -> None:
    """Keeps an object, and keeps PyQt from deleting the C++ object at exit. For an object that
    cannot be deleted any more."""
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
    """Makes a QCoreApplication if the process has none. `_made_application` says when it is
    deleted. An application of a program that embeds the interpreter lives as long as the process.

    Raises RuntimeError on any other than the main thread: Qt takes the thread of its application
    for the main one.
    """
    global made
    if has_application():
        return
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError(
            "no QCoreApplication exists: create one in the main thread before a loop runs in "
            "another"
        )
    if own is not None:
        own.make_application()
    else:
        made = Made(core().QCoreApplication(sys.argv[:1] or ["qtloop"]))
        made.references = made.count_references()
