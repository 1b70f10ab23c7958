"""The names of things. The `__repr__` of a program's own class is never called: it may be long,
slow or wrong."""

import asyncio
import functools
from typing import Any

from .. import _system


def plain(text: object) -> str:
    """The text on one line, without characters that a terminal or a reader could misunderstand:
    control characters, marks that change the direction of writing, halves of surrogates."""
    if not isinstance(text, str):
        return type(text).__name__
    if text.isprintable():
        return text
    return "".join(it if it.isprintable() else _escaped(it) for it in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")


def of_task(task: "asyncio.Task[Any]") -> str:
    """A task's name."""
    try:
        return plain(task.get_name())
    except Exception:  # A class of the program's own.
        return type(task).__name__


def of_callable(call: Any) -> str:
    """The name of a function, of a bound method, or of the class of another callable."""
    while isinstance(call, functools.partial):
        call = call.func
    try:
        name = getattr(call, "__qualname__", None)
    except Exception:  # A class of the program's own.
        name = None
    return plain(name) if isinstance(name, str) else type(call).__name__


def of_coroutine(coroutine: Any) -> str:
    """The name of a coroutine, or of another thing that a task may run."""
    return of_callable(coroutine)


def of_handle(handle: Any) -> str:
    """What a handle calls, or which object handles an event of Rust."""
    if handle is True:
        return "a Rust future"
    if isinstance(handle, _system.OPERATIONS):
        return of_coroutine(handle)
    if not isinstance(handle, asyncio.Handle):
        return type(handle).__name__
    callback = getattr(handle, "_callback", None)
    return "nothing" if callback is None else of_callable(callback)
