"""Which loop code that Qt calls belongs to."""

import asyncio
from asyncio import events


def current_loop() -> asyncio.AbstractEventLoop:
    """The loop that runs in this thread.

    Raises RuntimeError if there is none.
    """
    loop = events._get_running_loop()
    if loop is None:
        raise RuntimeError("no running event loop in this thread")
    return loop
