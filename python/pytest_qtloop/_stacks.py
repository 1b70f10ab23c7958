"""Where tasks stand: the whole chain of what they await, as text."""

import asyncio
import linecache
import os
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any, Final

import qtloop

_HERE: Final = os.path.dirname(__file__)
#: Where the code lies that is not the test's own.
_LIBRARIES: Final = tuple(
    os.path.join(os.path.dirname(str(it.__file__)), "") for it in (asyncio, qtloop)
)


def describe(task: asyncio.Task[Any]) -> str:
    """A task in a line: its name, its coroutine and where it stands."""
    own = [frame for frame in _frames(task) if not frame.f_code.co_filename.startswith(_LIBRARIES)]
    where = f" at {_place(own[-1])}" if own else ""
    return f"task {task.get_name()!r} ({_name(task.get_coro())}{where})"


def of_all_tasks(loop: asyncio.AbstractEventLoop) -> str:
    """Every task of a loop that has not ended, with its stack and what it waits for."""
    tasks = sorted(asyncio.all_tasks(loop), key=lambda task: task.get_name())
    return "\n\n".join("\n".join(_lines(task)) for task in tasks)


def _lines(task: asyncio.Task[Any]) -> Iterator[str]:
    frames = [*_frames(task)]
    what = frames[0].f_code.co_qualname if frames else _name(task.get_coro())
    yield f"task {task.get_name()!r}, {what} (most recent call last):"
    for frame in frames:
        yield f"  {_place(frame)}, in {frame.f_code.co_qualname}"
        line = linecache.getline(frame.f_code.co_filename, frame.f_lineno, frame.f_globals).strip()
        if line:
            yield f"    {line}"
    waiter = getattr(task, "_fut_waiter", None)
    if waiter is not None:
        yield f"  waits for {waiter!r}"


def _frames(task: asyncio.Task[Any]) -> Iterator[FrameType]:
    """Of the coroutine and of what it awaits, outermost first; but not of this package."""
    coroutine: Any = task.get_coro()
    frames = _running(coroutine) if getattr(coroutine, "cr_running", False) else _awaited(coroutine)
    return (frame for frame in frames if os.path.dirname(frame.f_code.co_filename) != _HERE)


def _awaited(coroutine: Any) -> Iterator[FrameType]:
    awaited = coroutine
    while (frame := _first(awaited, "cr_frame", "gi_frame", "ag_frame")) is not None:
        yield frame
        awaited = _first(awaited, "cr_await", "gi_yieldfrom", "ag_await")


def _running(coroutine: Any) -> list[FrameType]:
    """Of a step that runs a nested event loop, in which this is called: it awaits nothing."""
    frames: list[FrameType] = []
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame is not coroutine.cr_frame:
        frames.append(frame)
        frame = frame.f_back
    return frames[::-1]


def _first(thing: Any, *names: str) -> Any:
    return next(
        (value for name in names if (value := getattr(thing, name, None)) is not None), None
    )


def _place(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _name(coroutine: Any) -> str:
    return str(getattr(coroutine, "__qualname__", None) or type(coroutine).__name__)
