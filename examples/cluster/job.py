"""A job: some pieces of work, which the workers share."""

from collections.abc import Callable
from concurrent.futures import CancelledError

from distributed import Client, Event, as_completed

from .work import count_primes


class Job:
    """Counts the primes below `limit`."""

    def __init__(self, client: Client, name: str, limit: int, pieces: int) -> None:
        self.name, self.limit, self.pieces = name, limit, pieces
        self._client = client
        self._gate = Event(name, client)
        self._futures: list[object] = []

    async def run(self, progress: Callable[[int], None], is_paused: bool) -> int | None:
        """The number of primes, or None if the job was cancelled. `progress` hears how many pieces
        are done."""
        bounds = [self.limit * n // self.pieces for n in range(self.pieces + 1)]
        self._futures = self._client.map(count_primes, bounds[:-1], bounds[1:], gate=self.name)
        found = done = 0
        try:
            if not is_paused:
                await self._gate.set()  # An event is not set at first.
            async for future in as_completed(self._futures):
                found += await future
                done += 1
                progress(done)
        except CancelledError:  # Of a future. That of a task is asyncio's.
            return None
        finally:
            # The cluster keeps the result of a future that somebody holds.
            self._futures = []
        return found

    async def pause(self, is_paused: bool) -> None:
        """Workers end the pieces that they count, and wait at the gate with the next."""
        await (self._gate.clear() if is_paused else self._gate.set())

    async def cancel(self) -> None:
        """No other piece is begun. A call that has begun goes on; nobody waits for it."""
        await self._client.cancel(self._futures)
        await self._gate.set()
