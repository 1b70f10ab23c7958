"""Where tasks stand: the whole chain of what they await, as text."""

import asyncio
import linecache
import os
from collections.abc import Iterator
from types import FrameType
from typing import Any, Final

_ASYNCIO: Final = os.path.dirname(asyncio.__file__)


def describe(task: asyncio.Task[Any]) -> str:
    """A task in a line: its name, its coroutine and where it stands."""
    own = [frame for frame in _frames(task) if os.path.dirname(frame.f_code.co_filename) != _ASYNCIO]
    where = f" at {_place(own[-1])}" if own else ""
    return f"task {task.get_name()!r} ({_name(task.get_coro())}{where})"


def of_all_tasks(loop: asyncio.AbstractEventLoop) -> str:
    """Every task of a loop that has not ended, with its stack and what it waits for."""
    tasks = sorted(asyncio.all_tasks(loop), key=lambda task: task.get_name())
    return "\n\n".join("\n".join(_lines(task)) for task in tasks)


def _lines(task: asyncio.Task[Any]) -> Iterator[str]:
    yield f"task {task.get_name()!r}, {_name(task.get_coro())} (most recent call last):"
    for frame in _frames(task):
        yield f"  {_place(frame)}, in {frame.f_code.co_qualname}"
        line = linecache.getline(frame.f_code.co_filename, frame.f_lineno, frame.f_globals).strip()
        if line:
            yield f"    {line}"
    waiter = getattr(task, "_fut_waiter", None)
    if waiter is not None:
        yield f"  waits for {waiter!r}"


def _frames(task: asyncio.Task[Any]) -> Iterator[FrameType]:
    """Of the coroutine and of what it awaits, outermost first; but not of this package."""
    awaited: Any = task.get_coro()
    while awaited is not None:
        frame = _first(awaited, "cr_frame", "gi_frame", "ag_frame")
        if frame is None:
            return
        if os.path.dirname(frame.f_code.co_filename) != os.path.dirname(__file__):
            yield frame
        awaited = _first(awaited, "cr_await", "gi_yieldfrom", "ag_await")


def _first(thing: Any, *names: str) -> Any:
    return next((value for name in names if (value := getattr(thing, name, None)) is not None), None)


def _place(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _name(coroutine: Any) -> str:
    return str(getattr(coroutine, "__qualname__", None) or type(coroutine).__name__)
