"""Ctrl-C and Jupyter's "interrupt" in a cell that is inside a nested event loop, `dialog.exec()`.

Python code runs in that loop too: turns of our loop, and slots. An exception raised there would not
end the cell. It would end the loop; or, in a slot with PyQt, the process. So the nested loops are
ended first. KeyboardInterrupt is raised as soon as Python code of the cell runs again.
"""

import sys
from types import FrameType
from typing import Any

from .. import _qt


class Interrupt:
    """A handler of SIGINT for the time in which a cell runs. For the main thread.

    It ends what was begun since it was made.
    """

    def __init__(self) -> None:
        #: How many event loops of Qt carry the cell.
        self._level = _level()
        self._trace: Any = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Raises KeyboardInterrupt in the cell."""
        if not self.end_nested_loops():
            raise KeyboardInterrupt
        self._raise_when_back(frame)

    def end_nested_loops(self) -> bool:
        """Ends the event loops in which the cell waits, and hides its modal windows. Returns
        whether there were any."""
        levels = _level() - self._level
        if levels <= 0:
            return False
        qt_core = _qt.core()
        widgets = sys.modules.get(f"{_qt.binding()}.QtWidgets")
        if widgets is not None and isinstance(
            qt_core.QCoreApplication.instance(), widgets.QApplication
        ):
            # One after the other: a window that is hidden is not modal any more.
            while (dialog := widgets.QApplication.activeModalWidget()) is not None:
                dialog.hide()
                levels -= 1
        if levels > 0:
            # An event loop that is no dialog's. This also ends the loop around the cell, which is
            # then started again.
            _qt.exit_thread(qt_core)
        return True

    def leave_one_loop(self) -> None:
        """The next event loop that begins does not belong to the cell."""
        self._level += 1

    def _raise_when_back(self, frame: FrameType | None) -> None:
        """Raises KeyboardInterrupt where the cell goes on, in the way in which a debugger would
        stop there."""
        if sys.gettrace() is not None and sys.gettrace() != self._tracer:
            return  # A debugger has the place; the cell goes on.
        sys.settrace(self._tracer)
        while frame is not None:
            frame.f_trace = self._tracer
            frame = frame.f_back

    def _tracer(self, frame: FrameType, event: str, argument: Any) -> Any:
        if _level() > self._level:
            return self._tracer
        sys.settrace(None)
        raise KeyboardInterrupt


def _level() -> int:
    return _qt.in_thread(_qt.core(), lambda thread: int(thread.loopLevel()))
