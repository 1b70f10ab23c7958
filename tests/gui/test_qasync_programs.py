"""Programs as qasync documents them, run by qasync and, with one line changed, by
`qtloop.compat.qasync`."""

import importlib.util
import sys
import textwrap

import pytest
from python.support import child
from python.support.loops import qt_core

BINDING = qt_core.__name__.partition(".")[0]

HAS_QASYNC = importlib.util.find_spec("qasync") is not None and sys.version_info < (3, 14)
IMPORTS = ["from qtloop.compat.qasync import", *(["from qasync import"] if HAS_QASYNC else [])]

#: A program's import of the bridge, and the line that stands there instead.
IMPORT = "from qasync import"

PREAMBLE = f"""\
import asyncio, functools, sys, time
from {BINDING}.QtCore import QTimer
from {BINDING}.QtWidgets import QDialog, QProgressBar, QPushButton, QWidget
"""

#: The application's end sets an event, for which the program waits.
ASYNCIO_RUN = """
from qasync import QApplication, QEventLoop, asyncClose, asyncSlot

class MainWindow(QWidget):
    @asyncClose
    async def closeEvent(self, event):
        await asyncio.sleep(0.01)
        print("closing")

    @asyncSlot()
    async def on_event(self):
        await asyncio.sleep(0.01)
        print("event")
        QTimer.singleShot(0, self.close)

app = QApplication(sys.argv)
closed = asyncio.Event()
app.aboutToQuit.connect(closed.set)
window = MainWindow()
window.show()
QTimer.singleShot(10, window.on_event)
asyncio.run(closed.wait(), loop_factory=QEventLoop)
print("end")
"""

RUN_FOREVER = """
from qasync import QApplication, QEventLoop, asyncSlot

class Window(QWidget):
    def __init__(self):
        super().__init__()
        self.button = QPushButton(self)
        self.button.clicked.connect(self.work)

    @asyncSlot()
    async def work(self):
        await asyncio.sleep(0.01)
        print("worked")
        QApplication.instance().exit(3)

app = QApplication(sys.argv)
loop = QEventLoop(app)
asyncio.set_event_loop(loop)
window = Window()
window.show()
loop.call_soon(window.button.click)
with loop:
    code = loop.run_forever()
print("ended with", code)
"""

WITH_LOOP = """
from qasync import QApplication, QEventLoop

app = QApplication(sys.argv)
loop = QEventLoop(app)
asyncio.set_event_loop(loop)
closed = asyncio.Event()
app.aboutToQuit.connect(closed.set)
app.aboutToQuit.connect(lambda: print("about to quit"))
loop.call_later(0.01, app.quit)
with loop:
    print(loop.run_until_complete(closed.wait()))
print(loop.is_closed())
"""

EXECUTOR = """
from qasync import QApplication, QEventLoop, QThreadExecutor

async def master():
    progress = QProgressBar()
    progress.setRange(0, 9)
    progress.show()
    for i in range(5):
        progress.setValue(i)
        await asyncio.sleep(0.001)
    loop = asyncio.get_running_loop()
    with QThreadExecutor(1) as executor:
        await loop.run_in_executor(executor, functools.partial(last_half, progress), loop)
    await asyncio.sleep(0.05)
    print(progress.value())

def last_half(progress, loop):
    for i in range(5, 10):
        loop.call_soon_threadsafe(progress.setValue, i)
        time.sleep(0.001)

app = QApplication(sys.argv)
loop = QEventLoop(app)
asyncio.set_event_loop(loop)
with loop:
    loop.run_until_complete(master())
"""

MODAL = """
from qasync import QApplication, QEventLoop, asyncWrap

async def master():
    steps = []

    async def last_half():
        for i in range(3):
            await asyncio.sleep(0.005)
            steps.append(i)
        dialog.done(5)

    dialog = QDialog()
    task = asyncio.create_task(last_half())
    result = await asyncWrap(lambda: dialog.exec() if hasattr(dialog, "exec") else dialog.exec_())
    print(result, steps)
    await task

app = QApplication(sys.argv)
loop = QEventLoop(app)
asyncio.set_event_loop(loop)
loop.run_until_complete(master())
loop.close()
"""

#: `run` makes the application. Its end cancels what `main` waits for.
RUN = """
from qasync import QApplication, asyncClose, asyncSlot, run

class MainWindow(QWidget):
    def __init__(self, port):
        super().__init__()
        self.port = port
        self.button = QPushButton("Fetch", self)
        self.button.clicked.connect(self.on_fetch)

    @asyncClose
    async def closeEvent(self, event):
        await asyncio.sleep(0)
        print("closed")

    @asyncSlot()
    async def on_fetch(self):
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            print(await reader.readline())
            writer.close()
        except Exception as error:
            print("error", error)
        finally:
            QTimer.singleShot(0, self.close)

async def main():
    async def serve(reader, writer):
        writer.write(b"hello\\n")
        writer.close()

    def close(future, loop):
        loop.call_later(10, future.cancel)
        future.cancel()

    loop = asyncio.get_event_loop()
    future = asyncio.Future()
    QApplication.instance().aboutToQuit.connect(functools.partial(close, future, loop))
    server = await asyncio.start_server(serve, "127.0.0.1")
    window = MainWindow(server.sockets[0].getsockname()[1])
    window.show()
    QTimer.singleShot(10, window.button.click)
    try:
        await future
    finally:
        server.close()

try:
    run(main())
except asyncio.exceptions.CancelledError:
    print("cancelled")
"""

STORIES = {
    "RUN_FOREVER": (RUN_FOREVER, "worked\nended with 3\n"),
    "WITH_LOOP": (WITH_LOOP, "about to quit\nTrue\nTrue\n"),
    "EXECUTOR": (EXECUTOR, "9\n"),
    "MODAL": (MODAL, "5 [0, 1, 2]\n"),
    "RUN": (RUN, "b'hello\\n'\nclosed\ncancelled\n"),
}
if sys.version_info >= (3, 12):  # asyncio.run takes no loop factory before.
    STORIES["ASYNCIO_RUN"] = (ASYNCIO_RUN, "event\nclosing\nend\n")

EXAMPLES = child.REPOSITORY / "examples" / "migrating"


@pytest.fixture(autouse=True)
def api(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QT_API", BINDING.lower())


@pytest.mark.parametrize("line", IMPORTS)
@pytest.mark.parametrize("name", STORIES)
def test_a_documented_program(name: str, line: str) -> None:
    program, expected = STORIES[name]
    outcome = child.run_bare(PREAMBLE + textwrap.dedent(program).replace(IMPORT, line))
    assert (outcome.code, outcome.out) == (0, expected), outcome.err
    assert "Traceback" not in outcome.err, outcome.err


STORY = "fetched Hello From Qt\ntold\nsaved\nbye\n"


@pytest.mark.skipif(BINDING == "PyQt5", reason="these examples are written for Qt 6")
@pytest.mark.parametrize("line", IMPORTS)
def test_the_program_before(line: str) -> None:
    program = (EXAMPLES / "qasync_before.py").read_text()
    assert program.count(IMPORT) == 1
    command = [sys.executable, "-c", program.replace(IMPORT, line), "--auto"]
    outcome = child.run_command(command)
    assert (outcome.code, outcome.out) == (0, STORY), outcome.err
    assert "Traceback" not in outcome.err, outcome.err


@pytest.mark.skipif(BINDING == "PyQt5", reason="these examples are written for Qt 6")
def test_the_program_after() -> None:
    path = EXAMPLES / "qasync_after.py"
    assert "import qasync" not in path.read_text() and IMPORT not in path.read_text()
    outcome = child.run_command([sys.executable, "-W", "error", str(path), "--auto"])
    assert (outcome.code, outcome.out) == (0, STORY), outcome.err
    assert "Traceback" not in outcome.err, outcome.err
