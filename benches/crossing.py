"""How many times a second Python awaits a Rust async function that awaits a Python coroutine.

python -m benches.crossing QTLOOP_MODULE TOKIO_MODULE [--crossings 20000] [--rounds 5]

The modules are the libraries that cargo makes of `benches/executor/examples/`; `make
bench-crossing` does it all. Contestants take turns, and the median counts.
"""

import argparse
import asyncio
import importlib.util
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import qtloop

Call = Callable[[], Coroutine[Any, Any, int]]
Cross = Callable[[Call], Awaitable[int]]
Run = Callable[[Coroutine[Any, Any, None]], object]


def load(library: Path) -> Cross:
    name = library.stem.removeprefix("lib")
    specification = importlib.util.spec_from_file_location(name, library)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    cross: Cross = module.cross
    return cross


def runs() -> dict[str, Run]:
    found: dict[str, Run] = {"asyncio": asyncio.run}
    try:
        import uvloop
    except ImportError:
        print("uvloop is not installed: left out", file=sys.stderr)
    else:
        found["uvloop"] = uvloop.run
    return found


async def answer() -> int:
    return 42


async def measure(cross: Cross, crossings: int, rates: list[float]) -> None:
    """Notes the crossings a second."""
    began = time.perf_counter()
    for _ in range(crossings):
        assert await cross(answer) == 42
    rates.append(crossings / (time.perf_counter() - began))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("qtloop_module", type=Path)
    parser.add_argument("tokio_module", type=Path)
    parser.add_argument("--crossings", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    ours, theirs = load(options.qtloop_module), load(options.tokio_module)
    contestants: dict[str, tuple[Cross, Run]] = {"qtloop::python": (ours, qtloop.run)}
    contestants |= {
        f"pyo3-async-runtimes, tokio, {name}": (theirs, run) for name, run in runs().items()
    }
    rates: dict[str, list[float]] = {name: [] for name in contestants}
    for cross, run in contestants.values():
        run(measure(cross, options.crossings // 10, []))
    for _ in range(options.rounds):
        for name, (cross, run) in contestants.items():
            run(measure(cross, options.crossings, rates[name]))
    medians = {name: statistics.median(values) for name, values in rates.items()}
    best = max(medians.values())
    print("| | crossings a second | of the best |", "| --- | ---: | ---: |", sep="\n")
    for name, rate in medians.items():
        print(f"| {name} | {rate:,.0f} | {rate / best:.2f} |")


if __name__ == "__main__":
    main()
