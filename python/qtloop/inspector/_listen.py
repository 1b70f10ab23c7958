"""Lets a program be inspected from outside."""

import functools
import weakref
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from .. import _current

if TYPE_CHECKING:
    from .._loop import EventLoop


class Listening:
    """The answering that `listen` has begun. A context manager, which ends it."""

    def __init__(self, loop: "EventLoop", path: Path) -> None:
        #: The socket at which this process answers.
        self.path = path
        self._end = loop._end_listening

    def close(self) -> None:
        """From now on the loop does not answer. Closing twice is no error."""
        end, self._end = self._end, None
        if end is not None:
            end()

    def __enter__(self) -> "Listening":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def listen(loop: "EventLoop | None" = None) -> Listening:
    """Lets `python -m qtloop.inspect PID` ask this process about the loop; by default that is the
    one of this thread. It ends when the loop is closed, or when the returned object is. Only this
    user can ask.

    A thread waits for questions, and costs nothing until one comes. The loop answers by itself, in
    a callback. If the loop is blocked for longer than a second, that is the answer, with the stack
    of its thread.

    Raises RuntimeError if no loop of qtloop's runs in this thread, or if it is closed; OSError if
    no socket can be made.
    """
    from . import _server

    loop = _current.current() if loop is None else loop
    if loop.is_closed():
        raise RuntimeError("Event loop is closed")
    path = _server.add(loop)
    loop._end_listening = functools.partial(_end, weakref.ref(loop))
    return Listening(loop, path)


def _end(reference: "weakref.ref[EventLoop]") -> None:
    from . import _server

    loop = reference()
    if loop is not None:
        loop._end_listening = None
        _server.remove(loop)
