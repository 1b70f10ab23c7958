"""A search as you type: the program that `test_search.py` tests."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

import qtloop

if os.environ.get("QT_API") == "pyside6":
    from PySide6.QtWidgets import QLabel, QLineEdit, QVBoxLayout, QWidget
else:
    from PyQt6.QtWidgets import QLabel, QLineEdit, QVBoxLayout, QWidget

Find = Callable[[str], Awaitable[str]]


class Search(QWidget):
    """A field to type in, and what was found."""

    def __init__(self, find: Find, pause: float = 0.05) -> None:
        super().__init__()
        self._find = find
        self._pause = pause
        self.field, self.found = QLineEdit(), QLabel("nothing yet")
        layout = QVBoxLayout(self)
        layout.addWidget(self.field)
        layout.addWidget(self.found)
        self.field.textChanged.connect(self.search)

    @qtloop.slot(reentry="restart")
    async def search(self, text: str) -> None:
        """Waits until nobody types any more, and asks once."""
        await asyncio.sleep(self._pause)
        self.found.setText(await self._find(text))


async def retrying(call: Callable[[], Awaitable[Any]], attempts: int) -> Any:
    """What the call returns, tried again after 1, 2, 4, ... seconds when there is no connection."""
    for attempt in range(attempts - 1):
        try:
            return await call()
        except ConnectionError:
            await asyncio.sleep(2**attempt)
    return await call()
