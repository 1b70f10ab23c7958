"""What was done, what must still happen, and what went wrong."""

import asyncio
import ssl
from collections import Counter
from typing import Any

#: Violations that are printed.
SHOWN = 20


class Provoked(Exception):
    """Raised on purpose. Each is expected in exactly one place."""


class Ledger:
    """One for a whole run. Not thread-safe but for `wrong`: everything else is the loop's
    thread's."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.violations: list[str] = []
        self._debts: dict[int, tuple[Any, str]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._settled = asyncio.Event()

    def wrong(self, what: str) -> None:
        """Something happened that must not. The first are printed at once: the run may hang
        after."""
        self.violations.append(what)
        if len(self.violations) <= SHOWN:
            print(f"WRONG: {what[:500]}", flush=True)

    def check(self, is_right: bool, what: str) -> None:
        if not is_right:
            self.wrong(what)

    # Debts: what must happen once.

    def owe(self, thing: Any, what: str) -> None:
        """It must be paid before the round is over."""
        self._debts[id(thing)] = thing, what

    def pay(self, thing: Any, what: str) -> None:
        """It has happened."""
        if self._debts.pop(id(thing), None) is None:
            self.wrong(f"{what}, which was not to happen, or had happened: {thing!r}")
        self._look()

    def owes(self, thing: Any) -> bool:
        return id(thing) in self._debts

    @property
    def debts(self) -> list[str]:
        return [f"{what}: {thing!r}" for thing, what in self._debts.values()]

    # Exceptions.

    def provoke(self, where: str) -> Provoked:
        """An exception to raise where it can only get to the exception handler."""
        self.counts["exceptions"] += 1
        error = Provoked(f"{where} {self.counts['exceptions']}")
        self.owe(error, "an exception was not reported")
        return error

    def handle(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """The loop's exception handler."""
        error = context.get("exception")
        if isinstance(error, Provoked):
            self.pay(error, "an exception was reported")
        elif isinstance(error, ssl.SSLError):
            self.counts["TLS errors"] += 1  # What a hostile peer has sent.
        else:
            self.wrong(f"the exception handler got {context!r}")

    def unraisable(self, problem: Any) -> None:
        """`sys.unraisablehook`."""
        self.wrong(f"not raisable: {problem.exc_value!r} in {problem.object!r}")

    # Tasks.

    def spawn(self, coroutine: Any) -> "asyncio.Task[Any]":
        """A task that must end, and well, before the round is over."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        self._look()
        if not task.cancelled() and (error := task.exception()):
            self.wrong(f"{task!r} failed: {error!r}")

    async def settle(self, patience: float) -> None:
        """Waits until all tasks have ended and all debts are paid, for so many seconds."""
        try:
            async with asyncio.timeout(patience):
                while self._tasks or self._debts:
                    self._settled.clear()
                    await self._settled.wait()
        except TimeoutError:
            for task in self._tasks:
                self.wrong(f"a task does not end: {task!r}")
            for debt in self.debts:
                self.wrong(debt)
            self._debts.clear()

    def _look(self) -> None:
        if not self._tasks and not self._debts:
            self._settled.set()
