"""Bytes there and back: within the loop by a socket pair, and as a server for a load from
outside."""

from __future__ import annotations

import asyncio
import os
import socket
from functools import partial
from itertools import product
from typing import Any

from benches import loadgen
from benches.servers import SERVERS
from benches.timing import in_thread, rate
from benches.workload import CPU, RATE, Group, Metrics, Workload, add, workload

SOCKETS = Group(
    "Sockets",
    "Round trips a second, and the CPU time of the server process for each. `socketpair`: two "
    "tasks play "
    "ping-pong by `sock_recv` and `sock_sendall`. The others are echo servers in the loop, named "
    "by kind, "
    "connections x bytes; the floor is a server without any loop, in Rust, on epoll.",
)

ECHO_METRICS = (RATE, CPU)

PINGS = 2_000
KIB = 1024
CONNECTIONS = (1, 10, 500)
SIZES = (1, 10, 100)
QUICK = {
    "tcp-protocol": {(1, 1), (10, 1), (10, 100), (500, 1)},
    "tcp-streams": {(10, 1)},
    "tcp-sock": {(10, 1)},
}
"""The connections and KiB that are enough to see whether a kind works."""


@workload("socketpair", SOCKETS)
async def socketpair(seconds: float) -> Metrics:
    loop = asyncio.get_running_loop()
    left, right = socket.socketpair()
    left.setblocking(False)
    right.setblocking(False)

    async def ping() -> None:
        for _ in range(PINGS):
            await loop.sock_sendall(left, b"ping")
            await loop.sock_recv(left, KIB)

    async def pong() -> None:
        for _ in range(PINGS):
            await loop.sock_sendall(right, await loop.sock_recv(right, KIB))

    with left, right:
        return await rate(lambda: asyncio.gather(ping(), pong()), PINGS, seconds)


def figures(report: dict[str, Any]) -> Metrics:
    """The metrics of an echo load, from the load generator's report."""
    trips = report["round_trips"]
    if not trips:
        raise RuntimeError("not one round trip ended in time")
    return {
        "rate": trips / report["seconds"],
        "cpu_us": report["server_cpu_seconds"] / trips * 1e6,
        "sleeps_per_trip": report["server_sleeps"] / trips,
        "p50_us": report["p50_us"],
        "p99_us": report["p99_us"],
        "lost": report["lost"],
    }


async def _echo(kind: str, connections: int, kib: int, seconds: float) -> Metrics:
    async with SERVERS[kind]() as target:
        load = partial(loadgen.echo, target, connections, kib * KIB, seconds, os.getpid())
        return figures(await in_thread(load))


def _floor(connections: int, kib: int, seconds: float) -> Metrics:
    with loadgen.floor_server() as (target, pid):
        return figures(loadgen.echo(target, connections, kib * KIB, seconds, pid))


def _add(kind: str, connections: int, kib: int, *, in_quick: bool = True) -> None:
    run = partial(_echo, kind, connections, kib)
    floor = partial(_floor, connections, kib) if kind.startswith("tcp") else None
    name = f"{kind}-{connections}x{kib}K"
    add(Workload(name, SOCKETS, ECHO_METRICS, run, floor, in_quick=in_quick))


for _kind, _quick in QUICK.items():
    for _connections, _kib in product(CONNECTIONS, SIZES):
        _add(_kind, _connections, _kib, in_quick=(_connections, _kib) in _quick)

for _kind in ("unix", "udp", "tls"):
    _add(_kind, 10, 1)
_add("unix", 10, 100, in_quick=False)
_add("tls", 10, 100, in_quick=False)
