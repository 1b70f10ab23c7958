"""Chapter 3: coroutines that wait for the user."""

import asyncio

from PyQt6.QtWidgets import (
    QApplication,
    QInputDialog,
    QListWidget,
    QMessageBox,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

import qtloop


class Window(QWidget):
    def __init__(self) -> None:
        super().__init__()
        self.setWindowTitle("Ports")
        self.hosts = QListWidget()
        self.hosts.addItem("127.0.0.1")
        self.add = QPushButton("Add a host...")
        self.remove = QPushButton("Remove")
        self.log = QListWidget()
        layout = QVBoxLayout(self)
        for widget in self.hosts, self.add, self.remove, self.log:
            layout.addWidget(widget)
        self.add.clicked.connect(self.add_host)
        self.remove.clicked.connect(self.remove_host)

    @qtloop.slot(reentry="ignore")
    async def add_host(self) -> None:
        dialog = QInputDialog(self)
        dialog.setLabelText("Name or address:")
        if await qtloop.opened(dialog):
            self.hosts.addItem(dialog.textValue())
        dialog.deleteLater()

    @qtloop.slot(reentry="ignore")
    async def remove_host(self) -> None:
        item = self.hosts.currentItem()
        if item is None:
            return
        box = QMessageBox(self)
        box.setText(f"Remove {item.text()}?")
        box.setStandardButtons(QMessageBox.StandardButton.Yes | QMessageBox.StandardButton.No)
        if await qtloop.opened(box) == QMessageBox.StandardButton.Yes:
            self.hosts.takeItem(self.hosts.row(item))
        box.deleteLater()

    async def introduce(self) -> None:
        """Says something to who does it for the first time."""
        await qtloop.emitted(self.add.clicked)
        self.log.addItem("Names and addresses will do.")

    async def follow(self) -> None:
        """Writes down which host the user looks at."""
        async for (name,) in qtloop.emissions(self.hosts.currentTextChanged):
            self.log.addItem(f"selected: {name}")


async def main() -> None:
    window = Window()
    window.show()
    async with asyncio.TaskGroup() as group:
        group.create_task(window.introduce())
        group.create_task(window.follow())


if __name__ == "__main__":
    app = QApplication([])
    qtloop.run(main())
