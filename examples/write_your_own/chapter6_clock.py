"""Chapter 6: a clock that jumps, for the loops of this course.

    python -m qtloop.conformance examples.write_your_own.chapter4_qt:QtLoop \\
        --before examples.write_your_own.chapter4_qt:make_application \\
        --clock examples.write_your_own.chapter6_clock:JumpingClock
"""

from typing import Any


class JumpingClock:
    """Puts a `GuestLoop` of the course on a simulated clock, for the tests that come with a script.

    The run loop never waits: its timer ends at once. A turn that finds nothing to do jumps.
    """

    _now = 0.0

    def time(self) -> float:
        return self._now

    def _set_timer(self: Any, delay: float | None) -> None:
        super()._set_timer(None if delay is None else 0)

    def _turn(self: Any) -> None:
        self._process_events(self._selector.select(0))
        deadlines = [timer.when() for timer in self._scheduled if not timer.cancelled()]
        if deadlines and not self._ready:
            self._now = max(self._now, min(deadlines))
        super()._turn()
