"""Which task waits for which.

A task that awaits another task directly shows it. Between other tasks stand futures of `gather`,
`shield`, `wait` or a TaskGroup. The done callbacks of the awaited task lead to them. From Python
3.14 on asyncio itself records a part of that.
"""

import asyncio
import functools
from collections.abc import Iterable, Iterator
from typing import Any, Final

#: Variables in asyncio's own done callbacks: each holds the future that somebody waits for.
_VARIABLES: Final = ("outer", "waiter")

AnyTask = asyncio.Task[Any]


class Awaiting:
    """Which task waits for which."""

    def __init__(self, tasks: Iterable[AnyTask]) -> None:
        self._by_future: dict[int, list[AnyTask]] = {}
        for task in tasks:
            waiter = getattr(task, "_fut_waiter", None)
            if waiter is not None:
                self._by_future.setdefault(id(waiter), []).append(task)

    def of(self, future: Any) -> list[AnyTask]:
        """The tasks that wait for a future or a task, directly or through futures that are no
        tasks."""
        found: dict[int, AnyTask] = {}
        seen = {id(future)}
        todo = [future]
        while todo:
            this = todo.pop()
            for reached in (*self._by_future.get(id(this), ()), *_completes(this)):
                if id(reached) in seen:
                    continue
                seen.add(id(reached))
                if isinstance(reached, asyncio.Task):
                    found[id(reached)] = reached
                else:
                    todo.append(reached)
        return list(found.values())


def _completes(future: Any) -> Iterator[Any]:
    """The futures that it completes when it is done, and the tasks that asyncio has recorded as
    waiting."""
    yield from getattr(future, "_asyncio_awaited_by", None) or ()
    for callback, _ in getattr(future, "_callbacks", None) or ():
        yield from _leads_to(callback)


def _leads_to(callback: Any) -> Iterator[Any]:
    """The futures that a done callback of asyncio completes, or the task that it wakes."""
    arguments: tuple[Any, ...] = ()
    if isinstance(callback, functools.partial):
        callback, arguments = callback.func, callback.args
    if not str(getattr(callback, "__module__", "")).startswith("asyncio."):
        return
    yield from (it for it in arguments if asyncio.isfuture(it))  # `wait_for` before Python 3.12
    of = getattr(callback, "__self__", None)
    if isinstance(of, asyncio.TaskGroup):
        yield from (it for it in (of._parent_task,) if it is not None)  # type: ignore[attr-defined]
    elif hasattr(of, "_handle_completion"):  # `as_completed` from Python 3.13
        yield from _getters(getattr(of, "_done", None))
    for name, cell in zip(
        getattr(getattr(callback, "__code__", None), "co_freevars", ()),
        getattr(callback, "__closure__", None) or (),
        strict=False,
    ):
        for found in _content(cell):
            if name in _VARIABLES and asyncio.isfuture(found):
                yield found
            elif name == "done":  # `as_completed` before Python 3.13
                yield from _getters(found)


def _getters(queue: Any) -> Iterator[Any]:
    """The futures of the tasks that wait for an item of a queue."""
    yield from getattr(queue, "_getters", ()) if isinstance(queue, asyncio.Queue) else ()


def _content(cell: Any) -> Iterator[Any]:
    try:
        yield cell.cell_contents
    except ValueError:
        return  # It is empty.


def shielded(future: Any) -> Any:
    """The future that a future of `shield` shields; None if it is no such future."""
    for callback, _ in getattr(future, "_callbacks", None) or ():
        if getattr(callback, "__name__", "") == "_outer_done_callback":
            names = callback.__code__.co_freevars
            cells = dict(zip(names, callback.__closure__ or (), strict=False))
            return next(_content(cells["inner"]), None) if "inner" in cells else None
    return None
