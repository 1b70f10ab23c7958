"""`qtasyncio_before.py` on qtloop, with PySide6 or, by `QT_API=pyqt6`, PyQt6.

`python examples/migrating/qtasyncio_after.py [--auto]`; with `--auto` it clicks its button and
closes itself.
"""

import asyncio
import os
import sys

import qtloop

if os.environ.get("QT_API", "").lower() == "pyqt6":
    from PyQt6.QtCore import QTimer
    from PyQt6.QtWidgets import QApplication, QLabel, QPushButton, QVBoxLayout, QWidget
else:
    from PySide6.QtCore import QTimer
    from PySide6.QtWidgets import QApplication, QLabel, QPushButton, QVBoxLayout, QWidget


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"42 degrees\n")
    writer.close()


class Window(QWidget):
    def __init__(self, port: int) -> None:
        super().__init__()
        self.port = port
        self.button, self.label = QPushButton("Look up"), QLabel("idle")
        layout = QVBoxLayout(self)
        layout.addWidget(self.button)
        layout.addWidget(self.label)
        self.button.clicked.connect(self.show_temperature)

    @qtloop.slot
    async def show_temperature(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        answer = (await reader.readline()).decode().strip()
        writer.close()
        self.label.setText(answer)
        print("looked up", answer)
        if "--auto" in sys.argv:
            self.close()


async def count() -> None:
    for number in range(3):
        print("count", number)
        await asyncio.sleep(0.01)


async def main() -> None:
    async with await asyncio.start_server(serve, "127.0.0.1") as server:
        window = Window(server.sockets[0].getsockname()[1])
        window.show()
        if "--auto" in sys.argv:
            QTimer.singleShot(300, window.button.click)
        await count()
        await asyncio.Event().wait()  # Until the last window is closed.


if __name__ == "__main__":
    app = QApplication(sys.argv)
    qtloop.run(main())
    print("bye")
