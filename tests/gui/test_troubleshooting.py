"""What `docs/troubleshooting.md` says of a message comes true: its programs print it, and the
remedies work."""

import textwrap
from dataclasses import dataclass

import pytest
from python.support import child
from python.support.loops import qt_core

BINDING = qt_core.__name__.partition(".")[0]
PAGE = (child.REPOSITORY / "docs" / "troubleshooting.md").read_text()

pytestmark = pytest.mark.skipif(BINDING == "PyQt5", reason="the page is about Qt 6")


@dataclass(frozen=True)
class Case:
    """A program, and what it prints; `{B}` is the binding. `shown` is what the page has of that."""

    program: str
    shown: str
    #: With PySide6, if that says something else.
    pyside: str | None = None
    code: int = 0


PREAMBLE = """\
import asyncio, gc, sys, time, qtloop
from {B}.QtCore import QTimer
from {B}.QtWidgets import QApplication, QLabel, QWidget
"""

SYMPTOMS = {
    "no application": Case(
        """
        async def main():
            QLabel("x")
        qtloop.run(main())
        """,
        "QWidget: Cannot create a QWidget without QApplication",
        code=-6,
    ),
    "attach without an application": Case(
        """
        with qtloop.attach(): pass
        """,
        "RuntimeError: no QCoreApplication exists: create one before the loop runs",
        code=1,
    ),
    "a thread without an application": Case(
        """
        import threading
        async def main(): pass
        def run():
            coroutine = main()
            try:
                qtloop.run(coroutine)
            except RuntimeError as error:
                print(f"RuntimeError: {error}")
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        """,
        "RuntimeError: no QCoreApplication exists: create one in the main thread",
    ),
    "a plain slot raises": Case(
        """
        app = QApplication([])
        async def main():
            def bad(): raise ValueError("in a slot")
            QTimer.singleShot(0, bad)
            await asyncio.sleep(0.05)
            sys.exit(7)
        qtloop.run(main())
        """,
        "Traceback",
        code=7 if BINDING == "PySide6" else -6,
    ),
    "a slot without a loop": Case(
        """
        app = QApplication([])
        async def work(): pass
        def slot():
            coroutine = work()
            try:
                asyncio.create_task(coroutine)
            except RuntimeError as error:
                print(f"RuntimeError: {error}")
            coroutine.close()
            app.quit()
        QTimer.singleShot(0, slot)
        app.exec()
        """,
        "RuntimeError: no running event loop",
    ),
    "a loop in a loop": Case(
        """
        app = QApplication([])
        async def main():
            asyncio.get_running_loop().run_until_complete(asyncio.Event().wait())
        qtloop.run(main())
        """,
        "RuntimeError: This event loop is already running",
        code=1,
    ),
    "a coroutine as a slot": Case(
        """
        app = QApplication([])
        async def main():
            async def f(): pass
            timer = QTimer()
            timer.timeout.connect(f)
            timer.start(0)
            await asyncio.sleep(0.05)
            timer.stop()
        qtloop.run(main())
        """,
        "was never awaited",
    ),
    "a task that nobody keeps": Case(
        """
        app = QApplication([])
        async def forever():
            await asyncio.get_running_loop().create_future()
        async def main():
            asyncio.create_task(forever())
            await asyncio.sleep(0)
            gc.collect()
        qtloop.run(main())
        """,
        "Task was destroyed but it is pending!",
    ),
    "a widget that is gone": Case(
        """
        app = QApplication([])
        app.setQuitOnLastWindowClosed(False)
        async def main():
            label = QLabel("x")
            gone = qtloop.emitted(label.destroyed)
            label.deleteLater()
            await gone
            try:
                label.setText("y")
            except RuntimeError as error:
                print(error)
        qtloop.run(main())
        """,
        "wrapped C/C++ object of type QLabel has been deleted",
        pyside="Internal C++ object (PySide6.QtWidgets.QLabel) already deleted.",
    ),
    "a task that nobody awaits": Case(
        """
        app = QApplication([])
        async def fail(): raise LookupError
        async def main():
            asyncio.create_task(fail())
            await asyncio.sleep(0.01)
            gc.collect()
        qtloop.run(main())
        """,
        "Task exception was never retrieved",
    ),
    "a slow coroutine": Case(
        """
        app = QApplication([])
        def compute(): time.sleep(0.5)
        async def main():
            await asyncio.sleep(0.01)
            compute()
        qtloop.run(main(), debug=True)
        """,
        "GUI blocked for 0.",
    ),
    "a slow slot": Case(
        """
        app = QApplication([])
        def slow(): time.sleep(0.5)
        async def main():
            QTimer.singleShot(0, slow)
            await asyncio.sleep(0.01)
            await asyncio.sleep(0.01)
        qtloop.run(main(), debug=True)
        """,
        "by a Qt slot or event handler (slow at",
    ),
    "a widget in a thread": Case(
        """
        app = QApplication([])
        async def main():
            parent = QWidget()
            await asyncio.to_thread(lambda: QTimer(parent))
        qtloop.run(main())
        """,
        "QObject: Cannot create children for a parent that is in a different thread",
    ),
    "an unknown binding": Case(
        """
        import os
        os.environ["QT_API"] = "other"
        for name in [name for name in sys.modules if name.startswith("{B}")]:
            del sys.modules[name]
        qtloop.EventLoop()
        """,
        "which is none of PyQt6, PySide6, PyQt5, PySide2",
        code=1,
    ),
}


def run(program: str) -> child.Outcome:
    source = PREAMBLE + textwrap.dedent(program)
    return child.run_bare(source.replace("{B}", BINDING))


@pytest.mark.parametrize("symptom", SYMPTOMS)
def test_a_program_says_what_the_page_shows(symptom: str) -> None:
    case = SYMPTOMS[symptom]
    shown = case.pyside if case.pyside is not None and BINDING == "PySide6" else case.shown
    outcome = run(case.program)
    assert outcome.code == case.code, outcome.err
    assert shown in outcome.out + outcome.err
    assert shown.lower() in " ".join(PAGE.split()).lower()


REMEDIES = {
    "a hook for what slots raise": """
        sys.excepthook = lambda *error: print("hook", error[0].__name__)
        app = QApplication([])
        async def main():
            def bad(): raise ValueError("in a slot")
            QTimer.singleShot(0, bad)
            await asyncio.sleep(0.05)
            print("ok")
        qtloop.run(main())
    """,
    "no quit at the last window": """
        app = QApplication([])
        app.setQuitOnLastWindowClosed(False)
        async def main():
            label = QLabel("x")
            label.show()
            label.close()
            await asyncio.sleep(0.05)
            print("ok")
        qtloop.run(main())
    """,
    "a task with an owner": """
        app = QApplication([])
        app.setQuitOnLastWindowClosed(False)
        async def main():
            label = QLabel("x")
            task = qtloop.create_task(asyncio.Event().wait(), owner=label)
            label.deleteLater()
            try:
                await task
            except asyncio.CancelledError as error:
                print(error.args == ("its owner was destroyed",) and "ok")
        qtloop.run(main())
    """,
    "a coroutine that is a slot": """
        app = QApplication([])
        async def main():
            done = asyncio.Event()
            @qtloop.slot
            async def work():
                done.set()
            QTimer.singleShot(0, work)
            await done.wait()
            print("ok")
        qtloop.run(main())
    """,
    "a thread that ends": """
        from {B}.QtCore import QThread
        class Thread(QThread):
            def run(self): qtloop.run(self.serve())
            async def serve(self):
                started.set()
                await asyncio.Event().wait()
        import threading
        started = threading.Event()
        app = QApplication([])
        async def main():
            thread = Thread()
            thread.start()
            await asyncio.to_thread(started.wait)
            assert not thread.wait(20)
            thread.quit()
            await asyncio.to_thread(thread.wait)
            print("ok")
        qtloop.run(main())
    """,
}


@pytest.mark.parametrize("remedy", REMEDIES)
def test_a_remedy_helps(remedy: str) -> None:
    outcome = run(REMEDIES[remedy])
    assert (outcome.code, outcome.out.splitlines()[-1:]) == (0, ["ok"]), outcome.err
