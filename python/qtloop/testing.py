"""A simulated clock for tests: asyncio code whose sleeps take no time, the same way each time.

Time stands still while anything can run. When nothing can, it jumps to the next timer::

    async def main() -> float:
        start = asyncio.get_running_loop().time()
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time() - start

    assert qtloop.testing.run(main()) == 3600  # at once

No Qt and no application are needed, and Qt's own timers and events are not served. Sockets, pipes
and threads are real, and take the time they take: a timeout around one of them is over at once,
unless it is ready by then. Without a timer to jump to, the loop waits for them.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from ._loop import EventLoop

__all__ = ["new_event_loop", "run"]

_T = TypeVar("_T")


def new_event_loop() -> EventLoop:
    """A loop on a simulated clock that starts at 0, for `asyncio.Runner(loop_factory=...)` and test
    plug-ins."""
    return EventLoop(host="sim")


def run(main: Coroutine[Any, Any, _T], *, debug: bool | None = None) -> _T:
    """`asyncio.run` on a simulated clock. Raises what `asyncio.run` raises."""
    with asyncio.Runner(debug=debug, loop_factory=new_event_loop) as runner:
        return runner.run(main)
