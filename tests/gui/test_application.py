"""The suite's own ground: a QApplication, with every loop on it."""

import asyncio
from asyncio import AbstractEventLoop
from typing import Any


async def test_widgets_are_shown_while_tasks_run(
    qt_loop: AbstractEventLoop, application: Any
) -> None:
    from .conftest import qt_widgets

    label = qt_widgets.QLabel("hello")
    label.show()
    await asyncio.sleep(0.01)
    assert label.isVisible() and application.activeWindow() in (None, label)
    label.close()
