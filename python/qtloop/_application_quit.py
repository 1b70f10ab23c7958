"""What happens to the main task of a run when the application quits.

Many programs wait for the quit by themselves: `app.aboutToQuit.connect(event.set)`, then `await
event.wait()`, then the last work. To cancel such a task would skip that work. So the loop first
runs what the quit has made ready, and then looks whether the task has gone on.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from . import _core, _interpreter_exit, _qt

if TYPE_CHECKING:
    from ._loop import EventLoop

#: After so many iterations a loop that is never idle counts as idle.
ITERATIONS: Final = 100
#: How often in a row nothing must be ready. The first time, other items of the same batch may still
#: be about to come.
IDLE_LOOKS: Final = 2


class Quit:
    """The end of a run, from `aboutToQuit` on. For one run on the application's thread."""

    def __init__(self, loop: "EventLoop", awaited: asyncio.Future[Any]) -> None:
        self._loop = loop
        self._awaited = awaited
        self._waited_for: object = None
        self._idle = 0
        self._left = ITERATIONS

    def note(self) -> None:
        """The application is about to quit: notes what the task waits for.

        Call it at that moment: turns may still come until the application's loop has ended.
        """
        self._waited_for = self._waits_for()

    def decide(self) -> None:
        """The application has quit. In the next run the task goes on if it can; else it is
        cancelled."""
        if self._waited_for is None:  # Nobody has told, or it was running.
            self._waited_for = self._waits_for()
        if self._waited_for is None and isinstance(self._awaited, asyncio.Task):
            self._awaited.cancel()  # It only gave way to others.
        else:
            self._loop.call_soon(self._look)

    def _look(self) -> None:
        if self._awaited.done():
            return
        self._left -= 1
        self._idle = 0 if self._loop._counters()["ready"] else self._idle + 1
        if self._idle < IDLE_LOOKS and self._left:
            self._loop.call_soon(self._look)
        elif not isinstance(self._awaited, asyncio.Task):
            self._loop.stop()
        elif self._waits_for() is self._waited_for:
            self._awaited.cancel()
        else:
            self._loop.call_later(self._loop.quit_grace, self._awaited.cancel)

    def _waits_for(self) -> object:
        return getattr(self._awaited, "_fut_waiter", None)


@contextlib.contextmanager
def noticed(loop: "EventLoop", awaited: asyncio.Future[Any] | None) -> Iterator[Quit | None]:
    """Surrounds a run that a quit may end."""
    if awaited is None:
        yield None
        return
    quit = Quit(loop, awaited)
    has_binding = _qt.own is None and _qt.imported() is not None
    if (
        not loop._uses_qt
        or not has_binding
        or _interpreter_exit.is_without_qt()
        or not _qt.is_gui_thread()
    ):
        yield quit
        return
    application = _qt.core().QCoreApplication.instance()
    note = _core.Entrance(quit.note)
    application.aboutToQuit.connect(note)
    try:
        yield quit
    finally:
        with contextlib.suppress(RuntimeError):  # It was destroyed meanwhile.
            application.aboutToQuit.disconnect(note)
        note._forget()
