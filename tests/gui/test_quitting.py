"""Programs with windows, ended in every way that an application can be."""

import signal

import pytest
from python.support import child

PROGRAM = """
import importlib
widgets = importlib.import_module(_qt.binding() + ".QtWidgets")

async def forever(what):
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0.001)
        print("finalized", what)

async def numbers():
    try:
        yield 1
    finally:
        await asyncio.sleep(0.001)
        print("finalized generator")

async def main():
    loop = asyncio.get_running_loop()
    window = widgets.QMainWindow()
    window.show()
    task = asyncio.create_task(forever("task"))
    generator = numbers()
    await anext(generator)
    await asyncio.to_thread(print, "thread")
    loop.call_later(0.01, lambda: exec(END, globals() | locals() | {"window": window}))
    try:
        await forever("main")
    finally:
        label = widgets.QLabel("still alive")
        label.show()
        label.close()

app = widgets.QApplication([])
END = sys.argv[1]
try:
    print("returned", qtloop.run(main(), quit_signals=[signal.SIGTERM]))
except BaseException as error:
    print("raised", repr(error))
    raise
"""

STORY = ["thread", "finalized main", "finalized task", "finalized generator"]

QUIT = "qt_core.QCoreApplication.postEvent(app, qt_core.QEvent(qt_core.QEvent.Type(20)))"

ENDS = {
    "the last window is closed": ("window.close()", "returned None", 0),
    "QCoreApplication.quit": ("app.quit()", "returned None", 0),
    "QCoreApplication.exit": ("app.exit(3)", "raised SystemExit(3)", 3),
    "the session's or the platform's quit": (QUIT, "returned None", 0),
    "SIGTERM, by choice": ("os.kill(os.getpid(), signal.SIGTERM)", "returned None", 0),
    "Ctrl-C": ("os.kill(os.getpid(), signal.SIGINT)", "raised KeyboardInterrupt()", -signal.SIGINT),
    "closed in a nested loop": (
        "qt_core.QTimer.singleShot(10, window.close); _qt.execute(qt_core.QEventLoop())",
        "returned None",
        0,
    ),
    "exit with a dialog open": (
        "qt_core.QTimer.singleShot(10, lambda: app.exit(4)); _qt.execute(widgets.QDialog(window))",
        "raised SystemExit(4)",
        4,
    ),
}


@pytest.mark.parametrize("end", ENDS)
def test_everything_is_finalized_whatever_ends_it(name: str, end: str) -> None:
    action, last, code = ENDS[end]
    program = child.PREAMBLE + f"sys.argv[1:] = [{action!r}]\n" + PROGRAM
    outcome = child.run_bare(program, name)
    assert outcome.out.splitlines() == [*STORY, last], outcome.err
    assert outcome.code == code
    for complaint in (
        "stopped before",
        "has been deleted",
        "never awaited",
        "never retrieved",
        "QObject::",
    ):
        assert complaint not in outcome.err


def test_the_application_is_destroyed_before_the_loop_is_closed(name: str) -> None:
    outcome = child.run(
        """
        import importlib
        widgets = importlib.import_module(_qt.binding() + ".QtWidgets")

        def gui():
            app = widgets.QApplication([])
            loop = qtloop.new_event_loop()
            label = widgets.QLabel("label")
            label.show()
            left = loop.create_task(asyncio.sleep(3600))
            loop.call_later(0.01, app.quit)
            loop.run_forever()
            return loop, left

        loop, left = gui()
        left.cancel()
        loop.run_until_complete(asyncio.wait([left]))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
        print("closed", left.cancelled())
        """,
        name,
    )
    assert (outcome.out, outcome.code) == ("closed True\n", 0), outcome.err
    assert "deleted" not in outcome.err and "destroyed" not in outcome.err


KEPT = """
import importlib
widgets = importlib.import_module(_qt.binding() + ".QtWidgets")

async def later(window):
    await asyncio.sleep(0.001)
    print("a task goes on")
    exec(END, globals() | {"window": window})

async def main():
    window = widgets.QMainWindow()
    window.show()
    windows.append(window)
    windows.append(asyncio.create_task(later(window)))
    print("main returns")
    return "its result"

app = widgets.QApplication([])
windows = []
END = sys.argv[1]
try:
    print("returned", qtloop.run(main(), keep_running=True))
except BaseException as error:
    print("raised", repr(error))
    raise
"""


@pytest.mark.parametrize("end", ["the last window is closed", "QCoreApplication.quit", "Ctrl-C"])
def test_a_program_that_keeps_running(name: str, end: str) -> None:
    action, last, code = ENDS[end]
    outcome = child.run_bare(child.PREAMBLE + f"sys.argv[1:] = [{action!r}]\n" + KEPT, name)
    last = last.replace("None", "its result")
    assert outcome.out.splitlines() == ["main returns", "a task goes on", last], outcome.err
    assert outcome.code == code


def test_what_main_raises_ends_a_program_that_would_keep_running(name: str) -> None:
    outcome = child.run(
        """
        async def main():
            raise LookupError("main")

        def message_of(run):
            try:
                run()
            except (LookupError, TypeError, ValueError) as error:
                return repr(error)

        print(message_of(lambda: qtloop.run(main(), keep_running=True)))
        print(message_of(lambda: qtloop.run(None, keep_running=True)))
        print(message_of(lambda: asyncio.run(None)))
        """,
        name,
    )
    raised, ours, stock = outcome.out.splitlines()
    assert raised == "LookupError('main')"
    assert ours == stock
