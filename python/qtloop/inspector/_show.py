"""Opens the window, by a call or by a key. Qt's widgets are imported only then."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .. import _current, _qt
from ._snapshot import check

if TYPE_CHECKING:
    from .._loop import EventLoop


def show(loop: "EventLoop | None" = None) -> Any:
    """Opens a window that shows what the loop does, by default the one of this thread. Returns the
    window, a QWidget. If there is one already, it comes to the front.

    It looks twice a second while it is visible, and costs nothing when it is closed. It does not
    keep the application from quitting. It closes when the loop is closed.

    Raises RuntimeError if no loop of qtloop's runs in this thread, if there is no QApplication, or
    in another thread than the application's.
    """
    loop = _current.current() if loop is None else loop
    check(loop)
    check_application()
    from . import _window

    return _window.open_for(loop)


def install_shortcut(shortcut: str = "Ctrl+Shift+I") -> Callable[[], None]:
    """From now on that key opens the inspector, in any window of the application. Returns a
    function that ends that.

    It inspects the loop that runs in the application's thread when the key is pressed. If the
    window uses the key itself, the inspector does not open.

    Raises RuntimeError if there is no QApplication, or in another thread; ValueError if it is no
    key.
    """
    check_application()
    from . import _shortcut

    return _shortcut.Shortcut(shortcut).remove


def check_application() -> None:
    """Raises RuntimeError unless this thread may have windows."""
    application = _qt.core().QCoreApplication.instance()
    if application is None or not application.inherits("QApplication"):
        name = "none" if application is None else application.metaObject().className()
        raise RuntimeError(
            f"the inspector's window needs a QApplication, and this process has {name}: make one, "
            f"or use qtloop.inspector.listen() and python -m qtloop.inspect"
        )
    if not _qt.is_gui_thread():
        raise RuntimeError("the inspector's window is for the application's thread")
