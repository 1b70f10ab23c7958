"""Chooses the host of a loop."""

import importlib
import os
import sys
from typing import Any

from . import _qt
from ._binding import Host


def resolve(host: object = None) -> Any:
    """What the Rust half takes for a host.

    `host` is "qt" (native), "binding" (through the Python binding's objects), "sim" (a simulated clock), or a
    host written elsewhere: a capsule with its table, or an object with the methods of `_binding.Host`. None
    leaves it to the environment variable `QTLOOP_HOST`, and without that takes the native host if it was
    built for the Qt in use, else the binding's.

    Raises ImportError if the native host is asked for and cannot be had, or there is no binding; ValueError
    for another name.
    """
    if host is None:
        host = os.environ.get("QTLOOP_HOST") or None
    if host == "sim" or not isinstance(host, str | None):
        return host
    if host not in (None, "qt", "binding"):
        raise ValueError(f"host must be 'qt', 'binding' or 'sim', not {host!r}")
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
        return Host(qt_core)


def uses_qt(host: object) -> bool:
    """Whether a host that `resolve` has returned is Qt's event loop: it needs an application then.

    A host written elsewhere has a run loop of its own, unless its attribute `uses_qt` says otherwise.
    """
    natives = [_qt.own, *(sys.modules.get(f"qtloop._qt{major}") for major in (5, 6))]
    return any(native is not None and native.host is host for native in natives) or bool(
        getattr(host, "uses_qt", False)
    )


def native_module() -> Any:
    """The module with the native host for the Qt in this process.

    Raises ImportError if there is no Qt, no native host for its major version, or it was not built because
    Qt's headers were missing.
    """
    if _qt.own is not None:
        return _qt.own
    major = _qt.version(_qt.core()).partition(".")[0]
    name = f"qtloop._qt{major}"
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f"there is no native host for Qt {major} ({error}): it is built when qtloop is installed "
            "where Qt's headers and a C++ compiler are; the binding host needs neither"
        ) from error
