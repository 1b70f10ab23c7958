"""Very many connections, of which few are busy."""

from __future__ import annotations

import os
from functools import partial

from benches import loadgen
from benches.servers import crowd
from benches.timing import in_thread
from benches.workload import Group, Metrics, Workload, add
from benches.workloads.sockets import ECHO_METRICS, KIB, figures

CROWD = Group(
    "Crowd",
    "Echo of 1 KiB by a protocol, 500 round trips under way at any time, over as many TCP "
    "connections, and over 15,000 or 50,000 that take turns: of the latter 1 % are busy. Left out "
    "where a process may not have so many fds.",
)

BUSY = 500
OTHER_FDS = 100


async def _echo(connections: int, seconds: float) -> Metrics:
    async with crowd() as target:
        load = partial(loadgen.echo, target, connections, KIB, seconds, os.getpid(), BUSY)
        return figures(await in_thread(load))


for _connections in (BUSY, 15_000, 50_000):
    add(
        Workload(
            f"crowd-{BUSY}-of-{_connections}",
            CROWD,
            ECHO_METRICS,
            partial(_echo, _connections),
            in_quick=False,
            patience=300.0,
            needs_fds=_connections + OTHER_FDS,
        )
    )
