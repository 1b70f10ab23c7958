"""`opened`: a dialog that is awaited, without a nested event loop."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from . import _core, _posted_calls, _qobjects, _qt
from ._completed import completed


async def opened(dialog: Any) -> Any:
    """Shows the dialog, waits until it is closed or hidden, and gives the answer:

    * QMessageBox: the StandardButton that was clicked, or the QAbstractButton if it is one of your
      own; NoButton if it was closed without any.
    * QFileDialog: the selected files' names; an empty list if it was rejected.
    * QInputDialog: a str, an int or a float, by the dialog's input mode; None if it was rejected.
    * QColorDialog: a QColor; None if it was rejected.
    * QFontDialog: a QFont; None if it was rejected.
    * QProgressDialog: True if it came to its end, False if it was cancelled.
    * Any other: `result()`, which is 1 if it was accepted, 0 if it was rejected, or what was given
      to `done()`.

    It is shown as by `QDialog.open()`, modal to its window, unless it is modal to the application,
    or visible already: a dialog that is to be modeless is shown (`show()`) by the caller.

    If the task is cancelled, the dialog is rejected (a QProgressDialog cancelled) and in any case
    hidden. WA_DeleteOnClose is heeded as by `QDialog.exec()`: the dialog is deleted once its answer
    is known, or the task was cancelled.

    Raises SenderDestroyed if the dialog is destroyed before there is an answer, as when its parent
    is. Call it in the main thread, where a loop runs.
    """
    kind = _qobjects.kind(dialog, _ANSWERS)
    answer: Callable[[Any], Any] = _ANSWERS[kind] if kind else _result
    given: Any = None
    later: list[Any] = []
    hidden = _Hidden(dialog)

    def read() -> None:
        nonlocal given
        if not _qobjects.is_deleted(dialog):
            given = answer(dialog)

    def read_now_and_later() -> None:
        read()
        if kind == "QMessageBox":
            # A dialog that is closed by its window knows its escape button only some time after it
            # has finished. It may be deleted soon after that.
            later.append(_posted_calls.call_next(read))

    def show() -> None:
        _show(dialog)
        hidden.watch()

    attribute = _qt.core().Qt.WidgetAttribute.WA_DeleteOnClose
    delete_on_close = dialog.testAttribute(attribute)
    dialog.setAttribute(attribute, False)
    try:
        await completed(
            dialog,
            dialog.finished,
            hidden,
            until=dialog.isHidden,
            start=show,
            result=read_now_and_later,
            cancel=lambda: _close(dialog),
        )
        if kind == "QMessageBox":
            read()
        return given
    finally:
        if delete_on_close and not _qobjects.is_deleted(dialog):
            dialog.deleteLater()


def _show(dialog: Any) -> None:
    dialog.setResult(0)
    if dialog.isVisible():
        return
    if dialog.windowModality() == _qt.core().Qt.WindowModality.ApplicationModal:
        dialog.show()
    else:
        dialog.open()


def _close(dialog: Any) -> None:
    if _qobjects.kind(dialog, ("QProgressDialog",)):
        dialog.cancel()
    else:
        dialog.reject()
    if not _qobjects.is_deleted(dialog):
        dialog.hide()  # `reject` may be overridden.


class _Hidden:
    """A signal that the dialog was hidden. Qt emits `finished` only if the dialog was closed as
    dialogs are. But a dialog that was merely hidden is over too, as for `QDialog.exec()`.

    The dialog's QWindow tells. An event filter would also be called while the dialog is being
    destroyed, with a wrapper for a half-destroyed object.
    """

    def __init__(self, dialog: Any) -> None:
        self._dialog = dialog
        self._window: Any = None
        self._slot: Callable[[], None] | None = None
        self._loop = asyncio.get_running_loop()
        self._changed = _core.Entrance(self._tell)

    def watch(self) -> None:
        """Called when the dialog is shown: then it has a window."""
        self._window = self._dialog.windowHandle()
        if self._window is not None:
            self._window.visibleChanged.connect(self._changed)

    def connect(self, slot: Callable[[], None]) -> None:
        """The loop calls the slot, after the code that hides the dialog has done the rest of its
        work."""
        self._slot = slot

    def disconnect(self, slot: Callable[[], None]) -> None:
        self._slot = None
        if self._window is not None and not _qobjects.is_deleted(self._window):
            self._window.visibleChanged.disconnect(self._changed)
        self._changed._forget()

    def _tell(self, *_: Any) -> None:
        if self._slot is not None and not self._loop.is_closed():
            self._loop.call_soon(self._slot)


def _result(dialog: Any) -> int:
    return int(dialog.result())


def _button(box: Any) -> Any:
    none = box.StandardButton.NoButton
    clicked = box.clickedButton()
    if clicked is None:
        return none
    standard = box.standardButton(clicked)
    if standard == none:
        return clicked
    return standard if box.result() else none  # Qt 5 still knows the button of the time before.


def _files(dialog: Any) -> list[str]:
    return list(dialog.selectedFiles()) if dialog.result() else []


def _input(dialog: Any) -> str | int | float | None:
    if not dialog.result():
        return None
    mode = dialog.inputMode()
    if mode == dialog.InputMode.IntInput:
        return int(dialog.intValue())
    if mode == dialog.InputMode.DoubleInput:
        return float(dialog.doubleValue())
    return str(dialog.textValue())


def _color(dialog: Any) -> Any:
    return dialog.selectedColor() if dialog.result() else None


def _font(dialog: Any) -> Any:
    return dialog.selectedFont() if dialog.result() else None


def _has_ended(dialog: Any) -> bool:
    return not dialog.wasCanceled()


_ANSWERS: Final[dict[str, Callable[[Any], Any]]] = {
    "QMessageBox": _button,
    "QFileDialog": _files,
    "QInputDialog": _input,
    "QColorDialog": _color,
    "QFontDialog": _font,
    "QProgressDialog": _has_ended,
}
