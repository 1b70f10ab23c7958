"""Numbers that take a while."""

import asyncio
from collections.abc import AsyncIterator


async def numbers(count: int = 400) -> AsyncIterator[float]:
    """Numbers between 0 and 1: each from the last, in a way that soon looks like chance."""
    number = 0.4
    for _ in range(count):
        await asyncio.sleep(0.015)
        number = 3.7 * number * (1 - number)
        yield number
