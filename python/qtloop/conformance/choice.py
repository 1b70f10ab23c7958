"""What the harness needs to know about a loop."""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .discovery import PACKAGE
from .simulated import SimulatedStock

if TYPE_CHECKING:
    Loop = asyncio.SelectorEventLoop
else:
    Loop = object


#: The loop that asyncio makes by default.
STOCK: type[Any]
if sys.platform == "win32":
    STOCK = asyncio.ProactorEventLoop
else:
    STOCK = asyncio.SelectorEventLoop


@dataclass(frozen=True)
class Choice:
    """A loop under test.

    `simulated` is a class to be put before `loop` among the bases. It puts the loop on a clock that
    starts at 0.0 and jumps to the next deadline when idle. A loop without such a clock leaves the
    tests the fake loop that they come with. `ours` are the classes whose instances count as the
    loop under test, in whatever way they were made. It is empty for stock asyncio, where only the
    injected subclass can be recognised. `with_own_turn` are the classes that the stock loop's code
    must never turn.
    """

    loop: type[Any]
    policy: type[Any]
    simulated: type[Any] | None
    ours: tuple[type[Any], ...] = ()
    with_own_turn: tuple[type[Any], ...] = ()
    version: str = ""


def choice_of(factory: Callable[[], Any], clock: type[Any] | None = None) -> Choice:
    """What the harness needs to know about the loops of a factory, or of a class.

    `clock` is to be put before the class, as `Choice.simulated`.
    """
    loop = factory if isinstance(factory, type) else _class_made_by(factory)
    policy = asyncio.DefaultEventLoopPolicy
    if loop is STOCK:
        return Choice(loop, policy, SimulatedStock)
    package: Any = importlib.import_module(loop.__module__.partition(".")[0])
    version = str(getattr(package, "__version__", ""))
    qtloop: Any = importlib.import_module("qtloop")
    if issubclass(loop, qtloop.EventLoop):
        clock = clock or _OnSimulatedHost
        return Choice(loop, qtloop.EventLoopPolicy, clock, (loop,), (loop,), version)
    if not hasattr(loop, "_default_executor"):
        # The tests' own cleanup asks every loop for this private attribute.
        loop = type(
            loop.__name__, (loop,), {"_default_executor": None, "__module__": loop.__module__}
        )
    # The stock loop's code must never turn a loop that does not inherit it.
    own = () if issubclass(loop, asyncio.BaseEventLoop) else (loop,)
    if clock is not None:
        return Choice(loop, policy, clock, (loop,), own, version)
    fake: Any = importlib.import_module(f"{PACKAGE}.utils")
    return Choice(loop, policy, None, (loop, fake.TestLoop), own, version)


def _class_made_by(factory: Callable[[], Any]) -> type[Any]:
    loop = factory()
    loop.close()
    return type(loop)


class _OnSimulatedHost(Loop):
    def __init__(self) -> None:
        make: Callable[..., None] = super().__init__
        make(host="sim")
