"""Signs of an event loop on another host than the native one, while an inspector is open outside
debug mode: a thread asks the loop.

On such hosts the signs of `_watchdog_sources` go through the binding with every event of Qt. In
debug mode that cost does not matter. Here a thread asks the loop for a sign of life every now and
then, and a stretch is the time until the loop answers. A stretch is noted up to `PACE` too short,
and not at all if it is over before the question.
"""

import contextlib
import threading
from typing import TYPE_CHECKING, Final

from . import _core

if TYPE_CHECKING:
    from ._loop import EventLoop

#: Seconds between an answer and the next question.
PACE: Final = 0.1


class Probe:
    """A thread that asks the running loop, and tells `stretches` how long the answer took."""

    def __init__(self, loop: "EventLoop", stretches: _core.Stretches) -> None:
        self._loop = loop
        self._stretches = stretches
        self._answered = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._ask, name="qtloop-probe", daemon=True)

    def start(self) -> None:
        """Begins to ask, unless there is no room for another thread."""
        with contextlib.suppress(RuntimeError):
            self._thread.start()

    def stop(self) -> None:
        """Stops asking. May be called twice, and before `start` has returned."""
        self._stopped.set()
        self._answered.set()
        if self._thread.is_alive():
            self._thread.join()

    def _ask(self) -> None:
        while not self._stopped.wait(PACE):
            self._answered.clear()
            if self._stopped.is_set():
                return
            self._stretches.busy()
            with contextlib.suppress(RuntimeError):  # The loop is closed.
                self._loop.call_soon_threadsafe(self._answer)
                self._answered.wait()

    def _answer(self) -> None:
        """The answer, in the loop's thread."""
        self._stretches.asleep()
        self._answered.set()
