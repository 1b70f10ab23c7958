"""`EventLoop`: asyncio's loop with Rust in front.

The hot parts (handles, `call_soon` and similar methods, watching fds, the run itself) are in
`_core.Loop`, which comes before asyncio's own loop in the method resolution order. asyncio's loop
does the rest, so that each Python version keeps its own semantics and messages. The class of
asyncio's loop, and the class between the two, depend on the system: see `_system`.
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

    `host` is "qt", "binding" or "sim". None takes the environment variable `QTLOOP_HOST`, or else
    the best host that is available. `host` may also be a host for another run loop, or the name of
    such a host. These need no Qt: see `qtloop.hosts`. `fds` is "epoll" (one epoll set behind one
    QSocketNotifier; on macOS and the BSDs "kqueue") or "notifier" (one QSocketNotifier per fd and
    direction; the only choice on Windows). None takes the environment variable `QTLOOP_FD`, or else
    the first of the two.

    Raises ImportError if no Qt binding is installed, or if the requested host was not built. Raises
    ValueError for an unknown name, and TypeError for an object that is not a host.
    """

    _thread_id: int | None = None
    _awaited: asyncio.Future[Any] | None = None
    _drains = False
    _watchdog: Watchdog | None = None
    #: How many inspectors are open. While there are some, the watchdog works outside debug mode
    #: too.
    _inspectors = 0
    #: The code that the watchdog has seen blocking the loop.
    _blockers: "Worst | None" = None
    #: The first stops the answers to `python -m qtloop.inspect`. The second closes the inspector's
    #: window.
    _end_listening: Callable[[], object] | None = None
    _close_inspector: Callable[[], object] | None = None
    #: For how many seconds the task of `run_until_complete` may go on after a quit of the
    #: application that has woken it. Then the task is cancelled.
    quit_grace: float = 10.0
    #: The exit code with which the application quit while the loop ran; None if it did not quit.
    _exit_code: int | None = None
    #: Whether a signal has cancelled the task of `qtloop.run`, on a host without an application.
    _is_told_to_quit = False
    #: Whether the host is Qt's event loop, which needs an application.
    _uses_qt: bool

    #: nest_asyncio does not patch a class that has this attribute. See `_nest_asyncio`.
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

        In the main thread, if no event loop runs there yet, it calls `QCoreApplication.exec()`.
        Otherwise it runs a QEventLoop of its own. If there is no application, it makes a
        QCoreApplication.
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
        """Closes the loop. If a QCoreApplication was made for the loop, and this was the last loop
        that ran with it, the QCoreApplication is destroyed.

        The QCoreApplication is kept if it is visibly in use: something refers to the Python object,
        it has children, QObjects that Python code made still exist, an event loop runs, or Qt's
        global thread pool works. It is also kept if the loop is closed in another thread than the
        application's.
        """
        was_closed = self.is_closed()
        super().close()
        for end in (self._end_listening, self._close_inspector):
            if end is not None:
                end()
        # A second call of `close` comes here too, if the first was interrupted here.
        if self._uses_qt and (not was_closed or _made_application.is_used_by(self)):
            _made_application.give_up(self)

    def _run_watched(self, running: _core.Running) -> None:
        with _interpreter_exit.leaves_at_exit(self):
            try:
                self._watch(running)
                self._run_host()
            finally:
                running.undo()  # Otherwise `run` does it, but not if the interpreter ends.

    def _watch(self, running: _core.Running) -> None:
        """Starts the watchers of debug mode. They end when the loop no longer runs in the
        thread."""
        # Without a binding no Python code uses QObjects.
        has_binding = _qt.own is None or _qt.imported() is not None
        if self._debug and self._uses_qt and has_binding:
            _thread_affinity.watch_warnings(self, running)
        if self._uses_qt:
            watch(self, running)
        _inspect_by_environment.listen_if_asked(self)

    def run_until_complete(self, future: Generator[Any, None, _T] | Awaitable[_T]) -> _T:
        """Runs until the future is done, and returns its result or raises its exception.

        If the application quits before that, the loop runs the callbacks that the quit made ready:
        slots of `aboutToQuit` may have set an event. If the task then still waits for the same
        thing as before the quit, it is cancelled, and the loop runs until the task has dealt with
        the cancellation. Otherwise the task goes on, and is cancelled only when `quit_grace`
        seconds have passed.
        """
        outer = self._awaited
        self._check_closed()
        if self.is_running() and _nest_asyncio.can_nest(self):
            return _nest_asyncio.run_until_complete(self, future)
        self._check_running()
        is_new = not asyncio.isfuture(future)
        awaited = asyncio.ensure_future(cast(Awaitable[_T], future), loop=self)
        if is_new and isinstance(awaited, asyncio.Task):
            # As in the stock method: if the run is interrupted, asyncio must not complain about the
            # pending task.
            awaited._log_destroy_pending = False  # type: ignore[attr-defined]
        try:
            self._awaited = awaited
            return self._run_until_done(awaited)
        except BaseException:
            if is_new and awaited.done() and not awaited.cancelled():
                awaited.exception()  # It is being raised. It must not be logged as never retrieved.
            raise
        finally:
            _core.ensure(functools.partial(setattr, self, "_awaited", outer))

    def _run_until_done(self, awaited: "asyncio.Future[_T]") -> _T:
        # The stock method is not called: a program may have replaced it by one that runs the queues
        # of the stock loop.
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
            return  # Such an exception ends the run by itself, now or when it was raised.
        if not self._nested:
            self.stop()

    def _stop_if_done(self) -> None:
        """A nested run has ended. The future of the outer run may have become done during it."""
        if not self._nested and self._awaited is not None and self._awaited.done():
            self.stop()

    def _check_running(self) -> None:
        # The stock method is not called: a program may have replaced it by one that allows
        # everything.
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
        # In a QThread, or under a slot, a quit stays in force until the event loop that it quits
        # has ended. Once the program knows of the quit, later runs only await finalizers.
        is_told = turns_when_told is not None and self.metrics().turns == turns_when_told
        # If the loop was about to stop anyway, it only ends its iteration.
        if not (is_told or self._stopping):
            quit.decide()
        self._run_once_or_on(True)

    def _run_once_or_on(self, drain: bool) -> int | None:
        """Does what `_exec` does. At the end of the interpreter it works without Qt, if Qt cannot
        deliver events any more."""
        if _interpreter_exit.begins_without_qt(self):
            self._leave_host()
        code = self._exec(drain)
        if _interpreter_exit.has_lost_qt(self) and code is not None:
            self._leave_host()
            code = self._exec(drain)
            _interpreter_exit.has_lost_qt(self)
        return code

    def _close_self_pipe(self) -> None:
        # A loop whose construction was interrupted has no sockets.
        ssock, csock = getattr(self, "_ssock", None), getattr(self, "_csock", None)
        if ssock is not None and csock is not None and ssock.fileno() >= 0:
            super()._close_self_pipe()
            return
        # The garbage collector has collected the sockets before the loop. So they are closed, and
        # their numbers may belong to other files. Or an earlier call was interrupted.
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
        """The loop's counters. Any thread may call this, also when the loop is closed."""
        from . import _metrics  # Most programs do not ask for it.

        return _metrics.read(self)

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Joins the default executor's threads, for at most `timeout` seconds (from Python
        3.12)."""
        # Threads do not run on simulated time. With a timeout the simulated time would jump to it
        # at once.
        arguments = () if timeout is None or self.host == "sim" else (timeout,)
        await super().shutdown_default_executor(*arguments)
