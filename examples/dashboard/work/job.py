"""A coroutine that can be started, cancelled and started again, and says how it is doing."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal

Status = Literal["running", "cancelling", "cancelled", "failed"]


class Job:
    """Its methods are plain functions, so Qt slots may call them."""

    def __init__(
        self,
        name: str,
        work: Callable[[], Awaitable[None]],
        group: asyncio.TaskGroup,
        on_status: Callable[["Job"], None],
    ) -> None:
        self.name = name
        self.status: Status = "cancelled"
        self.failure: Exception | None = None
        self._work = work
        self._group = group
        self._on_status = on_status
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        if self._task is None:
            self._task = self._group.create_task(self._run(), name=self.name)

    def cancel(self) -> None:
        if self._task is not None and self.status == "running":
            self._set("cancelling")
            self._task.cancel()

    def toggle(self) -> None:
        self.cancel() if self.status == "running" else self.start()

    async def _run(self) -> None:
        """A failing job must not take the others with it, as an exception that reaches the group
        would."""
        self.failure = None
        self._set("running")
        try:
            await self._work()
        except Exception as error:
            self.failure = error
            self._finish("failed")
        except asyncio.CancelledError:
            self._finish("cancelled")
            raise

    def _finish(self, status: Status) -> None:
        self._task = None
        self._set(status)

    def _set(self, status: Status) -> None:
        self.status = status
        self._on_status(self)
