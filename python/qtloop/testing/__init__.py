"""A simulated clock for tests: sleeps in asyncio code take no time, and every run is the same.

Time stands still while anything can run. When nothing can, it jumps to the next timer::

    async def main() -> float:
        start = asyncio.get_running_loop().time()
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time() - start

    assert qtloop.testing.run(main()) == 3600  # at once

With a seed, tasks that are ready together run in another order, the same one each time: `run` and
`explore`. `Network` has machines that talk through simulated streams and datagrams.

No Qt and no application are needed. Qt's posted events are delivered if there is an application:
queued signals, `deleteLater`. Qt's timers, windows and sockets are not served. If tasks wait and
nothing can wake them, the run fails with `Deadlock`, which names them.

Sockets, pipes and threads are real, and take real time. So a timeout around one of them ends at
once, unless the result is ready by then. Without a timer to jump to, the loop waits for them.
"""

from ._clock import SimulatedLoop, explore, new_event_loop, run
from ._idle import Deadlock
from ._machines import Machine
from ._network import Event, Link, Network

__all__ = [
    "Deadlock",
    "Event",
    "Link",
    "Machine",
    "Network",
    "SimulatedLoop",
    "explore",
    "new_event_loop",
    "run",
]
