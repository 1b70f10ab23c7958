"""Fixtures: `loop` is every loop in turn, `qt_loop` only qtloop's; coroutine tests run on the one
they name.

The binding is the one that `QT_API` names. A process holds but one, so the others get a run of
their own.
"""

import asyncio
import inspect
import os
import socket
import sys
from collections.abc import Iterator
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import pytest

from qtloop import _owned_tasks

from .support.loops import EVERY_LOOP, OURS, STOCK, Errors, LoopFactory, Pair, opened, qt_core

#: Seconds after which a coroutine test has hung.
PATIENCE = 30


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Runs `async def` tests on the loop among their arguments."""
    test = pyfuncitem.obj
    if not inspect.iscoroutinefunction(test):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in inspect.signature(test).parameters}
    loop: Any = arguments.get("loop") or arguments["qt_loop"]
    loop.run_until_complete(asyncio.wait_for(test(**arguments), PATIENCE))
    return True


@pytest.fixture(scope="session", autouse=True)
def application() -> Any:
    """Made before any loop, so that loops may run in other threads too."""
    return qt_core.QCoreApplication.instance() or qt_core.QCoreApplication(["tests"])


@pytest.fixture(params=[*EVERY_LOOP])
def loop_factory(request: pytest.FixtureRequest) -> LoopFactory:
    return EVERY_LOOP[request.param]


@pytest.fixture(params=[*OURS])
def qt_loop_factory(request: pytest.FixtureRequest) -> LoopFactory:
    return OURS[request.param]


@pytest.fixture
def errors() -> Errors:
    """What the loop's exception handler was given. A test takes out what it expects."""
    return []


@pytest.fixture
def loop(loop_factory: LoopFactory, errors: Errors) -> Iterator[asyncio.AbstractEventLoop]:
    yield from _watched(loop_factory, errors)


@pytest.fixture
def qt_loop(qt_loop_factory: LoopFactory, errors: Errors) -> Iterator[asyncio.AbstractEventLoop]:
    yield from _watched(qt_loop_factory, errors)


@pytest.fixture(params=[*OURS])
def name(request: pytest.FixtureRequest) -> str:
    """The name of a loop of qtloop's, for a program that runs in a process of its own."""
    return str(request.param)


@pytest.fixture
def no_exception_in_a_slot(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Bindings show them with sys.excepthook, or print them. And no watch over a task's owner
    stays."""
    seen: list[Any] = []
    monkeypatch.setattr(sys, "excepthook", lambda *error: seen.append(error))
    monkeypatch.setattr(sys, "unraisablehook", seen.append)
    yield
    assert not seen
    assert not _owned_tasks._watches


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Two sockets that are connected with each other."""
    left, right = socket.socketpair()
    left.setblocking(False)
    right.setblocking(False)
    with left, right:
        yield left, right


@pytest.fixture
def stock_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """The oracle, where a test compares the two side by side."""
    with opened(STOCK["stock"]) as loop:
        yield loop


def _watched(factory: LoopFactory, errors: Errors) -> Iterator[asyncio.AbstractEventLoop]:
    with opened(factory) as loop:
        loop.set_exception_handler(lambda _, context: errors.append(context))
        yield loop
    assert not errors
