"""Chooses the host of a loop."""

import functools
import importlib
import importlib.util
import os
import socket
import sys
import warnings
from typing import TYPE_CHECKING, Any, Final

from . import _qt, _system
from ._binding_host import Host
from ._host_protocol import METHODS

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

#: The hosts that belong to qtloop.
OWN: Final = ("qt", "binding", "sim")

#: The group of entry points by which packages offer theirs.
GROUP: Final = "qtloop.hosts"

_BUILD_ANEW: Final = (
    "Mend that, then install qtloop anew: pip install --force-reinstall --no-cache-dir. The "
    "binding host does without"
)

_Capsule: Final[type] = type(vars(socket)["CAPI"])


def resolve(host: object = None) -> Any:
    """Finds the host, in the form that the Rust half takes.

    `host` is "qt" (native), "binding" (through the Python binding's objects), "sim" (a simulated
    clock), the name of another one, as `qtloop.hosts` describes it, or a host: a capsule with its
    table, or an object with the methods of `qtloop.hosts.Host`. None leaves it to the environment
    variable `QTLOOP_HOST`, and without that takes the native host if it was built for the Qt in
    use, else the binding's.

    Raises ImportError if the native host is asked for and is not there, if there is no binding, or
    if what a name stands for cannot be imported; ValueError for an unknown name; TypeError for an
    object that is no host.
    """
    if host is None:
        host = os.environ.get("QTLOOP_HOST") or None
    if isinstance(host, str) and host not in OWN:
        host = _named(host)
    if host == "sim" or not isinstance(host, str | None):
        return host if isinstance(host, str) else _checked(host)
    if host == "binding":
        return Host(_qt.core())
    if _qt.own is not None:
        return _qt.own.host
    qt_core = _qt.core()
    try:
        return native_module().host
    except ImportError:
        if host == "qt":
            raise
        _warn_if_left_behind(qt_core)
        return Host(qt_core)


def is_host(host: object) -> bool:
    """Whether the object looks like a host: a capsule, or an object with the methods."""
    return isinstance(host, _Capsule) or (not isinstance(host, type) and not _missing(host))


def entry_points() -> "EntryPoints":
    """The hosts that installed packages offer."""
    from importlib import metadata  # Takes longer to import than the rest of this package.

    return metadata.entry_points(group=GROUP)


def _named(name: str) -> object:
    module, colon, attribute = name.partition(":")
    if colon:
        found = functools.reduce(getattr, attribute.split("."), importlib.import_module(module))
    else:
        points = entry_points()
        offered = sorted({point.name for point in points})
        if name not in offered:
            known = ", ".join(map(repr, [*OWN, *offered]))
            raise ValueError(f"host must be {known} or 'MODULE:NAME', not {name!r}")
        found = next(point for point in points if point.name == name).load()
    return found if is_host(found) or not callable(found) else found()


def _checked(host: object) -> object:
    if isinstance(host, type):
        raise TypeError(f"a host must be an object, not the class {host.__qualname__}: call it")
    if not isinstance(host, _Capsule) and (missing := _missing(host)):
        raise TypeError(
            f"{type(host).__qualname__} is no host: it has no method {', '.join(missing)}"
        )
    return host


def _missing(host: object) -> list[str]:
    return [method for method in METHODS if not callable(getattr(host, method, None))]


def uses_qt(host: object) -> bool:
    """Whether a host that `resolve` has returned is Qt's event loop. Then it needs an application.

    A foreign host has a run loop of its own, unless its attribute `uses_qt` says otherwise.
    """
    natives = [_qt.own, *(sys.modules.get(f"qtloop._qt{major}") for major in (5, 6))]
    return any(native is not None and native.host is host for native in natives) or bool(
        getattr(host, "uses_qt", False)
    )


def native_module() -> Any:
    """The module with the native host for the Qt in this process.

    Raises ImportError if there is no Qt, no native host for its major version, or it was not built
    because Qt's headers were missing.
    """
    if _qt.own is not None:
        return _qt.own
    major = _major(_qt.core())
    try:
        return _imported(major)
    except ImportError as error:
        raise ImportError(
            f"there is no native host for Qt {major}: {_cause(major, error)}"
        ) from error


def _imported(major: str) -> Any:
    if major == "6":
        from . import _qt6  # type: ignore[attr-defined] # Tools that freeze programs look for statements.

        return _qt6
    return importlib.import_module(f"qtloop._qt{major}")


def why_not_native() -> str | None:
    """Why a loop made without arguments does not use the native host; None if it does."""
    host = os.environ.get("QTLOOP_HOST") or None
    if host not in (None, "qt"):
        return f"QTLOOP_HOST is {host!r}"
    try:
        native_module()
    except ImportError as error:
        return str(error)
    return None


def _cause(major: str, error: ImportError) -> str:
    """Why the module is missing, and what the reader of the message can do about it."""
    if not _system.NATIVE:
        return "qtloop has none for this operating system; the binding host serves every system"
    if major not in _system.NATIVE:
        return (
            f"qtloop has one for Qt {' and '.join(_system.NATIVE)} only; "
            f"the binding host serves every Qt"
        )
    name = f"qtloop._qt{major}"
    if _is_there(name):
        return f"{name} does not load ({error})"
    if is_frozen():
        return f"this program was frozen without {name}: name it among the hidden imports"
    if note := _build_note(major):
        return f"{name} was not built: {note}. {_BUILD_ANEW}"
    return (
        f"{name} is missing, which is built when qtloop is installed where Qt {major}'s headers "
        f"and a C++ compiler are (Debian: qt6-base-dev). {_BUILD_ANEW}"
    )


def _build_note(major: str) -> str:
    """What the build said about a module that could not be built: setup.py keeps that."""
    try:
        folder = os.path.dirname(__file__)
        with open(os.path.join(folder, f"_qt{major}.txt"), encoding="utf-8") as note:
            return note.read().strip()
    except OSError:
        return ""


def _warn_if_left_behind(qt_core: Any) -> None:
    """Warns if a native host is missing in a frozen program: there nobody reads the log of a
    build."""
    name = f"qtloop._qt{_major(qt_core)}"
    if is_frozen() and _major(qt_core) in _system.NATIVE and not _is_there(name):
        warnings.warn(
            f"this program was frozen without {name}, so its loops use the slower binding host: "
            f"name it "
            "among the hidden imports (PyInstaller: --hidden-import), or set QTLOOP_HOST=binding "
            "if this is "
            "meant",
            RuntimeWarning,
            stacklevel=4,
        )


def is_frozen() -> bool:
    """Whether a tool has made a program of this. Nuitka marks each module that it compiles and
    leaves `sys` alone; the others mark `sys`."""
    return bool(getattr(sys, "frozen", False)) or "__compiled__" in globals()


def _is_there(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ImportError:  # Nuitka's finder refuses what was excluded by name.
        return False


def _major(qt_core: Any) -> str:
    return _qt.version(qt_core).partition(".")[0]
