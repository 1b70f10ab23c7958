"""asyncio inside an event loop of Qt that somebody else runs."""

import asyncio
import contextvars
import functools
import itertools
import threading
from asyncio import events
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, TypeVar

from . import (
    _asyncio_hooks,
    _core,
    _current,
    _inspect_by_environment,
    _interpreter_exit,
    _made_application,
    _owned_tasks,
)
from ._loop import EventLoop
from ._run import factory_on, new_event_loop

_T = TypeVar("_T")

#: The attachment to which the running code belongs. Tasks and callbacks inherit it by their
#: context.
_owner: contextvars.ContextVar["Attachment | None"] = contextvars.ContextVar("_owner", default=None)

#: What the attachments of this thread share, as `carried`.
_here = threading.local()


class Attachment:
    """A user of the loop that is attached to this thread's Qt event loop, from `open` to `close`;
    made by `attach`.

    A context manager whose value is the loop. All its methods are for one thread.
    """

    #: Whether the loop is somebody else's, and goes on to live after the last attachment.
    _is_lent = False

    def __init__(
        self,
        guest: bool | None,
        debug: bool | None,
        loop_factory: Callable[[], EventLoop],
        host: object = None,
    ) -> None:
        self._guest = guest
        self._debug = debug
        self._loop_factory = loop_factory
        self._host = host
        self._carried: _Carried | None = None
        self._thread: int | None = None
        self._is_closing = False
        #: What has ended the loop that carried this one, among other things.
        self._ended_by: list[BaseException | None] = []

    @property
    def loop(self) -> EventLoop:
        """The loop. Raises RuntimeError if it is not attached, or not by this attachment."""
        if self._carried is None or self._is_closing:
            raise RuntimeError("the loop is not attached")
        return self._carried.loop

    def open(self) -> EventLoop:
        """Attaches a loop to this thread and returns it: a new one, or the one that another
        attachment has attached here and that is still there.

        Raises RuntimeError if it was done before, if one of our loops runs in this thread that
        nobody has attached, if the attached one was made with other arguments or is just being
        closed, or if there is no QCoreApplication; ImportError if no Qt binding is installed. Then,
        and if the handler of a signal raises something, nothing is attached, and it may be tried
        again.
        """
        if self._thread is not None:
            raise RuntimeError("an attachment can be opened only once")
        carried: _Carried | None = getattr(_here, "carried", None)
        if carried is None and (
            isinstance(events._get_running_loop(), EventLoop) or _current.guest() is not None
        ):
            raise RuntimeError("a loop of qtloop's runs in this thread already")
        try:
            if carried is None:
                carried = self._carried = _Carried(self._loop_factory, self._host, self._is_lent)
                carried.attach_new(self._guest, self._debug)
                _here.carried = carried
            else:
                carried.check(self._guest, self._debug, self._loop_factory, self._host)
                self._carried = carried
            carried.members.add(self)
            self._thread = threading.get_ident()
            return carried.loop
        except BaseException:
            self._give_up()
            raise

    def _give_up(self) -> None:
        """Undoes the steps of `open` that were done."""
        carried = self._carried
        self._thread = self._carried = None
        if carried is not None:
            carried.members.discard(self)
            if not carried.members:
                carried.give_up()

    def create_task(
        self, coro: Coroutine[Any, Any, _T], *, name: str | None = None
    ) -> asyncio.Task[_T]:
        """Starts a task that belongs to this attachment, and is cancelled when it closes. So is
        every task that such a task starts, directly or by its callbacks and servers: everything
        that inherits its context. A reference to the task need not be kept.

        Other tasks of the loop belong to nobody. They are cancelled when its last attachment
        closes.

        Raises RuntimeError if it is not open, or in another thread. Then the coroutine is closed.
        """
        try:
            loop = self.loop
            self._check_thread()
            context = contextvars.copy_context()
            context.run(_owner.set, self)
            task = loop.create_task(coro, name=name, context=context)
        except BaseException:
            if asyncio.iscoroutine(coro):
                coro.close()
            raise
        _owned_tasks.keep(task)
        return task

    def close(self) -> None:
        """Cancels the tasks of this attachment, and waits for them while Qt goes on turning. The
        loop and all other tasks go on. If this is the last attachment, all tasks are cancelled,
        async generators' finalizers and the executor's shutdown run, as in `asyncio.run`, and the
        loop is closed. Closing twice is no error. Attachments may be closed in any order.

        While another attachment's `close` waits, this one only cancels: the other one waits for
        these tasks too.

        Raises RuntimeError from another thread, and from within a callback or task of the loop: let
        Qt call it, by `QTimer.singleShot(0, attachment.close)` for example. Raises what ended the
        loop that carried this one, if that was a SystemExit or KeyboardInterrupt of a callback:
        once, in the next `close` of any attachment. If the handler of a signal raises something
        meanwhile, call it again.
        """
        carried = self._carried
        if carried is None or self._is_closing:
            return
        self._check_thread()
        if carried.closes not in (None, self):
            carried.dismiss(self)
            self._carried = None
            return
        # This is one step in C, so the exception that has ended the loop is not lost.
        self._ended_by.extend(itertools.starmap(carried.loop._detach, [()]))
        try:
            self._is_closing = True
            if carried.members == {self}:
                carried.finish(self)
            else:
                # Everything is done, however often a signal comes in between: the other attachments
                # need the loop.
                steps = (carried.end_tasks, carried.settle)
                _core.ensure(*(functools.partial(step, self) for step in steps))
            self._carried = None
        finally:
            self._is_closing = False
            error = next(filter(None, self._ended_by), None)
            if error is not None:
                raise error

    def _check_thread(self) -> None:
        if self._thread != threading.get_ident():
            raise RuntimeError("the loop is attached to another thread")

    #: No method surrounds it: an exception could come in that method when the loop is attached
    #: already.
    __enter__ = open

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class _Carried:
    """A loop inside a run loop that somebody else runs, from its first attachment to its last. No
    task or callback of the loop calls anything here."""

    loop: EventLoop

    def __init__(self, loop_factory: Callable[[], EventLoop], host: object, is_lent: bool) -> None:
        self._loop_factory = loop_factory
        self._host = host
        self._is_lent = is_lent
        self._is_guest = False
        self._runner: asyncio.Runner | None = None
        self._running: _core.Running | None = None
        #: The open attachments.
        self.members: set[Attachment] = set()
        #: The attachment that closes. The loop runs by itself until the tasks that have to end have
        #: ended.
        self.closes: Attachment | None = None
        #: All attachments close.
        self._is_ending = False
        #: The tasks that have to end meanwhile.
        self._ending: set[asyncio.Task[Any]] = set()

    def attach_new(self, guest: bool | None, debug: bool | None) -> None:
        """Makes the loop, and attaches it to this thread."""
        self._is_guest = events._get_running_loop() is not None if guest is None else guest
        factory = factory_on(self._host, self._loop_factory)
        self._runner = asyncio.Runner(debug=debug, loop_factory=factory)
        loop = self._runner.get_loop()
        assert isinstance(loop, EventLoop)
        self.loop = loop
        self._attach()

    def check(
        self,
        guest: bool | None,
        debug: bool | None,
        loop_factory: Callable[[], EventLoop],
        host: object,
    ) -> None:
        """Raises RuntimeError if a user with these arguments cannot have this loop."""
        if self._is_ending:
            raise RuntimeError("the loop that is attached to this thread is just being closed")
        differing = {
            f"guest={guest}": guest in (None, self._is_guest),
            f"debug={debug}": debug in (None, self.loop.get_debug()),
            f"host={host!r}": host is None or host == self.loop.host or host == self._host,
            f"loop_factory={loop_factory!r}": loop_factory in (new_event_loop, self._loop_factory),
        }
        asked = ", ".join(argument for argument, fits in differing.items() if not fits)
        if asked:
            raise RuntimeError(
                f"a loop is attached to this thread already, and it was not made with {asked}: "
                f"{self.loop!r} on the host {self.loop.host!r}"
            )

    def _attach(self) -> None:
        loop = self.loop
        running = self._running = _core.Running(loop)
        if self._is_guest:
            running.at_exit(functools.partial(_current.leave_guest, loop))
            _current.enter_guest(loop)
            _inspect_by_environment.listen_if_asked(loop)
        else:
            running.__enter__()
            # It does something only in other threads than the main one, and no signal handlers run
            # there.
            leaving = _interpreter_exit.leaves_at_exit(loop)
            leaving.__enter__()
            running.at_exit(functools.partial(leaving.__exit__, None, None, None))
            loop._watch(running)
        loop._attach(self._is_guest)
        if loop._uses_qt:
            _made_application.use(loop)

    def _leave(self) -> None:
        """The loop is not the thread's running one any more."""
        if self._running is not None:
            self._running.__exit__()

    def give_up(self) -> None:
        """Undoes the steps of `attach_new` that were done."""
        loop, runner = getattr(self, "loop", None), self._runner
        if loop is not None:
            _core.ensure(self._forget, loop._detach, self._leave, loop.close)
        elif runner is not None:
            runner.close()

    def _forget(self) -> None:
        if getattr(_here, "carried", None) is self:
            del _here.carried

    def dismiss(self, member: Attachment) -> None:
        """Cancels the tasks of a member. It is no member any more."""
        tasks = {
            task
            for task in asyncio.all_tasks(self.loop)
            if _asyncio_hooks.context_of(task).get(_owner) is member
        }
        self._ending |= tasks
        for task in tasks:
            task.cancel()
        self.members.discard(member)

    def end_tasks(self, member: Attachment) -> None:
        """Cancels and awaits the tasks of a member. The loop is detached. May be called again."""
        self._leave()
        self.closes = member
        # The program may have quit its event loop of Qt. That must not end the rest of the work.
        self.loop._drains = True
        self.dismiss(member)
        _core.aside(self._await_ending)

    def _await_ending(self) -> None:
        while pending := [task for task in self._ending if not task.done()]:
            self.loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
        for task in list(self._ending):
            self._ending.discard(task)
            if not task.cancelled() and task.exception() is not None:
                self.loop.call_exception_handler(
                    {
                        "message": "unhandled exception while an attachment was closed",
                        "exception": task.exception(),
                        "task": task,
                    }
                )

    def settle(self, member: Attachment) -> None:
        """After `end_tasks`: attaches the loop again, unless all have left. May be called again."""
        if not self.members:
            self.finish(member)
            return
        # If this was interrupted it may be attached already.
        self.loop._detach()
        self._leave()
        self.closes = None
        self.loop._drains = False
        self._attach()

    def finish(self, member: Attachment) -> None:
        """All members have left, or are about to. The loop is detached. May be called again."""
        loop = self.loop
        self._leave()
        if self._is_lent:
            self._forget()
            return
        self.closes = member
        self._is_ending = True
        loop._drains = True
        # Unless the loop's own `close` was interrupted: then nothing can run any more.
        if loop._ssock is not None and self._runner is not None:
            _core.aside(self._runner.close)
        loop.close()
        self._forget()


def attach(
    *,
    guest: bool | None = None,
    debug: bool | None = None,
    loop_factory: Callable[[], EventLoop] = new_event_loop,
    host: object = None,
) -> Attachment:
    """asyncio inside an event loop of Qt that somebody else runs::

        with qtloop.attach() as loop:
            app.exec()

    From entry to exit the loop is the thread's running one: `asyncio.create_task` works at once, in
    slots, and between several runs of Qt's loop, and tasks go on whenever Qt's event loop turns in
    this thread, whoever runs it: `QCoreApplication.exec()`, a QEventLoop, a QThread's own. On exit
    tasks are cancelled and finalizers run, as `asyncio.run` does it.

    Another asyncio loop may run in this thread already, with Qt's event loop inside it, as in a
    Jupyter kernel with Qt integration. Then this loop is a *guest*: it is the running loop during
    its own turns only. Slots decorated with `qtloop.slot` find it; elsewhere schedule with its own
    methods. `guest=True` makes it a guest where no loop runs at this moment but others come and go,
    as at IPython's prompt.

    For a plug-in, without `with`: `attachment = attach()`, `attachment.open()`,
    `attachment.create_task(...)`, `attachment.close()`.

    Several may be open in one thread. They share one loop, which lives until the last of them is
    closed. Closing one cancels the tasks that its own `create_task` has started, and what those
    have started; all other tasks end with the loop. `guest`, `debug`, `loop_factory` and `host`
    count for the first that is opened. A later one gives the same, or none of them.

    `loop.stop()` ends Qt's event loops in this thread, as `QCoreApplication.exit()` does; so does a
    SystemExit or KeyboardInterrupt in a callback, which is then raised on exit.

    `host` is as for `EventLoop`. With a host of another run loop (see `qtloop.hosts`) all this
    applies to that run loop, and Qt plays no part.

    Raises TypeError for a host together with a loop factory.
    """
    factory_on(host, loop_factory)
    return Attachment(guest, debug, loop_factory, host)
