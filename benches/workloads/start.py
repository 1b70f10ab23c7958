"""What a program pays before its first task runs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from functools import partial

from benches.loadgen import ROOT
from benches.session import LOOP
from benches.timing import in_thread
from benches.workload import Group, Metric, Metrics, workload

START = Group(
    "Start",
    "A whole process that imports the loop and, if it is on Qt, the binding's QtCore, makes a "
    "QCoreApplication and runs an empty coroutine: its CPU time, the smallest of several.",
)


@workload("start", START, (Metric("cpu_ms", "CPU ms"),))
async def start(seconds: float) -> Metrics:
    return {"cpu_ms": await in_thread(partial(_least, seconds)) * 1e3}


def _least(seconds: float) -> float:
    """Seconds of CPU time that the quickest process takes; the first finds cold files."""
    deadline = time.monotonic() + seconds
    times = [_one() for _ in range(3)]
    while time.monotonic() < deadline:
        times.append(_one())
    return min(times)


def _one() -> float:
    command = [sys.executable, "-m", "benches.start", os.environ[LOOP]]
    # The first one writes bytecode, as an installer does.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    process = subprocess.Popen(command, cwd=ROOT, env=env)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, command)
    return usage.ru_utime + usage.ru_stime
