"""The names of qasync 0.28, on qtloop's loop: a program for it runs when its import line is
changed::

    from qtloop.compat.qasync import QApplication, QEventLoop, asyncClose, asyncSlot

The names, arguments and meanings are qasync's, even where errors go. `docs/migrating/qasync.md`
lists the differences, and says how to leave these names behind. As with qasync, importing this
module imports the Qt binding with its widgets: the one that the environment variable `QT_API`
names, else the one that is imported already, else the first that is installed.

Everything here is for the application's thread, unless it says otherwise.
"""

import asyncio
import functools
import importlib
import importlib.util
import inspect
import os
import sys
import warnings
from collections.abc import Awaitable, Callable, Coroutine, Generator
from concurrent.futures import Executor
from types import TracebackType
from typing import Any, Final, TypeVar, cast

from .. import _core, _owned_tasks
from .._attach import Attachment
from .._loop import EventLoop
from .._thread_pool import ThreadPoolExecutor

__all__ = [
    "QApplication",
    "QEventLoop",
    "QSelectorEventLoop",
    "QThreadExecutor",
    "asyncClose",
    "asyncSlot",
    "asyncWrap",
    "run",
]

_T = TypeVar("_T")

#: The values of `QT_API`.
_APIS: Final = {
    "pyqt5": "PyQt5",
    "pyqt6": "PyQt6",
    "pyqt": "PyQt6",
    "pyside6": "PySide6",
    "pyside2": "PySide2",
    "pyside": "PySide6",
}
_ORDER: Final = ("PyQt5", "PyQt6", "PySide2", "PySide6")

#: How many turns of the loop an awaited future has to end after the application has quit.
_LAST_TURNS: Final = 10


def _choose() -> str:
    wanted = os.environ.get("QT_API", "").strip().lower()
    if wanted:
        if wanted not in _APIS:
            raise ImportError(f"QT_API is {wanted!r}, which is none of {', '.join(_APIS)}")
        named = _APIS[wanted]
        if named not in sys.modules and importlib.util.find_spec(named) is None:
            raise ImportError(f"QT_API is {wanted!r}, but {named} is not installed")
        return named
    found = [name for name in _ORDER if name in sys.modules]
    found += [name for name in _ORDER if importlib.util.find_spec(name) is not None]
    if not found:
        raise ImportError(f"no Qt binding is installed: install one of {', '.join(_ORDER)}")
    return found[0]


#: The name of the Qt binding's package, the package and modules of it, as qasync offers them.
QtModuleName: str = _choose()
QtModule: Any = importlib.import_module(QtModuleName)
QtCore: Any = importlib.import_module(f"{QtModuleName}.QtCore")
QtGui: Any = importlib.import_module(f"{QtModuleName}.QtGui")
QtWidgets: Any = importlib.import_module(f"{QtModuleName}.QtWidgets")
#: The binding's own QApplication.
QApplication: Any = QtWidgets.QApplication
Slot: Any = getattr(QtCore, "pyqtSlot", None) or QtCore.Slot


class QThreadExecutor(ThreadPoolExecutor):
    """Runs calls in threads of Qt, at most `max_workers` at once.

    `stack_size` is the threads' stack in bytes; None leaves it to the platform. It is a
    `concurrent.futures.ThreadPoolExecutor` besides, so it has `map`, and `shutdown` may be called
    twice. Its methods may be called from any thread.

    Raises ValueError if `max_workers` is not positive.
    """

    def __init__(self, max_workers: int = 10, stack_size: int | None = None) -> None:
        pool = None
        if stack_size is not None:
            pool = QtCore.QThreadPool()
            pool.setMaxThreadCount(max_workers)
            pool.setStackSize(stack_size)
        super().__init__(max_workers, "QThreadExecutor", pool=pool)


class QEventLoop(EventLoop):
    """qtloop's loop with the arguments and habits of qasync's.

    `app` is the application; None takes the one there is. With `already_running` the loop is the
    thread's running one at once, and works whenever Qt's event loop turns, whoever runs it;
    `stop()` and `close()` are then the caller's business, after Qt's event loop has ended.
    `set_running_loop` does nothing.

    It is a context manager whose end stops and closes it.

    Raises AssertionError if there is no application.
    """

    def __init__(
        self, app: Any = None, set_running_loop: bool = False, already_running: bool = False
    ) -> None:
        if (app or QApplication.instance()) is None:
            raise AssertionError("No QApplication has been instantiated")
        super().__init__()
        self._attachment: Attachment | None = None
        self._was_told_to_stop = False
        self._closes_after_run = False
        #: How many functions of `asyncClose` are waiting for their end.
        self._closing = 0
        if already_running:
            self._attachment = Attachment(False, None, lambda: self)
            self._attachment.open()

    def run_forever(self) -> int:  # type: ignore[override]
        """Runs the application's event loop until `stop()` or a quit. Returns the application's
        exit code.

        Raises RuntimeError if the loop runs already.
        """
        if self.is_running():
            raise RuntimeError("Event loop already running")
        self._was_told_to_stop = False
        try:
            super().run_forever()
        finally:
            self._was_told_to_stop = False
            if self._closes_after_run:
                super().close()
        return self._exit_code or 0

    def run_until_complete(self, future: Generator[Any, None, _T] | Awaitable[_T]) -> _T:
        """Runs until the future is done, and returns its result or raises its exception.

        If the application quits before, nothing is cancelled. What is ready is still run. If the
        future is not done by then, RuntimeError is raised. It is also raised if the loop runs
        already.
        """
        self._check_closed()
        if self.is_running():
            raise RuntimeError("Event loop already running")
        is_new = not asyncio.isfuture(future)
        awaited = asyncio.ensure_future(cast(Awaitable[_T], future), loop=self)
        if is_new:
            awaited._log_destroy_pending = False  # type: ignore[attr-defined]
        awaited.add_done_callback(_stop_loop_of)
        try:
            self.run_forever()
        except BaseException:
            if is_new and awaited.done() and not awaited.cancelled():
                awaited.exception()  # It is being raised; do not log it as never retrieved.
            raise
        finally:
            awaited.remove_done_callback(_stop_loop_of)
        for _ in range(_LAST_TURNS):
            if awaited.done() or self.is_closed():
                break
            self._turn_once()
        if not awaited.done():
            raise RuntimeError("Event loop stopped before Future completed.")
        return awaited.result()

    def stop(self) -> None:
        """Ends `run_forever`, or with `already_running` Qt's event loops in this thread. From then
        on `is_running()` is False. Does nothing if the loop does not run."""
        if not self.is_running():
            return
        self._was_told_to_stop = True
        if not self._closing:
            super().stop()

    def is_running(self) -> bool:
        """Whether the loop runs, and has not been told to stop."""
        return super().is_running() and not self._was_told_to_stop

    def close(self) -> None:
        """Closes the loop for good, and shuts its default executor down. In a callback, after
        `stop()`, that is done when the run ends. With `already_running` tasks are cancelled, and
        end.

        Raises RuntimeError if the loop runs.
        """
        if self.is_running():
            raise RuntimeError("Cannot close a running event loop")
        if self._attachment is not None:
            attachment, self._attachment = self._attachment, None
            attachment.close()  # Which calls this again.
        elif super().is_running():
            self._closes_after_run = True
        else:
            super().close()

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., _T], *args: Any
    ) -> asyncio.Future[_T]:
        """Runs the call in an executor; None means the default one, which is a
        `QThreadExecutor`."""
        if executor is None and self._default_executor is None:
            self.set_default_executor(QThreadExecutor())
        return super().run_in_executor(executor, func, *args)

    def set_default_executor(self, executor: Any) -> None:
        """Sets what `run_in_executor(None, ...)` takes: anything with the methods of an
        executor."""
        self._default_executor = executor

    def __enter__(self) -> "QEventLoop":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        self.close()

    def _turn_once(self) -> None:
        """Runs what is ready. A quit does not end that, and the end of that does not announce a
        quit."""
        drains, self._drains = self._drains, True
        try:
            self.call_soon(EventLoop.stop, self)
            EventLoop.run_forever(self)
        finally:
            self._drains = drains

    def _wait(self, future: "asyncio.Future[Any]") -> None:
        """Turns Qt's event loop until the future is done. A request to stop waits until then."""
        qt_loop = QtCore.QEventLoop()
        self._closing += 1
        try:
            while not future.done():
                qt_loop.processEvents(QtCore.QEventLoop.ProcessEventsFlag.WaitForMoreEvents)
        finally:
            self._closing -= 1
            if self._was_told_to_stop and not self._closing:
                super().stop()


#: The name of the class on Unix.
QSelectorEventLoop = QEventLoop


def asyncSlot(
    *args: Any, **kwargs: Any
) -> Callable[[Callable[..., Coroutine[Any, Any, Any]]], Any]:
    """Makes a slot of an async function: `@asyncSlot()`, `@asyncSlot(int)`, with the arguments of
    the binding's own decorator.

    A call starts a task and returns it. Arguments of the signal for which there are no parameters
    are left out, from the end; a TypeError is raised if none fit. What the function raises goes to
    `sys.excepthook`. The task need not be kept.
    """

    def decorate(function: Callable[..., Coroutine[Any, Any, Any]]) -> Any:
        signature = inspect.signature(function)

        @Slot(*args, **kwargs)  # type: ignore[untyped-decorator]
        @functools.wraps(function)
        def slot(*values: Any, **named: Any) -> asyncio.Future[Any]:
            for count in range(len(values), -1, -1):
                try:
                    signature.bind(*values[:count], **named)
                except TypeError:
                    continue
                task = asyncio.ensure_future(function(*values[:count], **named))
                _owned_tasks.keep(task)
                task.add_done_callback(_show_error)
                return task
            raise TypeError("asyncSlot was not callable from Signal. Potential signature mismatch.")

        return slot

    return decorate


def asyncClose(function: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., None]:
    """Makes a plain method of an async one, for `closeEvent`: Qt's event loop turns until it has
    ended.

    Returns None. What the function raises goes to the loop's exception handler.
    """

    @functools.wraps(function)
    def close(*args: Any, **kwargs: Any) -> None:
        task = asyncio.ensure_future(function(*args, **kwargs))
        loop = task.get_loop()
        if not isinstance(loop, QEventLoop):
            while not task.done():
                QtCore.QCoreApplication.processEvents()
        elif EventLoop.is_running(loop):
            loop._wait(task)
        else:  # The application has quit, or is not run yet.
            while not task.done():
                loop._turn_once()

    return close


async def asyncWrap(fn: Callable[..., _T], *args: Any, **kwargs: Any) -> _T:
    """Calls a function that may run an event loop of its own, such as `QMessageBox.information`,
    from Qt's event loop, and returns what it returns or raises what it raises.

    In a coroutine on qtloop such a function may be called directly, too.
    """
    future: asyncio.Future[_T] = asyncio.get_running_loop().create_future()

    def call() -> None:
        if future.done():  # The handler of a signal came in between, and this is done again.
            return
        try:
            result = fn(*args, **kwargs)
        except BaseException as error:  # Nothing may be raised to Qt.
            if not future.done():
                future.set_exception(error)
        else:
            if not future.done():
                future.set_result(result)

    QtCore.QTimer.singleShot(0, _core.Entrance(call))
    return await future


def run(main: Coroutine[Any, Any, _T], *, debug: bool | None = None) -> _T:
    """`asyncio.run` on a `QEventLoop`. A QApplication is made if there is none.

    Raises what `asyncio.run` raises; RuntimeError, too, if the application quits before `main` has
    ended.
    """
    with asyncio.Runner(debug=debug, loop_factory=_new_loop) as runner:
        loop = runner.get_loop()
        try:
            return runner.run(main)
        finally:
            cast(
                QEventLoop, loop
            )._drains = True  # What is left to do is no application's main loop.


#: The application that `run` has made.
_application: Any = None


def _new_loop() -> QEventLoop:
    global _application
    if QApplication.instance() is None:
        _application = QApplication(sys.argv)
    return QEventLoop(QApplication.instance())


def _stop_loop_of(future: "asyncio.Future[Any]") -> None:
    """The future is done. `KeyboardInterrupt` and `SystemExit` end the run by themselves."""
    error = None if future.cancelled() else future.exception()
    if not isinstance(error, SystemExit | KeyboardInterrupt):
        future.get_loop().stop()


def _show_error(task: "asyncio.Future[Any]") -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None and isinstance(error, Exception):
        sys.excepthook(type(error), error, error.__traceback__)


def __getattr__(name: str) -> Any:
    """Policies are deprecated from Python 3.14 on. So the class is made when somebody asks for
    it."""
    if name not in ("DefaultQEventLoopPolicy", "QEventLoopPolicy"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)

        class DefaultQEventLoopPolicy(asyncio.DefaultEventLoopPolicy):
            """The default policy, but its loops are `QEventLoop`s. They make a QApplication if
            there is none."""

            def new_event_loop(self) -> QEventLoop:
                return _new_loop()

    globals().update(
        DefaultQEventLoopPolicy=DefaultQEventLoopPolicy, QEventLoopPolicy=DefaultQEventLoopPolicy
    )
    return globals()[name]
