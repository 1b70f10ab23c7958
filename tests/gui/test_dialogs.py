"""`opened`: dialogs are awaited, whoever closes them and however."""

import asyncio
import contextlib
import gc
import importlib
import weakref
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from python.support.loops import LoopFactory, nothing, qt_core, run_briefly
from python.support.loops import opened as running
from python.support.objects import delete, delete_later, receivers

import qtloop
from qtloop import SenderDestroyed, _qobjects, _qt
from qtloop._dialogs import opened

from .conftest import qt_widgets

qt_gui: Any = importlib.import_module(f"{_qt.binding()}.QtGui")
qt_test: Any = importlib.import_module(f"{_qt.binding()}.QtTest")

DELETE_ON_CLOSE = qt_core.Qt.WidgetAttribute.WA_DeleteOnClose
Button = qt_widgets.QMessageBox.StandardButton


def soon(act: Callable[..., object], *args: Any) -> None:
    """Qt calls it, as it does for what a user does."""
    qt_core.QTimer.singleShot(0, lambda: act(*args))


def press(key: str) -> Callable[[Any], None]:
    return lambda widget: qt_test.QTest.keyClick(widget, getattr(qt_core.Qt.Key, f"Key_{key}"))


def close_window(dialog: Any) -> None:
    """As the button in the title bar does."""
    dialog.windowHandle().close()


async def until_shown(dialog: Any) -> asyncio.Task[Any]:
    """The task that awaits the dialog, which is visible."""
    task = asyncio.ensure_future(opened(dialog))
    await asyncio.sleep(0)
    assert dialog.isVisible()
    return task


async def answer(dialog: Any, act: Callable[..., object], *args: Any) -> Any:
    """What the dialog gives if that is done while it is open."""
    soon(act, *args)
    connected = receivers(dialog, "finished(int)")
    given = await opened(dialog)
    if not _qobjects.is_deleted(dialog):
        assert not dialog.isVisible()
        assert receivers(dialog, "finished(int)") == connected
    return given


@pytest.fixture
def box() -> Any:
    box = qt_widgets.QMessageBox()
    box.setText("Save?")
    box.setStandardButtons(Button.Save | Button.Discard | Button.Cancel)
    return box


async def test_a_message_box_gives_the_button(qt_loop: AbstractEventLoop, box: Any) -> None:
    for button in (Button.Save, Button.Discard, Button.Cancel):
        assert await answer(box, box.button(button).click) == button


async def test_a_message_box_gives_a_button_of_ones_own(
    qt_loop: AbstractEventLoop, box: Any
) -> None:
    mine = box.addButton("Save as…", qt_widgets.QMessageBox.ButtonRole.ActionRole)
    assert await answer(box, mine.click) is mine
    assert await answer(box, box.button(Button.Save).click) == Button.Save


ESCAPES: dict[str, Callable[[Any], object]] = {
    "window": close_window,
    "close": lambda box: box.close(),
    "key": press("Escape"),
}


DELETED: dict[str, Callable[[Any], object]] = {
    "kept": nothing,
    "deleted by closing": lambda dialog: dialog.setAttribute(DELETE_ON_CLOSE),
    "deleted by a slot": lambda dialog: dialog.finished.connect(dialog.deleteLater),
}


@pytest.mark.parametrize("escape", ESCAPES)
@pytest.mark.parametrize("fate", DELETED)
async def test_a_message_box_that_is_closed_gives_its_escape_button(
    qt_loop: AbstractEventLoop, box: Any, escape: str, fate: str
) -> None:
    DELETED[fate](box)
    assert await answer(box, ESCAPES[escape], box) == Button.Cancel


@pytest.mark.parametrize("act", ["reject", "hide"])
async def test_a_message_box_without_a_click_gives_no_button(
    qt_loop: AbstractEventLoop, box: Any, act: str
) -> None:
    assert await answer(box, box.button(Button.Save).click) == Button.Save
    assert await answer(box, getattr(box, act)) == Button.NoButton


async def test_a_file_dialog_gives_file_names(qt_loop: AbstractEventLoop, tmp_path: Path) -> None:
    names = [str(tmp_path / name) for name in ("one", "two")]
    for name in names:
        Path(name).touch()
    dialog = qt_widgets.QFileDialog()
    dialog.setOption(qt_widgets.QFileDialog.Option.DontUseNativeDialog)
    dialog.setDirectory(str(tmp_path))
    dialog.setFileMode(qt_widgets.QFileDialog.FileMode.AnyFile)
    dialog.selectFile("one")
    assert await answer(dialog, dialog.accept) == names[:1]
    assert await answer(dialog, dialog.reject) == []
    assert await answer(dialog, dialog.hide) == []


VALUES: dict[str, tuple[str, Any]] = {
    "TextInput": ("setTextValue", "text"),
    "IntInput": ("setIntValue", 7),
    "DoubleInput": ("setDoubleValue", 7.5),
}


@pytest.mark.parametrize("mode", VALUES)
async def test_an_input_dialog_gives_the_value(qt_loop: AbstractEventLoop, mode: str) -> None:
    setter, value = VALUES[mode]
    dialog = qt_widgets.QInputDialog()
    dialog.setInputMode(getattr(qt_widgets.QInputDialog.InputMode, mode))
    getattr(dialog, setter)(value)
    given = await answer(dialog, dialog.accept)
    assert (given, type(given)) == (value, type(value))
    assert await answer(dialog, dialog.reject) is None


async def test_a_color_dialog_gives_the_color(qt_loop: AbstractEventLoop) -> None:
    dialog = qt_widgets.QColorDialog()
    red = qt_gui.QColor("red")
    dialog.setCurrentColor(red)
    assert await answer(dialog, dialog.accept) == red
    assert await answer(dialog, dialog.reject) is None


async def test_a_font_dialog_gives_the_font(qt_loop: AbstractEventLoop) -> None:
    dialog = qt_widgets.QFontDialog()
    given = await answer(dialog, dialog.accept)
    assert isinstance(given, qt_gui.QFont) and given == dialog.selectedFont()
    assert await answer(dialog, dialog.reject) is None


PROGRESS: dict[str, tuple[Callable[[Any], object], bool]] = {
    "end": (lambda dialog: dialog.setValue(3), True),
    "cancel": (lambda dialog: dialog.cancel(), False),
    "window": (close_window, False),
    "key": (press("Escape"), False),
}


@pytest.mark.parametrize("is_deleted", [False, True])
@pytest.mark.parametrize("how", PROGRESS)
async def test_a_progress_dialog_says_whether_it_came_to_its_end(
    qt_loop: AbstractEventLoop, how: str, is_deleted: bool
) -> None:
    dialog = qt_widgets.QProgressDialog("Working…", "Stop", 0, 3)
    dialog.setAttribute(DELETE_ON_CLOSE, is_deleted)
    act, came_to_its_end = PROGRESS[how]
    assert await answer(dialog, act, dialog) is came_to_its_end


async def test_a_cancelled_progress_dialog_knows_it(qt_loop: AbstractEventLoop) -> None:
    dialog = qt_widgets.QProgressDialog("Working…", "Stop", 0, 3)
    task = await until_shown(dialog)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert dialog.wasCanceled() and not dialog.isVisible()


RESULTS: dict[str, tuple[Callable[[Any], object], int]] = {
    "accepted": (lambda dialog: dialog.accept(), 1),
    "rejected": (lambda dialog: dialog.reject(), 0),
    "done with a code": (lambda dialog: dialog.done(7), 7),
    "closed by code": (lambda dialog: dialog.close(), 0),
    "closed by its window": (close_window, 0),
    "hidden": (lambda dialog: dialog.hide(), 0),
    "escaped": (press("Escape"), 0),
}


@pytest.mark.parametrize("is_deleted", [False, True])
@pytest.mark.parametrize("how", RESULTS)
async def test_any_other_dialog_gives_its_result(
    qt_loop: AbstractEventLoop, how: str, is_deleted: bool
) -> None:
    act, code = RESULTS[how]
    dialog = qt_widgets.QDialog()
    dialog.setAttribute(DELETE_ON_CLOSE, is_deleted)
    for _ in range(1 if is_deleted else 3):
        assert await answer(dialog, act, dialog) == code
    await asyncio.sleep(0.001)
    assert _qobjects.is_deleted(dialog) == is_deleted


async def test_classes_of_ones_own_are_known_by_their_base(qt_loop: AbstractEventLoop) -> None:
    class QFileDialog(qt_widgets.QInputDialog):  # type: ignore[misc]
        """By its name it might be something else."""

    dialog = QFileDialog()
    dialog.setTextValue("text")
    assert await answer(dialog, dialog.accept) == "text"


async def test_a_dialog_may_close_while_it_is_shown(qt_loop: AbstractEventLoop) -> None:
    class Hasty(qt_widgets.QDialog):  # type: ignore[misc]
        def showEvent(self, event: Any) -> None:
            self.done(5)

    assert await opened(Hasty()) == 5


async def test_a_dialog_that_shows_itself_again_is_still_open(qt_loop: AbstractEventLoop) -> None:
    """As a slot does that finds the input wanting."""
    dialog = qt_widgets.QDialog()
    refused: list[str] = []

    def check() -> None:
        if not refused:
            refused.append("once")
            dialog.open()

    dialog.accepted.connect(check)
    task = await until_shown(dialog)
    dialog.accept()
    await asyncio.sleep(0.001)
    assert not task.done() and dialog.isVisible()
    dialog.accept()
    assert await task == 1


MODALITIES: dict[str, tuple[Callable[[Any], object], str]] = {
    "its window": (nothing, "WindowModal"),
    "the application": (lambda dialog: dialog.setModal(True), "ApplicationModal"),
    "nothing": (lambda dialog: dialog.show(), "NonModal"),
}


@pytest.mark.parametrize("what", MODALITIES)
async def test_it_is_modal_to_its_window_or_as_it_was_made(
    qt_loop: AbstractEventLoop, what: str
) -> None:
    make, modality = MODALITIES[what]
    dialog = qt_widgets.QDialog()
    dialog.done(1)  # An earlier result does not count.
    make(dialog)
    task = await until_shown(dialog)
    assert dialog.windowModality() == getattr(qt_core.Qt.WindowModality, modality)
    dialog.hide()
    assert await task == 0


async def test_a_cancelled_dialog_is_hidden(qt_loop: AbstractEventLoop, box: Any) -> None:
    class Stubborn(qt_widgets.QDialog):  # type: ignore[misc]
        def reject(self) -> None:
            pass

    for dialog in (qt_widgets.QDialog(), box, qt_widgets.QFileDialog(), Stubborn()):
        task = await until_shown(dialog)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not dialog.isVisible()


async def test_a_cancelled_dialog_is_deleted_if_closing_deletes_it(
    qt_loop: AbstractEventLoop,
) -> None:
    dialog = qt_widgets.QDialog()
    dialog.setAttribute(DELETE_ON_CLOSE)
    task = await until_shown(dialog)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0.001)
    assert _qobjects.is_deleted(dialog)


async def test_a_timeout_hides_the_dialog(qt_loop: AbstractEventLoop) -> None:
    dialog = qt_widgets.QDialog()
    rejected: list[str] = []
    dialog.rejected.connect(lambda: rejected.append("rejected"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.005):
            await opened(dialog)
    assert rejected == ["rejected"] and not dialog.isVisible()


@pytest.fixture
def parent() -> Iterator[Any]:
    window = qt_widgets.QWidget()
    window.show()
    yield window
    if not _qobjects.is_deleted(window):
        window.close()


@pytest.mark.parametrize("deletion", [delete, delete_later])
@pytest.mark.parametrize(
    "make", [qt_widgets.QDialog, qt_widgets.QMessageBox, qt_widgets.QFileDialog]
)
async def test_a_dialog_that_goes_with_its_parent_raises(
    qt_loop: AbstractEventLoop, parent: Any, make: Any, deletion: Callable[[Any], None]
) -> None:
    task = await until_shown(make(parent))
    deletion(parent)
    with pytest.raises(SenderDestroyed, match="was destroyed while it was awaited"):
        await task


@pytest.mark.parametrize("deletion", [delete, delete_later])
async def test_a_dialog_that_is_destroyed_raises(
    qt_loop: AbstractEventLoop, box: Any, deletion: Callable[[Any], None]
) -> None:
    task = await until_shown(box)
    deletion(box)
    with pytest.raises(SenderDestroyed, match="the QMessageBox was destroyed"):
        await task


@pytest.mark.parametrize("deletion", [delete, delete_later])
async def test_an_answer_is_not_lost_with_the_dialog(
    qt_loop: AbstractEventLoop, parent: Any, deletion: Callable[[Any], None]
) -> None:
    """A slot deletes the window, and the dialog with it, before the task goes on."""
    dialog = qt_widgets.QInputDialog(parent)
    dialog.setTextValue("answer")
    task = await until_shown(dialog)
    dialog.accept()
    deletion(parent)
    assert await task == "answer"


async def test_a_dialog_may_delete_itself_when_it_has_finished(qt_loop: AbstractEventLoop) -> None:
    dialog = qt_widgets.QInputDialog()
    dialog.setTextValue("answer")
    dialog.finished.connect(dialog.deleteLater)
    soon(dialog.accept)
    assert await opened(dialog) == "answer"


async def test_several_tasks_have_their_dialogs_open(
    qt_loop: AbstractEventLoop, parent: Any
) -> None:
    dialogs = [qt_widgets.QDialog(parent if number % 2 else None) for number in range(10)]
    tasks = [await until_shown(dialog) for dialog in dialogs]
    for number in (3, 7, 0, 9, 1, 2, 8, 4, 6, 5):
        soon(dialogs[number].done, number)
    assert await asyncio.gather(*tasks) == [*range(10)]


async def test_several_tasks_await_one_dialog(qt_loop: AbstractEventLoop) -> None:
    dialog = qt_widgets.QDialog()
    dialog.setAttribute(DELETE_ON_CLOSE)
    tasks = [await until_shown(dialog) for _ in range(3)]
    soon(dialog.done, 4)
    assert await asyncio.gather(*tasks) == [4, 4, 4]


async def test_tasks_go_on_while_it_is_open(qt_loop: AbstractEventLoop) -> None:
    dialog = qt_widgets.QDialog()

    async def count() -> int:
        for _ in range(100):
            await asyncio.sleep(0)
        dialog.accept()
        return 100

    assert await asyncio.gather(opened(dialog), count()) == [1, 100]


QUITS: dict[str, Callable[[], None]] = {
    "quit": lambda: qt_core.QCoreApplication.quit(),
    "exit": lambda: qt_core.QCoreApplication.exit(0),
}


@pytest.mark.parametrize("how", QUITS)
def test_the_application_may_quit_while_it_is_open(qt_loop_factory: LoopFactory, how: str) -> None:
    dialog = qt_widgets.QDialog()
    steps: list[str] = []

    async def main() -> None:
        soon(QUITS[how])
        try:
            await opened(dialog)
        finally:
            await asyncio.sleep(0.001)
            steps.append("visible" if dialog.isVisible() else "hidden")

    assert qtloop.run(main(), loop_factory=qt_loop_factory) is None  # type: ignore[arg-type]
    assert steps == ["hidden"]


@pytest.mark.parametrize(
    "make", [qt_widgets.QDialog, qt_widgets.QMessageBox, qt_widgets.QProgressDialog]
)
def test_what_a_closed_loop_left_open_is_garbage(qt_loop_factory: LoopFactory, make: Any) -> None:
    """The dialog is destroyed by the garbage collector, with the task that waits for it."""

    def use() -> weakref.ref[Any]:
        dialog = make()
        with running(qt_loop_factory) as loop:
            task = loop.create_task(opened(dialog))
            run_briefly(loop)
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        dialog.hide()
        return weakref.ref(dialog)

    weak = use()
    gc.collect()
    # PySide does not show the garbage collector what a signal refers to.
    if hasattr(qt_core, "pyqtSignal"):
        assert weak() is None


ENDS: dict[str, Callable[[Any, asyncio.Task[Any]], object]] = {
    "accepted": lambda dialog, task: dialog.accept(),
    "hidden": lambda dialog, task: dialog.hide(),
    "cancelled": lambda dialog, task: task.cancel(),
    "destroyed": lambda dialog, task: delete(dialog),
}


@pytest.mark.parametrize("end", ENDS)
async def test_the_dialog_and_the_task_die_after_use(qt_loop: AbstractEventLoop, end: str) -> None:
    async def use() -> list[weakref.ref[Any]]:
        dialog = qt_widgets.QDialog()
        task = await until_shown(dialog)
        ENDS[end](dialog, task)
        with contextlib.suppress(SenderDestroyed, asyncio.CancelledError):
            await task
        return [weakref.ref(dialog), weakref.ref(task)]

    weak = await use()
    await asyncio.sleep(0.001)
    gc.collect()
    assert [reference() for reference in weak] == [None, None]
