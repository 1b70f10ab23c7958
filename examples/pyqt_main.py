"""An ordinary Qt program whose slots start tasks: the loop's `run_forever()` stands where `app.exec()` stood.

`python -m examples.pyqt_main [--auto]`; with `--auto` it clicks its own button, and quits when it is done.
"""

import asyncio
import sys

from PyQt6.QtCore import QTimer
from PyQt6.QtWidgets import QApplication, QPlainTextEdit, QPushButton, QVBoxLayout, QWidget

import qtloop


class Window(QWidget):
    def __init__(self) -> None:
        super().__init__()
        self.setWindowTitle("A slot that starts a task")
        self.resize(560, 420)
        self.button = QPushButton("Read a poem from a subprocess")
        self.poem = QPlainTextEdit()
        self.poem.setReadOnly(True)
        self.task: asyncio.Task[int] | None = None
        layout = QVBoxLayout(self)
        layout.addWidget(self.button)
        layout.addWidget(self.poem)
        self.button.clicked.connect(self.start)

    def start(self) -> None:
        """The slot. It keeps the task: asyncio itself holds tasks but weakly."""
        self.button.setEnabled(False)
        self.poem.clear()
        self.task = asyncio.ensure_future(self.read_poem())
        self.task.add_done_callback(lambda task: self.button.setEnabled(True))

    async def read_poem(self) -> int:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "import this", stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        async for line in process.stdout:
            self.poem.appendPlainText(line.decode().rstrip())
            await asyncio.sleep(0.05)
        return await process.wait()


def click_and_quit(window: Window) -> None:
    """What a user would do, for those who test this file."""
    window.button.click()
    assert window.task is not None
    window.task.add_done_callback(lambda task: QApplication.quit())


def main() -> int:
    _app = QApplication(sys.argv)
    window = Window()
    window.show()
    if "--auto" in sys.argv:
        QTimer.singleShot(0, lambda: click_and_quit(window))
    with asyncio.Runner(loop_factory=qtloop.new_event_loop) as runner:
        # Until the last window is closed; the runner then cancels what is left.
        runner.get_loop().run_forever()
    print(window.poem.toPlainText() or "nothing was read")
    return 0 if window.task is None or window.task.cancelled() else window.task.result()


if __name__ == "__main__":
    sys.exit(main())
