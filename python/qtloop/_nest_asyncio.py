"""Runs inside a run of the same loop, for programs that nest_asyncio has patched.

asyncio refuses such runs, and so does our loop. A program that has called `nest_asyncio.apply()`
wants them. It is recognised by the mark that this call leaves in the module `asyncio`. nest_asyncio
would replace the methods of the loop's class by others that run the stock loop's queues. Our class
says that it has been patched already, and runs an event loop of Qt inside the running one, as a
modal dialog does.
"""

import asyncio
import threading
from collections.abc import Awaitable, Generator
from typing import TYPE_CHECKING, Any, TypeVar, cast

from . import _binding_host, _core, _qt

if TYPE_CHECKING:
    from ._loop import EventLoop

_T = TypeVar("_T")


def is_wanted() -> bool:
    """Whether the program has asked that loops may be run inside their own run."""
    return hasattr(asyncio, "_nest_patched")


def can_nest(loop: "EventLoop") -> bool:
    """Whether a second run of the running loop may begin inside the first.

    Raises RuntimeError if that is wanted and impossible.
    """
    if not is_wanted() or loop._thread_id != threading.get_ident():
        return False
    if not loop._uses_qt or _qt.own is not None:
        raise RuntimeError(
            f"a loop on the host {loop.host!r} cannot run inside its own run, even with "
            f"nest_asyncio"
        )
    return True


class Nested:
    """An event loop of Qt inside a run."""

    def __init__(self, loop: "EventLoop", awaited: "asyncio.Future[Any] | None") -> None:
        self._loop = loop
        self._awaited = awaited
        self._event_loop = _qt.core().QEventLoop()
        self._is_stopped = False
        self._tell = _core.Entrance(self._done)

    def stop(self) -> None:
        """Ends the inner run, whatever it waits for."""
        self._is_stopped = True
        self._event_loop.quit()

    def run(self) -> None:
        """Runs until the future is done or it is stopped.

        When the application quits the task is cancelled, as the outer run does it, unless
        finalizers run already.
        """
        loop = self._loop
        is_told = loop._exit_code is not None or loop._drains
        loop._nested.append(self)
        if self._awaited is not None:
            self._awaited.add_done_callback(self._tell)
        try:
            qt_core = _qt.core()
            held = _binding_host.HeldQuit(qt_core, qt_core.QCoreApplication.instance())
            if not self._is_over():
                _qt.execute(self._event_loop)
            if self._is_over():
                # If the application has quit meanwhile, all its loops end already.
                held.give_back()
            if not self._is_over() and not is_told and isinstance(self._awaited, asyncio.Task):
                self._awaited.cancel()
            while not self._is_over() and self._awaited is not None:
                # Qt ends any QEventLoop at once while a thread quits.
                flags = qt_core.QEventLoop.ProcessEventsFlag.WaitForMoreEvents
                self._event_loop.processEvents(flags)
        finally:
            if self._awaited is not None:
                self._awaited.remove_done_callback(self._tell)
            loop._nested.remove(self)
            loop._stop_if_done()

    def _is_over(self) -> bool:
        return self._is_stopped or (self._awaited is not None and self._awaited.done())

    def _done(self, _: "asyncio.Future[Any]") -> None:
        self._event_loop.quit()


def run_forever(loop: "EventLoop") -> None:
    """`run_forever` inside a run: until `stop()`, which ends the outer run too."""
    Nested(loop, None).run()


def run_until_complete(loop: "EventLoop", future: Generator[Any, None, _T] | Awaitable[_T]) -> _T:
    """`run_until_complete` inside a run."""
    is_new = not asyncio.isfuture(future)
    awaited = asyncio.ensure_future(cast(Awaitable[_T], future), loop=loop)
    if is_new:
        awaited._log_destroy_pending = False  # type: ignore[attr-defined]
    Nested(loop, awaited).run()
    if not awaited.done():
        raise RuntimeError("Event loop stopped before Future completed.")
    return awaited.result()
