"""What qtloop uses of asyncio's private side, and what Rust leaves to Python because it happens
rarely.

`PRIVATE` names every private thing that the package depends on, and what it promises. A test checks
each entry on the running interpreter. So if a Python changes one, the test fails and names it.
"""

import asyncio
import contextvars
import gc
import inspect
import logging
import operator
import selectors
import socket
import sys
import traceback
import warnings
import weakref
from asyncio import base_events, events, format_helpers, sslproto, tasks
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from . import _core, _stock_attributes

if TYPE_CHECKING:

    class StockLoop(asyncio.SelectorEventLoop):
        """The attributes of the stock loop's private side that `EventLoop` uses."""

        _ssock: socket.socket
        _csock: socket.socket
        _internal_fds: int
        _signal_handlers: dict[int, asyncio.Handle]
        _current_handle: asyncio.Handle | None
        _asyncgen_firstiter_hook: Callable[[Any], None]
        _asyncgen_finalizer_hook: Callable[[Any], None]

        def _check_closed(self) -> None: ...
        def _check_running(self) -> None: ...
        def _close_self_pipe(self) -> None: ...
        def _process_self_data(self, data: bytes) -> None: ...
        def _start_serving(self, *args: Any, **kwargs: Any) -> None: ...
        def _set_coroutine_origin_tracking(self, enabled: bool) -> None: ...
        async def _ensure_resolved(self, address: Any, **options: Any) -> list[Any]: ...
        async def _create_connection_transport(self, *args: Any) -> Any: ...
        async def _make_subprocess_transport(self, *args: Any, **kwargs: Any) -> Any: ...
        async def _sock_sendfile_native(
            self, sock: Any, file: Any, offset: int, count: int | None
        ) -> Any: ...

    class StockHandle(asyncio.Handle):
        """The attributes of a handle's private side that the functions below use."""

        _loop: Any
        _callback: Any
        _args: Any
        _source_traceback: traceback.StackSummary | None

else:
    StockLoop = asyncio.SelectorEventLoop

#: Private name, seen from the package `asyncio` -> what it promises.
PRIVATE: Final = {
    "events.Handle.__slots__": (
        "_callback _args _cancelled _loop _source_traceback _repr _context: by Rust"
    ),
    "events.TimerHandle.__slots__": "_scheduled _when: read and written by Rust",
    "events.Handle._run": (
        "calls the callback in its context and reports what it raises; used in debug mode"
    ),
    "tasks._leave_task": "the task is the loop's current one no more",
    "tasks._enter_task": "the task is the loop's current one, which has none",
    "tasks.current_task": "the loop's current task or None",
    "events._set_running_loop": "makes a loop the thread's running loop, or none with None",
    "events._get_running_loop": "the thread's running loop or None",
    "base_events.BaseEventLoop._check_closed": "raises RuntimeError if the loop is closed",
    "base_events.BaseEventLoop._check_thread": (
        "raises RuntimeError on a thread that is not the loop's"
    ),
    "base_events.BaseEventLoop._check_callback": "raises TypeError for what cannot be a callback",
    "base_events.BaseEventLoop._set_coroutine_origin_tracking": "notes where coroutines are made",
    "base_events.BaseEventLoop._asyncgen_firstiter_hook": (
        "registers an async generator with the loop"
    ),
    "base_events.BaseEventLoop._asyncgen_finalizer_hook": (
        "closes a forgotten async generator on the loop"
    ),
    "base_events._check_ssl_socket": "raises TypeError for an SSL socket; called by Rust's sock_*",
    "base_events._HAS_IPv6": "whether a socket of IPv6 has addresses to be looked up",
    "base_events.socket": "the module: a program that replaces it there is not passed by",
    "base_events.BaseEventLoop._ensure_resolved": (
        "looks an address up, unless it is numeric; also what sock_connect is given"
    ),
    "base_events.BaseEventLoop._connect_sock": (
        "makes and connects a socket; who replaces it is not passed by"
    ),
    "base_events.BaseEventLoop._create_connection_transport": (
        "makes protocol and transport of a connected socket, and waits for them"
    ),
    "futures.Future._asyncio_future_blocking": (
        "true as a task is given the future to wait for; set by Rust"
    ),
    "base_events._format_handle": "names a handle, or the task behind it, for the log",
    "format_helpers._format_callback_source": "names a callback and where it is defined",
    "format_helpers.extract_stack": "a bounded stack summary from a frame outwards",
    "selector_events.BaseSelectorEventLoop._read_from_self": (
        "drains the self-pipe, handles its signals"
    ),
    "unix_events._UnixSelectorEventLoop._process_self_data": (
        "handles the signals in bytes of the self-pipe"
    ),
    "selector_events.BaseSelectorEventLoop._make_self_pipe": "makes _ssock, _csock; watches _ssock",
    "selector_events.BaseSelectorEventLoop._close_self_pipe": "undoes that",
    "selector_events.BaseSelectorEventLoop._add_reader": (
        "watches an fd; called by transports, sock_*"
    ),
    "selector_events.BaseSelectorEventLoop._remove_reader": "true if there was a watch",
    "selector_events.BaseSelectorEventLoop._add_writer": "as _add_reader",
    "selector_events.BaseSelectorEventLoop._remove_writer": "as _remove_reader",
    "selector_events.BaseSelectorEventLoop._ensure_fd_no_transport": (
        "raises RuntimeError if one has"
    ),
    "selector_events.BaseSelectorEventLoop._start_serving": (
        "accepts `backlog` at a time, the fifth argument"
    ),
    "selector_events.BaseSelectorEventLoop._make_socket_transport": "makes a stream's transport",
    "selector_events.BaseSelectorEventLoop._make_datagram_transport": (
        "makes a datagram endpoint's transport"
    ),
    "selector_events.BaseSelectorEventLoop._make_ssl_transport": (
        "makes the transport of a TLS connection"
    ),
    "selector_events.BaseSelectorEventLoop._sendfile_native": "sends a file by a transport",
    "unix_events._UnixSelectorEventLoop._sock_sendfile_native": (
        "sends a file with a fileno() by a socket"
    ),
    "base_events._set_nodelay": "switches Nagle's algorithm off",
    "base_events.Server._attach": "counts a connection, which newer versions are told",
    "base_events.Server._detach": "undoes that",
    "futures._set_result_unless_cancelled": "what it says: wakes who waits for a connection",
    "trsock.TransportSocket": "shows a socket without its I/O methods",
    "sslproto.SSLProtocol": (
        "TLS as a BufferedProtocol over a transport; _app_transport is the program's"
    ),
    "sslproto.SSLProtocol._do_read": (
        "_process_outgoing _write_appdata and so on: what _core.TlsEngine does in their place"
    ),
    "sslproto.SSLProtocolState": "the values of SSLProtocol._state; by Rust too",
    "sslproto._SSLProtocolTransport": "the program's transport; _ssl_protocol is its protocol",
    "base_events.BaseEventLoop.start_tls": "makes its protocol by the name sslproto.SSLProtocol",
    "transports._FlowControlMixin": (
        "a Transport; asyncio's sendfile asks whether a transport is one"
    ),
    "constants._SendfileMode": "TRY_NATIVE: a transport by which sendfile may use the system call",
    "constants.ACCEPT_RETRY_DELAY": "seconds, when accepting fails for want of resources",
    "constants.LOG_THRESHOLD_FOR_CONNLOST_WRITES": "writes in vain after which there is a warning",
    "streams.StreamReaderProtocol": "_stream_reader_wr: a weak reference to its reader, or None",
    "streams.StreamReader.feed_data": "_buffer _eof _waiter _limit _paused _transport: by Rust too",
    "selector_events._SelectorSocketTransport.write": "refuses what is no data before all else",
    "selector_events._test_selector_event": "asks _selector about an fd, for a transport's repr",
    "unix_events._UnixSelectorEventLoop._signal_handlers": (
        "of instances: handlers by signal number"
    ),
    "unix_events._UnixSelectorEventLoop._child_watcher_callback": (
        "tells a transport of its child's exit"
    ),
    "unix_events._UnixSubprocessTransport": "the transport of a child process",
    "tasks.Task._fut_waiter": "what a task waits for, or None; read by the inspector",
    "tasks.Task._must_cancel": "true if it is to be cancelled in its next step",
    "futures.Future._callbacks": "each done callback with its context, or None; by the inspector",
    "tasks._GatheringFuture": "_children: what `gather` was given; by the inspector",
    "taskgroups.TaskGroup._on_task_done": (
        "the done callback of its tasks; _parent_task is who waits; by the inspector"
    ),
    "base_events.threading._active": "Python's list of threads, by number, dummies included",
    "base_events.threading._register_atexit": "calls a function at exit, before threads are joined",
}

#: The same of the loop on Windows, which depends on a part of the other list only.
PRIVATE_ON_WINDOWS: Final = {
    "windows_events.IocpProactor._poll": (
        "completes futures; of _overlapped it uses GetQueuedCompletionStatus and "
        "INVALID_HANDLE_VALUE only"
    ),
    "windows_events.IocpProactor._iocp": "the port's handle, None once it is closed",
    "windows_events.IocpProactor._loop": "the loop, once set_loop was called",
    "windows_events.IocpProactor._results": "the futures that _poll has completed",
    "windows_events.ProactorEventLoop._ssock": "the end of the self-pipe that is read",
    "windows_events.ProactorEventLoop._csock": "the end of the self-pipe that is written",
    "proactor_events.BaseProactorEventLoop._make_self_pipe": "makes _ssock, _csock",
    "proactor_events.BaseProactorEventLoop._close_self_pipe": "undoes that",
    "proactor_events.BaseProactorEventLoop._make_socket_transport": "makes a stream's transport",
    "proactor_events.BaseProactorEventLoop._make_ssl_transport": (
        "makes the transport of a TLS connection"
    ),
    "proactor_events.BaseProactorEventLoop._make_datagram_transport": (
        "makes a datagram endpoint's transport"
    ),
    "proactor_events.BaseProactorEventLoop._make_duplex_pipe_transport": (
        "makes a named pipe's transport"
    ),
    "proactor_events.BaseProactorEventLoop._make_read_pipe_transport": (
        "makes the transport of a pipe's end"
    ),
    "proactor_events.BaseProactorEventLoop._make_write_pipe_transport": "as _make_read_pipe_...",
    "proactor_events._ProactorSocketTransport": "a stream's transport; _sock until it is closed",
    "proactor_events._ProactorDatagramTransport": "a datagram endpoint's transport; _sock",
    "proactor_events._ProactorReadPipeTransport": "the transport of a pipe that is read; _sock",
    "proactor_events._ProactorWritePipeTransport": "that of one that is written; _sock",
    "proactor_events._ProactorDuplexPipeTransport": "a named pipe's transport; _sock",
    "sslproto._SSLProtocolTransport": "_ssl_protocol, whose _transport is the socket's",
}


class Selector(selectors.BaseSelector):
    """The fds that the loop watches, for reading only. It stands in place of the stock loop's
    selector, since transports ask that for their `repr`.

    The watches are the driver's, and only the loop's own methods change them.
    """

    _map: Mapping[Any, selectors.SelectorKey] | None

    def __init__(self, loop: _core.Loop) -> None:
        self._map = _Watched(loop)

    def __setattr__(self, name: str, value: object) -> None:
        if name != "_map":
            raise RuntimeError(
                f"{name} of the loop's selector cannot be replaced: {_stock_attributes.TURNING}"
            )
        super().__setattr__(name, value)

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        raise NotImplementedError("use the loop's add_reader() and add_writer()")

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        raise NotImplementedError("use the loop's remove_reader() and remove_writer()")

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        raise RuntimeError(f"the loop's selector cannot wait: {_stock_attributes.TURNING}")

    def close(self) -> None:
        self._map = None

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return cast(Mapping[Any, selectors.SelectorKey], self._map)


class _Watched(Mapping[Any, selectors.SelectorKey]):
    def __init__(self, loop: _core.Loop) -> None:
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


_callback_source_knows_debug = (
    "debug" in inspect.signature(format_helpers._format_callback_source).parameters
)


def set_policy(policy: Any) -> None:
    """Sets the policy, without the warning that policies are deprecated."""
    getattr(events, "_set_event_loop_policy", asyncio.set_event_loop_policy)(policy)


def warn_of_newer(version: tuple[int, int] = sys.version_info[:2]) -> None:
    """Warns if this Python is newer than the newest that was tested."""
    if version > _core.NEWEST:
        newest, found = (".".join(map(str, each)) for each in (_core.NEWEST, version))
        message = (
            f"qtloop was tested with Python up to {newest}, and this is {found}: options that its "
            f"asyncio may"
            " have added to transports and servers are ignored, and changes of its private side "
            "may show"
        )
        warnings.warn(message, RuntimeWarning, stacklevel=3)


#: The tasks that are in their first step, from Python 3.12 on. From 3.14 on only the tasks written
#: in Python.
eager_tasks: set[asyncio.Task[Any]] = getattr(tasks, "_eager_tasks", set())

#: Whether the running loop and the current task belong to the thread, and not the task to the loop.
tasks_are_by_thread: Final = sys.version_info >= (3, 14)


def task_function(name: str) -> Callable[..., Any]:
    """asyncio's function for the current task: `current_task`, `enter_task` or `leave_task`. It is
    the one written in C, if there is one."""
    names = (f"_c_{name}", f"_{name}", name)
    function: Callable[..., Any] = next(
        getattr(tasks, found) for found in names if hasattr(tasks, found)
    )
    return function


def context_of(task: asyncio.Task[Any]) -> contextvars.Context:
    """The context that a pending task runs in."""
    if sys.version_info >= (3, 12):
        return task.get_context()
    if hasattr(task, "_context"):  # It is of the kind written in Python.
        return cast(contextvars.Context, task._context)
    # A task written in C shows its context only to the garbage collector, as the first of its
    # references.
    referents = gc.get_referents(task)
    return next(found for found in referents if isinstance(found, contextvars.Context))


_tls_options = inspect.signature(sslproto.SSLProtocol).parameters.keys()


def split_tls_options(options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The keywords that this Python's TLS protocol takes, and the other keywords."""
    own = {name: value for name, value in options.items() if name in _tls_options}
    return own, {name: value for name, value in options.items() if name not in own}


def describe_callback(handle: "StockHandle") -> str:
    """The handle's callback as the stock loop names it in its messages."""
    arguments: dict[str, Any] = (
        {"debug": handle._loop.get_debug()} if _callback_source_knows_debug else {}
    )
    return format_helpers._format_callback_source(handle._callback, handle._args, **arguments)


def report_error(handle: "StockHandle", error: BaseException) -> None:
    """Gives an exception of a callback to its loop's exception handler, as `asyncio.Handle`
    does."""
    context: dict[str, Any] = {
        "message": f"Exception in callback {describe_callback(handle)}",
        "exception": error,
        "handle": handle,
    }
    if handle._source_traceback:
        context["source_traceback"] = handle._source_traceback
    handle._loop.call_exception_handler(context)


def reduce_handle(handle: "StockHandle", protocol: int) -> Any:
    """How a handle is copied: the copy is a handle of asyncio's own, and is in no queue."""
    if operator.index(protocol) < 2:
        return object.__reduce_ex__(handle, protocol)
    stock = asyncio.TimerHandle if isinstance(handle, asyncio.TimerHandle) else asyncio.Handle
    twin = stock.__new__(stock)
    for name in [name for base in stock.__mro__ for name in getattr(base, "__slots__", ())]:
        if name != "__weakref__" and hasattr(handle, name):
            setattr(twin, name, getattr(handle, name))
    return twin.__reduce_ex__(protocol)


def run_timed(handle: "StockHandle") -> None:
    """Runs a handle in debug mode. The loop knows which handle it is, and logs it if it took long.

    A handle that ran an event loop of Qt, for example a modal dialog's, does not count as slow.
    What blocked that loop between its turns is reported by the watchdog.
    """
    if handle._cancelled:
        return
    loop = handle._loop
    watchdog = loop._watchdog
    outer, loop._current_handle = loop._current_handle, handle
    try:
        start, turns = loop.time(), watchdog.busy() if watchdog is not None else 0
        handle._run()
        took = loop.time() - start
        has_turned = watchdog is not None and watchdog.turns() != turns
        if took >= loop.slow_callback_duration and not has_turned:
            name = base_events._format_handle(handle)  # type: ignore[attr-defined]
            logger: logging.Logger = base_events.logger  # type: ignore[attr-defined]
            logger.warning("Executing %s took %.3f seconds", name, took)
    finally:
        loop._current_handle = outer
        # A traceback may keep this frame, and must not keep handles and their tasks with it.
        del handle, outer


def extract_stack() -> traceback.StackSummary:
    """The stack of the Python code that called into Rust."""
    return format_helpers.extract_stack(sys._getframe(1))


fileobj_to_fd: Callable[[Any], int] = selectors._fileobj_to_fd  # type: ignore[attr-defined]
"""The number behind an fd or an object with `fileno()`. Raises ValueError as a selector does."""
