"""The blockers of a loop's thread, and how long each took at worst: what the watchdog keeps."""

import threading
import time
from dataclasses import dataclass, replace
from typing import Final

#: How many blockers are kept.
KEPT: Final = 20


@dataclass(frozen=True)
class Blocker:
    """A blocker of the thread: a task, a callback or a slot, and the place in its code."""

    culprit: str
    #: The longest time that it took, in seconds.
    seconds: float
    #: How often it took too long.
    times: int
    #: When it did so last, as `time.time()`.
    last: float
    #: The place in its code then: lines of text, the innermost call last; empty if it could not be
    #: seen.
    stack: str


class Worst:
    """The worst blockers of a loop. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: By the place in the code: there may be many tasks that do the same.
        self._by_place: dict[str, Blocker] = {}

    def begun(self, culprit: str, seconds: float, stack: str) -> str:
        """Something blocks, and has done so for this long. Returns what `ended` needs."""
        place = stack or culprit
        with self._lock:
            known = self._by_place.get(place)
            longest, times = (known.seconds, known.times) if known else (0.0, 0)
            self._by_place[place] = Blocker(
                culprit, max(longest, seconds), times + 1, time.time(), stack
            )
            if len(self._by_place) > KEPT:
                others = [it for it in self._by_place if it != place]
                del self._by_place[min(others, key=lambda it: self._by_place[it].seconds)]
        return place

    def ended(self, place: str, seconds: float) -> None:
        """It blocks no more. It took this long."""
        with self._lock:
            known = self._by_place.get(place)
            if known is not None:
                longest = max(known.seconds, seconds)
                self._by_place[place] = replace(known, seconds=longest, last=time.time())

    def worst_first(self) -> tuple[Blocker, ...]:
        """All of them."""
        with self._lock:
            found = list(self._by_place.values())
        return tuple(sorted(found, key=lambda it: -it.seconds))
