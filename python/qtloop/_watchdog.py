"""The watchdog: in debug mode it reports what blocks Qt's event loop, while it blocks. While an
inspector is open outside debug mode, it only notes that.

A *stretch* is the time in which Qt's event loop neither turns nor sleeps. `_watchdog_sources` sends
the signs of that. `_core.Stretches` measures the time, and tells the watchdog's thread when there
is something to look at. That thread sleeps while nothing goes on. While a stretch is under way, it
sleeps until the stretch would be a long one.

Outside the application's thread it is not known when Qt wakes. So a slot of Qt that blocks there is
noticed only if something of asyncio began the stretch.

On a loaded machine a thread may not run because other threads run. Such time does not count. See
`_core.Stretches`, in which the watchdog's thread waits without the GIL.
"""

import asyncio
import functools
import logging
import sys
import threading
import traceback
from types import FrameType
from typing import TYPE_CHECKING, Final, NamedTuple

from . import _core, _qt, _watchdog_sources

if TYPE_CHECKING:
    from ._loop import EventLoop

#: Seconds that a stretch may always last, since `slow_callback_duration` may be 0.
MINIMUM: Final = 0.01

#: Seconds that the end of a run waits for the last report to be logged. It waits no longer: a log
#: handler may itself wait for the thread that runs the loop.
PATIENCE: Final = 2.0

#: Not asyncio's logger: that gets only what the stock loop sends.
logger: logging.Logger = logging.getLogger("qtloop")

#: Functions on the stack directly below the program's own code, and what runs the code there.
_ENTRANCES: Final = {
    ("asyncio.events", "_run"): "asyncio",
    ("qtloop._asyncio_hooks", "run_timed"): "asyncio",
    ("qtloop._loop", "_run_host"): "Qt",
    ("qtloop._loop", "_run_once_or_on"): "Qt",
    ("qtloop._binding_host", "run"): "Qt",
    ("qtloop._qt", "execute"): "Qt",
}


def watch(loop: "EventLoop", running: _core.Running) -> None:
    """Watches the loop, which runs in this thread, whenever it is in debug mode or inspected."""
    watchdog = Watchdog(loop)
    running.at_exit(functools.partial(setattr, loop, "_watchdog", None))
    running.at_exit(watchdog.stop)
    loop._watchdog = watchdog
    watchdog.follow()


class Watchdog:
    """Watches the thread that makes it, which runs the loop. Only from that thread."""

    def __init__(self, loop: "EventLoop") -> None:
        self._loop = loop
        self._watcher: _Watcher | None = None
        self._listener: _watchdog_sources.Listener | None = None

    def follow(self) -> None:
        """Starts or stops: debug mode was switched, or an inspector was opened or closed."""
        is_debugging = self._loop.get_debug()
        if self._watcher is not None and self._watcher.logs != is_debugging:
            self.stop()
        if is_debugging or self._loop._inspectors:
            self.start()
        else:
            self.stop()

    def start(self) -> None:
        """Begins to watch, unless it watches already."""
        if self._watcher is not None:
            return
        watcher = self._watcher = _Watcher(self._loop)
        try:
            watcher.thread.start()
        except (
            RuntimeError
        ) as error:  # The interpreter ends, or there is no room for another thread.
            self._watcher = None
            logger.warning("nobody watches who blocks the event loop: %s", error)
            return
        if watcher.logs or self._loop.host == "qt":
            self._listener = _watchdog_sources.listener(self._loop.host, watcher.stretches)
        else:
            from ._watchdog_probe import Probe  # Only for an inspector.

            self._listener = Probe(self._loop, watcher.stretches)
        self._listener.start()

    def stop(self) -> None:
        """Ends the watch, and waits until everything is logged. May be called again if an exception
        comes in between."""
        try:
            if self._listener is not None:
                self._listener.stop()
                self._listener = None
        finally:
            if self._watcher is not None:
                self._watcher.stop()
                self._watcher = None

    def busy(self) -> int:
        """A callback of asyncio begins.

        Returns a number that changes when Qt's event loop turns, as it does in a nested one.
        """
        if self._watcher is not None:
            self._watcher.stretches.busy()
        return self.turns()

    def turns(self) -> int:
        """The number that `busy` returns."""
        return self._watcher.stretches.number if self._watcher is not None else 0


class _Watcher:
    """The watchdog's own thread. The watched thread makes it."""

    def __init__(self, loop: "EventLoop") -> None:
        from ._blockers import Worst  # Most loops are never watched.

        self._loop = loop
        self.stretches = _core.Stretches()
        self.thread = threading.Thread(target=self._watch, name="qtloop-watchdog", daemon=True)
        self._watched = threading.get_ident()
        #: Whether it writes to the log, as in debug mode.
        self.logs = loop.get_debug()
        if loop._blockers is None:
            loop._blockers = Worst()
        self._worst = loop._blockers
        self._subject = _subject()
        #: The last stretch that was reported, and its cause.
        self._reported: tuple[int, str] = (0, "")
        #: The key of that cause in the list of the worst.
        self._place = ""

    def stop(self) -> None:
        """Waits until the thread has ended. Called by the watched thread."""
        self.stretches.asleep()
        self.stretches.stop()
        if self.thread.is_alive():
            self.thread.join(PATIENCE)

    def _watch(self) -> None:
        """Reports long stretches until it is told to stop."""
        while (news := self.stretches.wait(self._limit(), self._reported[0])) is not None:
            number, seconds, has_ended = news
            if has_ended:
                self._report_end(number, seconds)
            elif seconds >= self._limit():
                self._report(number)

    def _limit(self) -> float:
        return max(self._loop.slow_callback_duration, MINIMUM)

    def _report(self, number: int) -> None:
        sample = take_sample(self._loop, self._watched)
        stretch = self.stretches.under_way()
        if stretch is None or stretch[0] != number:
            return  # It ended just now: what was seen may be something else.
        self._reported = (number, sample.culprit)
        self._place = ""
        if not sample.is_ours:
            self._place = self._worst.begun(sample.culprit, stretch[1], sample.stack)
        self._log(
            "%s blocked for %.2f s so far by %s%s",
            self._subject,
            stretch[1],
            sample.culprit,
            sample.stack,
        )

    def _report_end(self, number: int, seconds: float) -> None:
        if number == self._reported[0]:
            self._worst.ended(self._place, seconds)
            self._log("%s was blocked for %.2f s by %s", self._subject, seconds, self._reported[1])
        else:
            self._worst.begun("what could not be seen", seconds, "")
            self._log(
                "%s was blocked for %.2f s, by what could not be seen: it was over by then, as it "
                "is if a C "
                "function kept the GIL",
                self._subject,
                seconds,
            )

    def _log(self, message: str, *arguments: object) -> None:
        if self.logs:
            logger.warning(message, *arguments)


def _subject() -> str:
    """Names the thread that the reports are about: this one."""
    if not _qt.is_gui_thread():
        return f"thread {threading.current_thread().name!r}"
    return "GUI" if _qt.has_gui() else "event loop"


class Sample(NamedTuple):
    """What a thread that runs a loop is doing."""

    #: What runs, and the place in its code.
    culprit: str
    #: The program's part of the stack, to be appended to a message.
    stack: str
    #: Whether it is the inspector that runs.
    is_ours: bool = False


def take_sample(loop: "EventLoop", ident: int) -> Sample:
    """Looks at what the loop's thread is doing. From any thread."""
    frame = sys._current_frames().get(ident)
    frames: list[tuple[FrameType, int]] = []
    runner = None
    while frame is not None and runner is None:
        runner = _ENTRANCES.get((frame.f_globals.get("__name__", ""), frame.f_code.co_name))
        if runner is None:
            frames.append((frame, frame.f_lineno))
            frame = frame.f_back
    # Outside debug mode no code of asyncio stands between Qt and a callback.
    task = None if loop.get_debug() else asyncio.current_task(loop)
    if runner == "asyncio" or (frames and task is not None):
        culprit = _running(loop)
    elif frames:
        is_certain = loop.get_debug()
        culprit = f"a {'' if is_certain else 'callback, '}Qt slot or event handler"
    else:
        culprit = "Qt or a C function (no Python code runs)"
    is_ours = any(
        str(frame.f_globals.get("__name__")).startswith("qtloop.inspector") for frame, _ in frames
    )
    # From here on only texts are kept: no frame, and nothing that a frame refers to.
    stack = traceback.StackSummary.extract(iter(frames))
    if not stack:
        return Sample(culprit, "")
    innermost = stack[0]
    stack.reverse()
    text = "\nStack (most recent call last):\n" + "".join(stack.format()).rstrip()
    place = f"{innermost.name} at {innermost.filename}:{innermost.lineno}"
    return Sample(f"{culprit} ({place})", text, is_ours)


def _running(loop: "EventLoop") -> str:
    """The task or callback that the loop runs."""
    task = asyncio.current_task(loop)
    if task is not None:
        return task.get_name()
    callback = getattr(loop._current_handle, "_callback", None)
    while isinstance(callback, functools.partial):
        callback = callback.func
    return f"callback {getattr(callback, '__qualname__', type(callback).__name__)}"
