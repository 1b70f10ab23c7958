"""A quit that is posted, as by closing the last window, reaches the loop that it was meant for."""

import pytest
from python.support import child

PROGRAM = """
import importlib
widgets = importlib.import_module(_qt.binding() + ".QtWidgets")

class Window(widgets.QWidget):
    def closeEvent(self, event):
        in_close_event()
        event.accept()

async def save():
    await asyncio.sleep(0.01)
    print("saved")

def in_close_event():
    pass

app = widgets.QApplication([])
window = Window()
window.show()
attachment = qtloop.attach()
"""

SLOTS = {
    "an attachment is closed": ("attachment.open()", "window.close(); attachment.close()", ""),
    "an attachment with tasks is closed": (
        "tasks = [attachment.open().create_task(asyncio.sleep(3600))]",
        "window.close(); attachment.close(); print(tasks[0].cancelled())",
        "True\n",
    ),
    "the window closes the attachment": (
        "in_close_event = attachment.close; attachment.open()",
        "window.close()",
        "",
    ),
    "a program is run": ("", "window.close(); print(qtloop.run(save()))", "saved\nNone\n"),
    "a program is run twice": (
        "",
        "window.close(); qtloop.run(save()); qtloop.run(save())",
        "saved\nsaved\n",
    ),
    "a loop is run": (
        "loop = qtloop.new_event_loop()",
        "window.close(); loop.run_until_complete(save()); loop.run_until_complete(save()); "
        "loop.close()",
        "saved\nsaved\n",
    ),
    "the window is closed in between": (
        "",
        "qtloop.run(asyncio.sleep(0)); window.close(); qtloop.run(asyncio.sleep(0))",
        "",
    ),
}


@pytest.mark.parametrize("case", SLOTS)
def test_the_application_quits_after_a_loop_of_ours_in_a_slot(name: str, case: str) -> None:
    setup, slot, out = SLOTS[case]
    ending = f"""
{setup}
def slot():
    {slot}
qt_core.QTimer.singleShot(1, slot)
print("quit", _qt.execute(app))
"""
    outcome = child.run_bare(child.PREAMBLE + PROGRAM + ending, name)
    assert (outcome.out, outcome.code) == (out + "quit 0\n", 0), outcome.err


def test_a_quit_that_comes_while_a_loop_of_ours_runs_is_no_earlier_one(name: str) -> None:
    """It ends that loop too, and is not posted a second time."""
    ending = """
async def wait():
    window.close()
    try:
        await asyncio.Event().wait()
    finally:
        print("cancelled")

def slot():
    print(qtloop.run(wait()))
qt_core.QTimer.singleShot(1, slot)
print("quit", _qt.execute(app))
app.setQuitOnLastWindowClosed(False)
qt_core.QTimer.singleShot(30, lambda: app.exit(3))
print("ran again", _qt.execute(app))
"""
    outcome = child.run_bare(child.PREAMBLE + PROGRAM + ending, name)
    assert (outcome.out, outcome.code) == ("cancelled\nNone\nquit 0\nran again 3\n", 0), outcome.err


def test_with_no_loop_around_it_is_forgotten(name: str) -> None:
    """As Qt has it: `exec()` discards it on entry, and here nothing else would get it before."""
    ending = """
async def main():
    app.postEvent(app, qt_core.QEvent(qt_core.QEvent.Type(20)))

qtloop.run(main())
app.processEvents()
loop = qt_core.QEventLoop()
qt_core.QTimer.singleShot(1, lambda: loop.exit(5))
print(_qt.execute(loop))
"""
    outcome = child.run_bare(child.PREAMBLE + PROGRAM + ending, name)
    assert (outcome.out, outcome.code) == ("5\n", 0), outcome.err
