"""Where a task is in its code: from its coroutine inwards, through everything that it awaits."""

import asyncio
import gc
import sys
from collections.abc import Container, Iterator
from types import AsyncGeneratorType, CoroutineType, FrameType, GeneratorType
from typing import Any, Final

from . import _names
from ._model import Frame

#: The most frames that are shown of one task.
DEEPEST: Final = 100

#: Objects written in C that stand between two coroutines and do not show it.
_LINKS: Final = {
    "async_generator_asend",
    "async_generator_athrow",
    "coroutine_wrapper",
    "anext_awaitable",
}

#: Functions directly below which a callback of asyncio is on the stack.
_BORDERS: Final = {("asyncio.events", "_run"), ("qtloop._asyncio_hooks", "run_timed")}


def of_task(
    task: "asyncio.Task[Any]", bases: Container[FrameType] = ()
) -> tuple[list[FrameType], list[int], Any]:
    """The frames from the coroutine inwards, their lines, and the last object that is awaited.

    `bases` are frames of other tasks' coroutines, which may be on this thread's stack as well.
    """
    frames: list[FrameType] = []
    awaited: Any = task.get_coro()
    while awaited is not None and len(frames) < DEEPEST:
        frame, is_running, inner = _step(awaited)
        if frame is not None:
            frames.append(frame)
        if is_running and frame is not None:
            frames.extend(_inside(frame, bases))
            return frames, [it.f_lineno for it in frames], None
        if inner is None:
            break
        awaited = inner
    return frames, [it.f_lineno for it in frames], awaited


def described(frames: list[FrameType], lines: list[int]) -> tuple[Frame, ...]:
    """The same as plain texts, which keep no object alive."""
    return tuple(
        Frame(_names.plain(it.f_code.co_filename), line or 0, _names.plain(it.f_code.co_qualname))
        for it, line in zip(frames, lines, strict=True)
    )


def base_of(task: "asyncio.Task[Any]") -> FrameType | None:
    """The frame of its coroutine, if the coroutine runs just now."""
    frame, is_running, _ = _step(task.get_coro())
    return frame if is_running else None


def _step(awaited: Any) -> tuple[FrameType | None, bool, Any]:
    """The parts of an awaited object: its frame, whether it runs now, and what it awaits itself."""
    if isinstance(awaited, CoroutineType):
        return awaited.cr_frame, awaited.cr_running, awaited.cr_await
    if isinstance(awaited, AsyncGeneratorType):
        # That it runs only means that somebody awaits its next value.
        return awaited.ag_frame, False, awaited.ag_await
    if isinstance(awaited, GeneratorType):
        return awaited.gi_frame, awaited.gi_running, awaited.gi_yieldfrom
    if type(awaited).__name__ in _LINKS:
        return None, False, _behind(awaited)
    return None, False, None


def _behind(link: Any) -> Any:
    """The object that stands behind an object written in C. Only the garbage collector is told
    that."""
    kinds = (CoroutineType, AsyncGeneratorType, GeneratorType)
    return next((it for it in gc.get_referents(link) if type(it) in kinds), None)


def _inside(base: FrameType, bases: Container[FrameType]) -> list[FrameType]:
    """What a running coroutine has called, if it runs in this thread.

    Without debug mode nothing marks where a nested event loop has called something. Then that is in
    the list too.
    """
    outwards: list[FrameType] = []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame is not base:
        outwards.append(frame)
        frame = frame.f_back
    return list(_until_somebody_elses(reversed(outwards), bases)) if frame is not None else []


def _until_somebody_elses(
    inwards: Iterator[FrameType], bases: Container[FrameType]
) -> Iterator[FrameType]:
    for frame in inwards:
        module = str(frame.f_globals.get("__name__"))
        if module.startswith("qtloop.inspector") or frame in bases:
            return
        if (module, frame.f_code.co_name) in _BORDERS:
            return
        yield frame
