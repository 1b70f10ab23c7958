"""The simulated network: links with latency, bandwidth and loss, partitions, and what happened."""

import asyncio
import random
import socket
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from ._clock import SimulatedLoop
from ._machines import Machine

#: Seconds until lost data is sent again. Doubled each time, as TCP does it.
RETRANSMISSION: Final = 0.2
#: Seconds after which a stream that gets nothing through is given up, as by Linux.
PATIENCE: Final = 924.6


class Event(NamedTuple):
    """Something that happened in a network: one entry of its `trace`."""

    #: When it happened, in the loop's time.
    time: float
    #: "connect", "data", "end", "reset", "datagram", "lost", "crash", "restart", "partition",
    #: "heal" or "refused".
    what: str
    #: Machines with their ports, "client:49152", or machines alone.
    source: str
    #: The same for the other end; empty if there is none.
    target: str = ""
    #: The size of the data in bytes.
    size: int = 0


class Link:
    """The path between two machines, the same in both directions. Its attributes may be changed at
    any time, and apply to what is sent from then on.

    `latency` and `jitter` are seconds: each way takes between `latency` and `latency + jitter`.
    `bandwidth` is in bytes a second in each direction, None for any number. `loss` is the
    probability that a packet is lost: a datagram is gone, a part of a stream is sent again, 0.2 s
    later, then 0.4 s, ...
    """

    def __init__(
        self,
        network: "Network",
        latency: float = 0.0,
        jitter: float = 0.0,
        bandwidth: float | None = None,
        loss: float = 0.0,
    ) -> None:
        #: Seconds that each way takes at least.
        self.latency = latency
        #: Seconds that it may take longer.
        self.jitter = jitter
        #: Bytes a second in each direction; None for any number.
        self.bandwidth = bandwidth
        #: The probability that a packet is lost.
        self.loss = loss
        self._network = network
        self._is_cut = False
        #: When the last byte has left, by the machine that sent it.
        self._busy_until: dict[Machine, float] = {}
        self._lanes: dict[Lane, None] = {}

    @property
    def is_cut(self) -> bool:
        """Whether there is a partition between the two."""
        return self._is_cut

    def _delay(self) -> float:
        return self.latency + (self._network._random.random() * self.jitter if self.jitter else 0.0)

    def _is_lost(self) -> bool:
        return self.loss > 0 and self._network._random.random() < self.loss

    def _leaves(self, source: Machine, size: int) -> float:
        """The time at which so many bytes have been put on the wire."""
        now = self._network._loop.time()
        if not self.bandwidth:
            return now
        left = max(now, self._busy_until.get(source, 0.0)) + size / self.bandwidth
        self._busy_until[source] = left
        return left

    def _cut(self) -> None:
        self._is_cut = True

    def _heal(self) -> None:
        self._is_cut = False
        for lane in list(self._lanes):
            lane.resume()
        self._lanes.clear()


class Lane:
    """One direction of a stream. What is sent arrives in order, or not at all."""

    def __init__(
        self, link: Link, source: Machine, give_up: Callable[[], object] = lambda: None
    ) -> None:
        self._link = link
        self._source = source
        self._give_up = give_up
        self._loop = source._loop
        self._underway: deque[tuple[float, Callable[[], object]]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._last = 0.0

    def send(self, size: int, arrive: Callable[[], object]) -> None:
        """Calls back when so many bytes have arrived."""
        link = self._link
        at = link._leaves(self._source, size) + link._delay()
        again = RETRANSMISSION
        while link._is_lost():
            at, again = at + again, min(again * 2, 120.0)
        self._last = max(self._last, at)
        self._underway.append((self._last, arrive))
        self._arm()

    def close(self) -> None:
        """From now on nothing arrives."""
        self._underway.clear()
        for timer in self._timer, self._patience:
            if timer is not None:
                timer.cancel()
        self._timer = self._patience = None
        self._link._lanes.pop(self, None)

    def resume(self) -> None:
        """After a partition: what was held back arrives as if it was sent now."""
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        now = self._loop.time() + self._link._delay()
        self._underway = deque((max(at, now), arrive) for at, arrive in self._underway)
        self._last = max(self._last, now)
        self._arm()

    def _arm(self) -> None:
        if self._timer is None and self._underway and self._patience is None:
            self._timer = self._loop._at(self._underway[0][0], self._arrive)

    def _arrive(self) -> None:
        self._timer = None
        if self._link._is_cut:
            self._link._lanes[self] = None
            self._patience = self._loop._at(self._loop.time() + PATIENCE, self._give_up)
            return
        _, arrive = self._underway.popleft()
        self._arm()
        arrive()


class Network:
    """Machines on one simulated clock, and the links between them::

    async def main() -> None:
            async with qtloop.testing.Network(seed=1, latency=0.02) as network:
                server, client = network.machine("server"), network.machine("client")
                server.start(serve)  # asyncio.start_server(..., port=80) in it
                await client.run(fetch("server", 80))  # asyncio.open_connection(host, port) in it

        qtloop.testing.run(main())

    At the end of `async with` all machines crash, and their tasks have ended.

    Everything random (jitter, loss) is drawn from `seed`. By default that is the loop's seed, or 0.
    `latency`, `jitter`, `bandwidth` and `loss` are those of each new link. A machine's link to
    itself has none of them.

    Raises RuntimeError if no loop of this module runs.
    """

    def __init__(
        self,
        seed: int | None = None,
        *,
        latency: float = 0.001,
        jitter: float = 0.0,
        bandwidth: float | None = None,
        loss: float = 0.0,
    ) -> None:
        loop = asyncio.get_running_loop()
        if not isinstance(loop, SimulatedLoop):
            raise RuntimeError("a network needs a simulated loop: qtloop.testing.run(main())")
        self._loop = loop
        #: The seed of everything random in the network.
        self.seed: int = (loop.seed or 0) if seed is None else seed
        self._random = random.Random(self.seed)
        self._defaults: dict[str, Any] = {
            "latency": latency,
            "jitter": jitter,
            "bandwidth": bandwidth,
            "loss": loss,
        }
        self._machines: dict[str, Machine] = {}
        self._links: dict[frozenset[str], Link] = {}
        #: What has happened so far. The same seed gives the same trace.
        self.trace: list[Event] = []

    async def __aenter__(self) -> "Network":
        return self

    async def __aexit__(self, *_error: object) -> None:
        tasks: list[asyncio.Task[Any]] = []
        for machine in self._machines.values():
            tasks += [] if machine._life is None else machine._life.tasks
            machine.crash()
        tasks = [task for task in tasks if task is not asyncio.current_task()]
        await asyncio.gather(*tasks, return_exceptions=True)

    def machine(self, name: str) -> Machine:
        """The machine of that name, a new one if there is none."""
        if name not in self._machines:
            number = len(self._machines) + 1
            address = f"10.0.{number >> 8}.{number & 255}"
            self._machines[name] = Machine(self, name, address)
        return self._machines[name]

    def link(self, one: str, other: str) -> Link:
        """The link between two machines."""
        key = frozenset((one, other))
        if key not in self._links:
            defaults = self._defaults if one != other else {}
            self._links[key] = Link(self, **defaults)
        return self._links[key]

    def partition(self, one: str, other: str | None = None) -> None:
        """Cuts a link, or with one name all links of that machine. Streams keep what they sent, and
        send it again when the link is healed. Datagrams are lost. Connecting takes until the link
        is healed, or fails after 127 s."""
        for name in self._others(one, other):
            self.link(one, name)._cut()
            self._note("partition", one, name)

    def heal(self, one: str | None = None, other: str | None = None) -> None:
        """Ends a partition, or with one name all of that machine, or all."""
        for name in [one] if one is not None else list(self._machines):
            for neighbour in self._others(name, other):
                link = self.link(name, neighbour)
                if link._is_cut:
                    self._note("heal", name, neighbour)
                    link._heal()

    def _others(self, one: str, other: str | None) -> list[str]:
        for name in one, other or one:
            if name not in self._machines:
                raise ValueError(f"the network has no machine {name!r}")
        if other == one:
            raise ValueError("a machine is never cut off from itself")
        return [other] if other is not None else [name for name in self._machines if name != one]

    def _note(self, what: str, source: str, target: str = "", size: int = 0) -> None:
        self.trace.append(Event(self._loop.time(), what, source, target, size))

    def _find(self, host: Any, asking: Machine) -> Machine:
        """The machine of a name or an address. Raises `socket.gaierror` if there is none."""
        if isinstance(host, bytes):
            host = host.decode()
        if host in (None, "", "localhost", "127.0.0.1", "::1", "0.0.0.0", "::"):
            return asking
        for machine in self._machines.values():
            if host in (machine.name, machine.address):
                return machine
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
