"""Tasks that end with a QObject.

An owner has one connection to its signal `destroyed`, however many tasks it has. The connection
ends with the last task. The watches are found by the address of the C++ object: wrappers come and
go, and a program may give them an `__eq__` of its own.
"""

import asyncio
import contextlib
from asyncio import events
from collections.abc import Coroutine
from contextvars import Context
from typing import Any, Final, TypeVar

from . import _qobjects, _qt, _thread_affinity
from ._current import current_loop

_T = TypeVar("_T")

#: The watches, by the address of the owner, as long as it has tasks.
_watches: Final[dict[int, "_Watch"]] = {}

#: The tasks to keep alive, since their loop does not: it has only weak references.
_running: Final[dict[asyncio.AbstractEventLoop, set[asyncio.Task[Any]]]] = {}


def create_task(
    coro: Coroutine[Any, Any, _T],
    *,
    owner: Any,
    name: str | None = None,
    context: Context | None = None,
) -> asyncio.Task[_T]:
    """Starts a task that is cancelled when `owner`, a QObject, is destroyed.

    That is when C++ deletes it: by `deleteLater`, along with its parent, at a binding's request, or
    because its wrapper is collected. The task need not be kept: it lives until it ends. It does not
    keep `owner` alive, unless the coroutine has a reference to it; but then its parent, or C++,
    still destroys it.

    Call it in the thread of a running loop, where `owner` must live too.

    Raises RuntimeError if no loop runs in this thread, if `owner` was destroyed already, and, in
    the loop's debug mode, if `owner` lives in another thread; TypeError if `owner` is no QObject.
    Then the coroutine is closed.
    """
    try:
        loop = current_loop()
        _check_owner(owner, loop)
        task = loop.create_task(coro, name=name, context=context)
    except BaseException:
        if asyncio.iscoroutine(coro):
            coro.close()
        raise
    keep(task)
    cancel_with(owner, task)
    return task


def keep(task: asyncio.Task[Any]) -> None:
    """Keeps a task alive until it ends. If its loop is closed before, the task is dropped when
    another task is kept."""
    if task.done():  # It was started eagerly.
        return
    loop = task.get_loop()
    if loop not in _running:
        for closed in [loop for loop in list(_running) if loop.is_closed()]:
            _running.pop(closed, None)
        _running[loop] = set()
    _running[loop].add(task)
    task.add_done_callback(_release)


def cancel_with(owner: Any, task: asyncio.Task[Any]) -> None:
    """Cancels a task when the QObject `owner` is destroyed. If the task has destroyed it already,
    cancels it at once."""
    if task.done():
        return
    if _qobjects.is_deleted(owner):
        _cancel(task)
        return
    address = _qobjects.address(owner)
    watch = _watches.get(address)
    if watch is None:
        watch = _watches[address] = _Watch(owner, address)
    watch.add(task)


class _Watch:
    """The tasks of an owner, and the connection to its signal `destroyed`."""

    def __init__(self, owner: Any, address: int) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        #: How often each task that is being cancelled was cancelled before.
        self._cancelled_before: dict[asyncio.Task[Any], int] = {}
        self._address = address
        # PyQt does not call the slot if the garbage collector has found the owner; it only drops
        # the slot.
        self._disconnect = _qobjects.connect(owner.destroyed, self.end, self.end)

    def end(self, *_: object) -> None:
        """The owner is destroyed. This may be called more than once."""
        self._forget()
        for task in list(self._tasks):
            # If the handler of a signal comes in between, this is done again; but no task is
            # cancelled twice.
            if self._cancelled_before.setdefault(task, task.cancelling()) == task.cancelling():
                _cancel(task)
            self._tasks.discard(task)

    def add(self, task: asyncio.Task[Any]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._remove)

    def _remove(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not self._tasks and self._forget():
            self._disconnect()

    def _forget(self) -> bool:
        is_known = _watches.get(self._address) is self
        if is_known:
            del _watches[self._address]
        return is_known


def _check_owner(owner: Any, loop: asyncio.AbstractEventLoop) -> None:
    qt_core = _qt.core()
    if not isinstance(owner, qt_core.QObject):
        raise TypeError(f"a task's owner must be a QObject, not {owner!r}")
    if _qobjects.is_deleted(owner):
        raise RuntimeError(
            f"the task's owner, of type {type(owner).__name__}, has been deleted already"
        )
    if loop.get_debug():
        _thread_affinity.check_thread(owner)


def _release(task: asyncio.Task[Any]) -> None:
    loop = task.get_loop()
    tasks = _running.get(loop, set())
    tasks.discard(task)
    if not tasks:
        _running.pop(loop, None)


def _cancel(task: asyncio.Task[Any]) -> None:
    """The task sees its cancellation at its next step, and does not touch the owner before."""
    loop = task.get_loop()
    if events._get_running_loop() is loop:
        task.cancel("its owner was destroyed")
    elif not loop.is_closed():
        with contextlib.suppress(RuntimeError):  # Its thread may close it at this moment.
            loop.call_soon_threadsafe(task.cancel, "its owner was destroyed")
