"""Who has held a loop's thread up, and for how long at worst: what the watchdog keeps."""

import threading
import time
from dataclasses import dataclass, replace
from typing import Final

#: How many are kept.
KEPT: Final = 20


@dataclass(frozen=True)
class Blocker:
    """Who has held up the thread: a task, a callback, a slot, and where it stood."""

    culprit: str
    #: The longest time that it took, in seconds.
    seconds: float
    #: How often it took too long.
    times: int
    #: When it did so last, as `time.time()`.
    last: float
    #: Where it was then: lines of text, the innermost call last; empty if nobody could see.
    stack: str


class Worst:
    """The worst blockers of a loop. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: By where they stood: tasks may be many, and do the same.
        self._by_place: dict[str, Blocker] = {}

    def begun(self, culprit: str, seconds: float, stack: str) -> str:
        """Somebody blocks, for so long by now. Returns what `ended` wants to know."""
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
        """Who stood there blocks no more, after so long."""
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
