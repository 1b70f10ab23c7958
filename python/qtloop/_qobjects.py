"""What qtloop asks bindings about QObjects, and how it connects signals."""

import contextlib
import functools
import importlib
import weakref
from collections.abc import Callable, Container
from types import ModuleType
from typing import Any

from . import _core, _qt


def kind(thing: Any, names: Container[str]) -> str | None:
    """The name of the first of Qt's classes in `names` to which the object belongs; None if there
    is none.

    It works for classes of modules that a headless program never imports.
    """
    for cls in type(thing).__mro__:
        if cls.__name__ in names and cls.__module__.partition(".")[0] in _qt.BINDINGS:
            return cls.__name__
    return None


def is_deleted(qobject: Any) -> bool:
    """Whether Qt has deleted the C++ object under a wrapper."""
    if _is_pyqt():
        return bool(_wrappers().isdeleted(qobject))
    return not _wrappers().isValid(qobject)


def address(qobject: Any) -> int:
    """The address of the C++ object under a wrapper. It outlives the wrapper, and is used again
    after it."""
    if _is_pyqt():
        return int(_wrappers().unwrapinstance(qobject))
    return int(_wrappers().getCppPointer(qobject)[0])


def is_bound_signal(value: object) -> bool:
    """Whether it is a signal of an object, such as `timer.timeout`."""
    return isinstance(
        value, _qt.core().pyqtBoundSignal if _is_pyqt() else _qt.core().SignalInstance
    )


def connect(
    signal: Any,
    called: Callable[..., object],
    gone: Callable[[], object],
    note: Callable[[tuple[Any, ...]], object] | None = None,
) -> Callable[[], object]:
    """Connects a bound signal to `called`, which gets the arguments. Returns a way to disconnect.

    With `note`, a C function, `note` is called once with the tuple of arguments, and then `called`
    with none.

    `gone` is called soon after the connection has ended: by the returned function, because the
    sender was destroyed, or because the program has disconnected everything from the signal. A
    bound signal does not know its sender and does not keep it alive, and neither does this.

    Neither function may raise. The exception of a signal handler in it is allowed: then the
    function is called again, and must do what is left to do. Any thread may call both functions and
    the returned one, also when the sender is gone or Python shuts down. With PyQt the slot belongs
    to the thread that connects; an emission in another thread reaches it through the event queue.
    With PySide the slot would belong to the sender's thread, which may have no event loop. So it is
    called in the thread of the emission.
    """
    slot = _Slot(called, note, gone)
    if not _is_pyqt():
        connection = signal.connect(slot, _qt.core().Qt.ConnectionType.DirectConnection)
        return functools.partial(_qt.core().QObject.disconnect, connection)
    end_connection = functools.partial(_qt.core().QObject.disconnect, signal.connect(slot))
    weak_slot = weakref.ref(slot)

    def disconnect() -> None:
        slot = weak_slot()
        # If there was a connection to end, the sender exists, and the signal's method may look at
        # it. That method then finds no connection, but it takes the slot off a list that would keep
        # the slot until the sender's end.
        if slot is not None and end_connection():
            with contextlib.suppress(TypeError):
                signal.disconnect(slot)

    return disconnect


class _Slot(_core.Entrance):
    """The slot that Qt calls. Only the connection refers to it: when the slot is freed, the
    connection has ended."""

    __slots__ = ()

    __del__ = _core.Entrance._finish


def _is_pyqt() -> bool:
    return _qt.binding().startswith("PyQt")


def _wrappers() -> ModuleType:
    """The module that knows about the wrappers around C++ objects."""
    name = _qt.binding()
    return importlib.import_module(f"{name}.sip" if _is_pyqt() else f"shiboken{name[-1]}")
