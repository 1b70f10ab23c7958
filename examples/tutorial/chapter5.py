"""Chapter 5: the finished program. It asks before it forgets what it has found, and saves it."""

import asyncio
import signal
import sys
from pathlib import Path

import chapter4
from PyQt6.QtWidgets import QApplication, QMessageBox

import qtloop

Button = QMessageBox.StandardButton


class Window(chapter4.Window):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.setWindowTitle(f"Ports - {path.name}[*]")

    async def scan(self) -> None:
        self.setWindowModified(True)
        await super().scan()

    @qtloop.close_event
    async def closeEvent(self) -> bool:
        """Whether the window is to be closed."""
        if not self.isWindowModified():
            return True
        answer = await self.ask()
        if answer == Button.Cancel:
            return False
        if not self.start.isEnabled():
            self.stop_scan()
            await asyncio.wait([self.scanning])
        if answer == Button.Save:
            await self.save()
        return True

    async def ask(self) -> Button:
        box = QMessageBox(self)
        box.setText("Save what was found?")
        box.setStandardButtons(Button.Save | Button.Discard | Button.Cancel)
        answer = await qtloop.opened(box)
        box.deleteLater()
        return answer

    async def save(self) -> None:
        lines = [self.found.item(row).text() for row in range(self.found.count())]
        await asyncio.to_thread(self.path.write_text, "\n".join(lines) + "\n")
        self.setWindowModified(False)


async def main(path: Path) -> None:
    window = Window(path)
    window.show()
    try:
        await asyncio.Event().wait()
    finally:
        print("bye")


if __name__ == "__main__":
    app = QApplication(sys.argv)
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "ports.txt")
    qtloop.run(main(path), quit_signals=[signal.SIGTERM])
