"""The loops under measurement: how each is made, and what it needs around it."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

BINDINGS = ("PyQt6", "PySide6")


@dataclass(frozen=True)
class Loop:
    """One column of the tables."""

    name: str
    make: Callable[[], asyncio.AbstractEventLoop]
    """Called once, in a process of its own."""
    module: str
    """Without it the loop cannot be measured."""
    on_qt: bool = False
    env: Mapping[str, str] = field(default_factory=dict)
    """What the process needs in its environment, over what the session sets."""
    by_default: bool = True
    """Whether it is measured when no loops are named."""


def application() -> Any:
    """The process's Qt application, made on the first call, of the binding that QT_API names."""
    if not _applications:
        kind = (
            "QtWidgets.QApplication"
            if os.environ.get("QTLOOP_BENCH_GUI")
            else "QtCore.QCoreApplication"
        )
        module, name = kind.split(".")
        _applications.append(getattr(importlib.import_module(f"{binding()}.{module}"), name)([]))
    return _applications[0]


_applications: list[Any] = []


def binding() -> str:
    """The Qt binding of this process."""
    wanted = os.environ.get("QT_API", "")
    return next((name for name in BINDINGS if name.lower() == wanted.lower()), BINDINGS[0])


def qt_core() -> Any:
    """The QtCore of that binding."""
    return importlib.import_module(f"{binding()}.QtCore")


def describe_qt() -> dict[str, str] | None:
    """Which Qt runs in this process and what waits for its events; None without Qt."""
    if not _applications:
        return None
    core = qt_core()
    dispatcher = core.QAbstractEventDispatcher.instance()
    version = core.qVersion()
    return {
        "binding": binding(),
        "version": version,
        "dispatcher": dispatcher.metaObject().className(),
    }


def _uvloop() -> asyncio.AbstractEventLoop:
    return _called("uvloop", "new_event_loop")


def _rloop() -> asyncio.AbstractEventLoop:
    return _called("rloop", "new_event_loop")


def _qasync() -> asyncio.AbstractEventLoop:
    return _called("qasync", "QEventLoop", application())


def _qtinter() -> asyncio.AbstractEventLoop:
    # qtinter takes the binding that is already imported.
    application()
    return _called("qtinter", "new_event_loop")


def _qtasyncio() -> asyncio.AbstractEventLoop:
    return _called("PySide6.QtAsyncio", "QAsyncioEventLoop", application())


def _qtloop() -> asyncio.AbstractEventLoop:
    application()
    return _called("qtloop", "new_event_loop")


def _hosted(module: str, name: str) -> asyncio.AbstractEventLoop:
    """qtloop's loop in a run loop that is not Qt's."""
    host = getattr(importlib.import_module(f"examples.hosts.{module}"), name)()
    return _checked(importlib.import_module("qtloop").EventLoop(host=host))


def _floor() -> asyncio.AbstractEventLoop:
    raise RuntimeError("the floor is not an asyncio loop")


def _called(module: str, name: str, *args: object) -> asyncio.AbstractEventLoop:
    return _checked(getattr(importlib.import_module(module), name)(*args))


def _checked(loop: object) -> asyncio.AbstractEventLoop:
    assert isinstance(loop, asyncio.AbstractEventLoop)
    return loop


HOSTED = {"glib": "GLibHost", "nsrunloop": "nsrunloop", "tk": "TkHost", "game": "GameHost"}
"""The run loops of `examples/hosts`, and what makes each."""


FLOOR = "floor"
"""No loop at all: what the machine gives at best to a server, and Qt to a callback."""

LOOPS = {
    loop.name: loop
    for loop in (
        Loop(FLOOR, _floor, "asyncio"),
        Loop("asyncio", asyncio.new_event_loop, "asyncio"),
        Loop("uvloop", _uvloop, "uvloop"),
        Loop("rloop", _rloop, "rloop"),
        Loop("qasync", _qasync, "qasync", on_qt=True),
        Loop("qtinter", _qtinter, "qtinter", on_qt=True),
        Loop("QtAsyncio", _qtasyncio, "PySide6", on_qt=True, env={"QT_API": "pyside6"}),
        Loop("qtloop", _qtloop, "qtloop", on_qt=True, env={"QTLOOP_HOST": "qt"}),
        Loop("qtloop-binding", _qtloop, "qtloop", on_qt=True, env={"QTLOOP_HOST": "binding"}),
        *(
            Loop(f"qtloop-{host}", partial(_hosted, host, maker), "qtloop", by_default=False)
            for host, maker in HOSTED.items()
        ),
    )
}

OURS = ("qtloop", "qtloop-binding", *(f"qtloop-{host}" for host in HOSTED))
"""Loops that have no excuse for a failure."""

PEERS = ("asyncio", "uvloop", "rloop")
"""Loops without Qt: the best of them is what every loop is compared with."""


def is_installed(loop: Loop) -> bool:
    """Whether the module that the loop comes from can be found."""
    return importlib.util.find_spec(loop.module) is not None
