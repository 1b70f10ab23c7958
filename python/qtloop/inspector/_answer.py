"""A process's answer to a question from outside. It is made in a thread that runs no loop."""

import os
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any, Final

from .. import _watchdog
from ._model import Snapshot
from ._snapshot import snapshot

if TYPE_CHECKING:
    from .._loop import EventLoop

#: After so many seconds a loop counts as blocked.
PATIENCE: Final = 1.0

#: Seconds that the snapshot may take once it has begun: there may be much to report.
LONGEST: Final = 8.0


def answer(loops: "list[EventLoop]") -> dict[str, Any]:
    """The answers about all loops, each made by the loop's own thread."""
    asked = [_Question(loop) for loop in loops]
    deadline = time.monotonic() + PATIENCE
    return {"pid": os.getpid(), "loops": [it.answered(deadline) for it in asked]}


class _Question:
    """A snapshot for a loop's thread to take."""

    def __init__(self, loop: "EventLoop") -> None:
        self._loop = loop
        self._begun = time.monotonic()
        self._is_done = threading.Event()
        self._is_over = False
        self._has_begun = False
        self._snapshot: Snapshot | None = None
        self._error = ""
        if loop.is_running():
            try:
                loop.call_soon_threadsafe(self._take)
            except RuntimeError:
                self._is_over = True  # It was closed.

    def _take(self) -> None:
        """Takes the snapshot, in the loop's thread."""
        if self._is_over:
            return
        self._has_begun = True
        try:
            self._snapshot = snapshot(self._loop)
        except Exception as error:
            self._error = f"{type(error).__name__}: {error}"
        self._is_done.set()

    def answered(self, deadline: float) -> dict[str, Any]:
        loop = self._loop
        told: dict[str, Any] = {"host": loop.host}
        if not loop.is_running() or self._is_over:
            return {**told, "state": "closed" if loop.is_closed() else "not running"}
        is_done = self._is_done.wait(max(0.0, deadline - time.monotonic()))
        if is_done or (self._has_begun and self._is_done.wait(LONGEST)):
            if self._snapshot is None:
                return {**told, "state": f"no snapshot could be taken: {self._error}"}
            return {**told, "state": "running", "snapshot": self._snapshot.as_dict()}
        # A snapshot that would come too late is not worth the loop's time.
        self._is_over = True
        return {**told, "state": "blocked", "blocked": self._blocked()}

    def _blocked(self) -> dict[str, Any]:
        ident = self._loop._thread_id or threading.main_thread().ident or 0
        sample = _watchdog.take_sample(self._loop, ident)
        return {
            "seconds": time.monotonic() - self._begun,
            "culprit": sample.culprit,
            "stack": _stack(ident),
        }


def _stack(ident: int) -> str:
    """The calls that the thread is in."""
    frame = sys._current_frames().get(ident)
    return "" if frame is None else "".join(traceback.format_stack(frame)).rstrip()
