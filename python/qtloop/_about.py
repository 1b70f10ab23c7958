"""What `python -m qtloop` prints: what a loop would consist of here, and why.

The program's own parts are asked. A part that is missing or broken becomes a line, never an
exception.
"""

import argparse
import asyncio
import importlib
import importlib.util
import json
import os
import platform
import sys
from collections.abc import Sequence
from typing import Any, Final

from . import _core, _host_choice, _qt
from ._loop import EventLoop

#: The environment variables that have an influence, if they are set.
VARIABLES: Final = (
    "QT_API",
    "QTLOOP_HOST",
    "QTLOOP_FD",
    "QT_NO_GLIB",
    "QT_EVENT_DISPATCHER_CORE_FOUNDATION",
    "QT_QPA_PLATFORM",
)


def report(version: str) -> dict[str, Any]:
    """The facts, by name: strings, or None for what is not there. `environment`, `hosts` and
    `installed` have more facts below them.

    Makes a QCoreApplication if there is none and no loop runs yet, and runs a loop for one turn.
    For the main thread.
    """
    facts: dict[str, Any] = {
        "qtloop": version,
        "python": f"{platform.python_version()} ({platform.python_implementation()}{_threading()})",
        "platform": platform.platform(),
        "frozen": str(sys.executable) if _host_choice.is_frozen() else None,
        "binding": None,
        "qt": None,
        "dispatcher": None,
        "host": None,
        "why_not_native": None,
        "fds": None,
        "error": None,
        "hosts": sorted({point.name for point in _host_choice.entry_points()}),
        "installed": [name for name in _qt.BINDINGS if importlib.util.find_spec(name) is not None],
        "environment": {name: os.environ[name] for name in VARIABLES if name in os.environ},
    }
    # A foreign host does not need Qt, so neither does this.
    host = os.environ.get("QTLOOP_HOST") or ""
    if ":" not in host and host not in facts["hosts"]:
        try:
            facts |= _qt_facts()
        except (ImportError, RuntimeError) as error:
            facts["error"] = str(error)
    try:
        facts["why_not_native"] = _host_choice.why_not_native()
        facts |= _loop_facts()
    except Exception as error:  # Whatever it is: it is what the report is for.
        facts["error"] = facts["error"] or f"{type(error).__name__}: {error}"
    return facts


def main(version: str, arguments: Sequence[str] | None = None) -> int:
    """Prints the report. Returns the exit code: 0 if a loop can be made, else 1."""
    parser = argparse.ArgumentParser(
        prog="python -m qtloop",
        description="What a loop of qtloop's would be made of here, and why.",
    )
    parser.add_argument("--json", action="store_true", help="as JSON, for a bug report")
    options = parser.parse_args(arguments)
    facts = report(version)
    print(json.dumps(facts, indent=2) if options.json else _as_text(facts))
    return 0 if facts["error"] is None else 1


def _qt_facts() -> dict[str, Any]:
    if _qt.own is not None:
        return {"binding": "none: Qt is the program's own"}
    qt_core = _qt.core()
    name = _qt.binding()
    package = importlib.import_module(name)
    version = getattr(qt_core, "PYQT_VERSION_STR", None) or getattr(package, "__version__", "")
    _qt.ensure_application()
    dispatcher = qt_core.QAbstractEventDispatcher.instance()
    return {
        "binding": f"{name} {version}",
        "qt": _qt.version(qt_core),
        "dispatcher": dispatcher and str(dispatcher.metaObject().className()),
    }


def _loop_facts() -> dict[str, Any]:
    """The facts about a loop that has shown that it runs."""
    loop = EventLoop()
    try:
        loop.run_until_complete(asyncio.sleep(0))
        return {"host": loop.host, "fds": loop.fds}
    finally:
        loop.close()


def _threading() -> str:
    is_free = not getattr(sys, "_is_gil_enabled", lambda: True)()
    return ", without the GIL" if is_free else ""


def _as_text(facts: dict[str, Any]) -> str:
    host = {"qt": "qt (native)", "binding": "binding (through the binding's objects)"}
    lines = {
        "qtloop": facts["qtloop"],
        "core": _core.__file__,
        "Python": facts["python"],
        "platform": facts["platform"],
        "frozen": facts["frozen"],
        "binding": facts["binding"] or "none",
        "installed": ", ".join(facts["installed"]) or "no binding",
        "Qt": facts["qt"],
        "dispatcher": facts["dispatcher"],
        "host": host.get(facts["host"], facts["host"]),
        "other hosts": ", ".join(facts["hosts"]),
        "not native": facts["why_not_native"],
        "fds": facts["fds"],
        "environment": " ".join(f"{name}={value}" for name, value in facts["environment"].items()),
        "error": facts["error"],
    }
    return "\n".join(f"{name:<12} {value}" for name, value in lines.items() if value)
