"""An ordinary Qt program that runs `app.exec()` itself; its slot is an async function.

`python examples/slots.py [--auto]`; with `--auto` it clicks its own button, and quits when it is
done. `QT_API=pyside6` takes PySide6.
"""

import asyncio
import os
import sys

import qtloop

if os.environ.get("QT_API", "").lower() == "pyside6":
    from PySide6 import QtCore, QtWidgets
else:
    from PyQt6 import QtCore, QtWidgets


class Window(QtWidgets.QWidget):
    def __init__(self) -> None:
        super().__init__()
        self.setWindowTitle("A slot that is an async function")
        self.resize(560, 420)
        self.button = QtWidgets.QPushButton("Read a poem from a subprocess")
        self.poem = QtWidgets.QPlainTextEdit(readOnly=True)
        layout = QtWidgets.QVBoxLayout(self)
        layout.addWidget(self.button)
        layout.addWidget(self.poem)
        self.button.clicked.connect(self.read_poem)

    @qtloop.slot(reentry="restart")
    async def read_poem(self) -> None:
        self.poem.clear()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "import this", stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        async for line in process.stdout:
            self.poem.appendPlainText(line.decode().rstrip())
        await process.wait()


@qtloop.slot
async def play(window: Window) -> None:
    """What a user would do, for those who test this file: too quick at first."""
    window.button.click()
    await window.read_poem()
    print(window.poem.toPlainText())
    window.close()


if __name__ == "__main__":
    app = QtWidgets.QApplication(sys.argv)
    window = Window()
    window.show()
    with qtloop.attach():
        if "--auto" in sys.argv:
            QtCore.QTimer.singleShot(0, lambda: play(window))
        code = app.exec()
    sys.exit(code)
