"""The frame clock: the yardstick of whether asyncio leaves Qt enough room to stay smooth."""

from collections.abc import Callable
from time import perf_counter

from .meters import Lateness
from .qt import QtCore

FRAME_MS = 16


class FrameClock:
    """A precise QTimer. asyncio has no part in it, so asyncio hogging the thread shows up as
    lateness."""

    def __init__(self, lateness: Lateness, on_frame: Callable[[], None]) -> None:
        self._lateness = lateness
        self._on_frame = on_frame
        self._last = 0.0
        self._timer = QtCore.QTimer()
        self._timer.setTimerType(QtCore.Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)

    def start(self) -> None:
        self._last = perf_counter()
        self._timer.start(FRAME_MS)

    def stop(self) -> None:
        self._timer.stop()

    def _tick(self) -> None:
        now = perf_counter()
        # Qt keeps its own schedule: a late tick is followed by a short gap, which is not an early
        # frame.
        self._lateness.add(max(0.0, (now - self._last) * 1000 - FRAME_MS))
        self._last = now
        self._on_frame()
