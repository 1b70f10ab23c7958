"""Slots, signals and lifetimes of widgets."""

import asyncio
from asyncio import AbstractEventLoop
from collections.abc import Iterator
from typing import Any

import pytest
from python.support.loops import Errors, qt_core
from python.support.objects import IS_PYQT, Slot, delete, settle

from qtloop import _qobjects
from qtloop._owned_tasks import create_task
from qtloop._qt_signals import SenderDestroyed, emissions, emitted
from qtloop._slots import slot

from .conftest import qt_widgets

DELETE_ON_CLOSE = qt_core.Qt.WidgetAttribute.WA_DeleteOnClose


pytestmark = pytest.mark.usefixtures("no_exception_in_a_slot")


class Window(qt_widgets.QWidget):  # type: ignore[misc]
    """Notes what happens to it."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[Any] = []
        self.go = asyncio.Event()
        self.button = qt_widgets.QPushButton("button", self)
        self.edit = qt_widgets.QLineEdit(self)
        self.combo = qt_widgets.QComboBox(self)
        self.combo.addItems(["zero", "one", "two"])

    @slot
    async def on_click(self) -> None:
        self.log.append("click")

    @Slot(bool)
    @slot
    async def on_click_decorated(self, checked: bool) -> None:
        self.log.append(("decorated", checked))

    @slot(reentry="ignore")
    async def save(self) -> None:
        self.button.setEnabled(False)
        try:
            await self.go.wait()
            self.log.append("saved")
        finally:
            self.button.setEnabled(True)

    @slot(reentry="restart")
    async def search(self, text: str) -> None:
        await self.go.wait()
        self.log.append(text)

    @slot(reentry="queue")
    async def choose(self, index: int) -> None:
        await asyncio.sleep(0)
        self.log.append((index, self.combo.itemText(index)))

    @slot
    async def wait(self) -> None:
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            log.append("cancelled")
            raise

    @slot
    async def fail(self) -> None:
        raise LookupError("reason")


#: Of a window that is gone.
log: list[str] = []


@pytest.fixture
def window() -> Iterator[Any]:
    window = Window()
    window.show()
    log.clear()
    yield window
    delete_if_alive(window)


def delete_if_alive(widget: Any) -> None:
    if not _qobjects.is_deleted(widget):
        delete(widget)


async def test_a_click(qt_loop: AbstractEventLoop, window: Any) -> None:
    window.button.clicked.connect(window.on_click)
    window.button.clicked.connect(window.on_click_decorated)
    window.button.click()
    await settle()
    assert window.log == ["click", ("decorated", False)]


async def test_a_click_is_awaited(qt_loop: AbstractEventLoop, window: Any) -> None:
    qt_loop.call_soon(window.button.click)
    assert await emitted(window.button.clicked[bool]) == (False,)
    qt_loop.call_soon(window.button.click)
    # The default argument makes an overload of its own in PySide, and the shorter one comes first.
    assert await emitted(window.button.clicked) == ((False,) if IS_PYQT else ())
    window.button.setCheckable(True)
    qt_loop.call_soon(window.button.click)
    assert await emitted(window.button.toggled) == (True,)


async def test_a_second_click_is_ignored(qt_loop: AbstractEventLoop, window: Any) -> None:
    window.button.clicked.connect(window.save)
    window.button.clicked[bool].emit(False)
    window.button.clicked[bool].emit(False)
    await settle()
    assert not window.button.isEnabled()
    window.go.set()
    await settle()
    assert window.button.isEnabled()
    assert window.log == ["saved"]


async def test_typing_restarts_the_search(qt_loop: AbstractEventLoop, window: Any) -> None:
    window.edit.textChanged.connect(window.search)
    for text in ("a", "ab", "abc"):
        window.edit.setText(text)
        await settle()
    window.go.set()
    await settle()
    assert window.log == ["abc"]


async def test_choices_are_handled_in_turn(qt_loop: AbstractEventLoop, window: Any) -> None:
    window.combo.currentIndexChanged.connect(window.choose)
    stream = emissions(window.combo.currentIndexChanged)
    for index in (1, 2, 0):
        window.combo.setCurrentIndex(index)
    await settle()
    assert window.log == [(1, "one"), (2, "two"), (0, "zero")]
    assert [await anext(stream) for _ in range(3)] == [(1,), (2,), (0,)]


async def test_a_failure_is_reported(
    qt_loop: AbstractEventLoop, window: Any, errors: Errors
) -> None:
    window.button.clicked.connect(window.fail)
    window.button.click()
    await settle()
    assert [context["message"] for context in errors] == ["Exception in slot Window.fail"]
    errors.clear()


async def test_closing_a_window_ends_its_tasks(qt_loop: AbstractEventLoop, window: Any) -> None:
    window.setAttribute(DELETE_ON_CLOSE)
    window.button.clicked.connect(window.wait)
    window.button.click()
    clicks, click = emissions(window.button.clicked), emitted(window.button.clicked)
    task = create_task(asyncio.Event().wait(), owner=window.edit)
    await settle()
    window.close()
    with pytest.raises(SenderDestroyed):
        await click
    assert [args async for args in clicks] == []
    await asyncio.wait([task])
    assert task.cancelled()
    assert log == ["cancelled"]


async def test_closing_a_window_that_python_has_dropped(qt_loop: AbstractEventLoop) -> None:
    window = Window()
    window.setAttribute(DELETE_ON_CLOSE)
    window.show()
    window.button.clicked.connect(window.wait)
    window.button.click()
    button = window.button
    destroyed = emitted(window.destroyed)
    log.clear()
    await settle()
    qt_loop.call_soon(window.close)
    del window
    await destroyed
    await settle()
    assert log == ["cancelled"]
    del button


async def test_in_a_modal_dialog(qt_loop: AbstractEventLoop, window: Any) -> None:
    dialog = qt_widgets.QDialog(window)
    dialog_button = qt_widgets.QPushButton("button", dialog)
    window.edit.textChanged.connect(window.on_click)

    async def script() -> None:
        qt_loop.call_soon(dialog_button.click)
        window.log.append(await emitted(dialog_button.clicked[bool]))
        window.edit.setText("in the dialog")
        await settle()
        dialog.accept()

    def open_dialog() -> None:
        (dialog.exec if hasattr(dialog, "exec") else dialog.exec_)()

    task = create_task(script(), owner=dialog)
    finished = emitted(dialog.finished)
    qt_loop.call_soon(open_dialog)
    assert await finished == (1,)
    await task
    assert window.log == [(False,), "click"]


async def test_a_native_object_whose_wrapper_comes_and_goes(qt_loop: AbstractEventLoop) -> None:
    """The dialog's button is C++'s own."""
    box = qt_widgets.QMessageBox()
    box.addButton(qt_widgets.QMessageBox.StandardButton.Ok)
    box.show()

    def button() -> Any:
        return box.buttons()[0]

    click = emitted(button().clicked[bool])
    task = create_task(asyncio.Event().wait(), owner=button())
    late = emitted(button().pressed)
    await settle()
    button().click()
    assert await click == (False,)
    assert await late == ()
    assert not task.done()
    late = emitted(button().clicked)
    delete(box)
    with pytest.raises(SenderDestroyed):
        await late
    await asyncio.wait([task])
    assert task.cancelled()
