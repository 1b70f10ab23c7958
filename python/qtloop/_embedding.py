"""What a Rust program that embeds the interpreter runs of the Python half."""

from collections.abc import Awaitable, Callable
from typing import Any

from ._run import run


async def _main(start: Callable[[], Awaitable[Any]]) -> None:
    await start()


def run_future(start: Callable[[], Awaitable[Any]]) -> None:
    """Calls `start` inside the loop, and runs what that returns, as `run` runs a coroutine."""
    run(_main(start))
