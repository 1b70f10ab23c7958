"""`EventLoop`: asyncio's loop with Rust in front.

What is hot (handles, call_soon and its kin, watching fds, the run itself) is `_core.Loop`, which
comes before asyncio's own loop in the method resolution order. What is cold is that one's, so that
each Python version brings its own semantics and messages. Which one it is, and what is between the
two, depends on the system: see `_system`.
"""

import asyncio
import functools
import os
from asyncio import events
from collections.abc import Awaitable, Callable, Generator
from typing import TYPE_CHECKING, Any, TypeVar, cast

from . import (
    _application_quit,
    _core,
    _host_choice,
    _inspect_by_environment,
    _interpreter_exit,
    _made_application,
    _nest_asyncio,
    _qt,
    _stock_attributes,
    _system,
    _thread_affinity,
)
from ._watchdog import Watchdog, watch

if TYPE_CHECKING:
    from ._blockers import Worst
    from ._metrics import Metrics

_T = TypeVar("_T")


class EventLoop(_system.Loop):
    """An asyncio event loop that runs inside Qt's.

    `host` is "qt", "binding", "sim", or None for the best that is available (environment variable
    `QTLOOP_HOST`); or a host for another run loop, or the name of one, which needs no Qt: see
    `qtloop.hosts`. `fds` is "epoll" (one epoll set behind one QSocketNotifier; on macOS and the
    BSDs "kqueue") or "notifier" (one QSocketNotifier per fd and direction; on Windows the only
    way); None takes `QTLOOP_FD`, else the first.

    Raises ImportError if no Qt binding is installed or the host asked for was not built; ValueError
    for an unknown name; TypeError for an object that is no host.
    """

    _thread_id: int | None = None
    _awaited: asyncio.Future[Any] | None = None
    _drains = False
    _watchdog: Watchdog | None = None
    #: Inspectors that are open: while there are some, the watchdog watches outside debug mode too.
    _inspectors = 0
    #: Whom the watchdog has seen to block.
    _blockers: "Worst | None" = None
    #: Ends the answers to `python -m qtloop.inspect`, and closes the inspector's window.
    _end_listening: Callable[[], object] | None = None
    _close_inspector: Callable[[], object] | None = None
    #: Seconds that the task of `run_until_complete` may go on for after a quit of the application
    #: that has woken it. Then it is cancelled.
    quit_grace: float = 10.0
    #: What the application quit with while the loop ran; None if it did not quit.
    _exit_code: int | None = None
    #: A signal has cancelled the task of `qtloop.run`, on a host that has no application to quit.
    _is_told_to_quit = False
    #: Whether the host is Qt's event loop, which needs an application.
    _uses_qt: bool

    #: nest_asyncio leaves a class alone that says so. See `_nest_asyncio`.
    _nest_patched = True

    _is_made = False
    _ready = _stock_attributes.QueueName()
    _scheduled = _stock_attributes.QueueName()
    _run_once = _stock_attributes.MethodName(_stock_attributes.TURNING)
    _process_events = _stock_attributes.MethodName(_stock_attributes.TURNING)
    _clock_resolution = _stock_attributes.FixedName(_stock_attributes.SCREENING)

    def __init__(self, *, host: object = None, fds: str | None = None) -> None:
        #: The runs inside the run, the innermost last.
        self._nested: list[_nest_asyncio.Nested] = []
        resolved = _host_choice.resolve(host)
        self._uses_qt = _host_choice.uses_qt(resolved)
        self._open(resolved, fds or os.environ.get("QTLOOP_FD") or _core.POLLER)
        super().__init__()
        self._is_made = True

    def run_forever(self) -> None:
        """Runs Qt's event loop, or another host's, until `stop()`, or until the application quits.

        In the main thread, when nothing runs there yet, that is `QCoreApplication.exec()`; else a
        QEventLoop of its own. If there is no application, a QCoreApplication is made.
        """
        self._check_closed()
        if self.is_running() and _nest_asyncio.can_nest(self):
            return _nest_asyncio.run_forever(self)
        self._check_running()
        if self._uses_qt and not _interpreter_exit.is_without_qt():
            _qt.ensure_application()
            _made_application.use(self)
        _core.Running(self).run(self._run_watched)

    def close(self) -> None:
        """Closes the loop. A QCoreApplication that was made for it goes, if it was the last that
        ran with it.

        It stays if it can be seen to be in use: somebody refers to the Python object, it has
        children, Python code has made QObjects that still exist, an event loop runs, or Qt's global
        thread pool works. And if the loop is closed in another thread than the application's.
        """
        was_closed = self.is_closed()
        super().close()
        for end in (self._end_listening, self._close_inspector):
            if end is not None:
                end()
        # The second time, if the first was interrupted here.
        if self._uses_qt and (not was_closed or _made_application.is_used_by(self)):
            _made_application.give_up(self)

    def _run_watched(self, running: _core.Running) -> None:
        with _interpreter_exit.leaves_at_exit(self):
            try:
                self._watch(running)
                self._run_host()
            finally:
                running.undo()  # Else done by whoever calls this; but not if the interpreter ends.

    def _watch(self, running: _core.Running) -> None:
        """What debug mode watches, until the loop is no longer the thread's running one."""
        # Without a binding no Python code uses QObjects.
        has_binding = _qt.own is None or _qt.imported() is not None
        if self._debug and self._uses_qt and has_binding:
            _thread_affinity.watch_warnings(self, running)
        if self._uses_qt:
            watch(self, running)
        _inspect_by_environment.listen_if_asked(self)

    def run_until_complete(self, future: Generator[Any, None, _T] | Awaitable[_T]) -> _T:
        """Runs until the future is done, and returns its result or raises its exception.

        If the application quits before that, what the quit made ready is run: slots of
        `aboutToQuit` may have set an event. If the task then still waits for what it waited for
        when the application quit, it is cancelled, and runs on until it has dealt with it. Else it
        goes on, and is cancelled only when `quit_grace` seconds have passed.
        """
        outer = self._awaited
        self._check_closed()
        if self.is_running() and _nest_asyncio.can_nest(self):
            return _nest_asyncio.run_until_complete(self, future)
        self._check_running()
        is_new = not asyncio.isfuture(future)
        awaited = asyncio.ensure_future(cast(Awaitable[_T], future), loop=self)
        if is_new and isinstance(awaited, asyncio.Task):
            # As the stock method: an interrupted run is no reason to complain about the pending
            # task.
            awaited._log_destroy_pending = False  # type: ignore[attr-defined]
        try:
            self._awaited = awaited
            return self._run_until_done(awaited)
        except BaseException:
            if is_new and awaited.done() and not awaited.cancelled():
                awaited.exception()  # It is being raised; do not log it as never retrieved.
            raise
        finally:
            _core.ensure(functools.partial(setattr, self, "_awaited", outer))

    def _run_until_done(self, awaited: "asyncio.Future[_T]") -> _T:
        # Not the stock method, which may be replaced by one that turns the stock loop's queues.
        stop = _core.Entrance(self._stop_for)
        awaited.add_done_callback(stop)
        try:
            self.run_forever()
        finally:
            awaited.remove_done_callback(stop)
        if not awaited.done():
            raise RuntimeError("Event loop stopped before Future completed.")
        return awaited.result()

    def _stop_for(self, awaited: "asyncio.Future[Any]") -> None:
        if not awaited.cancelled() and isinstance(
            awaited.exception(), SystemExit | KeyboardInterrupt
        ):
            return  # It ends the run by itself, now or when it was raised.
        if not self._nested:
            self.stop()

    def _stop_if_done(self) -> None:
        """A nested run has ended, during which what the outer one waits for may have been done."""
        if not self._nested and self._awaited is not None and self._awaited.done():
            self.stop()

    def _check_running(self) -> None:
        # Not the stock method, which may be replaced by one that lets everything pass.
        if self.is_running():
            raise RuntimeError("This event loop is already running")
        if events._get_running_loop() is not None:
            raise RuntimeError("Cannot run the event loop while another loop is running")

    def _run_host(self) -> None:
        turns_when_told = None if self._exit_code is None else self.metrics().turns
        with _application_quit.noticed(self, None if self._drains else self._awaited) as quit:
            self._exit_code = self._run_once_or_on(self._drains)
        if self._exit_code is None or quit is None:
            return
        # In a QThread, or under a slot, a quit stays in force until what it quits has ended. Once
        # the program has been told, what is still awaited are finalizers.
        is_told = turns_when_told is not None and self.metrics().turns == turns_when_told
        # A loop that was to stop anyway only ends its iteration.
        if not (is_told or self._stopping):
            quit.decide()
        self._run_once_or_on(True)

    def _run_once_or_on(self, drain: bool) -> int | None:
        """As `_exec`; but at the end of the interpreter without Qt, if that cannot serve any
        more."""
        if _interpreter_exit.begins_without_qt(self):
            self._leave_host()
        code = self._exec(drain)
        if _interpreter_exit.has_lost_qt(self) and code is not None:
            self._leave_host()
            code = self._exec(drain)
            _interpreter_exit.has_lost_qt(self)
        return code

    def _close_self_pipe(self) -> None:
        # A loop that was interrupted while it was made has none.
        ssock, csock = getattr(self, "_ssock", None), getattr(self, "_csock", None)
        if ssock is not None and csock is not None and ssock.fileno() >= 0:
            super()._close_self_pipe()
            return
        # The garbage collector has found the loop, and its sockets first: they are closed, and
        # their numbers are not ours any more. Or an earlier call was interrupted.
        if csock is not None:
            csock.close()
        self._ssock = self._csock = None  # type: ignore[assignment]
        self._internal_fds = 0

    def set_debug(self, enabled: bool) -> None:
        """Switches debug mode. If the loop runs, the watchdog starts or stops in its next
        iteration."""
        super().set_debug(enabled)
        if self.is_running():
            self.call_soon_threadsafe(self._follow_debug)

    def _follow_debug(self) -> None:
        if self._watchdog is not None:
            self._watchdog.follow()

    def metrics(self) -> "Metrics":
        """The loop's counters. From any thread, also when the loop is closed."""
        from . import _metrics  # Most programs do not ask for it.

        return _metrics.read(self)

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Joins the default executor's threads, for at most `timeout` seconds (from Python
        3.12)."""
        # Threads do not run on simulated time, which would jump to the timeout at once.
        arguments = () if timeout is None or self.host == "sim" else (timeout,)
        await super().shutdown_default_executor(*arguments)
