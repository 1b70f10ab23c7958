"""Short connections: made here, and accepted here."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from time import process_time

from benches import loadgen
from benches.servers import tcp_protocol, tcp_streams
from benches.timing import in_thread, rate
from benches.workload import Group, Metrics, workload
from benches.workloads.sockets import ECHO_METRICS

CONNECTIONS = Group(
    "Connections",
    "Connections a second, one after the other, and this process's CPU time for each. "
    "`connect-streams`: `open_connection` to a numeric address, closed and waited for; "
    "`connect-protocol`: `create_connection`, closed. `accept-streams`, `accept-protocol`: "
    "accepted, one message of 16 bytes is sent back, the peer closes.",
)

AT_ONCE = 50
"""Connections between two looks at the clock."""


@workload("connect-streams", CONNECTIONS, ECHO_METRICS)
async def connect_streams(seconds: float) -> Metrics:
    async def connect(host: str, port: int) -> None:
        _, writer = await asyncio.open_connection(host, port)
        writer.close()
        await writer.wait_closed()

    return await _connect(connect, seconds)


@workload("connect-protocol", CONNECTIONS, ECHO_METRICS)
async def connect_protocol(seconds: float) -> Metrics:
    loop = asyncio.get_running_loop()

    async def connect(host: str, port: int) -> None:
        transport, _ = await loop.create_connection(asyncio.Protocol, host, port)
        transport.close()

    return await _connect(connect, seconds)


async def _connect(connect: Callable[[str, int], Awaitable[None]], seconds: float) -> Metrics:
    spent: list[float] = []

    async def chunk(host: str, port: int) -> None:
        start = process_time()
        for _ in range(AT_ONCE):
            await connect(host, port)
        spent.append(process_time() - start)

    with loadgen.floor_server() as (target, _):
        _, host, port = target.address.split(":")
        metrics = await rate(partial(chunk, host, int(port)), AT_ONCE, seconds)
    # The first chunk warms up.
    return metrics | {"cpu_us": sum(spent[1:]) / (len(spent) - 1) / AT_ONCE * 1e6}


CLIENT = """
import socket, sys, time
host, port, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
count, start = 0, time.perf_counter()
while time.perf_counter() - start < seconds:
    clients = [socket.create_connection((host, port)) for _ in range(10)]
    for client in clients:
        client.sendall(bytes(16))
    for client in clients:
        if len(client.recv(16)) != 16:
            sys.exit("no answer")
        client.close()
        count += 1
print(count)
"""


@workload("accept-streams", CONNECTIONS, ECHO_METRICS)
async def accept_streams(seconds: float) -> Metrics:
    async with tcp_streams() as target:
        return await _accept(target, seconds)


@workload("accept-protocol", CONNECTIONS, ECHO_METRICS)
async def accept_protocol(seconds: float) -> Metrics:
    async with tcp_protocol() as target:
        return await _accept(target, seconds)


async def _accept(target: loadgen.Target, seconds: float) -> Metrics:
    _, host, port = target.address.split(":")

    def drive(seconds: float) -> int:
        command = [sys.executable, "-I", "-c", CLIENT, host, port, str(seconds)]
        environment = {"PATH": os.environ.get("PATH", "")}
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        return int(done.stdout)

    await in_thread(partial(drive, 0.1))  # warm-up
    start = process_time()
    count = await in_thread(partial(drive, seconds))
    return {"rate": count / seconds, "cpu_us": (process_time() - start) / count * 1e6}
