"""The QApplication of an interactive session."""

import contextlib
import importlib
import os
import sys
import warnings
from collections.abc import Iterator
from typing import Any

from .. import _qt


def ensure_application() -> Any:
    """The application, a QApplication if there was none.

    Without a display Qt would end the process. Then it draws offscreen, with a RuntimeWarning. For
    the main thread. Raises ImportError if there is no Qt binding, or none of its widgets.
    """
    application = _qt.core().QCoreApplication.instance()
    if application is not None:
        return application
    if _has_no_display():
        os.environ["QT_QPA_PLATFORM"] = "offscreen"
        warnings.warn(
            "there is no display (DISPLAY, WAYLAND_DISPLAY): Qt draws offscreen, and its windows "
            "cannot be seen",
            RuntimeWarning,
            stacklevel=2,
        )
    widgets = importlib.import_module(f"{_qt.binding()}.QtWidgets")
    return widgets.QApplication(["qtloop"])


def _has_no_display() -> bool:
    names = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    return sys.platform.startswith("linux") and not any(map(os.environ.get, names))


@contextlib.contextmanager
def kept_running(application: Any) -> Iterator[None]:
    """Meanwhile closing the last window does not quit the application."""
    if not hasattr(application, "quitOnLastWindowClosed"):
        yield
        return
    before = application.quitOnLastWindowClosed()
    application.setQuitOnLastWindowClosed(False)
    try:
        yield
    finally:
        application.setQuitOnLastWindowClosed(before)
