"""`qasync_before.py` on qtloop.

`python examples/migrating/qasync_after.py [--auto]`; with `--auto` it clicks its button and closes
itself.
"""

import asyncio
import os
import sys

import qtloop

if os.environ.get("QT_API", "").lower() == "pyside6":
    from PySide6.QtCore import QTimer
    from PySide6.QtWidgets import (
        QApplication,
        QLabel,
        QMessageBox,
        QPushButton,
        QVBoxLayout,
        QWidget,
    )
else:
    from PyQt6.QtCore import QTimer
    from PyQt6.QtWidgets import QApplication, QLabel, QMessageBox, QPushButton, QVBoxLayout, QWidget


class Window(QWidget):
    def __init__(self, port: int) -> None:
        super().__init__()
        self.port = port
        self.button, self.label = QPushButton("Fetch"), QLabel("idle")
        layout = QVBoxLayout(self)
        layout.addWidget(self.button)
        layout.addWidget(self.label)
        self.button.clicked.connect(self.fetch)

    @qtloop.slot(reentry="ignore")
    async def fetch(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        line = (await reader.readline()).decode().strip()
        writer.close()
        title = await asyncio.to_thread(str.title, line)
        self.label.setText(title)
        print("fetched", title)
        self.tell(title)
        if "--auto" in sys.argv:
            self.close()

    def tell(self, text: str) -> None:
        box = QMessageBox(QMessageBox.Icon.Information, "Fetched", text)
        if "--auto" in sys.argv:
            QTimer.singleShot(50, box.accept)
        box.exec()
        print("told")

    @qtloop.close_event
    async def closeEvent(self) -> None:
        await asyncio.sleep(0.05)
        print("saved")


async def main() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello from qt\n")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1") as server:
        window = Window(server.sockets[0].getsockname()[1])
        window.show()
        if "--auto" in sys.argv:
            QTimer.singleShot(50, window.button.click)
        try:
            await asyncio.Event().wait()
        finally:
            print("bye")


if __name__ == "__main__":
    app = QApplication(sys.argv)
    qtloop.run(main())
