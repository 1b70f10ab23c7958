"""What happens when a simulated loop has nothing ready: Qt's posted events, and deadlocks."""

import asyncio
import os
import sys
import threading
from typing import TYPE_CHECKING, Any, Final

from .. import _qt

if TYPE_CHECKING:
    from ._clock import SimulatedLoop

#: Where the code lies that is not the program's own. A package inside a Rust program has no
#: `__file__`, but its code has names of files.
_LIBRARIES: Final = tuple(
    os.path.join(os.path.dirname(function.__code__.co_filename), "")
    for function in (asyncio.run, _qt.binding)
)

_REASON: Final = (
    "every task waits, and there is no timer, file descriptor, signal handler or thread that could "
    "wake one. Qt's timers, sockets and windows do not run on simulated time: use asyncio's, or "
    "test with Qt's event loop"
)


class Deadlock(RuntimeError):
    """Tasks wait for something that can never come. The message names them."""

    __module__ = "qtloop.testing"


def deliver_posted_events() -> bool:
    """Delivers what is posted to objects of this thread: queued signals, `deleteLater`. Returns
    whether Qt is there."""
    core = _core_of_qt()
    if core is None or core.QCoreApplication.instance() is None:
        return False
    core.QCoreApplication.sendPostedEvents(None, 0)
    _qt.delete_deferred(core)
    return True


def can_be_woken(loop: "SimulatedLoop") -> bool:
    """Whether something real could still wake the loop."""
    own = loop._ssock.fileno() if loop._ssock is not None else -1
    if loop._signal_handlers or any(fd != own for fd in loop._watched()):
        return True
    if any(not call.done() for call in loop._calls_in_threads):
        return True
    idle = set(getattr(getattr(loop, "_default_executor", None), "_threads", ()))
    current = threading.current_thread()
    return any(
        thread is not current and thread not in idle and not hasattr(thread, "qtloop_only_watches")
        for thread in threading.enumerate()
    )


def describe(loop: "SimulatedLoop") -> str:
    """The message of a `Deadlock`."""
    tasks = sorted(asyncio.all_tasks(loop), key=lambda task: task.get_name())
    return "\n".join([_REASON, *(f"  {_line(task)}" for task in tasks)])


def _line(task: asyncio.Task[Any]) -> str:
    where = _place(task.get_coro())
    name = getattr(task.get_coro(), "__qualname__", "coroutine")
    waiter = getattr(task, "_fut_waiter", None)
    return f"task {task.get_name()!r} ({name}{where}) waits for {waiter!r}"


def _place(coroutine: Any) -> str:
    """The innermost line of the program's own code in which the task is."""
    where = ""
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)
        if frame is not None and not frame.f_code.co_filename.startswith(_LIBRARIES):
            where = f" at {frame.f_code.co_filename}:{frame.f_lineno}"
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)
    return where


def waits_for_qt() -> bool:
    """Whether Qt's global pool has work. Waits for it for a moment: a signal of the pool wakes
    nobody."""
    core = _core_of_qt()
    if core is None or core.QThreadPool.globalInstance().activeThreadCount() == 0:
        return False
    core.QThreadPool.globalInstance().waitForDone(10)
    return True


def _core_of_qt() -> Any:
    """QtCore of the binding in this process, if there is one."""
    name = None if _qt.own is not None else _qt.imported()
    return None if name is None else sys.modules.get(f"{name}.QtCore")
