"""Whole programs: with and without a display, until their last window is closed or they have had
enough."""

import textwrap

from ..support import child


def test_a_program_of_three_lines(name: str) -> None:
    outcome = child.run("print(qtloop.run(asyncio.sleep(0.001, 'done')))", name)
    assert (outcome.code, outcome.out, outcome.err) == (0, "done\n", "")


def test_no_display_is_needed_and_no_gui_imported(name: str) -> None:
    outcome = child.run(
        """
        os.environ.pop("QT_QPA_PLATFORM", None)
        os.environ.pop("DISPLAY", None)
        async def main():
            return type(qt_core.QCoreApplication.instance()).__name__

        kind = qtloop.run(main())
        print([module for module in sys.modules if module.endswith(("QtGui", "QtWidgets"))])
        print(kind)
        """,
        name,
    )
    assert (outcome.code, outcome.out) == (0, "[]\nQCoreApplication\n")


def test_an_exit_code_reaches_the_shell(name: str) -> None:
    outcome = child.run(
        """
        async def main():
            try:
                await asyncio.sleep(0.001)
                sys.exit(7)
            finally:
                print("cleaned up")

        qtloop.run(main())
        """,
        name,
    )
    assert (outcome.code, outcome.out, outcome.err) == (7, "cleaned up\n", "")


GUI = """
import importlib
widgets = importlib.import_module(qt_core.__name__.replace("QtCore", "QtWidgets"))
app = widgets.QApplication(["test"])
"""


def run_gui(program: str, name: str) -> child.Outcome:
    return child.run(GUI + textwrap.dedent(program), name)


def test_closing_the_last_window_ends_the_program(name: str) -> None:
    outcome = run_gui(
        """
        async def main():
            window = widgets.QWidget()
            window.show()
            qt_core.QTimer.singleShot(20, window.close)
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0.01)
                print("cleaned up")

        print(qtloop.run(main()))
        """,
        name,
    )
    assert (outcome.code, outcome.out) == (0, "cleaned up\nNone\n"), outcome.err


def test_main_may_return_while_a_window_is_open(name: str) -> None:
    outcome = run_gui(
        """
        window = widgets.QWidget()

        async def main():
            window.show()
            await asyncio.sleep(0.02)
            return window.isVisible()

        print(qtloop.run(main()))
        """,
        name,
    )
    assert (outcome.code, outcome.out) == (0, "True\n"), outcome.err


def test_signals_and_slots_work_beside_tasks(name: str) -> None:
    outcome = run_gui(
        """
        async def main():
            clicked = asyncio.Event()
            button = widgets.QPushButton()
            button.clicked.connect(lambda *_: clicked.set())
            qt_core.QTimer.singleShot(10, button.click)
            await clicked.wait()
            return "clicked"

        print(qtloop.run(main()))
        """,
        name,
    )
    assert (outcome.code, outcome.out) == (0, "clicked\n"), outcome.err


def test_a_window_can_be_closed_while_tasks_are_busy(name: str) -> None:
    outcome = run_gui(
        """
        async def main():
            window = widgets.QWidget()
            window.show()
            qt_core.QTimer.singleShot(20, window.close)
            while True:
                await asyncio.sleep(0)

        print(qtloop.run(main()))
        """,
        name,
    )
    assert (outcome.code, outcome.out) == (0, "None\n"), outcome.err
