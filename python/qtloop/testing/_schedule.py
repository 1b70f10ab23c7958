"""A seed's order of tasks: which step of a task waits, and for how many iterations.

Only steps of tasks are delayed. A task has at most one step outstanding, so no promise of asyncio
is broken: callbacks of `call_soon` run in the order of the calls, callbacks of a future too, and a
timer never runs early. Which of several ready tasks comes first is not promised. It depends on how
many iterations each task has needed so far, and any change of the program changes that.
"""

import asyncio
import random
import weakref
from collections.abc import Callable
from typing import Any, Final

#: How many iterations a step of a task may wait. A task draws its number when it begins: some are
#: as quick as usual, some so slow that others overtake them across several awaits.
PACES: Final = (0, 1, 3, 10)


class Schedule:
    """The random choices of one seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._random = random.Random(seed)
        self._paces: weakref.WeakKeyDictionary[asyncio.Future[Any], int] = (
            weakref.WeakKeyDictionary()
        )

    def delay(self, callback: Callable[..., object]) -> int:
        """How many iterations a callback has to wait."""
        task = getattr(callback, "__self__", None)
        if not isinstance(task, asyncio.Task):
            return 0
        pace = self._paces.get(task)
        if pace is None:
            pace = self._paces[task] = self._random.choice(PACES)
        return self._random.randint(0, pace)
