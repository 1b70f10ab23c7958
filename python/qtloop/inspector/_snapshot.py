"""Takes snapshots."""

import os
import threading
from typing import TYPE_CHECKING, Any, Final

from .. import _current
from .._blockers import Blocker
from . import _fds, _tasks, _timers, _transports
from ._model import Snapshot

if TYPE_CHECKING:
    from .._loop import EventLoop

#: The most items of each kind: nobody reads more.
EVERYTHING: Final = 1 << 40


def snapshot(loop: "EventLoop | None" = None, *, limit: int = EVERYTHING) -> Snapshot:
    """What the loop has to do: its tasks, timers, fds and transports, its metrics, and what has
    blocked it. `loop` is by default the one of this thread. `limit` is the largest number of items
    of each kind.

    It costs time in proportion to what there is, about 50 microseconds a task.

    Raises RuntimeError if no loop of qtloop's runs in this thread, if the loop runs in another one,
    or if it is closed.
    """
    loop = _current.current() if loop is None else loop
    check(loop)
    found: dict[str, Any] = {}
    left_out: dict[str, int] = {}
    parts = {"tasks": _tasks, "timers": _timers, "fds": _fds, "transports": _transports}
    for name, part in parts.items():
        told, more = part.collect(loop, limit)
        found[name] = tuple(told)
        if more:
            left_out[name] = more
    return Snapshot(
        pid=os.getpid(),
        time=loop.time(),
        debug=loop.get_debug(),
        metrics=loop.metrics(),
        blockers=blockers(loop),
        left_out=left_out,
        **found,
    )


def check(loop: "EventLoop") -> None:
    """Raises RuntimeError if this thread may not look into the loop."""
    if loop.is_closed():
        raise RuntimeError("Event loop is closed")
    if loop._thread_id not in (None, threading.get_ident()):
        raise RuntimeError("the loop runs in another thread: take its snapshot there")


def blockers(loop: "EventLoop") -> tuple[Blocker, ...]:
    """The blockers that the watchdog has seen."""
    return () if loop._blockers is None else loop._blockers.worst_first()
