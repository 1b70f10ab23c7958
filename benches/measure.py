"""One measurement, in a process of its own: `python -m benches.measure LOOP WORKLOAD SECONDS`
prints JSON."""

from __future__ import annotations

import asyncio
import faulthandler
import json
import os
import sys
import traceback
from typing import Any

import benches.workloads  # noqa: F401
from benches import machine
from benches.loops import FLOOR, LOOPS, Loop, describe_qt
from benches.workload import WORKLOADS, Metrics, Workload


def main() -> None:
    """The last line on stdout is the outcome, whatever else a loop may print."""
    faulthandler.enable()
    machine.raise_file_limit()
    loop, workload, seconds = sys.argv[1:]
    print(json.dumps(outcome(LOOPS[loop], WORKLOADS[workload], float(seconds))), flush=True)
    # How a loop tears down is not measured here, so it shall not spoil what was.
    os._exit(0)


def outcome(loop: Loop, workload: Workload, seconds: float) -> dict[str, Any]:
    """What came out, or why nothing did."""
    try:
        metrics = _measure(loop, workload, seconds)
    except BaseException as error:
        traceback.print_exc()
        return {"error": f"{type(error).__name__}: {error}".removesuffix(": ")}
    return {"metrics": metrics, "qt": describe_qt()}


def _measure(loop: Loop, workload: Workload, seconds: float) -> Metrics:
    if loop.name == FLOOR:
        assert workload.floor is not None
        return workload.floor(seconds)

    async def run() -> Metrics:
        return await workload.run(seconds)

    return asyncio.Runner(loop_factory=loop.make).run(run())


if __name__ == "__main__":
    main()
