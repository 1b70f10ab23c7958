"""Whole servers, each with the library that people use for it."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import IO, cast

from benches import loadgen
from benches.timing import in_thread
from benches.whole import BODY, CLIENTS, SPOKEN
from benches.workload import Group, Metrics, Workload, add
from benches.workloads.sockets import ECHO_METRICS, figures

WHOLE = Group(
    "Whole servers",
    "Requests a second with ten under way, and the CPU time of the server process for each. "
    f"`aiohttp`, `uvicorn`, `hypercorn`: HTTP/1.1 with an answer of {BODY} bytes, over connections "
    f"that stay open. `websockets`: messages of {BODY} bytes, echoed. `grpc`: the same by "
    "`grpc.aio`. `sftp`: reads of 16 KiB by asyncssh.",
)

CONNECTIONS = 10
CALLS = 200
"""How many calls are made before the clock is read again."""


async def _spoken(name: str, seconds: float) -> Metrics:
    with TemporaryDirectory() as folder:
        async with SPOKEN[name]() as probe:
            target = await in_thread(partial(probe, folder))
            load = partial(loadgen.echo, target, CONNECTIONS, BODY, seconds, os.getpid())
            return figures(await in_thread(load))


async def _called(name: str, seconds: float) -> Metrics:
    async with CLIENTS[name]() as words:
        return await in_thread(partial(_drive, words, seconds))


def _drive(words: list[str], seconds: float) -> Metrics:
    """Has the client make calls until the time is up. The clock is read between its answers."""
    command = [sys.executable, "-m", "benches.whole", *words]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as client:
        asks, answers = cast(IO[str], client.stdin), cast(IO[str], client.stdout)

        def ask() -> int:
            print(CALLS, file=asks, flush=True)
            return int(answers.readline())

        answers.readline()
        ask()  # warm-up
        count, start, cpu = 0, perf_counter(), process_time()
        while (elapsed := perf_counter() - start) < seconds:
            count += ask()
        spent = process_time() - cpu
        asks.close()
    return {"rate": count / elapsed, "cpu_us": spent / count * 1e6}


for _name in SPOKEN:
    add(Workload(_name, WHOLE, ECHO_METRICS, partial(_spoken, _name), whole=True))
for _name in CLIENTS:
    add(Workload(_name, WHOLE, ECHO_METRICS, partial(_called, _name), whole=True))
