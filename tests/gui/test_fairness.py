"""Paint and asyncio share the thread: a restless widget starves no task, and restless tasks no
paint."""

import asyncio
from typing import Any

from qtloop import EventLoop

from .conftest import qt_widgets

#: Paint events after which a restless widget gives up: only who is starved is not done by then.
PATIENCE = 200_000
ENOUGH = 20


class Canvas(qt_widgets.QWidget):  # type: ignore[misc]
    """Asks for its next repaint while it paints, as long as it is restless."""

    def __init__(self, *, restless: bool) -> None:
        super().__init__()
        self.restless = restless
        self.paints = 0
        self.show()

    def paintEvent(self, event: Any) -> None:
        self.paints += 1
        if self.restless and self.paints < PATIENCE:
            self.update()


async def test_tasks_get_their_work_done_beside_a_widget_that_never_rests(
    qt_loop: EventLoop,
) -> None:
    canvas = Canvas(restless=True)
    while canvas.paints < ENOUGH:
        await asyncio.sleep(0)
    for _ in range(10):
        await asyncio.sleep(0.001)
    canvas.restless = False
    canvas.close()
    assert canvas.paints < PATIENCE


async def test_a_widget_is_painted_beside_tasks_that_never_rest(qt_loop: EventLoop) -> None:
    async def spin() -> None:
        while True:
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(spin()) for _ in range(50)]
    canvas = Canvas(restless=False)
    while canvas.paints < ENOUGH:
        painted = canvas.paints
        canvas.update()
        while canvas.paints == painted:
            await asyncio.sleep(0)
    canvas.close()
    for task in tasks:
        task.cancel()
