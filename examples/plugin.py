"""A Qt application that knows nothing of asyncio, and a plug-in that brings asyncio into it.

`python examples/plugin.py [--auto]`; with `--auto` the application plays with itself and quits. Add
a note from elsewhere with `echo milk | nc -q1 127.0.0.1 PORT`. `QT_API=pyside6` takes PySide6.
"""

import asyncio
import os
import socket
import sys
from contextlib import suppress

import qtloop

if os.environ.get("QT_API", "").lower() == "pyside6":
    from PySide6 import QtCore, QtWidgets
else:
    from PyQt6 import QtCore, QtWidgets


class Plugin:
    """Serves the window's notes over TCP: each line that comes is a new one."""

    def __init__(self, window: "Window") -> None:
        self._window = window
        self._attachment = qtloop.attach()

    def start(self) -> None:
        """Called by the host, before or inside its event loop."""
        self._attachment.open()
        self._attachment.create_task(self._serve())

    def stop(self) -> None:
        """Cancels and awaits what runs here, and nothing of another plug-in's. Called by the host,
        while its event loop runs or after that."""
        self._attachment.close()

    async def _serve(self) -> None:
        async with await asyncio.start_server(self._converse, "127.0.0.1", 0) as server:
            self._window.plugin_ready(server.sockets[0].getsockname()[1])
            try:
                await server.serve_forever()
            finally:
                print("plug-in: the server is closed")

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError, asyncio.CancelledError):
                async for line in reader:
                    self._window.add_note(line.decode().strip())
                    writer.write(f"note {self._window.notes.count()}\n".encode())
                    await writer.drain()
        finally:
            writer.close()


# From here on the host: no asyncio, no qtloop.


class Window(QtWidgets.QMainWindow):
    def __init__(self) -> None:
        super().__init__()
        self.setWindowTitle("Notes")
        self.resize(420, 300)
        self.port = 0
        self.plugin: Plugin | None = None
        self.notes = QtWidgets.QListWidget()
        self.setCentralWidget(self.notes)
        bar = self.addToolBar("Actions")
        self.add_action = bar.addAction("Add", self.ask)
        self.plugin_action = bar.addAction("Serve")
        self.plugin_action.setCheckable(True)
        self.plugin_action.toggled.connect(self.serve)

    def add_note(self, text: str) -> None:
        self.notes.addItem(text)

    def ask(self) -> None:
        """The plug-in goes on in this event loop too."""
        text, accepted = QtWidgets.QInputDialog.getText(self, "Add", "Note:")
        if accepted:
            self.add_note(text)

    def plugin_ready(self, port: int) -> None:
        self.port = port
        self.statusBar().showMessage(f"Serving on port {port}")

    def serve(self, on: bool) -> None:
        if on:
            self.plugin = Plugin(self)
            self.plugin.start()
        elif self.plugin is not None:
            self.plugin.stop()
            self.plugin = None
            self.statusBar().showMessage("Not serving")


class Visitor(QtCore.QThread):
    """Adds a note from elsewhere, as another program would."""

    def __init__(self, window: Window, note: str) -> None:
        super().__init__()
        self._window, self._note = window, note
        self.answer = ""

    def run(self) -> None:
        with socket.create_connection(("127.0.0.1", self._window.port)) as connection:
            connection.sendall(f"{self._note}\n".encode())
            self.answer = connection.makefile().readline().strip()


class Play(QtCore.QObject):
    """What users would do, for those who test this file."""

    def __init__(self, window: Window) -> None:
        super().__init__()
        self._window = window
        self._visitors: list[Visitor] = []
        window.statusBar().messageChanged.connect(self.go_on)

    def go_on(self) -> None:
        if self._window.plugin is not None and not self._visitors:
            self._visitors = [Visitor(self._window, "milk")]
            self._visitors[0].finished.connect(self.visit_again)
            self._visitors[0].start()

    def visit_again(self) -> None:
        """While a modal dialog is open."""
        print(f"visitor: {self._visitors[0].answer}")
        self._visitors.append(Visitor(self._window, "bread"))
        self._visitors[1].finished.connect(self.close_dialog)
        self._visitors[1].start()
        self._window.add_action.trigger()
        self._window.plugin_action.setChecked(False)
        print("host: no longer serving, but still here")
        self._window.close()

    def close_dialog(self) -> None:
        dialog = QtWidgets.QApplication.activeModalWidget()
        print(f"visitor: {self._visitors[1].answer}, with {type(dialog).__name__} open")
        dialog.setTextValue("butter")
        dialog.accept()


def main() -> int:
    app = QtWidgets.QApplication(sys.argv)
    window = Window()
    window.show()
    play = Play(window) if "--auto" in sys.argv else None
    window.plugin_action.setChecked(True)
    code = app.exec()
    if play:
        print(f"host: exec() ended with {code}")
        print(*(window.notes.item(row).text() for row in range(window.notes.count())), sep=", ")
    window.serve(False)
    return code


if __name__ == "__main__":
    sys.exit(main())
