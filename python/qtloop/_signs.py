"""Where the watchdog hears of a thread's Qt event loop.

Qt's dispatcher says when its loop turns (`awake`) and when it goes to sleep (`aboutToBlock`), but not when it
wakes: what it hands out after a sleep comes before the next signal. The first event after a sleep says so, of
which an event filter on the application hears; but only in the application's own thread.
"""

from typing import Any, Protocol

from . import _core, _hosts, _qt


class Listener(Protocol):
    """Tells the signs of the thread that made it."""

    def stop(self) -> None:
        """Ends that, on the same thread."""


def listen(host: str, stretches: _core.Stretches) -> Listener:
    """Tells `stretches` about this thread's Qt event loop, in the manner of the loop's host.

    Raises RuntimeError if there is no QCoreApplication.
    """
    if host == "qt":
        return stretches.listen(_hosts.native_module().signs)
    return BindingSigns(_qt.core(), stretches)


class BindingSigns:
    """The signs through the binding's objects.

    Every event goes through the binding, which makes a wrapper for it. Where that runs Python code, as PyQt
    does for an event of a class that it has not met before, a signal handler may raise an exception that
    nobody can catch.
    """

    def __init__(self, qt_core: Any, stretches: _core.Stretches) -> None:
        application = qt_core.QCoreApplication.instance()
        if application is None:
            raise RuntimeError("no QCoreApplication exists")
        self._qt = qt_core
        self._turned, self._asleep = stretches.turned_slot(), stretches.asleep_slot()
        qt_core.QEventLoop()  # Gives the thread its dispatcher.
        dispatcher = _qt.dispatcher(qt_core)
        dispatcher.awake.connect(self._turned)
        dispatcher.aboutToBlock.connect(self._asleep)
        self._filter: Any = None
        if _qt.is_gui_thread():
            qt_core.QEvent(qt_core.QEvent.Type.User)  # See above: now PyQt has met the commonest class.
            self._filter = qt_core.QObject()
            self._filter.eventFilter = stretches.busy_slot()
            application.installEventFilter(self._filter)

    def stop(self) -> None:
        application = self._qt.QCoreApplication.instance()
        if application is None:
            return  # The dispatcher went with it, and so did the list of filters.
        if self._filter is not None:
            application.removeEventFilter(self._filter)
            self._filter = None
        dispatcher = _qt.dispatcher(self._qt)
        dispatcher.awake.disconnect(self._turned)
        dispatcher.aboutToBlock.disconnect(self._asleep)
