"""Calls that Qt's event loop makes, in this thread or in another."""

import functools
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from . import _qobjects, _qt

#: Qt.EventPriority.HighEventPriority, as the number that all bindings take.
_HIGH_PRIORITY: Final = 1

#: What makes calls in a thread, by the address of its QThread.
_mailboxes: dict[int, Any] = {}
_mailboxes_lock = threading.RLock()


def call_next(function: Callable[[], object]) -> Any:
    """Calls the function when control is back in Qt's event loop, before what was posted until then, provided
    that what is returned is still referenced. The function must not raise."""
    caller = _caller_class()(function)
    qt_core: Any = _qt.core()
    event = qt_core.QEvent(qt_core.QEvent.Type.User)
    qt_core.QCoreApplication.postEvent(caller, event, _HIGH_PRIORITY)
    return caller


@functools.cache
def _caller_class() -> Any:
    qt_core: Any = _qt.core()

    class Caller(qt_core.QObject):  # type: ignore[misc]
        def __init__(self, function: Callable[[], object]) -> None:
            super().__init__()
            self._function = function

        def customEvent(self, event: Any) -> None:
            self._function()

    return Caller


def call_in_thread(thread: Any, call: Callable[[], object]) -> None:
    """Makes a call, which must not raise, in a QThread's event loop. Returns at once, from any thread."""
    with _mailboxes_lock:
        key = _qobjects.address(thread)
        mailbox = _mailboxes.get(key)
        if mailbox is None or mailbox.thread() != thread:  # That was another thread, which is gone.
            mailbox = _mailboxes[key] = _mailbox_type()()
            mailbox.moveToThread(thread)
    mailbox.calls.append(call)
    _qt.core().QCoreApplication.postEvent(mailbox, _qt.core().QEvent(_qt.core().QEvent.Type.User))


@functools.cache
def _mailbox_type() -> Any:
    class Mailbox(_qt.core().QObject):  # type: ignore[misc]
        """Lives in a thread and makes there what calls others ask for, one an event."""

        def __init__(self) -> None:
            super().__init__()
            self.calls: deque[Callable[[], object]] = deque()

        def customEvent(self, event: object) -> None:
            self.calls.popleft()()

    return Mailbox
