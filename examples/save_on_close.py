"""An editor that asks before it closes, and saves in a thread meanwhile.

`python examples/save_on_close.py [FILE] [--auto]`; with `--auto` it clicks its own buttons. It ends
when its window is closed, at Ctrl-C, and at SIGTERM, which asks too. `QT_API=pyside6` takes
PySide6.
"""

import asyncio
import os
import signal
import sys
import tempfile
from pathlib import Path

import qtloop

if os.environ.get("QT_API", "").lower() == "pyside6":
    from PySide6 import QtWidgets
else:
    from PyQt6 import QtWidgets

Button = QtWidgets.QMessageBox.StandardButton


class Editor(QtWidgets.QMainWindow):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self.setWindowTitle(f"{path.name}[*]")
        self.resize(480, 320)
        self.text = QtWidgets.QPlainTextEdit()
        self.text.modificationChanged.connect(self.setWindowModified)
        self.setCentralWidget(self.text)

    async def load(self) -> None:
        if self._path.exists():
            self.text.setPlainText(await asyncio.to_thread(self._path.read_text))

    @qtloop.close_event
    async def closeEvent(self) -> bool:
        """Whether the window is to be closed. It stays open, and alive, until this is known."""
        if not self.isWindowModified():
            return True
        answer = await self.ask()
        if answer == Button.Save:
            await self.save()
        return answer != Button.Cancel

    async def ask(self) -> Button:
        box = QtWidgets.QMessageBox(self)
        box.setText(f"{self._path.name} has been changed.")
        box.setInformativeText("Do you want to save it?")
        box.setStandardButtons(Button.Save | Button.Discard | Button.Cancel)
        answer: Button = await qtloop.opened(box)
        box.deleteLater()
        return answer

    async def save(self) -> None:
        """If it fails, so does `closeEvent`: the error is logged, and the window remains."""
        self.text.setEnabled(False)
        self.statusBar().showMessage("Saving...")
        try:
            await asyncio.to_thread(self._path.write_text, self.text.toPlainText())
            self.text.document().setModified(False)
        finally:
            self.text.setEnabled(True)
            self.statusBar().clearMessage()


async def play(editor: Editor, path: Path) -> None:
    """What a user would do, for those who test this file."""
    editor.text.insertPlainText("asyncio inside Qt")
    for choice in Button.Cancel, Button.Save:
        editor.close()
        await asyncio.sleep(0)  # The task of `closeEvent` has begun: its question is open.
        box = QtWidgets.QApplication.activeModalWidget()
        print(f"asked: {box.text()}")
        editor.close()  # There is one question at a time.
        answered = qtloop.emitted(box.destroyed)
        box.button(choice).click()
        print(f"answered: {choice.name}")
        await answered
        if choice == Button.Cancel:
            print(f"window: {'open' if editor.isVisible() else 'closed'}, file: {path.exists()}")


async def main(path: Path, auto: bool) -> None:
    editor = Editor(path)
    await editor.load()
    editor.show()
    try:
        if auto:
            await play(editor, path)
        # The last window is closed, Ctrl-C, SIGTERM: `main` is cancelled.
        await asyncio.Event().wait()
    finally:
        # Qt's event loop runs still, so one may await.
        size = await asyncio.to_thread(lambda: path.stat().st_size if path.exists() else 0)
        print(f"window: {'open' if editor.isVisible() else 'closed'}, file: {size} bytes")


if __name__ == "__main__":
    app = QtWidgets.QApplication(sys.argv)
    names = [name for name in sys.argv[1:] if not name.startswith("-")]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(names[0] if names else f"{folder}/untitled.txt")
        result = qtloop.run(main(file, "--auto" in sys.argv), quit_signals=[signal.SIGTERM])
        print(f"run: {result}")
