"""What qtloop uses of asyncio that asyncio does not document, and what Rust leaves to Python because it is rare.

Everything private that the package leans on is named in `PRIVATE`, with what it promises; a test checks each entry on the running
interpreter, so that a Python which changes one fails there, by name.
"""

import asyncio
import inspect
import selectors
import sys
import traceback
import weakref
from asyncio import base_events, events, format_helpers
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from ._loop import EventLoop

#: Private name, seen from the package `asyncio` -> what it promises.
PRIVATE: Final = {
    "events.Handle.__slots__": "_callback _args _cancelled _loop _source_traceback _repr _context: read and written by Rust",
    "events.TimerHandle.__slots__": "_scheduled _when: read and written by Rust",
    "events.Handle._run": "calls the callback in its context and reports what it raises; used in debug mode",
    "events._set_running_loop": "makes a loop the thread's running loop, or none with None",
    "events._get_running_loop": "the thread's running loop or None",
    "base_events.BaseEventLoop._check_closed": "raises RuntimeError if the loop is closed",
    "base_events.BaseEventLoop._check_running": "raises RuntimeError if this loop or another one runs on the thread",
    "base_events.BaseEventLoop._check_thread": "raises RuntimeError on another thread than the running loop's",
    "base_events.BaseEventLoop._check_callback": "raises TypeError for what is not callable or is a coroutine",
    "base_events.BaseEventLoop._set_coroutine_origin_tracking": "debug mode's tracking of where coroutines were made",
    "base_events.BaseEventLoop._asyncgen_firstiter_hook": "registers an async generator with the loop",
    "base_events.BaseEventLoop._asyncgen_finalizer_hook": "closes a forgotten async generator on the loop",
    "base_events._format_handle": "names a handle, or the task behind it, for the log",
    "format_helpers._format_callback_source": "names a callback and where it is defined, for the log",
    "format_helpers.extract_stack": "a bounded stack summary from a frame outwards",
    "selector_events.BaseSelectorEventLoop._read_from_self": "drains the self-pipe and handles the signals in it",
    "selector_events.BaseSelectorEventLoop._make_self_pipe": "makes _ssock and _csock, and watches _ssock with _add_reader",
    "selector_events.BaseSelectorEventLoop._close_self_pipe": "undoes that",
    "selector_events.BaseSelectorEventLoop._add_reader": "watches an fd; called by transports and sock_* with a number",
    "selector_events.BaseSelectorEventLoop._remove_reader": "true if there was a watch",
    "selector_events.BaseSelectorEventLoop._add_writer": "as _add_reader",
    "selector_events.BaseSelectorEventLoop._remove_writer": "as _remove_reader",
    "selector_events.BaseSelectorEventLoop._ensure_fd_no_transport": "raises RuntimeError if a transport has the fd",
    "selector_events._test_selector_event": "asks the loop's _selector whether an fd is watched, for a transport's repr",
    "unix_events._UnixSelectorEventLoop._signal_handlers": "an attribute of instances: the handlers by signal number",
    "unix_events._UnixSelectorEventLoop._child_watcher_callback": "tells a transport, thread-safely, that its child has exited",
    "unix_events._UnixSubprocessTransport": "the transport of a child process",
    "unix_events.waitstatus_to_exitcode": "a wait status as a returncode",
}


class Selector(selectors.BaseSelector):
    """What the loop watches, to look at: stands where the stock loop keeps its selector, since transports ask it for their `repr`.

    The watches are the driver's, and only the loop's own methods change them.
    """

    def __init__(self, loop: "EventLoop") -> None:
        self._map: Mapping[Any, selectors.SelectorKey] | None = _Watched(loop)

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        raise NotImplementedError("use the loop's add_reader() and add_writer()")

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        raise NotImplementedError("use the loop's remove_reader() and remove_writer()")

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Nothing: the host waits, not the selector."""
        return []

    def close(self) -> None:
        self._map = None

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return cast(Mapping[Any, selectors.SelectorKey], self._map)


class _Watched(Mapping[Any, selectors.SelectorKey]):
    def __init__(self, loop: "EventLoop") -> None:
        # Weak: the loop has the selector, and neither should wait for the garbage collector.
        self._loop = weakref.ref(loop)

    def __getitem__(self, fileobj: Any) -> selectors.SelectorKey:
        loop = self._loop()
        fd = fileobj_to_fd(fileobj)
        if loop is None or fd not in (watched := loop._watched()):
            raise KeyError(fileobj)
        reader, writer = watched[fd]
        events = (selectors.EVENT_READ if reader else 0) | (selectors.EVENT_WRITE if writer else 0)
        return selectors.SelectorKey(fileobj, fd, events, (reader, writer))

    def __iter__(self) -> Iterator[int]:
        loop = self._loop()
        return iter(loop._watched() if loop is not None else {})

    def __len__(self) -> int:
        loop = self._loop()
        return len(loop._watched()) if loop is not None else 0


_callback_source_knows_debug = "debug" in inspect.signature(format_helpers._format_callback_source).parameters


def describe_callback(handle: events.Handle) -> str:
    """The handle's callback as the stock loop names it in its messages."""
    arguments: dict[str, Any] = {"debug": handle._loop.get_debug()} if _callback_source_knows_debug else {}
    return format_helpers._format_callback_source(cast(Any, handle._callback), cast(Any, handle._args), **arguments)


def report_error(handle: events.Handle, error: BaseException) -> None:
    """Gives an exception of a callback to its loop's exception handler, as `asyncio.Handle` does."""
    context: dict[str, Any] = {
        "message": f"Exception in callback {describe_callback(handle)}",
        "exception": error,
        "handle": handle,
    }
    if handle._source_traceback:
        context["source_traceback"] = handle._source_traceback
    handle._loop.call_exception_handler(context)


def run_timed(handle: events.Handle) -> None:
    """Runs a handle in debug mode: the loop knows which one, and says so in the log if it took long."""
    if handle._cancelled:
        return
    loop = cast(asyncio.BaseEventLoop, handle._loop)
    loop._current_handle = handle
    try:
        start = loop.time()
        handle._run()
        took = loop.time() - start
        if took >= loop.slow_callback_duration:
            base_events.logger.warning("Executing %s took %.3f seconds", base_events._format_handle(handle), took)
    finally:
        loop._current_handle = None
        del handle  # A traceback may keep this frame, and must not keep the handle and its task with it.


def extract_stack() -> traceback.StackSummary:
    """The stack of whoever called into Rust."""
    return format_helpers.extract_stack(sys._getframe(1))


fileobj_to_fd: Callable[[Any], int] = selectors._fileobj_to_fd  # type: ignore[attr-defined]
"""The number behind an fd or an object with `fileno()`; ValueError as from a selector."""
