"""The signs by which the watchdog follows a thread's Qt event loop.

Qt's dispatcher says when its loop turns (`awake`) and when it goes to sleep (`aboutToBlock`), but
not when it wakes: what it delivers after a sleep comes before the next signal. The first event
after a sleep shows that. An event filter on the application sees this event, but only in the
application's own thread.
"""

from typing import Any, Protocol

from . import _core, _host_choice, _qt


class Listener(Protocol):
    """A source of the signs of the thread that made it."""

    def start(self) -> None:
        """Begins to send them. Raises RuntimeError if there is no QCoreApplication."""

    def stop(self) -> None:
        """Stops, on the same thread. May be called twice, and before `start` has returned."""


def listener(host: str, stretches: _core.Stretches) -> Listener:
    """The source that tells `stretches` about this thread's Qt event loop, in the way of the loop's
    host."""
    return NativeSigns(stretches) if host == "qt" else BindingSigns(_qt.core(), stretches)


class NativeSigns:
    """The signs through the native host's module."""

    def __init__(self, stretches: _core.Stretches) -> None:
        self._stretches = stretches
        self._session: Any = None

    def start(self) -> None:
        self._session = self._stretches.listen(_host_choice.native_module().signs)

    def stop(self) -> None:
        if self._session is not None:
            self._session.stop()
        self._session = None


class BindingSigns:
    """The signs through the binding's objects.

    Every event goes through the binding, which makes a wrapper for it. That may run Python code:
    PyQt does so for the first event of a class. There a signal handler may raise an exception that
    nobody can catch.
    """

    def __init__(self, qt_core: Any, stretches: _core.Stretches) -> None:
        self._qt = qt_core
        self._stretches = stretches
        self._connections: list[Any] = []
        self._filter: Any = None

    def start(self) -> None:
        qt_core, stretches = self._qt, self._stretches
        application = qt_core.QCoreApplication.instance()
        if application is None:
            raise RuntimeError("no QCoreApplication exists")
        turned, asleep = stretches.turned_slot(), stretches.asleep_slot()
        qt_core.QEventLoop()  # Gives the thread its dispatcher.
        self._connections.append(_qt.with_dispatcher(qt_core, lambda it: it.awake.connect(turned)))
        self._connections.append(
            _qt.with_dispatcher(qt_core, lambda it: it.aboutToBlock.connect(asleep))
        )
        if _qt.is_gui_thread():
            # See above: now PyQt knows the commonest class.
            qt_core.QEvent(qt_core.QEvent.Type.User)
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
        for connection in self._connections:
            self._qt.QObject.disconnect(connection)
        self._connections.clear()
