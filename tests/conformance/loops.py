"""The loops that can be put to the test, each with its policy and its simulated clock."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .discovery import PACKAGE
from .simulated import SimulatedStock

if TYPE_CHECKING:
    Loop = asyncio.SelectorEventLoop
else:
    Loop = object


@dataclass(frozen=True)
class Choice:
    """A loop under test.

    `simulated` is to be mixed in before `loop`, to put it on a clock that starts at 0.0 and jumps to the next
    deadline when idle; a loop without such a clock leaves the tests the fake loop they come with.
    `ours` are the classes whose instances count as the loop under test however they came about; it is empty
    for stock asyncio, where only the injected subclass can be told apart.
    `with_own_turn` are those that must never be turned by the stock loop's code.
    """

    loop: type[Any]
    policy: type[Any]
    simulated: type[Any] | None
    ours: tuple[type[Any], ...] = ()
    with_own_turn: tuple[type[Any], ...] = ()
    version: str = ""


def load(name: str) -> Choice:
    return _LOADERS[name]()


def _stock() -> Choice:
    return Choice(asyncio.SelectorEventLoop, asyncio.DefaultEventLoopPolicy, SimulatedStock)


def _uvloop() -> Choice:
    uvloop: Any = importlib.import_module("uvloop")
    test_utils: Any = importlib.import_module(f"{PACKAGE}.utils")
    # The tests' own cleanup asks every loop for this private attribute.
    loop = type("Loop", (uvloop.Loop,), {"_default_executor": None})
    return Choice(
        loop,
        asyncio.DefaultEventLoopPolicy,
        simulated=None,
        ours=(loop, test_utils.TestLoop),
        with_own_turn=(loop,),
        version=uvloop.__version__,
    )


def _qtloop() -> Choice:
    qtloop: Any = importlib.import_module("qtloop")
    return Choice(
        qtloop.EventLoop,
        qtloop.EventLoopPolicy,
        _OnSimulatedHost,
        ours=(qtloop.EventLoop,),
        with_own_turn=(qtloop.EventLoop,),
        version=getattr(qtloop, "__version__", ""),
    )


class _OnSimulatedHost(Loop):
    def __init__(self) -> None:
        make: Callable[..., None] = super().__init__
        make(host="sim")


_LOADERS: dict[str, Callable[[], Choice]] = {"stock": _stock, "qtloop": _qtloop, "uvloop": _uvloop}
