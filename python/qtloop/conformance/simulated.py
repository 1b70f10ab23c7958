"""Simulated time for the tests that bring a script of how time passes.

CPython's `new_test_loop(script)` makes a loop whose clock only the script moves. After each turn
the script gets the deadline (`when`) of every timer set in that turn. It checks the deadline, and
yields by how much to advance. All these scripts describe the same thing: time moves on to the next
deadline once nothing else is left to do. So here the loop's own simulated clock moves the time. The
script keeps its other two duties: it checks each deadline, in order; and it must be exhausted when
the loop closes, with no timer too many or too few.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Generator
from contextvars import Context
from typing import TYPE_CHECKING, Any, TypeVarTuple

if TYPE_CHECKING:
    Loop = asyncio.SelectorEventLoop
else:
    Loop = object

Script = Generator[float | None, float, None]
Events = list[tuple[selectors.SelectorKey, int]]
Args = TypeVarTuple("Args")


class Scripted(Loop):
    """Tells a test's script about timers. To be put before a loop whose clock is simulated."""

    def __init__(self, script: Callable[[], Script] | None = None) -> None:
        super().__init__()
        self._deadlines: list[float] = []
        self._script = script() if script is not None else None
        if self._script is not None:
            next(self._script)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Args], object],
        *args: *Args,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        self._deadlines.append(when)
        return super().call_at(when, callback, *args, context=context)

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Args], object],
        *args: *Args,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        # A loop may or may not build call_later on call_at: note the deadline once either way.
        noted = len(self._deadlines)
        handle = super().call_later(delay, callback, *args, context=context)
        if len(self._deadlines) == noted:
            self._deadlines.append(handle.when())
        return handle

    def advance_time(self, advance: float) -> None:
        """Does nothing: the clock reaches the next deadline by itself, and the tests check that."""

    def run_forever(self) -> None:
        try:
            super().run_forever()
        finally:
            self._tell_script()

    def close(self) -> None:
        super().close()
        self._tell_script()
        script, self._script = self._script, None
        if script is not None and not _is_exhausted(script):
            raise AssertionError("the script expects more timers than the loop was asked for")

    def _tell_script(self) -> None:
        deadlines, self._deadlines = self._deadlines, []
        if self._script is None:
            return
        for when in deadlines:
            try:
                self._script.send(when)
            except StopIteration:
                raise AssertionError(f"the script does not expect a timer at {when}") from None


def _is_exhausted(script: Script) -> bool:
    try:
        script.send(0)
    except StopIteration:
        return True
    return False


class SimulatedStock(Loop):
    """Puts the stock loop on a clock that starts at 0.0 and jumps to the next deadline when
    idle."""

    _now = 0.0

    def __init__(self) -> None:
        super().__init__()
        selector: Any = vars(self)["_selector"]
        self._poll: Callable[[float | None], Events] = selector.select
        selector.select = self._pass_time

    def time(self) -> float:
        return self._now

    def _pass_time(self, timeout: float | None = None) -> Events:
        """Let the time pass that the selector would have waited. Real events still come first."""
        if timeout is None:
            return self._poll(None)
        events = self._poll(0)
        if not events:
            self._now += max(0.0, timeout)
        return events
