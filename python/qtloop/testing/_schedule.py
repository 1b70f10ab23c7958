"""A seed's order of tasks: which step of a task waits, and for how many iterations.

Only steps of tasks are put off. A task has at most one step outstanding, so nothing that asyncio
promises is broken: what a program gives to `call_soon` runs in the order given, callbacks of a
future too, and a timer never early. Who of several ready tasks comes first is not promised, and
depends on how many iterations each needed so far, which any change of the program changes.
"""

import asyncio
import random
import weakref
from collections.abc import Callable
from typing import Any, Final

#: How many iterations a step of a task may wait for. A task draws one when it begins: some are as
#: quick as ever, some so slow that others overtake them through several awaits.
PACES: Final = (0, 1, 3, 10)


class Schedule:
    """The draws of one seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._random = random.Random(seed)
        self._paces: weakref.WeakKeyDictionary[asyncio.Future[Any], int] = (
            weakref.WeakKeyDictionary()
        )

    def delay(self, callback: Callable[..., object]) -> int:
        """The iterations that a callback has to wait for."""
        task = getattr(callback, "__self__", None)
        if not isinstance(task, asyncio.Task):
            return 0
        pace = self._paces.get(task)
        if pace is None:
            pace = self._paces[task] = self._random.choice(PACES)
        return self._random.randint(0, pace)
