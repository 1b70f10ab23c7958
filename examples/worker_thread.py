"""A service in a thread of its own, on a loop of its own, and a window that talks with it.

`python -m examples.worker_thread [--headless] [--auto]`. Each side awaits the other: the window
awaits the service's results, the service tells its progress and awaits whether it is to go on.
Neither blocks, and the window's widgets are only touched in its own thread. With `--auto` it counts
once and ends; with `--headless` it does so without a window. `QT_API` names another binding than
PyQt6.
"""

import argparse
import asyncio
import importlib
import os
import sys
from collections.abc import AsyncIterator, Coroutine
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import Any, Protocol

import qtloop

BINDING = {"pyside6": "PySide6", "pyqt5": "PyQt5"}.get(
    os.environ.get("QT_API", "").lower(), "PyQt6"
)
QtCore: Any = importlib.import_module(f"{BINDING}.QtCore")


async def ask(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Runs the coroutine on the loop of another thread, and awaits its result or its exception on
    this one.

    Cancelling the one that waits cancels the coroutine there.
    """
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, loop))


class LoopThread(QtCore.QThread):
    """A QThread in which a loop runs until the thread is quit. What then is left on the loop is
    cancelled."""

    def __init__(self) -> None:
        super().__init__()
        self.loop: Future[asyncio.AbstractEventLoop] = Future()

    def run(self) -> None:
        """Called by Qt, in the new thread."""
        qtloop.run(self._serve())

    async def _serve(self) -> None:
        self.loop.set_result(asyncio.get_running_loop())
        # QThread.quit() cancels this, as quitting an application does.
        await asyncio.Event().wait()


@asynccontextmanager
async def running_loop() -> AsyncIterator[asyncio.AbstractEventLoop]:
    """A loop that runs in a thread of its own, until the context is left."""
    thread = LoopThread()
    thread.start()
    try:
        yield await asyncio.wrap_future(thread.loop)
    finally:
        thread.quit()
        await asyncio.to_thread(thread.wait)


class Face(Protocol):
    """What the service knows of the window."""

    async def progress(self, done: int, limit: int, found: int) -> bool:
        """Shows how far the service is. Returns whether it is to go on."""


class Service:
    """Lives on the worker's loop: its methods are awaited there."""

    STEP = 5_000

    def __init__(self, face: Face, home_of_face: asyncio.AbstractEventLoop) -> None:
        self._face = face
        self._home_of_face = home_of_face

    async def count_primes(self, limit: int) -> int:
        """The number of primes below `limit`, or as far as the face let it go on."""
        found = 0
        for start in range(0, limit, self.STEP):
            stop = min(start + self.STEP, limit)
            found += sum(map(is_prime, range(start, stop)))
            if not await ask(self._home_of_face, self._face.progress(stop, limit, found)):
                break
        return found


def is_prime(n: int) -> bool:
    return n > 1 and all(n % d for d in range(2, int(n**0.5) + 1))


class Terminal:
    """The face of a program without a window."""

    async def progress(self, done: int, limit: int, found: int) -> bool:
        print(f"{found} primes below {done} of {limit}", flush=True)
        return True

    async def run(self, service: Service, worker: asyncio.AbstractEventLoop, auto: bool) -> None:
        found = await ask(worker, service.count_primes(20_000))
        print(f"result: {found}")


def make_window() -> Any:
    """A window as the face. Only here are widgets imported."""
    widgets: Any = importlib.import_module(f"{BINDING}.QtWidgets")

    class Window(widgets.QWidget):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.setWindowTitle("A service in a thread of its own")
            self.bar = widgets.QProgressBar()
            self.label = widgets.QLabel("Type something here while the service counts:")
            self.start, self.stop = widgets.QPushButton("Count primes"), widgets.QPushButton("Stop")
            layout = widgets.QVBoxLayout(self)
            for widget in (self.label, widgets.QLineEdit(), self.bar, self.start, self.stop):
                layout.addWidget(widget)
            self.goes_on = True
            self.wanted = asyncio.Event()
            self.start.clicked.connect(lambda: self.wanted.set())
            self.stop.clicked.connect(self.give_up)

        def give_up(self) -> None:
            self.goes_on = False

        async def progress(self, done: int, limit: int, found: int) -> bool:
            self.bar.setMaximum(limit)
            self.bar.setValue(done)
            self.label.setText(f"{found} primes below {done}")
            return self.goes_on

        async def run(
            self, service: Service, worker: asyncio.AbstractEventLoop, auto: bool
        ) -> None:
            """Counts whenever the button is clicked, until the window is closed."""
            self.show()
            while True:
                if auto:
                    self.start.click()  # What a user would do.
                await self.wanted.wait()
                self.goes_on = True
                found = await ask(worker, service.count_primes(20_000 if auto else 1_000_000))
                self.label.setText(f"{found} primes")
                self.wanted.clear()
                if auto:
                    print(f"result: {found}, the bar is at {self.bar.value()}")
                    return

    return Window()


async def main(headless: bool, auto: bool) -> None:
    face = Terminal() if headless else make_window()
    async with running_loop() as worker:
        service = Service(face, asyncio.get_running_loop())
        await face.run(service, worker, auto)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A service in a thread of its own.")
    parser.add_argument(
        "--headless", action="store_true", help="without a window; count once, then end"
    )
    parser.add_argument("--auto", action="store_true", help="count once, then end")
    options = parser.parse_args()
    if not options.headless:
        _app: Any = importlib.import_module(f"{BINDING}.QtWidgets").QApplication(sys.argv[:1])
    qtloop.run(main(options.headless, options.auto))
