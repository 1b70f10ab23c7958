"""The ways to get a loop: run a program, a factory, a policy."""

import asyncio
import functools
import signal
import sys
import warnings
from asyncio import events
from collections.abc import Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from . import _asyncio_hooks, _current, _qt, _system
from ._loop import EventLoop

_T = TypeVar("_T")


def new_event_loop() -> EventLoop:
    """A new loop, for `asyncio.Runner(loop_factory=...)`, test plug-ins and servers.

    In a Rust program that embeds the interpreter it is the loop that the program made for this
    thread, as long as that is neither running nor closed.

    Raises ImportError if no Qt binding is installed.
    """
    return _current.offered() or EventLoop()


def factory_on(host: object, loop_factory: Callable[[], EventLoop]) -> Callable[[], EventLoop]:
    """A function that makes a loop on the host; without a host, the factory itself.

    Raises TypeError for a host with a factory that is not the usual one.
    """
    if host is None:
        return loop_factory
    if loop_factory is not new_event_loop:
        raise TypeError(
            "give either a host or a loop factory, which makes loops on a host of its choice"
        )
    return functools.partial(EventLoop, host=host)


def run(
    main: Coroutine[Any, Any, _T],
    *,
    debug: bool | None = None,
    quit_signals: Iterable[signal.Signals] = (),
    keep_running: bool = False,
    loop_factory: Callable[[], EventLoop] = new_event_loop,
    host: object = None,
) -> _T | None:
    """Runs the coroutine inside Qt's event loop and returns its result: `asyncio.run` on Qt.

    If the process has no QApplication, QGuiApplication or QCoreApplication yet, a QCoreApplication
    is made. When the application quits (its last window is closed, the session ends, or
    `QCoreApplication.quit()` or `exit()` is called), there are two cases:

    * `main` was waiting for the quit: it connected `aboutToQuit` with what sets an event or the
      like, and waits for that, by `asyncio.wait_for` or a TaskGroup if you like. It goes on and
      ends by itself. If it has not ended after `EventLoop.quit_grace` seconds, 10, it is cancelled:
      nobody can see a program any more that has quit, so it must not stay for ever.
    * Else it still waits for what it waited for before, and is cancelled at once.

    Cancelled, it may finish what it has to finish, with Qt still running, and so may other tasks,
    async generators and executors, in the end. Then the result of `main` is returned, or raised
    what it raises. If it is None, or the cancellation came through, SystemExit is raised with the
    application's exit code if that is not 0 and it was this call that ran the application's event
    loop; else None is returned. Ctrl-C cancels `main` too and then raises KeyboardInterrupt, as in
    asyncio.

    With `keep_running`, the call goes on when `main` has returned, until the application quits: for
    a `main` that shows a window and leaves the rest to slots and tasks. The result is that of
    `main` then too. An exception ends the call as ever.

    `debug` is as for `asyncio.run`. Each of `quit_signals`, SIGTERM for example, quits the
    application as `QCoreApplication.quit()` does. Call it from a thread that has no running loop;
    only the main thread gets signals.

    `host` is as for `EventLoop`. With a host of another run loop (see `qtloop.hosts`) Qt plays no
    part. Its application has quit when its run loop ends by itself, because its window is closed
    for example; one of `quit_signals` just cancels `main` then.

    Raises RuntimeError if a loop runs in this thread already; ValueError if `main` is not a
    coroutine; TypeError for a host together with a loop factory; and what `main` raises.
    """
    if events._get_running_loop() is not None:
        raise RuntimeError("qtloop.run() cannot be called from a running event loop")
    returned: list[_T] = []
    result: _T | None
    if keep_running and asyncio.iscoroutine(main):
        main = _until_quit(main, returned)
    with asyncio.Runner(debug=debug, loop_factory=factory_on(host, loop_factory)) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, EventLoop)
        for number in quit_signals:
            loop.add_signal_handler(number, _quit, loop)
        try:
            result = runner.run(main)
        except asyncio.CancelledError:
            if loop._exit_code is None and not loop._is_told_to_quit:
                raise
            result = returned[0] if returned else None
        finally:
            # The rest is not the application's main loop any more. A quit must not end it, and it
            # must not announce a quit.
            loop._drains = True
        if result is None and loop._exit_code:
            raise SystemExit(loop._exit_code)
        return result


async def _until_quit(main: Coroutine[Any, Any, _T], returned: list[_T]) -> Any:
    """Is cancelled in the end, after `main` has put its result where `run` finds it."""
    returned.append(await main)
    await asyncio.get_running_loop().create_future()


def _quit(loop: EventLoop) -> None:
    """A signal quits the program."""
    if loop._uses_qt:
        _qt.quit_application()
    elif loop._awaited is not None:
        loop._is_told_to_quit = True
        loop._awaited.cancel()


class _NoPolicies:
    def __init__(self) -> None:
        raise RuntimeError(
            "this Python has no event loop policies: use qtloop.run(),"
            " or give loop_factory=qtloop.new_event_loop to asyncio.run() or asyncio.Runner()"
        )


if TYPE_CHECKING:
    _Policy = asyncio.DefaultEventLoopPolicy
else:
    _Policy = _system.default_policy or _NoPolicies


class EventLoopPolicy(_Policy):
    """The default policy, but its loops are qtloop's.

    Raises RuntimeError on a Python that has no policies any more.
    """

    def _loop_factory(self) -> EventLoop:
        return EventLoop()


def install() -> None:
    """Sets the policy, so that `asyncio.run` and `asyncio.new_event_loop` use qtloop. Prefer `run`
    or a loop factory: policies are deprecated since Python 3.14, and so is this, with a warning
    there.

    Raises RuntimeError on a Python that has no policies any more.
    """
    policy = EventLoopPolicy()
    if sys.version_info >= (3, 14):
        advice = (
            "policies are deprecated, and qtloop.install() with them: use qtloop.run() or a "
            "loop factory"
        )
        warnings.warn(advice, DeprecationWarning, stacklevel=2)
    _asyncio_hooks.set_policy(policy)
