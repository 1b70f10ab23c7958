"""Written with a thread for asyncio: requests go there, and what comes back is a signal.

`python examples/migrating/thread_before.py [--auto]`; with `--auto` it clicks its button and closes
itself. `thread_after.py` is the same program on qtloop, `docs/migrating/thread.md` the way from
here to there.
"""

import asyncio
import os
import sys
import threading
from collections.abc import Coroutine
from typing import Any

if os.environ.get("QT_API", "").lower() == "pyside6":
    from PySide6.QtCore import QObject, QTimer, Signal
    from PySide6.QtWidgets import QApplication, QLabel, QPushButton, QVBoxLayout, QWidget
else:
    from PyQt6.QtCore import QObject, QTimer
    from PyQt6.QtCore import pyqtSignal as Signal
    from PyQt6.QtWidgets import QApplication, QLabel, QPushButton, QVBoxLayout, QWidget


class Background(QObject):
    """The thread with the loop."""

    progress = Signal(int)
    finished = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()
        self.loop.close()

    def submit(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()

    async def serve(self) -> int:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            for number in range(1, 5):
                writer.write(b"line %d\n" % number)
                await asyncio.sleep(0.005)
            writer.close()

        self.server = await asyncio.start_server(answer, "127.0.0.1")
        port: int = self.server.sockets[0].getsockname()[1]
        return port

    async def fetch(self, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        count, line = 0, b""
        while more := await reader.readline():
            count, line = count + 1, more
            self.progress.emit(25 * count)
        writer.close()
        self.finished.emit(line.decode().strip())


class Window(QWidget):
    def __init__(self, background: Background, port: int) -> None:
        super().__init__()
        self.background = background
        self.port = port
        self.button, self.label = QPushButton("Fetch"), QLabel("idle")
        layout = QVBoxLayout(self)
        layout.addWidget(self.button)
        layout.addWidget(self.label)
        self.button.clicked.connect(self.fetch)
        background.progress.connect(self.show_progress)
        background.finished.connect(self.show_end)

    def fetch(self) -> None:
        self.button.setEnabled(False)
        self.background.submit(self.background.fetch(self.port))

    def show_progress(self, percent: int) -> None:
        print(percent, "%")
        self.label.setText(f"{percent} %")

    def show_end(self, line: str) -> None:
        print("last:", line)
        self.label.setText(line)
        self.button.setEnabled(True)
        if "--auto" in sys.argv:
            self.close()


if __name__ == "__main__":
    app = QApplication(sys.argv)
    background = Background()
    window = Window(background, background.submit(background.serve()).result())
    window.show()
    if "--auto" in sys.argv:
        QTimer.singleShot(50, window.button.click)
    app.exec()
    background.stop()
    print("bye")
