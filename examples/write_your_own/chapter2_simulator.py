"""Chapter 2: a simulator. Time jumps from one event to the next, so nothing ever waits.

New here: everything. The class is a whole event loop: a queue of what is ready, a heap of timers,
and a turn that empties them. It needs no operating system, because nothing comes from outside.

    python examples/write_your_own/chapter2_simulator.py
"""

import asyncio
import heapq
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any


class SimulatorLoop(asyncio.AbstractEventLoop):
    """Runs callbacks in the order of their simulated time."""

    def __init__(self) -> None:
        self._now = 0.0
        self._ready: deque[asyncio.Handle] = deque()
        self._scheduled: list[asyncio.TimerHandle] = []
        self._stopping = False

    # Scheduling: who calls these gets a handle, with which the call can be cancelled.

    def time(self) -> float:
        return self._now

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_at(
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._scheduled, handle)
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """TimerHandle.cancel calls this. The turn drops cancelled timers, so there is no more to
        do."""

    # Futures and tasks: asyncio has them ready, they only have to know their loop.

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Coroutine[Any, Any, Any], **options: Any) -> asyncio.Task[Any]:
        return asyncio.Task(coro, loop=self, **options)

    # Exceptions of callbacks, and of tasks that nobody awaited, arrive here.

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        logging.getLogger("asyncio").error(context["message"], exc_info=context.get("exception"))

    def get_debug(self) -> bool:
        return False

    # Running.

    def _run_once(self) -> None:
        """One turn: see what is due, then run what is ready now. What that adds waits for the
        next."""
        while self._scheduled and self._scheduled[0].cancelled():
            heapq.heappop(self._scheduled)
        if self._scheduled and not self._ready:
            self._now = max(self._now, self._scheduled[0].when())  # the jump
        while self._scheduled and self._scheduled[0].when() <= self._now:
            self._ready.append(heapq.heappop(self._scheduled))
        for _ in range(len(self._ready)):
            handle = self._ready.popleft()
            if not handle.cancelled():
                handle._run()

    def run_forever(self) -> None:
        asyncio._set_running_loop(self)
        try:
            while not self._stopping and (self._ready or self._scheduled):
                self._run_once()
        finally:
            self._stopping = False
            asyncio._set_running_loop(None)

    def run_until_complete(self, future: Any) -> Any:
        future = asyncio.ensure_future(future, loop=self)
        future.add_done_callback(self._stop_at_the_end)
        try:
            self.run_forever()
        finally:
            future.remove_done_callback(self._stop_at_the_end)
        if not future.done():
            raise RuntimeError("Event loop stopped before Future completed.")
        return future.result()

    def _stop_at_the_end(self, future: asyncio.Future[Any]) -> None:
        self.stop()

    def stop(self) -> None:
        self._stopping = True


# A program for it: a ferry that carries two cars at a time.


async def car(name: str, arrival: float, ferry: asyncio.Semaphore) -> None:
    loop = asyncio.get_running_loop()
    await asyncio.sleep(arrival)
    async with ferry:
        print(f"{loop.time():6.0f} s: {name} boards, it waited for {loop.time() - arrival:.0f} s")
        await asyncio.sleep(1800)


async def main() -> None:
    ferry = asyncio.Semaphore(2)
    async with asyncio.TaskGroup() as group:
        for number in range(5):
            group.create_task(car(f"car {number}", 60.0 * number, ferry))


if __name__ == "__main__":
    loop = SimulatorLoop()
    loop.run_until_complete(main())
    print(f"{loop.time():6.0f} s: all are across")
