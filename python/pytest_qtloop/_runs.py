"""The loop of a test: what runs the test and its async fixtures, and knows what they have
started."""

import asyncio
import contextlib
import contextvars
import sys
import threading
import weakref
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar, TypeVarTuple

import pytest

import qtloop
import qtloop.testing
from qtloop import _qt

from . import _items, _leftovers, _stacks

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")

#: Seconds that cancelled tasks have to end.
PATIENCE = 5.0

#: The test that what is started now belongs to; None for fixtures that outlive a test.
_starter: contextvars.ContextVar[object] = contextvars.ContextVar("_starter", default=None)


class TestLoop(qtloop.EventLoop):
    """Knows who has started its tasks, timers and watches."""

    __test__ = False

    def __init__(self, host: str | None, **options: Any) -> None:
        super().__init__(host=host, **options)
        self.starters: weakref.WeakKeyDictionary[Any, object] = weakref.WeakKeyDictionary()
        self.timers: weakref.WeakSet[asyncio.TimerHandle] = weakref.WeakSet()
        self.watches: dict[tuple[int, str], object] = {}

    def create_task(self, coro: Any, **options: Any) -> Any:
        """As the base's."""
        starter = _starter_in(options.get("context"))
        task = super().create_task(coro, **options)
        self.starters[task] = starter
        return task

    def call_at(
        self,
        when: float,
        callback: Callable[[*_Ts], object],
        /,
        *args: *_Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """As the base's."""
        return self._note(super().call_at(when, callback, *args, context=context), context)

    def call_later(
        self,
        delay: float,
        callback: Callable[[*_Ts], object],
        /,
        *args: *_Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """As the base's."""
        return self._note(super().call_later(delay, callback, *args, context=context), context)

    def add_reader(self, fd: Any, callback: Callable[[*_Ts], Any], *args: *_Ts) -> None:
        """As the base's."""
        super().add_reader(fd, callback, *args)
        self.watches[_fileno(fd), "reader"] = _starter.get()

    def add_writer(self, fd: Any, callback: Callable[[*_Ts], Any], *args: *_Ts) -> None:
        """As the base's."""
        super().add_writer(fd, callback, *args)
        self.watches[_fileno(fd), "writer"] = _starter.get()

    def remove_reader(self, fd: Any) -> bool:
        """As the base's."""
        self.watches.pop((_fileno(fd), "reader"), None)
        return super().remove_reader(fd)

    def remove_writer(self, fd: Any) -> bool:
        """As the base's."""
        self.watches.pop((_fileno(fd), "writer"), None)
        return super().remove_writer(fd)

    def _note(
        self, handle: asyncio.TimerHandle, context: contextvars.Context | None
    ) -> asyncio.TimerHandle:
        self.starters[handle] = _starter_in(context)
        self.timers.add(handle)
        return handle


class SimulatedTestLoop(TestLoop, qtloop.testing.SimulatedLoop):
    """A test's loop on simulated time, with a seed's order of tasks."""

    __test__ = False

    def __init__(self, seed: int | None) -> None:
        super().__init__("sim", seed=seed)


class _Lent(qtloop.Attachment):
    """Attaches a loop that goes on to live."""

    _is_lent = True


class Run:
    """Runs the coroutines of tests and fixtures on one loop, one after another and in one
    context."""

    def __init__(self, loop: TestLoop, debug: bool | None, timeout: float) -> None:
        self.loop = loop
        self._runner = asyncio.Runner(debug=debug, loop_factory=lambda: loop)
        self._runner.get_loop()
        self._context = contextvars.copy_context()
        self._timeout = timeout

    def run(self, item: pytest.Item | None, coroutine: Coroutine[Any, Any, _T], what: str) -> _T:
        """Runs a coroutine that belongs to a test, or with None to a fixture that outlives tests.

        Fails the test, with the stacks of all tasks, when its time is over, and if the application
        quits.
        """
        timeout = self._timeout_of(item)
        late = _Timeout(self.loop, timeout)
        self._context.run(_starter.set, item)
        bounded: Any = late.bounding(coroutine, what)
        # Whoever shows the task shows the test's function, and not this one.
        bounded.__name__ = getattr(coroutine, "__name__", bounded.__name__)
        bounded.__qualname__ = getattr(coroutine, "__qualname__", bounded.__qualname__)
        try:
            result: _T = self._runner.run(bounded, context=self._context)
        except (Exception, asyncio.CancelledError) as error:
            has_quit = getattr(self.loop, "_exit_code", None) is not None
            if late.stacks is None and not (has_quit and isinstance(error, asyncio.CancelledError)):
                raise
        else:
            if late.stacks is None:
                return result
        if late.stacks is None:
            pytest.fail(f"the application quit while {what} ran", pytrace=False)
        pytest.fail(f"{what} did not end within {timeout:g} s\n\n{late.stacks}", pytrace=False)

    @contextlib.contextmanager
    def attached(self, item: pytest.Item) -> Iterator[None]:
        """The loop works whenever the test turns Qt's event loop, and is the thread's running
        one."""
        token = _starter.set(item)
        try:
            with _Lent(False, None, lambda: self.loop):
                yield
        finally:
            _starter.reset(token)

    def settle(self, item: pytest.Item) -> None:
        """Ends what a test has started, and warns of what had not ended by itself."""
        if self.loop.is_closed():
            return
        self.loop._drains = True
        leftovers = self._runner.run(self._clean_up(item), context=contextvars.copy_context())
        self.loop._drains = False
        _leftovers.warn(item, leftovers)

    def close(self) -> None:
        """Closes the loop, as `asyncio.run` does it."""
        self.loop._drains = True
        self._runner.close()

    async def _clean_up(self, item: pytest.Item) -> list[str]:
        def tasks() -> list[asyncio.Task[Any]]:
            return [task for task in asyncio.all_tasks() if self.loop.starters.get(task) is item]

        for _ in range(10):  # What has been told to end may do so.
            if not tasks():
                break
            await asyncio.sleep(0)
        left = tasks()
        found = [_stacks.describe(task) for task in left]
        for task in left:
            task.cancel("its test has ended")
        if left:
            await asyncio.wait(left, timeout=PATIENCE)
        return found + _leftovers.timers(self.loop, item) + _leftovers.watches(self.loop, item)

    def _timeout_of(self, item: pytest.Item | None) -> float:
        own = None if item is None else _items.options_of_node(item).get("timeout")
        return self._timeout if own is None else float(own)


class _Timeout:
    """Cancels a coroutine when its time is over, and notes where all tasks stood."""

    def __init__(self, loop: TestLoop, seconds: float) -> None:
        self.stacks: str | None = None
        self._loop = loop
        self._seconds = seconds
        self._task: asyncio.Task[Any] | None = None

    async def bounding(self, coroutine: Coroutine[Any, Any, _T], name: str) -> _T:
        self._task = asyncio.current_task()
        assert self._task is not None
        self._task.set_name(name)
        cancel = self._start() if self._seconds > 0 else None
        try:
            return await coroutine
        finally:
            self._task = None
            if cancel is not None:
                cancel()

    def _start(self) -> Callable[[], object]:
        if self._loop.host != "sim":
            return qtloop.EventLoop.call_later(self._loop, self._seconds, self._expire).cancel
        # Simulated time would jump to the timeout.
        timer = threading.Timer(self._seconds, self._loop.call_soon_threadsafe, [self._expire])
        timer.daemon = True
        timer.qtloop_only_watches = True  # type: ignore[attr-defined] # It wakes no task.
        timer.start()
        return timer.cancel

    def _expire(self) -> None:
        if self._task is None:
            return
        self.stacks = _stacks.of_all_tasks(self._loop)
        self._task.cancel("its time is over")
        _close_dialogs()


@contextlib.contextmanager
def opened(request: pytest.FixtureRequest) -> Iterator[Run]:
    """A loop for what the request is for: a test, or all in a class, a module, a package or the
    session."""
    config = request.config
    options = _items.options_of_node(request.node)
    if (
        _items.loop_scope(config) != "function"
        and _items.options_of_node(request._pyfuncitem) != options
    ):
        _refuse_options(request._pyfuncitem, options)
    debug = options.get("debug")
    is_simulated = options.get("simulated", False)
    run = Run(
        SimulatedTestLoop(_items.seed_of(request._pyfuncitem)) if is_simulated else TestLoop(None),
        (config.getini("qtloop_debug") or None) if debug is None else debug,
        float(config.getini("qtloop_timeout")),
    )
    try:
        yield run
        if isinstance(request.node, pytest.Function):
            run.settle(request.node)
    finally:
        run.close()


def _refuse_options(item: pytest.Item, options: dict[str, Any]) -> None:
    own = _items.options_of_node(item)
    for name in ("simulated", "debug", "seed", "seeds"):
        if own.get(name) != options.get(name):
            pytest.fail(
                f"{name} is for the loop, which several tests share (qtloop_loop_scope): use "
                f"`pytestmark`",
                pytrace=False,
            )


def _close_dialogs() -> None:
    """A test that hangs in a dialog's `exec()` cannot be cancelled before that returns."""
    if _qt.own is not None or (binding := _qt.imported()) is None:
        return
    widgets = sys.modules.get(f"{binding}.QtWidgets")
    for _ in range(10):
        dialog = widgets and widgets.QApplication.activeModalWidget()
        if not dialog:
            return
        dialog.hide()


def _starter_in(context: contextvars.Context | None) -> object:
    return _starter.get() if context is None else context.get(_starter)


def _fileno(fd: Any) -> int:
    return fd if isinstance(fd, int) else int(fd.fileno())
