"""Puts the loop under test wherever asyncio and its tests would use a stock one.

This happens before any test module is imported, so that it covers every name that is bound at
import time. Then a census counts the loops that are made and run, and reports each one that is not
the loop under test.
"""

from __future__ import annotations

import asyncio
import asyncio.selector_events
import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any
from unittest import mock

from .choice import Choice
from .discovery import PACKAGE
from .simulated import Scripted

if TYPE_CHECKING:
    Loop = asyncio.SelectorEventLoop
else:
    Loop = object

# How often a test's "run until nothing is ready" turns the loop. gather() needs at most three
# turns.
_TURNS_UNTIL_IDLE = 10


class Census:
    """The loops seen in this process."""

    def __init__(self, choice: Choice, host: str | None) -> None:
        self.made: int = 0
        self.runs = 0
        self.host: str = ""
        self.strangers: list[str] = []
        self._ours: tuple[type[Any], ...] = (Counted, *choice.ours)
        self._with_own_turn = choice.with_own_turn
        self._wanted_host = host

    def check(self, loop: object, deed: str) -> None:
        """Note a loop that is not the one under test."""
        if not isinstance(loop, self._ours):
            self._note(loop, f"was {deed}")

    def check_turn(self, loop: object) -> None:
        """Note that the stock code turns a loop that should turn by itself."""
        if isinstance(loop, self._with_own_turn):
            self._note(loop, "was turned by the stock loop's _run_once")

    def _note(self, loop: object, deed: str) -> None:
        kind = type(loop)
        note = f"{kind.__module__}.{kind.__qualname__} {deed}"
        if note not in self.strangers:
            self.strangers.append(note)

    def enter(self, loop: object) -> None:
        """Count a loop that was made, and check that it is on the host that was asked for."""
        self.made += 1
        host = getattr(loop, "host", None)
        if host is None or host == "sim":
            return
        self.host = str(host)
        if self._wanted_host not in (None, self.host):
            self._note(loop, f"runs on host {self.host!r} instead of {self._wanted_host!r}")

    def summary(self) -> dict[str, object]:
        return {"made": self.made, "runs": self.runs, "host": self.host}


class Counted(Loop):
    """Counts itself. It stands in place of SelectorEventLoop, and may be given a selector too."""

    census: Census

    def __init__(self, selector: object = None, **options: object) -> None:
        make: Callable[..., None] = super().__init__
        make(**options)
        self.census.enter(self)

    def run_forever(self) -> None:
        self.census.runs += 1
        super().run_forever()


class PublicTurn(Loop):
    """Lets a test that calls the stock loop's `_run_once` turn any loop once, by public methods."""

    def _run_once(self) -> None:
        if self.is_running():
            # The stock loop calls it for itself.
            stock: Any = super()
            stock._run_once()
        else:
            _turn(self)


class Unmocked(PublicTurn):
    """Stands in place of the stock loop's base classes. Tests use those because parts are missing.

    Tests complete them with mocks to get a loop without I/O. Our loop is complete: instead of such
    a mock a spy is put on the real part. The base classes have no native sendfile, so this one has
    none either.
    """

    _MOCKED_PARTS = frozenset({"_selector", "_process_events", "_write_to_self"})

    _sendfile_native = vars(asyncio.BaseEventLoop)["_sendfile_native"]
    _sock_sendfile_native = vars(asyncio.BaseEventLoop)["_sock_sendfile_native"]

    def __setattr__(self, name: str, value: object) -> None:
        if name in self._MOCKED_PARTS and isinstance(value, mock.NonCallableMock):
            value = mock.Mock(wraps=getattr(self, name, None))
        super().__setattr__(name, value)


def install(choice: Choice, host: str | None) -> Census:
    """Replace the stock loop and policy in all of asyncio, and then the loop that the tests make
    themselves."""
    census = Counted.census = Census(choice, host)
    injected = type("InjectedEventLoop", (Counted, choice.loop), {})
    unmocked = type("InjectedBaseEventLoop", (Unmocked, injected), _replaceable(choice))
    policy = type("InjectedEventLoopPolicy", (choice.policy,), {"_loop_factory": injected})
    _watch(asyncio.BaseEventLoop, census)
    _replace(asyncio.SelectorEventLoop, injected)
    if sys.platform == "win32":
        _replace(asyncio.ProactorEventLoop, injected)
    _replace(asyncio.BaseEventLoop, unmocked)
    _replace(asyncio.selector_events.BaseSelectorEventLoop, unmocked)
    _replace(asyncio.DefaultEventLoopPolicy, policy)
    asyncio.set_event_loop_policy(None)
    if choice.simulated is not None:
        # `new_test_loop()` looks this name up each time.
        test_loop = type("InjectedTestLoop", (Scripted, choice.simulated, unmocked), {})
        test_utils: Any = importlib.import_module(f"{PACKAGE}.utils")
        test_utils.TestLoop = test_loop
    return census


def _replaceable(choice: Choice) -> dict[str, Any]:
    """The attributes that tests replace by mocks, and that qtloop's own class refuses to have
    replaced."""
    if choice.loop.__module__.partition(".")[0] != "qtloop":
        return {}
    return {"_selector": None, "_process_events": vars(asyncio.BaseEventLoop)["_process_events"]}


def adapt(module: ModuleType) -> None:
    """Replace what a test module's helpers ask of the stock loop's private queue."""
    gather_tests = getattr(module, "GatherTestsBase", None)
    if gather_tests is not None:
        gather_tests._run_loop = _run_until_idle


def _run_until_idle(_test: object, loop: asyncio.AbstractEventLoop) -> None:
    for _ in range(_TURNS_UNTIL_IDLE):
        _turn(loop)


def _turn(loop: asyncio.AbstractEventLoop) -> None:
    loop.call_soon(loop.stop)
    loop.run_forever()


def _replace(stock: type[Any], ours: type[Any]) -> None:
    for name, module in list(sys.modules.items()):
        if name == "asyncio" or name.startswith("asyncio."):
            for attribute, value in list(vars(module).items()):
                if value is stock:
                    setattr(module, attribute, ours)


def _watch(base: Any, census: Census) -> None:
    """Report any stock loop that is made or run: all of them come through here."""
    stock_init, stock_run_forever, stock_run_once = base.__init__, base.run_forever, base._run_once

    def init(self: object, *args: object, **kwargs: object) -> None:
        census.check(self, "made")
        stock_init(self, *args, **kwargs)

    def run_forever(self: object) -> None:
        census.check(self, "run")
        stock_run_forever(self)

    def run_once(self: object) -> None:
        census.check_turn(self)
        stock_run_once(self)

    base.__init__ = init
    base.run_forever = run_forever
    base._run_once = run_once
