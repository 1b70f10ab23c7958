"""Every `exec()` of QtWidgets and QtGui, called in a coroutine: asyncio goes on inside, and it
resumes."""

import asyncio
import importlib
import sys
import textwrap
from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Any

import pytest
from python.support import child
from python.support.loops import Pair, qt_core

from qtloop import _qt

from .conftest import qt_widgets

qt_gui: Any = importlib.import_module(f"{_qt.binding()}.QtGui")

#: How something modal is run, how it is ended, and whether what it returned is right.
Modal = tuple[Callable[[], Any], Callable[[], object], Callable[[Any], bool]]


def _dialog() -> Modal:
    dialog = qt_widgets.QDialog()
    return lambda: _qt.execute(dialog), dialog.accept, lambda result: result == 1


def _message_box() -> Modal:
    box = qt_widgets.QMessageBox()
    button = box.addButton(qt_widgets.QMessageBox.StandardButton.Save)
    code = int(qt_widgets.QMessageBox.StandardButton.Save.value if _is_enum(box) else box.Save)
    return lambda: _qt.execute(box), button.click, lambda result: result == code


def _is_enum(box: Any) -> bool:
    return hasattr(box.StandardButton.Save, "value")


def _input_dialog() -> Modal:
    dialog = qt_widgets.QInputDialog()
    dialog.setTextValue("text")
    return lambda: _qt.execute(dialog), dialog.accept, lambda result: dialog.textValue() == "text"


def _menu() -> Modal:
    menu = qt_widgets.QMenu()
    action = menu.addAction("an action")
    execute = menu.exec if hasattr(menu, "exec") else menu.exec_

    def choose() -> None:
        menu.setActiveAction(action)
        qt_widgets.QApplication.sendEvent(menu, _key(qt_core.Qt.Key.Key_Return))

    return lambda: execute(qt_core.QPoint(0, 0)), choose, lambda result: result is action


def _key(key: Any) -> Any:
    return qt_gui.QKeyEvent(
        qt_core.QEvent.Type.KeyPress, key, qt_core.Qt.KeyboardModifier.NoModifier
    )


def _event_loop() -> Modal:
    loop = qt_core.QEventLoop()
    return lambda: _qt.execute(loop), lambda: loop.exit(5), lambda result: result == 5


MODALS: dict[str, Callable[[], Modal]] = {
    "QDialog": _dialog,
    "QMessageBox": _message_box,
    "QInputDialog": _input_dialog,
    "QMenu": _menu,
    "QEventLoop": _event_loop,
}


@pytest.mark.parametrize("modal", MODALS)
async def test_asyncio_goes_on_inside(qt_loop: AbstractEventLoop, pair: Pair, modal: str) -> None:
    execute, end, is_right = MODALS[modal]()
    path: list[Any] = []

    async def work() -> None:
        me = asyncio.current_task()
        await asyncio.sleep(0.01)
        await qt_loop.sock_sendall(pair[0], b"x")
        path.append(await qt_loop.sock_recv(pair[1], 1))
        await asyncio.to_thread(path.append, "thread")
        assert asyncio.current_task() is me
        end()

    me = asyncio.current_task()
    task = asyncio.create_task(work())
    result = execute()
    path.append("resumed")
    assert asyncio.current_task() is me
    assert path == [b"x", "thread", "resumed"]
    assert is_right(result), result
    await task


async def test_process_events_lets_others_run(qt_loop: AbstractEventLoop, application: Any) -> None:
    ran = asyncio.Event()
    qt_loop.call_soon(ran.set)
    while not ran.is_set():
        application.processEvents()
    assert asyncio.current_task() is not None


async def test_dialogs_on_dialogs(qt_loop: AbstractEventLoop) -> None:
    """Each opened by a task of its own while the one before is open; the innermost ends first."""
    depth = 10
    path: list[int] = []

    async def ask(level: int) -> int:
        dialog = qt_widgets.QDialog()
        if level < depth:
            task = asyncio.create_task(ask(level + 1))
            task.add_done_callback(lambda task: dialog.done(task.result() + 1))
        else:
            qt_loop.call_later(0.005, dialog.done, 1)
        result = _qt.execute(dialog)
        path.append(level)
        await asyncio.sleep(0)
        return int(result)

    results = await asyncio.gather(ask(1))
    assert results == [depth] and path == [*range(depth, 0, -1)]


async def test_a_dialog_in_a_slot_and_one_in_a_task(qt_loop: AbstractEventLoop) -> None:
    path: list[str] = []
    from_slot, from_task = qt_widgets.QDialog(), qt_widgets.QDialog()

    def slot() -> None:
        qt_loop.call_later(0.005, from_slot.accept)
        _qt.execute(from_slot)
        path.append("slot")
        qt_loop.call_soon(from_task.accept)

    qt_core.QTimer.singleShot(1, slot)
    _qt.execute(from_task)
    path.append("task")
    assert path == ["slot", "task"]


def test_a_drag(name: str) -> None:
    """On a display of its own: offscreen a drag ends as soon as it begins."""
    program = """
    import importlib
    gui = importlib.import_module(_qt.binding() + ".QtGui")
    widgets = importlib.import_module(_qt.binding() + ".QtWidgets")

    async def work():
        for _ in range(10):
            await asyncio.sleep(0.001)
        await asyncio.to_thread(print, "thread")
        gui.QDrag.cancel()

    async def main():
        source = widgets.QWidget()
        source.show()
        data = qt_core.QMimeData()
        data.setText("dragged")
        drag = gui.QDrag(source)
        drag.setMimeData(data)
        task = asyncio.create_task(work())
        (drag.exec if hasattr(drag, "exec") else drag.exec_)()
        print("resumed", task.done() or asyncio.current_task() is not task)
        await task

    app = widgets.QApplication([])
    qtloop.run(main())
    """
    command = [
        "xvfb-run",
        "-a",
        "env",
        "QT_QPA_PLATFORM=xcb",
        sys.executable,
        "-X",
        "faulthandler",
        "-c",
    ]
    outcome = child.run_command([*command, child.PREAMBLE + textwrap.dedent(program)], name)
    assert outcome.out.splitlines() == ["thread", "resumed True"], outcome.err
    assert outcome.code == 0
