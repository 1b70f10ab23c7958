"""Calls that Qt's event loop makes, in this thread or in another."""

import functools
import threading
from collections.abc import Callable
from typing import Any, Final

from . import _core, _qobjects, _qt

#: Qt.EventPriority.HighEventPriority, as the number that all bindings take.
_HIGH_PRIORITY: Final = 1

#: The receivers of calls, by the address of their QThread.
_mailboxes: dict[int, Any] = {}
_mailboxes_lock = threading.RLock()


def call_next(function: Callable[[], object]) -> Any:
    """Calls the function when control is back in Qt's event loop, before everything that is posted
    after it. Keep the returned object: without a reference to it, no call is made. The function
    must not raise."""
    qt_core: Any = _qt.core()
    caller = qt_core.QObject()
    caller.customEvent = _core.Entrance(lambda _: function())
    event = qt_core.QEvent(qt_core.QEvent.Type.User)
    qt_core.QCoreApplication.postEvent(caller, event, _HIGH_PRIORITY)
    return caller


def call_in_thread(thread: Any, call: Callable[[], object]) -> None:
    """Makes a call, which must not raise, in a QThread's event loop. From any other thread.

    Returns at once, unless many calls wait there already. Then it returns after a moment in which
    some of them are made.
    """
    with _mailboxes_lock:
        key = _qobjects.address(thread)
        mailbox = _mailboxes.get(key)
        # It belonged to another thread, which is gone.
        if mailbox is None or mailbox.receiver.thread() != thread:
            mailbox = _mailboxes[key] = _Mailbox(thread)
    mailbox.calls.put(call)
    mailbox.calls.give_way()


class _Mailbox:
    """The calls for a thread, and the Qt objects that live there and make them."""

    def __init__(self, thread: Any) -> None:
        qt_core: Any = _qt.core()
        self.calls = _core.Mailbox()
        self.receiver = qt_core.QObject()
        self.receiver.customEvent = self.calls
        # It reports only that Qt had its turn.
        self._timer = qt_core.QTimer(self.receiver)
        self._timer.setSingleShot(True)
        # Direct: PyQt's slots belong to the thread that connects them.
        direct = qt_core.Qt.ConnectionType.DirectConnection
        self._timer.timeout.connect(self.calls, direct)
        self.calls.connect(
            functools.partial(self._timer.start, 0),
            self._timer.stop,
            functools.partial(qt_core.QEvent, qt_core.QEvent.Type.User),
            functools.partial(qt_core.QCoreApplication.postEvent, self.receiver),
        )
        self.receiver.moveToThread(thread)
        # A thread that ends takes its timers along, and may be started again.
        thread.started.connect(self.calls, direct)
