"""The timers that are still to come."""

import asyncio
import heapq
from typing import TYPE_CHECKING, Any

from . import _names
from ._awaiting import Awaiting
from ._model import Timer

if TYPE_CHECKING:
    from .._loop import EventLoop


def collect(loop: "EventLoop", limit: int) -> tuple[list[Timer], int]:
    """The next timers, and how many more there are."""
    _, handles = loop._queued()
    pending = [it for it in handles if not it.cancelled()]
    now = loop.time()
    awaiting = Awaiting(asyncio.all_tasks(loop))
    next_ones = heapq.nsmallest(limit, pending, key=lambda it: it.when())
    found = [
        Timer(it.when() - now, _names.of_handle(it), _task_of(it, awaiting)) for it in next_ones
    ]
    return found, len(pending) - len(found)


def _task_of(handle: Any, awaiting: Awaiting) -> str:
    """The task that waits for the timer, through a future that the timer sets or an
    `asyncio.timeout`."""
    of = getattr(getattr(handle, "_callback", None), "__self__", None)
    task = getattr(of, "_task", None)  # `asyncio.timeout`
    if isinstance(task, asyncio.Task):
        return _names.of_task(task)
    for argument in getattr(handle, "_args", None) or ():
        if asyncio.isfuture(argument):
            return ", ".join(_names.of_task(it) for it in awaiting.of(argument))
    return ""
