"""A key that opens the inspector from any window."""

from typing import Any

from .. import _current, _qobjects, _watchdog
from . import _show
from ._widgets import QShortcut, core, entrance, gui, widgets


class Shortcut:
    """A QShortcut. It belongs to a window, so it is handed from one window to the next."""

    def __init__(self, key: str) -> None:
        self._sequence = gui.QKeySequence(key)
        if self._sequence.isEmpty() or not self._sequence.toString():
            raise ValueError(f"not a key: {key!r}")
        self._shortcut: Any = None
        self._application = widgets.QApplication.instance()
        self._follow = entrance(self._follow_focus)
        self._application.focusWindowChanged.connect(self._follow)
        self._follow_focus()

    def remove(self) -> None:
        """From now on the key does nothing. May be called twice."""
        if self._application is not None and not _qobjects.is_deleted(self._application):
            self._application.focusWindowChanged.disconnect(self._follow)
            self._follow._forget()
        self._application = None
        self._drop()

    def _follow_focus(self) -> None:
        window = widgets.QApplication.activeWindow()
        if window is None or self._application is None:
            return
        if self._is_there() and self._shortcut.parent() is window:
            return
        self._drop()
        self._shortcut = QShortcut(self._sequence, window)
        self._shortcut.setContext(core.Qt.ShortcutContext.WindowShortcut)
        self._shortcut.activated.connect(entrance(_open))

    def _is_there(self) -> bool:
        """The shortcut was deleted with the window that had it."""
        return self._shortcut is not None and not _qobjects.is_deleted(self._shortcut)

    def _drop(self) -> None:
        if self._is_there():
            self._shortcut.setEnabled(False)
            self._shortcut.setParent(None)
            self._shortcut.deleteLater()
        self._shortcut = None


def _open() -> None:
    try:
        _current.current()
    except RuntimeError as error:
        _watchdog.logger.warning("there is nothing to inspect: %s", error)
    else:
        _show.show()
