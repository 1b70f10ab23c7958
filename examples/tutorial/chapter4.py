"""Chapter 4: many connections at once, with progress, and a way to stop."""

import asyncio

from PyQt6.QtWidgets import (
    QApplication,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QProgressBar,
    QPushButton,
    QSpinBox,
    QWidget,
)

import qtloop


async def banner(host: str, port: int) -> str | None:
    """The first line of who listens there, perhaps empty; None if nobody does."""
    try:
        async with asyncio.timeout(1):
            reader, writer = await asyncio.open_connection(host, port)
    except OSError:
        return None
    try:
        async with asyncio.timeout(0.2):
            line = await reader.readline()
    except (OSError, ValueError):  # Silent, reset, or no line.
        line = b""
    finally:
        writer.close()
    return line.decode(errors="replace").strip()


class Window(QWidget):
    def __init__(self) -> None:
        super().__init__()
        self.setWindowTitle("Ports")
        self.host = QLineEdit("127.0.0.1")
        self.first = QSpinBox(minimum=1, maximum=65535, value=1)
        self.last = QSpinBox(minimum=1, maximum=65535, value=10000)
        self.start = QPushButton("Scan")
        self.stop = QPushButton("Stop", enabled=False)
        self.bar = QProgressBar()
        self.found = QListWidget()
        buttons = QHBoxLayout()
        buttons.addWidget(self.start)
        buttons.addWidget(self.stop)
        layout = QFormLayout(self)
        layout.addRow("Host", self.host)
        layout.addRow("First port", self.first)
        layout.addRow("Last port", self.last)
        layout.addRow(buttons)
        layout.addRow(self.bar)
        layout.addRow(self.found)
        self.start.clicked.connect(self.run_scan)
        self.stop.clicked.connect(self.stop_scan)

    @qtloop.slot(reentry="ignore")
    async def run_scan(self) -> None:
        self.set_busy(True)
        self.scanning = qtloop.create_task(self.scan(), owner=self)
        await asyncio.wait([self.scanning])
        self.set_busy(False)
        if self.scanning.cancelled():
            self.found.addItem("stopped")
        else:
            self.scanning.result()  # Raises what `scan` has raised.
            self.found.addItem("done")

    def stop_scan(self) -> None:
        self.scanning.cancel()

    def set_busy(self, is_busy: bool) -> None:
        self.start.setEnabled(not is_busy)
        self.stop.setEnabled(is_busy)

    async def scan(self) -> None:
        host = self.host.text()
        ports = range(self.first.value(), self.last.value() + 1)
        self.found.clear()
        self.bar.setRange(0, max(1, len(ports)))
        self.bar.setValue(0)
        at_once = asyncio.Semaphore(100)

        async def scan_port(port: int) -> None:
            try:
                said = await banner(host, port)
            finally:
                at_once.release()
            self.bar.setValue(self.bar.value() + 1)
            if said is not None:
                self.found.addItem(f"{port} {said}".strip())

        async with asyncio.TaskGroup() as group:
            for port in ports:
                await at_once.acquire()
                group.create_task(scan_port(port))


async def main() -> None:
    window = Window()
    window.show()
    await asyncio.Event().wait()


if __name__ == "__main__":
    app = QApplication([])
    qtloop.run(main())
