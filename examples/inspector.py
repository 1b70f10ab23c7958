"""A program that looks at itself: its tasks, what they wait for, and who blocks the window.

`python examples/inspector.py [--auto]`; with `--auto` it clicks by itself, and quits when it is
done. `QT_API=pyside6` takes PySide6. From another terminal: `python -m qtloop.inspect PID`.
"""

import asyncio
import os
import sys
import time

import qtloop
import qtloop.inspector

if os.environ.get("QT_API", "").lower() == "pyside6":
    from PySide6 import QtCore, QtWidgets
else:
    from PyQt6 import QtCore, QtWidgets


class Window(QtWidgets.QWidget):
    def __init__(self) -> None:
        super().__init__()
        self.setWindowTitle("Work")
        self.status = QtWidgets.QLabel("Ctrl+Shift+I inspects")
        self.start_button = QtWidgets.QPushButton("Start a batch")
        self.start_button.clicked.connect(self.work)
        self.block_button = QtWidgets.QPushButton("Block for 0.3 s")
        self.block_button.clicked.connect(self.block)
        layout = QtWidgets.QVBoxLayout(self)
        for widget in (self.status, self.start_button, self.block_button):
            layout.addWidget(widget)

    @qtloop.slot(reentry="ignore")
    async def work(self) -> None:
        names = ("north", "south", "west")
        tasks = [asyncio.create_task(self.survey(name), name=name) for name in names]
        found = await asyncio.gather(*tasks, return_exceptions=True)
        ended = [
            name for name, it in zip(names, found, strict=True) if not isinstance(it, BaseException)
        ]
        self.status.setText(f"surveyed: {', '.join(ended)}")

    async def survey(self, name: str) -> None:
        # `shield`: a survey that is called off lets the probe finish.
        probe = asyncio.create_task(self.probe(), name=f"probe {name}")
        await asyncio.shield(probe)

    async def probe(self) -> None:
        for _ in range(200):
            await asyncio.sleep(0.02)

    def block(self) -> None:
        """What nobody should do in a slot: the inspector says that it was done here."""
        time.sleep(0.3)


def rows_of(view: QtWidgets.QTreeWidget, name: str) -> list[QtWidgets.QTreeWidgetItem]:
    """The rows of the inspector's tree that have the name."""
    return view.findItems(name, QtCore.Qt.MatchFlag.MatchRecursive)


def tree_of(view: QtWidgets.QTreeWidget, name: str) -> str:
    """A row of the inspector's tree, with the rows below it."""
    (item,) = rows_of(view, name)
    below = [tree_of(view, item.child(it).text(0)) for it in range(item.childCount())]
    return f"{name} ({', '.join(below)})" if below else name


async def play(window: Window) -> None:
    """What a user would do, for those who test this file."""
    window.start_button.click()
    inspector = qtloop.inspector.show()
    inspector.findChild(QtWidgets.QTabWidget).setCurrentIndex(3)
    tree = inspector.findChild(QtWidgets.QTreeWidget, "tasks")
    while not rows_of(tree, "probe north"):
        await asyncio.sleep(0.01)  # It looks twice a second.
    (north,) = rows_of(tree, "north")
    tree.setCurrentItem(north)
    print(f"{tree_of(tree, 'north')}: {north.text(1)}")
    # Called by Qt, as a click of the user's is.
    QtCore.QTimer.singleShot(0, window.block_button.click)
    await asyncio.sleep(1)
    inspector.findChild(QtWidgets.QPushButton, "cancel").click()
    while window.status.text() == "Ctrl+Shift+I inspects":
        await asyncio.sleep(0.01)
    print(window.status.text())
    culprits = [it.culprit for it in qtloop.inspector.snapshot().blockers]
    print("block was caught:", any("(block at" in it for it in culprits))
    print("the inspector is open:", inspector.isVisible())
    window.close()


async def main(auto: bool) -> None:
    window = Window()
    window.show()
    qtloop.inspector.install_shortcut()
    with qtloop.inspector.listen():
        if auto:
            await play(window)
        else:
            print(f"python -m qtloop.inspect {os.getpid()}")
        await asyncio.Event().wait()


if __name__ == "__main__":
    app = QtWidgets.QApplication(sys.argv)
    qtloop.run(main("--auto" in sys.argv))
