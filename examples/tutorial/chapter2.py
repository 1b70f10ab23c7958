"""Chapter 2: a button whose slot is a coroutine."""

import asyncio

from PyQt6.QtWidgets import (
    QApplication,
    QFormLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QWidget,
)

import qtloop


async def is_open(host: str, port: int) -> bool:
    """Whether somebody listens there."""
    try:
        async with asyncio.timeout(1):
            _, writer = await asyncio.open_connection(host, port)
    except OSError:  # TimeoutError is one.
        return False
    writer.close()
    return True


class Window(QWidget):
    def __init__(self) -> None:
        super().__init__()
        self.setWindowTitle("Ports")
        self.host = QLineEdit("127.0.0.1")
        self.port = QSpinBox(minimum=1, maximum=65535, value=22)
        self.button = QPushButton("Try")
        self.answer = QLabel()
        layout = QFormLayout(self)
        layout.addRow("Host", self.host)
        layout.addRow("Port", self.port)
        layout.addRow(self.button, self.answer)
        self.button.clicked.connect(self.try_port)

    @qtloop.slot(reentry="ignore")
    async def try_port(self) -> None:
        port = self.port.value()
        self.answer.setText(f"{port}: trying...")
        found = await is_open(self.host.text(), port)
        self.answer.setText(f"{port}: {'open' if found else 'closed'}")


async def main() -> None:
    window = Window()
    window.show()
    await asyncio.Event().wait()  # Until the application quits.


if __name__ == "__main__":
    app = QApplication([])
    qtloop.run(main())
