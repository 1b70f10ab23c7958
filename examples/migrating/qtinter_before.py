"""Written for qtinter: a list that a task fills, behind a dialog too.

`python examples/migrating/qtinter_before.py [--auto]`; with `--auto` it clicks its button and
closes itself. `qtinter_after.py` is the same program on qtloop, `docs/migrating/qtinter.md` the way
from here to there.
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

import qtinter


class Window(QWidget):
    def __init__(self) -> None:
        super().__init__()
        self.button, self.lines = QPushButton("Stop?"), QListWidget()
        layout = QVBoxLayout(self)
        layout.addWidget(self.button)
        layout.addWidget(self.lines)
        self.button.clicked.connect(qtinter.asyncslot(self.ask))
        self.filling = asyncio.create_task(self.fill())

    async def fill(self) -> None:
        while True:
            await asyncio.sleep(0.005)
            self.lines.addItem("another line")

    async def ask(self) -> None:
        before = self.lines.count()
        box = QMessageBox(QMessageBox.Icon.Question, "Stop", "Really?")
        if "--auto" in sys.argv:
            QTimer.singleShot(100, box.accept)
        # A slot's first step is part of the signal, where `modal` is not allowed.
        await asyncio.sleep(0)
        await qtinter.modal(box.exec)()
        print("it went on behind the dialog:", self.lines.count() > before)
        self.filling.cancel()
        if "--auto" in sys.argv:
            QTimer.singleShot(0, self.close)


async def greet(button: QPushButton) -> None:
    await qtinter.asyncsignal(button.clicked)
    print("clicked")


if __name__ == "__main__":
    app = QApplication(sys.argv)
    with qtinter.using_asyncio_from_qt():
        window = Window()
        window.greeting = asyncio.create_task(greet(window.button))
        window.show()
        if "--auto" in sys.argv:
            QTimer.singleShot(50, window.button.click)
        app.exec()
    print("bye")
