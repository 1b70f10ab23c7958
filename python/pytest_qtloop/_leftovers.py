"""What a test has left behind, found, ended and put into words."""

import gc
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from qtloop import _qobjects, _qt

from . import LeftBehindWarning

if TYPE_CHECKING:
    from ._runs import TestLoop


def warn(item: pytest.Item, leftovers: list[str]) -> None:
    """Says which, if there are any."""
    if leftovers:
        text = "".join(f"\n  {what}" for what in leftovers)
        try:
            item.warn(LeftBehindWarning(f"{item.name} left behind:{text}"))
        except LeftBehindWarning as error:
            # A filter makes it an error. Where it was raised says nothing to who reads the report.
            pytest.fail(f"{type(error).__name__}: {error}", pytrace=False)


def timers(loop: "TestLoop", item: pytest.Item) -> list[str]:
    """Cancels the loop's timers that the test has set."""
    found = [
        timer
        for timer in list(loop.timers)
        if loop.starters.get(timer) is item and timer._scheduled and not timer.cancelled()  # type: ignore[attr-defined]
    ]
    texts = [f"timer {timer!r}" for timer in found]
    for timer in found:
        timer.cancel()
    return texts


def watches(loop: "TestLoop", item: pytest.Item) -> list[str]:
    """Removes the watches over fds that the test has added."""
    found = [watch for watch, starter in loop.watches.items() if starter is item]
    for fd, kind in found:
        (loop.remove_reader if kind == "reader" else loop.remove_writer)(fd)
    return [f"{kind} of fd {fd}" for fd, kind in found]


class Objects:
    """The windows that are shown, and if asked for Qt's timers and notifiers that are active: what
    there is, and what has come since."""

    def __init__(self, finds_timers: bool) -> None:
        self._finds_timers = finds_timers
        self._known: set[int] = set()

    def learn(self) -> None:
        """What there is now is nobody's fault."""
        self._known |= {address for address, _ in self._objects()}

    def begin(self) -> None:
        """Forgets what has gone, and learns what there is."""
        self._known = set()
        self.learn()

    def end(self) -> list[str]:
        """Hides and stops what has come since, and tells what it was."""
        return [
            _put_away(thing) for address, thing in self._objects() if address not in self._known
        ]

    def _objects(self) -> Iterator[tuple[int, Any]]:
        if _qt.own is not None or (binding := _qt.imported()) is None or not _qt.has_application():
            return
        timers = _active(_qt.core()) if self._finds_timers else ()
        for thing in [*_windows(binding), *timers]:
            yield _qobjects.address(thing), thing


def _windows(binding: str) -> Iterator[Any]:
    widgets, gui = (sys.modules.get(f"{binding}.{name}") for name in ("QtWidgets", "QtGui"))
    if widgets is not None and widgets.QApplication.instance() is not None:
        yield from (
            widget for widget in widgets.QApplication.topLevelWidgets() if widget.isVisible()
        )
    if gui is not None and gui.QGuiApplication.instance() is not None:
        for window in gui.QGuiApplication.topLevelWindows():
            if window.isVisible() and window.metaObject().className() != "QWidgetWindow":
                yield window


def _active(qt_core: Any) -> Iterator[Any]:
    """Timers and notifiers that Python has made."""
    timers, notifiers = _family(qt_core.QTimer), _family(qt_core.QSocketNotifier)
    kinds = timers | notifiers
    # This goes through all that Python has, so it does no more than it must with each.
    for thing in [thing for thing in gc.get_objects() if type(thing) in kinds]:
        if _qobjects.is_deleted(thing):
            continue
        if thing.isActive() if type(thing) in timers else thing.isEnabled():
            yield thing


def _family(cls: type) -> set[type]:
    """A class with all that are derived from it."""
    family = {cls}
    subclasses: list[type] = type.__subclasses__(cls)
    for derived in subclasses:
        family |= _family(derived)
    return family


def _put_away(thing: Any) -> str:
    text = f"{type(thing).__name__}"
    title = getattr(thing, "windowTitle", None) or getattr(thing, "title", None)
    if title is not None:
        thing.hide()
        return f"window {text} {title()!r}"
    name = f" {thing.objectName()!r}" if thing.objectName() else ""
    if hasattr(thing, "interval"):
        thing.stop()
        return f"{text}{name} of {thing.interval()} ms"
    thing.setEnabled(False)
    return f"{text}{name} of fd {int(thing.socket())}"
