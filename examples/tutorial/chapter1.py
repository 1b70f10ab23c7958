"""Chapter 1: a window, and a task beside it."""

import asyncio
import time

from PyQt6.QtWidgets import QApplication, QLabel

import qtloop


class Window(QLabel):
    def __init__(self) -> None:
        super().__init__("Not a second yet")
        self.setWindowTitle("Ports")
        self.resize(320, 80)

    async def count(self) -> None:
        start = time.monotonic()
        while True:
            await asyncio.sleep(0.1)
            self.setText(f"Open for {time.monotonic() - start:.1f} s")


async def main() -> None:
    window = Window()
    window.show()
    try:
        await window.count()
    finally:
        print("bye")


if __name__ == "__main__":
    app = QApplication([])
    qtloop.run(main())
