"""A chat window with a modal settings dialog: messages go on arriving in the window behind it.

`python examples/chat.py [--auto]`; with `--auto` it clicks its own buttons, and quits when it is
done. The server is in this process too. `QT_API=pyside6` takes PySide6.
"""

import asyncio
import itertools
import os
import sys
from contextlib import suppress

import qtloop

if os.environ.get("QT_API", "").lower() == "pyside6":
    from PySide6 import QtWidgets
else:
    from PyQt6 import QtWidgets


class Server:
    """Sends each line to everybody, and talks itself."""

    def __init__(self) -> None:
        self._writers: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            with suppress(ConnectionError, asyncio.CancelledError):
                async for line in reader:
                    self._say(line)
        finally:
            self._writers.remove(writer)
            writer.close()

    async def count(self, pause: float) -> None:
        for number in itertools.count(1):
            self._say(f"server: {number}\n".encode())
            await asyncio.sleep(pause)

    def _say(self, line: bytes) -> None:
        for writer in self._writers:
            writer.write(line)


class Settings(QtWidgets.QDialog):
    def __init__(self, name: str, parent: QtWidgets.QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Settings")
        self.name = QtWidgets.QLineEdit(name)
        buttons = QtWidgets.QDialogButtonBox()
        buttons.addButton(buttons.StandardButton.Ok)
        buttons.addButton(buttons.StandardButton.Cancel)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        layout = QtWidgets.QFormLayout(self)
        layout.addRow("Your name:", self.name)
        layout.addRow(buttons)


class Window(QtWidgets.QWidget):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.resize(480, 360)
        self.rename(name)
        self.messages = QtWidgets.QPlainTextEdit(readOnly=True)
        self.entry = QtWidgets.QLineEdit(placeholderText="Say something")
        self.entry.setEnabled(False)
        self.by_exec = QtWidgets.QPushButton("Settings, by exec()")
        self.by_await = QtWidgets.QPushButton("Settings, by await")
        self.by_exec.clicked.connect(self.exec_settings)
        self.by_await.clicked.connect(self.await_settings)
        buttons = QtWidgets.QHBoxLayout()
        buttons.addWidget(self.by_exec)
        buttons.addWidget(self.by_await)
        layout = QtWidgets.QVBoxLayout(self)
        layout.addWidget(self.messages)
        layout.addWidget(self.entry)
        layout.addLayout(buttons)

    def rename(self, name: str) -> None:
        self.name = name
        self.setWindowTitle(f"Chat as {name}")

    async def chat(self, port: int) -> None:
        """Connects, and shows what comes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)

        def say() -> None:
            writer.write(f"{self.name}: {self.entry.text()}\n".encode())
            self.entry.clear()

        self.entry.returnPressed.connect(say)
        self.entry.setEnabled(True)
        try:
            async for line in reader:
                self.messages.appendPlainText(line.decode().rstrip())
        finally:
            writer.close()

    def exec_settings(self) -> None:
        """An old slot. It waits in `exec()`, and all tasks go on, `chat` too."""
        dialog = Settings(self.name, self)
        if dialog.exec():
            self.rename(dialog.name.text())
        dialog.deleteLater()

    @qtloop.slot(reentry="ignore")
    async def await_settings(self) -> None:
        """The same without an event loop inside the event loop."""
        dialog = Settings(self.name, self)
        if await qtloop.opened(dialog):
            self.rename(dialog.name.text())
        dialog.deleteLater()


async def play(window: Window) -> None:
    """What a user would do, for those who test this file."""
    async with qtloop.emissions(window.messages.textChanged) as news:
        await anext(news)
        # `click` returns when `exec` does: it must not be called here.
        asyncio.get_running_loop().call_soon(window.by_exec.click)
        await asyncio.sleep(0)  # Now it has been called, and the dialog is open.
        await use_settings(window, news, "Ann")
        window.by_await.click()
        await asyncio.sleep(0)  # Now the slot's task has begun, and the dialog is open.
        await use_settings(window, news, "Bob")


async def use_settings(window: Window, news: qtloop.Emissions, name: str) -> None:
    dialog = QtWidgets.QApplication.activeModalWidget()
    before = window.messages.blockCount()
    while window.messages.blockCount() < before + 3:
        await anext(news)
    print(f"3 messages behind the dialog, which is {'open' if dialog.isVisible() else 'closed'}")
    dialog.name.setText(name)
    renamed = qtloop.emitted(window.windowTitleChanged)
    dialog.accept()
    await renamed  # `exec` returns when its event loop gets its turn, later than `accept`.
    window.entry.setText("hello")
    window.entry.returnPressed.emit()
    while f"{name}: hello" not in window.messages.toPlainText():
        await anext(news)
    print(f"{name}: hello")


async def main(auto: bool) -> None:
    server = Server()
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        window = Window("me")
        window.show()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(window.chat(port))
            tasks.create_task(server.count(0.01 if auto else 1))
            if auto:
                await play(window)
                window.close()  # The last window: the application quits, and `main` is cancelled.


if __name__ == "__main__":
    app = QtWidgets.QApplication(sys.argv)
    qtloop.run(main("--auto" in sys.argv))
