"""The loops that the behaviour suite runs on: stock asyncio as the oracle, then qtloop on every
host."""

import asyncio
import importlib
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import qtloop
from qtloop import _core, _host_choice, _qt

LoopFactory = Callable[[], asyncio.AbstractEventLoop]
Errors = list[dict[str, Any]]
Pair = tuple[socket.socket, socket.socket]


def _qtloop_factory(host: str, fds: str) -> Callable[[], qtloop.EventLoop]:
    return lambda: qtloop.EventLoop(host=host, fds=fds)


def _is_built_for_this_qt() -> bool:
    """Qt 5 has no native host, nor has Windows. Elsewhere, with Qt 6, it must be there: a suite
    without it would prove too little."""
    return _qt.version(qt_core).startswith("6") and sys.platform != "win32"


qt_core: Any = importlib.import_module(f"{_qt.binding()}.QtCore")

NATIVE_HOSTS = ["qt"] if _is_built_for_this_qt() else []
HOSTS = [*NATIVE_HOSTS, "binding"]
STRATEGIES = [*dict.fromkeys([_core.POLLER, "notifier"])]  # Windows has but one.

#: The loop that asyncio makes by default.
STOCK: dict[str, LoopFactory]
if sys.platform == "win32":
    STOCK = {"stock": asyncio.ProactorEventLoop}
else:
    STOCK = {"stock": asyncio.SelectorEventLoop}
OURS: dict[str, LoopFactory] = {
    f"{host}-{fds}": _qtloop_factory(host, fds) for host in HOSTS for fds in STRATEGIES
}
EVERY_LOOP = {**STOCK, **OURS}


def make_host(name: str) -> Any:
    """A host by itself, as the Rust half takes it."""
    return _host_choice.resolve(name)


@contextmanager
def opened(factory: LoopFactory) -> Iterator[asyncio.AbstractEventLoop]:
    """A loop of the factory's, closed in the end as a careful program would."""
    loop = factory()
    try:
        yield loop
    finally:
        if not loop.is_closed():
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()


def run_for(loop: asyncio.AbstractEventLoop, seconds: float = 0.005) -> None:
    """Long enough for Qt to have reported whatever is ready by then.

    One timer behind the other: on a machine that stands still for longer than that, each of them
    still has a turn of its own, in which the loop looks at its fds.
    """
    turns = 5

    def pass_on(left: int) -> None:
        if left == 0:
            loop.stop()
        else:
            loop.call_later(seconds / turns, pass_on, left - 1)

    pass_on(turns)
    loop.run_forever()


def run_briefly(loop: asyncio.AbstractEventLoop) -> None:
    """One iteration: what is ready now, and nothing that it schedules."""
    loop.call_soon(loop.stop)
    loop.run_forever()


def failure(call: Callable[[], Any]) -> tuple[type[BaseException], str] | None:
    """How the call fails, in a form that two loops can be compared by; None if it does not."""
    try:
        call()
    except Exception as error:
        return type(error), str(error)
    return None


def nothing(*args: Any) -> None:
    """A callback."""
