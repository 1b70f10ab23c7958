"""A window whose label is driven by a coroutine. Closing it early cancels `main`."""

import asyncio

from PyQt6.QtWidgets import QApplication, QLabel

import qtloop


async def main() -> None:
    label = QLabel()
    label.resize(320, 80)
    label.show()
    for seconds in range(5, 0, -1):
        label.setText(f"asyncio inside Qt: {seconds} s to go")
        await asyncio.sleep(1)


app = QApplication([])
qtloop.run(main())
