"""Written for qasync: a window that fetches a line from a server, and saves before it closes.

`python examples/migrating/qasync_before.py [--auto]`; with `--auto` it clicks its button and closes
itself. `qasync_after.py` is the same program on qtloop, `docs/migrating/qasync.md` the way from
here to there.
"""

import asyncio
import functools
import os
import sys

if os.environ.get("QT_API", "").lower() == "pyside6":
    from PySide6.QtCore import QTimer
    from PySide6.QtWidgets import QLabel, QMessageBox, QPushButton, QVBoxLayout, QWidget
else:
    from PyQt6.QtCore import QTimer
    from PyQt6.QtWidgets import QLabel, QMessageBox, QPushButton, QVBoxLayout, QWidget

from qasync import QApplication, QEventLoop, QThreadExecutor, asyncClose, asyncSlot, asyncWrap


class Window(QWidget):
    def __init__(self, port: int) -> None:
        super().__init__()
        self.port = port
        self.button, self.label = QPushButton("Fetch"), QLabel("idle")
        layout = QVBoxLayout(self)
        layout.addWidget(self.button)
        layout.addWidget(self.label)
        self.button.clicked.connect(self.fetch)

    @asyncSlot()
    async def fetch(self) -> None:
        self.button.setEnabled(False)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        line = (await reader.readline()).decode().strip()
        writer.close()
        loop = asyncio.get_running_loop()
        with QThreadExecutor(1) as executor:
            title = await loop.run_in_executor(executor, functools.partial(str.title, line))
        self.label.setText(title)
        print("fetched", title)
        await asyncWrap(self.tell, title)
        self.button.setEnabled(True)
        if "--auto" in sys.argv:
            QTimer.singleShot(0, self.close)

    def tell(self, text: str) -> None:
        box = QMessageBox(QMessageBox.Icon.Information, "Fetched", text)
        if "--auto" in sys.argv:
            QTimer.singleShot(50, box.accept)
        box.exec()
        print("told")

    @asyncClose
    async def closeEvent(self, event: object) -> None:
        await asyncio.sleep(0.05)
        print("saved")


async def main(closed: asyncio.Event) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello from qt\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1")
    window = Window(server.sockets[0].getsockname()[1])
    window.show()
    if "--auto" in sys.argv:
        QTimer.singleShot(50, window.button.click)
    await closed.wait()
    server.close()
    print("bye")


if __name__ == "__main__":
    app = QApplication(sys.argv)
    loop = QEventLoop(app)
    asyncio.set_event_loop(loop)
    closed = asyncio.Event()
    app.aboutToQuit.connect(closed.set)
    with loop:
        loop.run_until_complete(main(closed))
