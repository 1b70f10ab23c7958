"""asyncio inside an event loop of Qt's that somebody else runs."""

import asyncio
import functools
import itertools
import threading
from asyncio import events
from collections.abc import Callable
from types import TracebackType

from . import _core, _current, _interpreter_exit, _made_application
from ._loop import EventLoop
from ._run import factory_on, new_event_loop


class Attachment:
    """A loop that is attached to this thread's Qt event loop, from `open` to `close`; made by
    `attach`.

    A context manager whose value is the loop. All its methods are for one thread.
    """

    def __init__(
        self, guest: bool | None, debug: bool | None, loop_factory: Callable[[], EventLoop]
    ) -> None:
        self._is_guest = guest
        self._debug = debug
        self._loop_factory = loop_factory
        self._runner: asyncio.Runner | None = None
        self._running: _core.Running | None = None
        #: The loop, until it is closed.
        self._loop: EventLoop | None = None
        self._thread: int | None = None
        self._is_closing = False
        #: What has ended the loop that carried this one, among other things.
        self._ended_by: list[BaseException | None] = []

    @property
    def loop(self) -> EventLoop:
        """The loop. Raises RuntimeError if it is not attached."""
        if self._loop is None or self._is_closing:
            raise RuntimeError("the loop is not attached")
        return self._loop

    def open(self) -> EventLoop:
        """Attaches a new loop to this thread and returns it.

        Raises RuntimeError if it was done before, if one of our loops runs or is attached in this
        thread, or if there is no QCoreApplication; ImportError if no Qt binding is installed. Then,
        and if the handler of a signal raises something, nothing is attached, and it may be tried
        again.
        """
        if self._thread is not None:
            raise RuntimeError("an attachment can be opened only once")
        outer_loop = events._get_running_loop()
        if isinstance(outer_loop, EventLoop) or _current.guest() is not None:
            raise RuntimeError("a loop of qtloop's runs in this thread already")
        is_guest = outer_loop is not None if self._is_guest is None else self._is_guest
        try:
            self._runner = asyncio.Runner(debug=self._debug, loop_factory=self._loop_factory)
            loop = self._runner.get_loop()
            assert isinstance(loop, EventLoop)
            self._loop = loop
            self._running = _core.Running(loop)
            self._enter(loop, self._running, is_guest)
            loop._attach(is_guest)
            if loop._uses_qt:
                _made_application.use(loop)
            self._thread = threading.get_ident()
            return loop
        except BaseException:
            self._give_up()
            raise

    def _enter(self, loop: EventLoop, running: _core.Running, is_guest: bool) -> None:
        if is_guest:
            running.at_exit(functools.partial(_current.leave_guest, loop))
            _current.enter_guest(loop)
            return
        running.__enter__()
        # Only in other threads than the main one does it do anything, and there no handlers of
        # signals run.
        leaving = _interpreter_exit.leaves_at_exit(loop)
        leaving.__enter__()
        running.at_exit(functools.partial(leaving.__exit__, None, None, None))
        loop._watch(running)

    def _give_up(self) -> None:
        """Undoes what of `open` was done."""
        loop, running, runner = self._loop, self._running, self._runner
        self._thread = self._loop = self._running = self._runner = None
        if loop is not None:
            leave = [running.__exit__] if running is not None else []
            _core.ensure(loop._detach, *leave, loop.close)
        elif runner is not None:
            runner.close()

    def close(self) -> None:
        """Detaches the loop, cancels its tasks, and runs async generators' finalizers and the
        executor's shutdown with Qt still turning, as `asyncio.run` does, and closes the loop.
        Closing twice is no error.

        Raises RuntimeError from another thread, and from within a callback or task of the loop: let
        Qt call it, by `QTimer.singleShot(0, attachment.close)` for example. Raises what ended the
        loop that carried this one, if that was a SystemExit or KeyboardInterrupt of a callback. If
        the handler of a signal raises something meanwhile, call it again.
        """
        loop = self._loop
        if loop is None or self._is_closing:
            return
        if self._thread != threading.get_ident():
            raise RuntimeError("the loop is attached to another thread")
        # One step, of C: what has ended the loop is not lost.
        self._ended_by.extend(itertools.starmap(loop._detach, [()]))
        try:
            self._is_closing = True
            self._finalize(loop)
        finally:
            self._is_closing = False
            error = next(filter(None, self._ended_by), None)
            if error is not None:
                raise error

    def _leave(self) -> None:
        """The loop is not the thread's running one any more."""
        if self._running is not None:
            self._running.__exit__()

    def _finalize(self, loop: EventLoop) -> None:
        self._leave()
        # Whoever runs Qt's event loop may have quit it; what is left to do is not to be ended by
        # that.
        loop._drains = True
        # Unless the loop's own `close` was interrupted: then nothing can run any more.
        if loop._ssock is not None and self._runner is not None:
            _core.aside(self._runner.close)
        loop.close()
        self._loop = None

    #: Not a method around it, in which an exception could come when the loop is attached already.
    __enter__ = open

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def attach(
    *,
    guest: bool | None = None,
    debug: bool | None = None,
    loop_factory: Callable[[], EventLoop] = new_event_loop,
    host: object = None,
) -> Attachment:
    """asyncio inside an event loop of Qt's that somebody else runs::

        with qtloop.attach() as loop:
            app.exec()

    From entry to exit the loop is the thread's running one: `asyncio.create_task` works at once, in
    slots, and between several runs of Qt's loop, and tasks go on whenever Qt's event loop turns in
    this thread, whoever runs it: `QCoreApplication.exec()`, a QEventLoop, a QThread's own. On exit
    tasks are cancelled and finalizers run, as `asyncio.run` does it.

    If another asyncio loop runs in this thread already and Qt's event loop inside it, as in a
    Jupyter kernel with Qt integration, this one is a *guest*: it is the running loop during its own
    turns only. Slots decorated with `qtloop.slot` find it; elsewhere schedule with its own methods.
    `guest=True` makes it one where no loop runs at this moment but others come and go, as at
    IPython's prompt.

    For a plug-in, without `with`: `attachment = attach()`, `attachment.open()`,
    `attachment.close()`.

    `loop.stop()` ends Qt's event loops in this thread, as `QCoreApplication.exit()` does; so does a
    SystemExit or KeyboardInterrupt in a callback, which is then raised on exit.

    `host` is as for `EventLoop`. With a host of another run loop (see `qtloop.hosts`) all this is
    about that one, and Qt plays no part.

    Raises TypeError for a host together with a loop factory.
    """
    return Attachment(guest, debug, factory_on(host, loop_factory))
