"""`EventLoop`: asyncio's loop with Rust in front.

What is hot (handles, call_soon and its kin, watching fds, the run itself) is `_core.Loop`, which comes first
in the method resolution order. What is cold is `asyncio.SelectorEventLoop`, so that each Python version
brings its own semantics and messages.
"""

import asyncio
import contextlib
import os
import signal
import sys
import threading
from asyncio import events, sslproto
from collections.abc import Awaitable, Generator, Iterator
from typing import Any, TypeVar, cast

from . import _affinity, _core, _exit, _hooks, _hosts, _metrics, _qt, _subprocess
from ._watchdog import Watchdog, watching

_T = TypeVar("_T")


class EventLoop(_core.Loop, _hooks.StockLoop):
    """An asyncio event loop that runs inside Qt's.

    `host` is "qt", "binding", "sim", or None for the best that is available (environment variable
    `QTLOOP_HOST`). `fds` is "epoll" (one epoll set behind one QSocketNotifier) or "notifier" (one
    QSocketNotifier per fd and direction); None takes `QTLOOP_FD`, else epoll.

    Raises ImportError if no Qt binding is installed or the host asked for was not built; ValueError for an
    unknown name.
    """

    _thread_id: int | None
    _awaited: asyncio.Future[Any] | None = None
    _drains = False
    _watchdog: Watchdog | None = None
    _forward_signals_to: int | None = None
    #: What the application quit with while the loop ran; None if it did not quit.
    _exit_code: int | None = None

    def __init__(self, *, host: object = None, fds: str | None = None) -> None:
        self._open(_hosts.resolve(host), fds or os.environ.get("QTLOOP_FD") or "epoll")
        super().__init__(_hooks.Selector(self))

    def run_forever(self) -> None:
        """Runs Qt's event loop until `stop()`, or until the application quits.

        In the main thread, when nothing runs there yet, that is `QCoreApplication.exec()`; else a QEventLoop
        of its own. If there is no application, a QCoreApplication is made.
        """
        self._check_closed()
        self._check_running()
        if self.host != "sim":
            _qt.ensure_application()
        with self._running():
            self._run_host()

    @contextlib.contextmanager
    def _running(self) -> Iterator[None]:
        """The loop is the thread's running one."""
        self._set_coroutine_origin_tracking(self._debug)
        asyncgen_hooks = sys.get_asyncgen_hooks()
        self._thread_id = threading.get_ident()
        wakeup_fd = self._wake_on_signals()
        try:
            sys.set_asyncgen_hooks(
                firstiter=self._asyncgen_firstiter_hook, finalizer=self._asyncgen_finalizer_hook
            )
            events._set_running_loop(self)
            with _exit.leaves_at_exit(self), self._watching_threads(), watching(self):
                yield
        finally:
            self._stopping = False
            self._thread_id = None
            events._set_running_loop(None)
            self._wake_as_before(wakeup_fd)
            self._set_coroutine_origin_tracking(False)
            sys.set_asyncgen_hooks(*asyncgen_hooks)

    def run_until_complete(self, future: Generator[Any, None, _T] | Awaitable[_T]) -> _T:
        """Runs until the future is done, and returns its result or raises its exception.

        If the application quits before that, the task is cancelled and runs on until it has dealt with it.
        """
        outer = self._awaited
        self._check_closed()
        self._check_running()
        is_new = not asyncio.isfuture(future)
        awaited = asyncio.ensure_future(cast(Awaitable[_T], future), loop=self)
        self._awaited = awaited
        if is_new and isinstance(awaited, asyncio.Task):
            # As the stock method: an interrupted run is no reason to complain about the pending task.
            awaited._log_destroy_pending = False  # type: ignore[attr-defined]
        try:
            return super().run_until_complete(awaited)
        except BaseException:
            if is_new and awaited.done() and not awaited.cancelled():
                awaited.exception()  # It is being raised; do not log it as never retrieved.
            raise
        finally:
            self._awaited = outer

    def _run_host(self) -> None:
        turns_when_told = None if self._exit_code is None else self.metrics().turns
        self._exit_code = self._exec(self._drains)
        if self._exit_code is None or self._awaited is None:
            return
        # In a QThread, or under a slot, a quit stays in force until what it quits has ended. Once the program
        # has been told, what is still awaited are finalizers.
        is_told = turns_when_told is not None and self.metrics().turns == turns_when_told
        if not is_told:
            if not isinstance(self._awaited, asyncio.Task):
                return
            self._awaited.cancel()
        self._exec(True)

    def _watching_threads(self) -> contextlib.AbstractContextManager[None]:
        # Without a binding no Python code uses QObjects.
        has_binding = _qt.own is None or _qt.imported() is not None
        is_watching = self._debug and self.host != "sim" and has_binding
        return _affinity.thread_warnings(self) if is_watching else contextlib.nullcontext()

    def _wake_on_signals(self) -> int | None:
        """Lets a signal end Qt's wait, so that its Python handler runs at once.

        Returns the wake-up fd that was set before, which is told about signals meanwhile; None outside the
        main thread, where there are none.
        """
        if threading.get_ident() != threading.main_thread().ident:
            return None
        ours = self._csock.fileno()
        before = signal.set_wakeup_fd(ours, warn_on_full_buffer=False)
        self._forward_signals_to = before if before not in (-1, ours) else None
        return before

    def _wake_as_before(self, wakeup_fd: int | None) -> None:
        self._forward_signals_to = None
        if wakeup_fd is not None and not self._signal_handlers:
            try:
                signal.set_wakeup_fd(wakeup_fd)
            except (OSError, ValueError):  # It was closed meanwhile.
                signal.set_wakeup_fd(-1)

    def _process_self_data(self, data: bytes) -> None:
        if self._forward_signals_to is not None:
            with contextlib.suppress(OSError):
                os.write(self._forward_signals_to, data)
        super()._process_self_data(data)

    def set_debug(self, enabled: bool) -> None:
        """Switches debug mode. If the loop runs, the watchdog starts or stops in its next iteration."""
        super().set_debug(enabled)
        if self.is_running():
            self.call_soon_threadsafe(self._follow_debug)

    def _follow_debug(self) -> None:
        if self._watchdog is not None:
            self._watchdog.follow()

    def metrics(self) -> _metrics.Metrics:
        """The loop's counters. From any thread, also when the loop is closed."""
        return _metrics.read(self)

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Joins the default executor's threads, for at most `timeout` seconds (from Python 3.12)."""
        # Threads do not run on simulated time, which would jump to the timeout at once.
        arguments = () if timeout is None or self.host == "sim" else (timeout,)
        await super().shutdown_default_executor(*arguments)

    def remove_signal_handler(self, sig: int) -> bool:
        """Removes the handler of a signal; True if there was one."""
        removed = super().remove_signal_handler(sig)
        if removed and self.is_running():
            forward = self._forward_signals_to
            self._wake_on_signals()
            self._forward_signals_to = forward
        return removed

    def _start_serving(
        self,
        protocol_factory: Any,
        sock: Any,
        sslcontext: Any = None,
        server: Any = None,
        backlog: int = 100,
        *others: Any,
        **options: Any,
    ) -> None:
        if sslcontext is None:
            # The timeouts are TLS's. From Python 3.15 there is a context.
            options.pop("ssl_handshake_timeout", None)
            options.pop("ssl_shutdown_timeout", None)
            self._listen(protocol_factory, sock, server, backlog, *others[2:3], **options)
            return
        # The stock method accepts up to `backlog` connections in one callback. That would keep Qt waiting for
        # milliseconds; those that are left make the socket readable again.
        backlog = min(backlog, _core.ACCEPTED_AT_ONCE)
        super()._start_serving(protocol_factory, sock, sslcontext, server, backlog, *others, **options)

    def _make_ssl_transport(
        self,
        rawsock: Any,
        protocol: Any,
        sslcontext: Any,
        waiter: Any = None,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        extra: Any = None,
        server: Any = None,
        **options: Any,
    ) -> Any:
        # Timeouts are the protocol's. What else there is belongs to the transport: from 3.15 its context.
        for_protocol, for_transport = _hooks.split_tls_options(options)
        ssl_protocol = sslproto.SSLProtocol(
            self, protocol, sslcontext, waiter, server_side, server_hostname, **for_protocol
        )
        self._make_socket_transport(rawsock, ssl_protocol, extra=extra, server=server, **for_transport)
        return ssl_protocol._app_transport

    async def _sendfile_native(self, transp: Any, file: Any, offset: int, count: int | None) -> Any:
        self._lend_fd(transp, True)
        is_reading = transp.is_reading()
        transp.pause_reading()
        await transp._make_empty_waiter()
        try:
            return await self.sock_sendfile(transp._sock, file, offset, count, fallback=False)
        finally:
            transp._reset_empty_waiter()
            if is_reading:
                transp.resume_reading()
            self._lend_fd(transp, False)

    async def _make_subprocess_transport(
        self, protocol: Any, args: Any, shell: bool, *stdio: Any, **kwargs: Any
    ) -> Any:
        if _subprocess.has_watcher(self):
            return await super()._make_subprocess_transport(protocol, args, shell, *stdio, **kwargs)
        return await _subprocess.make_transport(self, protocol, args, shell, *stdio, **kwargs)
