"""Rounds of actors on one loop, and what must be as before after each."""

import argparse
import asyncio
import faulthandler
import gc
import logging
import os
import random
import sys
import tempfile
import time
import traceback
from asyncio import AbstractEventLoop
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import tls
from .actors import ACTORS, Stage, echo, make_endpoint
from .checks import Connection, protocol_for
from .ledger import Ledger

#: Seconds of a round.
ROUND = 1.0
#: Actors at once.
CAST = 24
#: Seconds that everything may take to end once a round is over.
PATIENCE = 60
#: Nested event loops on top of one another.
DEPTH = 3
#: Rounds until memory is what it will be.
WARM = 5
#: MiB that the process may grow by after that, whatever the number of rounds.
GROWTH = 64


def main() -> int:
    options = parsed()
    print(f"seed {options.seed}", flush=True)
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    faulthandler.dump_traceback_later(options.seconds + 2 * PATIENCE, exit=True)
    ledger = Ledger()
    sys.unraisablehook = ledger.unraisable
    loop, nest, qt_objects = made_loop(options, ledger)
    loop.set_exception_handler(ledger.handle)
    try:
        loop.run_until_complete(rounds(loop, ledger, nest, qt_objects, options))
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
    gc.collect()
    counts = ", ".join(f"{count} {name}" for name, count in sorted(ledger.counts.items()))
    print(
        f"{options.loop} {options.host} {options.fds}: {counts}; {len(ledger.violations)} wrong",
        flush=True,
    )
    return 1 if ledger.violations else 0


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.stress", description=__doc__)
    parser.add_argument(
        "--seed", type=int, default=random.randrange(1 << 32), help="by default a random one"
    )
    parser.add_argument(
        "--seconds", type=float, default=10, help="how long; a round takes about one"
    )
    parser.add_argument("--loop", choices=["stock", "qtloop"], default="qtloop")
    parser.add_argument("--host", choices=["qt", "binding"], default="qt")
    parser.add_argument("--fds", help="as EventLoop takes it")
    return parser.parse_args()


def made_loop(
    options: argparse.Namespace, ledger: Ledger
) -> tuple[AbstractEventLoop, Callable[[float], None] | None, Callable[[], int]]:
    """The loop, how to run Qt's event loop amid it, and how many Qt objects there are."""
    if options.loop == "stock":
        return asyncio.SelectorEventLoop(), None, lambda: 0
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    import importlib

    import qtloop
    from qtloop import _qt

    qt_core: Any = importlib.import_module(f"{_qt.binding()}.QtCore")
    application = qt_core.QCoreApplication(["stress"])
    loop = qtloop.EventLoop(host=options.host, fds=options.fds)
    depth = 0

    def nest(seconds: float) -> None:
        nonlocal depth
        if depth == DEPTH:
            return
        inner = qt_core.QEventLoop()
        loop.call_later(seconds, inner.quit)
        ledger.owe(inner, "a nested event loop does not end")
        depth += 1
        try:
            _qt.execute(inner)
        finally:
            depth -= 1
            ledger.pay(inner, "a nested event loop ended")
        ledger.counts["nested"] += 1

    return loop, nest, lambda: len(application.children())


async def rounds(
    loop: AbstractEventLoop,
    ledger: Ledger,
    nest: Any,
    qt_objects: Callable[[], int],
    options: argparse.Namespace,
) -> None:
    contexts = tls.make_contexts()
    end = time.monotonic() + options.seconds
    before: dict[str, int] = {}
    warm_memory = 0
    number = 0
    while time.monotonic() < end and not ledger.violations:
        number += 1
        with tempfile.TemporaryDirectory() as folder:
            stage = Stage(loop, ledger, Path(folder), nest, contexts)
            until = min(loop.time() + ROUND, loop.time() + end - time.monotonic())
            await play(stage, f"{options.seed} {number}", until)
        await ledger.settle(PATIENCE)
        for _ in range(5):  # Sockets are closed after the last callback.
            await asyncio.sleep(0)
        now = census(loop, qt_objects)
        for name, count in now.items():
            ledger.check(
                count <= before.get(name, count),
                f"round {number}: {before.get(name)} {name} became {count}",
            )
        before = before or now
        if number == WARM:
            warm_memory = memory()
        if number > WARM:
            grown = memory() - warm_memory
            ledger.check(grown < GROWTH, f"round {number}: the process has grown by {grown} MiB")
    ledger.counts["rounds"] = number


async def play(stage: Stage, seed: str, until: float) -> None:
    """One round."""
    chance = random.Random(seed)

    def serve() -> Any:
        return protocol_for(make_endpoint(stage, random.Random(chance.random())))

    stage.unix = str(stage.folder / "server")
    stage.tcp = await stage.loop.create_server(serve, "127.0.0.1", 0, backlog=200)
    unix = await stage.loop.create_unix_server(serve, stage.unix, backlog=200)
    stage.echo = await asyncio.start_server(echo, "127.0.0.1", 0, backlog=200)
    stage.tls = await stage.loop.create_server(
        lambda: tls.Echo(stage.ledger),
        "127.0.0.1",
        0,
        backlog=200,
        ssl=stage.contexts.server,
        **tls.LIMITS,
    )
    servers = (stage.tcp, unix, stage.echo, stage.tls)
    cast = {asyncio.ensure_future(act(stage, f"{seed} {n}", until)) for n in range(CAST)}
    _, hung = await asyncio.wait(cast, timeout=until - stage.loop.time() + PATIENCE)
    for task in hung:
        task.cancel()
    await asyncio.gather(*cast, return_exceptions=True)
    # Whoever waits to be accepted must be, before the servers go.
    await stage.ledger.settle(PATIENCE)
    for server in servers:
        server.close()
    if not stage.ledger.violations:
        await asyncio.gather(*(server.wait_closed() for server in servers))


async def act(stage: Stage, seed: str, until: float) -> None:
    """One actor after the other."""
    chance = random.Random(seed)
    while stage.loop.time() < until and not stage.ledger.violations:
        actor = chance.choice(ACTORS)
        try:
            await actor(stage, random.Random(chance.random()))
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            stage.ledger.wrong(
                f"{actor.__name__} failed at {where.filename}:{where.lineno}: {error!r}"
            )
        except asyncio.CancelledError:
            stage.ledger.wrong(f"{actor.__name__} did not end")
            raise


def census(loop: AbstractEventLoop, qt_objects: Callable[[], int]) -> dict[str, int]:
    """What must not pile up."""
    for _ in range(3):  # What is freed may have held other cycles.
        gc.collect()
    kinds: dict[str, type | tuple[type, ...]] = {
        "handles": asyncio.Handle,
        "transports": asyncio.BaseTransport,
        "futures": asyncio.Future,
        "connections": Connection,
    }
    things = gc.get_objects()
    counts = {
        name: sum(isinstance(thing, kind) for thing in things) for name, kind in kinds.items()
    }
    del things
    counts["fds"] = len(os.listdir("/proc/self/fd"))
    counts["Qt objects"] = qt_objects()
    if hasattr(loop, "metrics"):
        counts["watched fds"] = loop.metrics().fds
    return counts


def memory() -> int:
    """Of the process, in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") // (1 << 20)
