"""A window that awaits Rust: primes on a spiral, while everything stays responsive.

    cargo build --release --example rust_async_fn --features python
    python examples/rust_async_fn/app.py [--extension FILE] [--screenshot FILE]

With `--screenshot` it clicks its own buttons, saves a picture of the window, and quits. The Rust
half is lib.rs beside this file. `--extension` says where cargo has put the library, if not into
target/release/examples; it has to be built for this Python: set PYO3_PYTHON. `QT_API=pyside6` takes
PySide6.
"""

import argparse
import asyncio
import contextlib
import importlib.util
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import qtloop

if os.environ.get("QT_API", "").lower() == "pyside6":
    from PySide6 import QtCore, QtGui, QtWidgets
else:
    from PyQt6 import QtCore, QtGui, QtWidgets

BUILT = Path(__file__).parents[2] / "target/release/examples/librust_async_fn.so"
SIDE, DOT = 101, 4
LIMIT = SIDE * SIDE
EMPTY, PRIME = QtGui.QColor("#10222e"), QtGui.QColor("#ffb454")


def load(library: Path) -> Any:
    """Imports an extension module from where cargo has put it."""
    specification = importlib.util.spec_from_file_location("rust_async_fn", library)
    if specification is None or specification.loader is None or not library.exists():
        raise SystemExit(
            f"no {library}: cargo build --release --example rust_async_fn --features python"
        )
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


class Spiral(QtWidgets.QLabel):
    """The numbers from the centre outwards; primes are marked."""

    def __init__(self) -> None:
        super().__init__()
        self.setFixedSize(SIDE * DOT, SIDE * DOT)
        self._places = self._spiral()
        self.clear_marks()

    @staticmethod
    def _spiral() -> list[tuple[int, int]]:
        x = y = SIDE // 2
        (dx, dy), places = (1, 0), [(x, y)]
        for leg in range(2 * SIDE):
            for _ in range(leg // 2 + 1):
                x, y = x + dx, y + dy
                places.append((x, y))
            dx, dy = dy, -dx
        return places[:LIMIT]

    def clear_marks(self) -> None:
        self._picture = QtGui.QPixmap(SIDE * DOT, SIDE * DOT)
        self._picture.fill(EMPTY)
        self.setPixmap(self._picture)

    def mark(self, numbers: list[int]) -> None:
        painter = QtGui.QPainter(self._picture)
        for number in numbers:
            x, y = self._places[number]
            painter.fillRect(x * DOT, y * DOT, DOT, DOT, PRIME)
        painter.end()
        self.setPixmap(self._picture)


class Window(QtWidgets.QWidget):
    """Each button's slot is a coroutine that awaits a function of Rust's."""

    def __init__(self, rust: Any) -> None:
        super().__init__()
        self.setWindowTitle("Rust on asyncio on Qt")
        self.rust = rust
        self.running: asyncio.Task[Any] | None = None
        self.answer: asyncio.Future[str] | None = None
        self.spiral = Spiral()
        self.bar = QtWidgets.QProgressBar()
        self.state = QtWidgets.QLabel("ready")
        names = "Count primes", "Factor", "Ask", "Answer", "Cancel"
        self.buttons = {name: QtWidgets.QPushButton(name) for name in names}
        self.buttons["Count primes"].clicked.connect(self.count)
        self.buttons["Factor"].clicked.connect(self.factor)
        self.buttons["Ask"].clicked.connect(self.ask)
        self.buttons["Answer"].clicked.connect(self.give_answer)
        self.buttons["Cancel"].clicked.connect(self.cancel)
        layout, row = QtWidgets.QVBoxLayout(self), QtWidgets.QHBoxLayout()
        for button in self.buttons.values():
            row.addWidget(button)
        for widget in self.spiral, self.bar, self.state:
            layout.addWidget(widget, alignment=QtCore.Qt.AlignmentFlag(0))
        layout.addLayout(row)

    @qtloop.slot
    async def count(self) -> None:
        self.spiral.clear_marks()
        await self.show_outcome(self.rust.count_primes(LIMIT, self.found), "{} primes")

    def found(self, fraction: float, primes: list[int]) -> None:
        """Called by Rust."""
        self.spiral.mark(primes)
        self.bar.setValue(round(100 * fraction))

    @qtloop.slot
    async def factor(self) -> None:
        await self.show_outcome(
            self.rust.greatest_factor(2 * 3 * 1_000_003), "the greatest factor is {}"
        )

    @qtloop.slot
    async def ask(self) -> None:
        await self.show_outcome(self.rust.ask_for(5, self.question), "the answer: {}")

    async def question(self) -> str:
        """Awaited by Rust."""
        self.answer = asyncio.get_running_loop().create_future()
        self.state.setText("press Answer!")
        return await self.answer

    def give_answer(self) -> None:
        if self.answer is not None and not self.answer.done():
            self.answer.set_result("yes")

    def cancel(self) -> None:
        if self.running is not None:
            self.running.cancel()

    async def show_outcome(self, outcome: Awaitable[object], text: str) -> None:
        self.cancel()
        self.running = asyncio.current_task()
        self.state.setText("working ...")
        try:
            self.state.setText(text.format(await outcome))
        except asyncio.CancelledError:
            self.state.setText(f"cancelled at {self.bar.value()} %")
            raise


async def act(window: Window, screenshot: Path) -> None:
    """Clicks the buttons, as a user would."""

    async def until(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.002)

    async def click(name: str, until_state: str) -> None:
        window.buttons[name].click()
        await until(lambda: window.state.text().startswith(until_state))
        print(window.state.text())

    await click("Factor", "the greatest")
    await click("Ask", "press")
    await click("Answer", "the answer")
    window.buttons["Count primes"].click()
    await until(lambda: window.bar.value() >= 30)
    window.buttons["Cancel"].click()
    await until(lambda: window.state.text().startswith("cancelled"))
    print("cancelled")
    await click("Count primes", f"{sum(1 for _ in primes_below(LIMIT))} primes")
    if not window.grab().save(str(screenshot)):
        raise SystemExit(f"cannot save {screenshot}")
    window.close()


def primes_below(limit: int) -> list[int]:
    """By Python, to check."""
    return [n for n in range(2, limit) if all(n % divisor for divisor in range(2, int(n**0.5) + 1))]


async def main(options: argparse.Namespace) -> None:
    window = Window(load(options.extension))
    closed = asyncio.Event()
    QtWidgets.QApplication.instance().lastWindowClosed.connect(closed.set)
    window.show()
    if options.screenshot is not None:
        await act(window, options.screenshot)
    with contextlib.suppress(asyncio.CancelledError):
        await closed.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Primes on a spiral, found by Rust.")
    parser.add_argument(
        "--extension", type=Path, default=BUILT, help="the library that cargo has built"
    )
    parser.add_argument(
        "--screenshot", type=Path, help="save a picture of the window as PNG, and quit"
    )
    application = QtWidgets.QApplication([])
    qtloop.run(main(parser.parse_args()))
