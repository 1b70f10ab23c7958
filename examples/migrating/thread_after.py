"""`thread_before.py` on qtloop: no thread, no signals, no passing on.

`python examples/migrating/thread_after.py [--auto]`; with `--auto` it clicks its button and closes
itself.
"""

import asyncio
import os
import sys

import qtloop

if os.environ.get("QT_API", "").lower() == "pyside6":
    from PySide6.QtCore import QTimer
    from PySide6.QtWidgets import QApplication, QLabel, QPushButton, QVBoxLayout, QWidget
else:
    from PyQt6.QtCore import QTimer
    from PyQt6.QtWidgets import QApplication, QLabel, QPushButton, QVBoxLayout, QWidget


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    for number in range(1, 5):
        writer.write(b"line %d\n" % number)
        await asyncio.sleep(0.005)
    writer.close()


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
        count, line = 0, b""
        while more := await reader.readline():
            count, line = count + 1, more
            print(25 * count, "%")
            self.label.setText(f"{25 * count} %")
        writer.close()
        print("last:", line.decode().strip())
        self.label.setText(line.decode().strip())
        if "--auto" in sys.argv:
            self.close()


async def main() -> None:
    async with await asyncio.start_server(answer, "127.0.0.1") as server:
        window = Window(server.sockets[0].getsockname()[1])
        window.show()
        if "--auto" in sys.argv:
            QTimer.singleShot(50, window.button.click)
        await asyncio.Event().wait()


if __name__ == "__main__":
    app = QApplication(sys.argv)
    qtloop.run(main())
    print("bye")
