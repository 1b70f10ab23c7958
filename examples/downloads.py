"""A download manager: each row has a task, which ends when the row is deleted.

`python examples/downloads.py [--auto]`; with `--auto` it clicks its own buttons, and quits when it
is done. The server, slow and not quite reliable, is in this process too. `QT_API=pyside6` takes
PySide6.
"""

import asyncio
import os
import sys

import qtloop

if os.environ.get("QT_API", "").lower() == "pyside6":
    from PySide6 import QtWidgets
    from PySide6.QtCore import Signal
else:
    from PyQt6 import QtWidgets
    from PyQt6.QtCore import pyqtSignal as Signal

CHUNK = 10_000


class Server:
    """Answers `GET /name?size` with so many bytes; what is named "shaky" breaks off the first
    time."""

    def __init__(self, pause: float) -> None:
        self._pause = pause
        self._is_shaky = True

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            name, _, number = request.split()[1].decode().strip("/").partition("?")
            size = int(number) if number.isdigit() else 20 * CHUNK
            breaks = name == "shaky" and self._is_shaky
            self._is_shaky = self._is_shaky and not breaks
            writer.write(f"HTTP/1.0 200 OK\r\nContent-Length: {size}\r\n\r\n".encode())
            for sent in range(0, size // 2 if breaks else size, CHUNK):
                writer.write(bytes(min(CHUNK, size - sent)))
                await writer.drain()
                await asyncio.sleep(self._pause)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # The client has lost interest, or the program ends.
        finally:
            writer.close()


class Row(QtWidgets.QWidget):
    """A download. Whoever deletes it cancels it."""

    ended = Signal(str)

    def __init__(self, port: int, path: str) -> None:
        super().__init__()
        self._port, self.path = port, path
        self.bar = QtWidgets.QProgressBar()
        self.state = QtWidgets.QLabel()
        self.retry_button = QtWidgets.QPushButton("Retry")
        self.retry_button.setEnabled(False)
        self.cancel_button = QtWidgets.QPushButton("Remove")
        self.retry_button.clicked.connect(self.retry)
        self.cancel_button.clicked.connect(self.deleteLater)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        name = QtWidgets.QLabel(path)
        for label in name, self.state:
            label.setFixedWidth(150)
        layout.addWidget(name)
        layout.addWidget(self.bar)
        layout.addWidget(self.state)
        layout.addWidget(self.retry_button)
        layout.addWidget(self.cancel_button)

    @qtloop.slot(reentry="ignore")
    async def retry(self) -> None:
        self.retry_button.setEnabled(False)
        await self.download()

    async def download(self) -> None:
        self.state.setText("connecting")
        try:
            await self._fetch()
        except (OSError, asyncio.IncompleteReadError) as error:
            self.state.setText("failed")
            self.state.setToolTip(str(error))
            self.retry_button.setEnabled(True)
        else:
            self.state.setText("done")
        self.ended.emit(self.state.text())

    async def _fetch(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(f"GET {self.path} HTTP/1.0\r\n\r\n".encode())
            header = (await reader.readuntil(b"\r\n\r\n")).decode()
            size = int(header.partition("Content-Length: ")[2])
            self.state.setText("loading")
            received = 0
            while received < size:
                data = await reader.read(CHUNK)
                if not data:
                    raise ConnectionError("the server broke off")
                received += len(data)
                self.bar.setValue(100 * received // size)
        except asyncio.CancelledError as reason:
            # The row may be gone: Python's attributes are still there, widgets are not.
            print(f"{self.path}: cancelled, {reason}")
            raise
        finally:
            writer.close()


class Window(QtWidgets.QWidget):
    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port
        self.setWindowTitle("Downloads")
        self.resize(640, 240)
        self.add_button = QtWidgets.QPushButton("Add...")
        self.add_button.clicked.connect(self.ask)
        self.rows = QtWidgets.QVBoxLayout()
        layout = QtWidgets.QVBoxLayout(self)
        layout.addLayout(self.rows)
        layout.addStretch()
        layout.addWidget(self.add_button)

    @qtloop.slot(reentry="ignore")
    async def ask(self) -> None:
        """However often the button is clicked, there is one dialog."""
        dialog = QtWidgets.QInputDialog(self)
        dialog.setLabelText("What is to be downloaded?")
        dialog.setTextValue("/report?500000")
        path = await qtloop.opened(dialog)
        dialog.deleteLater()
        if path is not None:
            self.add(path)

    def add(self, path: str) -> Row:
        row = Row(self._port, path)
        self.rows.addWidget(row)
        qtloop.create_task(row.download(), owner=row)
        return row


async def play(window: Window) -> None:
    """What a user would do, for those who test this file."""
    for _ in range(2):
        window.add_button.click()
    await asyncio.sleep(0)  # The slot's task has begun: its dialog is open.
    dialogs = window.findChildren(QtWidgets.QInputDialog)
    print(f"2 clicks, {len(dialogs)} dialog")
    added = qtloop.emitted(dialogs[0].destroyed)
    dialogs[0].accept()
    await added
    report, shaky = window.findChild(Row), window.add("/shaky?200000")
    endless = window.add("/endless?900000000")
    for row in report, shaky:
        if row.state.text() not in ("done", "failed"):
            await qtloop.emitted(row.ended)
        print(f"{row.path}: {row.state.text()}, {row.bar.value()} %")
    ended = qtloop.emitted(shaky.ended)
    shaky.retry_button.click()
    shaky.retry_button.click()
    await ended
    print(f"{shaky.path}: {shaky.state.text()}, {shaky.bar.value()} %")
    gone = qtloop.emitted(endless.destroyed)
    endless.cancel_button.click()
    await gone


async def main(auto: bool) -> None:
    server = Server(0.001 if auto else 0.1)
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        window = Window(port)
        window.show()
        if auto:
            await play(window)
            return
        for path in "/image?1000000", "/shaky?400000", "/endless?900000000":
            window.add(path)
        await asyncio.Event().wait()  # Until the window is closed: then the application quits.


if __name__ == "__main__":
    app = QtWidgets.QApplication(sys.argv)
    qtloop.run(main("--auto" in sys.argv))
