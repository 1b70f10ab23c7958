"""Written for PySide6.QtAsyncio: a window that looks something up, in a thread since there are no
sockets.

`python examples/migrating/qtasyncio_before.py [--auto]`; `--auto` clicks the button and closes the
window. `qtasyncio_after.py` is the same program on qtloop, `docs/migrating/qtasyncio.md` the way
from here to there.
"""

import asyncio
import socket
import sys
import threading

from PySide6 import QtAsyncio
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication, QLabel, QPushButton, QVBoxLayout, QWidget


def serve(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.sendall(b"42 degrees\n")


def look_up(port: int) -> str:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        return connection.makefile().readline().strip()


class Window(QWidget):
    def __init__(self, port: int) -> None:
        super().__init__()
        self.port = port
        self.button, self.label = QPushButton("Look up"), QLabel("idle")
        layout = QVBoxLayout(self)
        layout.addWidget(self.button)
        layout.addWidget(self.label)
        self.button.clicked.connect(lambda: asyncio.ensure_future(self.show_temperature()))

    async def show_temperature(self) -> None:
        loop = asyncio.get_running_loop()
        answer = await loop.run_in_executor(None, look_up, self.port)
        self.label.setText(answer)
        print("looked up", answer)
        if "--auto" in sys.argv:
            self.close()


async def count() -> None:
    for number in range(3):
        print("count", number)
        await asyncio.sleep(0.01)


if __name__ == "__main__":
    app = QApplication(sys.argv)
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    window = Window(listener.getsockname()[1])
    window.show()
    if "--auto" in sys.argv:
        QTimer.singleShot(300, window.button.click)
    QtAsyncio.run(count(), handle_sigint=True)
    listener.close()
    print("bye")
