"""The cluster, and which workers it has."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from distributed import Client, LocalCluster

from .work import BEGUN


@asynccontextmanager
async def gathered(workers: int) -> AsyncIterator["Crew"]:
    """A cluster of so many processes of this machine, until the context is left.

    `asynchronous` has everything run on the loop that runs here. Without it there would be a
    thread with a loop of its own, and each call would block until that has answered.
    """
    async with (
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address="127.0.0.1:0",
            asynchronous=True,
        ) as cluster,
        Client(cluster, asynchronous=True) as client,
    ):
        yield Crew(client)


class Crew:
    def __init__(self, client: Client) -> None:
        self.client = client

    async def watch(
        self, show_pids: Callable[[Iterable[int]], None], show_piece: Callable[[int, str], None]
    ) -> None:
        """Tells which workers there are, now and whenever that changes, and what they begin.

        It takes the news one by one, so that a worker is known before its first piece.
        """
        news: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        for topic in ("all", BEGUN):
            self.client.subscribe_topic(topic, lambda event: news.put_nowait(event[1]))
        try:
            show_pids(await self.pids())
            while True:
                message = await news.get()
                if "piece" in message:
                    show_piece(message["pid"], message["piece"])
                elif message.get("action") in ("add-worker", "remove-worker"):
                    show_pids(await self.pids())
        finally:
            # The scheduler would send a client that is gone the news that it has gone.
            for topic in ("all", BEGUN):
                self.client.unsubscribe_topic(topic)

    async def pids(self) -> list[int]:
        """Of the workers that answer. Each is asked on its loop, so that it may have work."""
        answers = await self.client.run(os.getpid, on_error="ignore")
        return sorted(answers.values())
