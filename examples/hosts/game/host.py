"""A host for a program that owns its `while` loop.

Such a program has no run loop that could call anybody. So this host is one itself, on poll(2), and
the program calls `step` once a frame::

    host = GameHost()
    with qtloop.attach(host=host) as loop:
        while playing:
            move_and_draw()
            host.step(budget=0.004)

`run` is for what has no frames: `qtloop.run(main(), host=GameHost())`, and the finalizers at the
end of `attach`. It sleeps until there is something to do.
"""

import select
import time
from collections.abc import Callable

from qtloop.hosts import READ, WRITE, Report, Reporter

BROKEN = select.POLLERR | select.POLLHUP | select.POLLNVAL
#: What poll is asked for a direction, and what it answers that counts as that.
ASKED = {READ: select.POLLIN, WRITE: select.POLLOUT}


class GameHost:
    """The sources of events, looked at by `step` or `run`."""

    name = "game"

    def __init__(self) -> None:
        #: The loop was stopped, or a callback has raised SystemExit or KeyboardInterrupt: the game
        #: is to end.
        self.has_quit = False
        self._runs: list[_Run] = []
        self._forget()

    def _forget(self) -> None:
        self._ready: Report | None = None
        self._due: Report | None = None
        self._is_armed = False
        self._deadline: int | None = None
        self._poll = select.poll()
        self._watches: dict[int, dict[int, Report]] = {}
        #: Counts the looks: whoever finds that there was another one, knows no more than that one.
        self._looks = 0

    # What the game calls.

    def step(self, budget: float) -> None:
        """Does what is to do, until nothing is left or the seconds are spent, and does not wait.

        A turn of the loop takes `loop.slice` at most, a quarter of a millisecond; a single callback
        takes what it takes.
        """
        end = time.monotonic_ns() + int(budget * 1e9)
        while self._turn(0) and time.monotonic_ns() < end:
            pass

    # What the loop calls.

    def start(self, reporter: Reporter) -> None:
        self._forget()
        self.has_quit = False
        self._ready, self._due = reporter.ready(), reporter.deadline()
        self._make: dict[int, Callable[[int], Report]] = {
            READ: reporter.readable,
            WRITE: reporter.writable,
        }

    def stop(self) -> None:
        self._forget()
        self._make = {}

    def run(self, drain: bool) -> int:
        run = _Run()
        self._runs.append(run)
        try:
            while not run.has_quit:
                self._turn(self._patience(), run)
        finally:
            self._runs.remove(run)
        return 0

    def quit(self) -> None:
        if self._runs:
            self._runs[-1].has_quit = True
        else:
            self.has_quit = True

    def arm(self) -> None:
        self._is_armed = True

    def disarm(self) -> None:
        self._is_armed = False

    def set_deadline(self, milliseconds: int | None) -> None:
        self._deadline = (
            None if milliseconds is None else time.monotonic_ns() + milliseconds * 1_000_000
        )

    def watch(self, fd: int, interest: int) -> None:
        if interest:
            ways = [way for way in (READ, WRITE) if interest & way]
            self._poll.register(fd, sum(ASKED[way] for way in ways))
            self._watches[fd] = {way: self._make[way](fd) for way in ways}
        elif self._watches.pop(fd, None) is not None:
            self._poll.unregister(fd)

    # One look at everything.

    def _patience(self) -> float | None:
        if self._is_armed:
            return 0
        if self._deadline is None:
            return None
        return max(0, self._deadline - time.monotonic_ns()) / 1e6

    def _turn(self, milliseconds: float | None, run: "_Run | None" = None) -> bool:
        """Reports what has happened; whether anything has."""
        was_armed = self._is_armed
        look = self._looks = self._looks + 1
        found = self._poll.poll(milliseconds)
        is_due = self._deadline is not None and time.monotonic_ns() >= self._deadline
        for fd, happened in found:
            for way in (READ, WRITE):
                report = self._watches.get(fd, {}).get(way)
                if report is not None and happened & (ASKED[way] | BROKEN):
                    report()
                # A run inside that has looked itself, and what was found before is old.
                if self._looks != look or (run is not None and run.has_quit):
                    return True
        if (
            is_due
            and self._deadline is not None
            and time.monotonic_ns() >= self._deadline
            and self._due
        ):
            self._deadline = None
            self._due()
            if self._looks != look or (run is not None and run.has_quit):
                return True
        if was_armed and self._is_armed and self._ready:
            self._is_armed = False
            self._ready()
        return bool(found) or is_due or was_armed


class _Run:
    """One `run` on the stack."""

    def __init__(self) -> None:
        self.has_quit = False
