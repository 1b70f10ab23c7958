"""`qtinter_before.py` on qtloop.

`python examples/migrating/qtinter_after.py [--auto]`; with `--auto` it clicks its button and closes
itself.
"""

import asyncio
import os
import sys

if os.environ.get("QT_API", "").lower() == "pyside6":
    from PySide6.QtCore import QTimer
    from PySide6.QtWidgets import (
        QApplication,
        QListWidget,
        QMessageBox,
        QPushButton,
        QVBoxLayout,
        QWidget,
    )
else:
    from PyQt6.QtCore import QTimer
    from PyQt6.QtWidgets import (
        QApplication,
        QListWidget,
        QMessageBox,
        QPushButton,
        QVBoxLayout,
        QWidget,
    )

import qtloop


class Window(QWidget):
    def __init__(self) -> None:
        super().__init__()
        self.button, self.lines = QPushButton("Stop?"), QListWidget()
        layout = QVBoxLayout(self)
        layout.addWidget(self.button)
        layout.addWidget(self.lines)
        self.button.clicked.connect(self.ask)
        self.filling = qtloop.create_task(self.fill(), owner=self)

    async def fill(self) -> None:
        while True:
            await asyncio.sleep(0.005)
            self.lines.addItem("another line")

    @qtloop.slot
    async def ask(self) -> None:
        before = self.lines.count()
        box = QMessageBox(QMessageBox.Icon.Question, "Stop", "Really?")
        if "--auto" in sys.argv:
            QTimer.singleShot(100, box.accept)
        box.exec()
        print("it went on behind the dialog:", self.lines.count() > before)
        self.filling.cancel()
        if "--auto" in sys.argv:
            await self.greeting  # It hears of the click when this first step has ended.
            self.close()


async def greet(button: QPushButton) -> None:
    await qtloop.emitted(button.clicked)
    print("clicked")


if __name__ == "__main__":
    app = QApplication(sys.argv)
    with qtloop.attach():
        window = Window()
        window.greeting = asyncio.create_task(greet(window.button))
        window.show()
        if "--auto" in sys.argv:
            QTimer.singleShot(50, window.button.click)
        app.exec()
    print("bye")
