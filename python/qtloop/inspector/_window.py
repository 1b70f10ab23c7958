"""The inspector's window."""

import functools
import time
import weakref
from typing import TYPE_CHECKING, Any, Final, cast

from .. import _qobjects, _qt
from ._tabs import Punctuality, Tab, all_tabs
from ._task_panel import TaskPanel
from ._widgets import contained, core, entrance, widgets

if TYPE_CHECKING:
    from .._loop import EventLoop

#: Milliseconds between two looks.
PACE: Final = 500

#: The next look waits so many times as long as the last one has used the processor. So looking
#: takes no larger share of the time, however much there is to see.
SHARE: Final = 80

#: Rows of a list.
LIMIT: Final = 200

#: The windows that are open, by their loops' `id`.
_open: dict[int, "Window"] = {}


def open_for(loop: "EventLoop") -> "Window":
    """The loop's window, made if there is none, in front of the others."""
    window = _open.get(id(loop))
    if window is None or _qobjects.is_deleted(window):
        window = _open[id(loop)] = Window(loop)
        loop._close_inspector = functools.partial(_close, weakref.ref(window))
    window.show()
    window.raise_()
    window.activateWindow()
    return window


def _close(reference: "weakref.ref[Window]") -> None:
    window = reference()
    if window is not None and not _qobjects.is_deleted(window):
        window.close()
        # Perhaps Qt's event loop no longer runs.
        core.QCoreApplication.sendPostedEvents(window, _qt.DEFERRED_DELETE)


class _Presence:
    """What the loop knows of its window. It outlives the window, which anybody may delete."""

    def __init__(self, loop: "EventLoop") -> None:
        self.loop = weakref.ref(loop)
        self.looks = False
        self._key = id(loop)

    def begin(self) -> bool:
        """The window is visible. Returns whether it was not before."""
        return self._set(True)

    def end(self) -> None:
        """The window is not visible."""
        self._set(False)

    def forget(self) -> None:
        """The window is closed or deleted."""
        self.end()
        loop = self.loop()
        window = _open.get(self._key)
        if window is not None and window.presence is self:
            del _open[self._key]
            if loop is not None:
                loop._close_inspector = None

    def _set(self, looks: bool) -> bool:
        loop = self.loop()
        if loop is None or self.looks == looks:
            return False
        self.looks = looks
        loop._inspectors += 1 if looks else -1
        if not loop.is_closed():
            loop._follow_debug()
        return True


class Window(widgets.QWidget):  # type: ignore[misc]
    """The tasks above, everything else below in tabs. It looks while it is visible."""

    def __init__(self, loop: "EventLoop") -> None:
        super().__init__()
        self.presence = _Presence(loop)
        self._has_looked = False
        self.setWindowTitle(f"qtloop inspector: {loop.host} host")
        attribute = core.Qt.WidgetAttribute
        self.setAttribute(attribute.WA_DeleteOnClose, True)
        # The application quits when its own last window closes; this window does not count.
        self.setAttribute(attribute.WA_QuitOnClose, False)
        self._timer = core.QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(entrance(self._tick))
        self.tasks = TaskPanel(loop)
        self.tabs = widgets.QTabWidget()
        for tab in all_tabs():
            self.tabs.addTab(tab, tab.title)
        self.tabs.currentChanged.connect(entrance(self._tick))
        self._lay_out()
        self.destroyed.connect(entrance(self.presence.forget))

    def _lay_out(self) -> None:
        split = widgets.QSplitter(core.Qt.Orientation.Vertical)
        split.addWidget(self.tasks)
        split.addWidget(self.tabs)
        split.setSizes([360, 280])
        layout = widgets.QVBoxLayout(self)
        layout.addWidget(split)
        self.resize(960, 680)

    # What Qt calls.

    def showEvent(self, event: Any) -> None:
        contained(self._begin)

    def hideEvent(self, event: Any) -> None:
        contained(self._end)

    def closeEvent(self, event: Any) -> None:
        contained(self._forget)

    # What is done then.

    def _begin(self) -> None:
        if self.presence.begin():
            self._tick()

    def _end(self) -> None:
        self._timer.stop()
        self.presence.end()

    def _forget(self) -> None:
        self._end()
        self.presence.forget()

    def _tick(self) -> None:
        """Looks, and arranges for the next time."""
        loop = self.presence.loop()
        if not self.presence.looks or loop is None or loop.is_closed():
            return
        begun = time.thread_time()
        try:
            self.refresh(loop)
        finally:
            took = time.thread_time() - begun if self._has_looked else 0.0
            self._has_looked = True  # What the first time takes is no measure.
            self._timer.start(max(PACE, int(took * 1000 * SHARE)))

    def refresh(self, loop: "EventLoop") -> None:
        """Looks at the loop."""
        if self.isMinimized():
            return
        self.tasks.refresh(LIMIT)
        for number in range(self.tabs.count()):
            tab = self.tabs.widget(number)
            if isinstance(tab, Punctuality):
                tab.note(loop.metrics())
        cast(Tab, self.tabs.currentWidget()).refresh(loop, LIMIT)
