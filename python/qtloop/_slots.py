"""Async functions as slots."""

import asyncio
import functools
import inspect
import itertools
import logging
import weakref
from collections.abc import Callable, Coroutine
from typing import Any, Final, Literal, ParamSpec, TypeVar, cast, get_args, overload

from . import _core, _current, _owned_tasks, _posted_calls, _qobjects, _qt

_P = ParamSpec("_P")
_T = TypeVar("_T")

Reentry = Literal["parallel", "ignore", "restart", "queue"]

_MISSING: Final = object()

_logger = logging.getLogger("qtloop")


@overload
def slot(
    function: Callable[_P, Coroutine[Any, Any, _T]], /, *, reentry: Reentry = "parallel"
) -> Callable[_P, asyncio.Task[_T] | None]: ...


@overload
def slot(
    *, reentry: Reentry = "parallel"
) -> Callable[[Callable[_P, Coroutine[Any, Any, _T]]], Callable[_P, asyncio.Task[_T] | None]]: ...


def slot(function: Any = None, /, *, reentry: Reentry = "parallel") -> Any:
    """Makes a slot of an async function or method, which runs as a task each time it is called::

        @slot(reentry="ignore")
        async def on_clicked(self):
            ...

        button.clicked.connect(self.on_clicked)

    It may stand beneath the binding's own decorator. Bindings treat it as they would treat the
    function: what a signal has beyond its parameters is left out. `reentry` says what a call does
    while the task of an earlier one has not ended:

    - "parallel" runs beside it;
    - "ignore" does nothing;
    - "restart" cancels it, and starts when that has ended;
    - "queue" starts when it has ended, and so have all before.

    Each slot counts for itself, and a method's for each object it is called on: a function is taken
    for a method if its first parameter is named `self`. If `self` is a QObject, its tasks are
    cancelled when it is destroyed, as with `create_task`.

    The task begins in the call: up to its first `await` that has to wait, the function runs while
    the signal is emitted, and there `self.sender()` is the signal's sender, as in any slot.
    `asyncio.current_task()` is the slot's task meanwhile, even if the signal was emitted in another
    task, which goes on afterwards; the context is a copy of the caller's. What the function raises
    there is the task's, as later. A call that "restart" or "queue" lets wait begins later. So does
    one that comes from another thread, or is nested in a hundred others, or belongs to another loop
    than qtloop's. What `sender()` returns then means nothing.

    A call returns the task, or None if it started none. Nobody need keep the task. What the
    function raises goes to the loop's exception handler as soon as the task ends, unless it is
    SystemExit or KeyboardInterrupt, which end the loop's run as with any task. The call itself
    raises nothing but TypeError for arguments that there are no parameters for: bindings may end
    the process when an exception leaves a slot.

    The task belongs to the loop that runs in the thread where `self`, a QObject, lives; without
    such a `self`, to the loop that runs in the calling thread, or if there is none, to that of the
    application's thread. A call in another thread is handed over to it and returns None. Where no
    loop runs then, a call does nothing but log an error.

    Raises TypeError if `function` is no async function, ValueError for an unknown `reentry`.
    """
    if reentry not in get_args(Reentry):
        raise ValueError(f"reentry must be one of {', '.join(get_args(Reentry))}, not {reentry!r}")
    if function is None:
        return functools.partial(slot, reentry=reentry)
    if not inspect.iscoroutinefunction(function):
        raise TypeError(f"slot() takes an async function, not {function!r}")
    parameters = list(inspect.signature(function).parameters.values())
    is_method = bool(parameters) and parameters[0].name == "self"
    return functools.wraps(function)(
        _passing_on(parameters, _Starter(function, is_method, reentry))
    )


class _Calls:
    """The unfinished calls of a slot, for one receiver on one loop."""

    def __init__(self) -> None:
        self.tasks: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()
        #: The calls that a restart has cancelled.
        self._superseded: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()
        #: The calls that are being started. An eager task runs before it is known here.
        self.starting: set[_Call] = set()
        #: Held by the call that runs, if only one may run.
        self.turn = asyncio.Lock()

    def are_running(self) -> bool:
        return bool(self.starting) or any(not task.done() for task in self.tasks)

    def supersede(self, cancelled_before: dict[asyncio.Task[Any], int]) -> None:
        """Cancels all calls, each only once: a second time would disturb its cleanup."""
        for task in set(self.tasks) - set(self._superseded):
            if cancelled_before.setdefault(task, task.cancelling()) == task.cancelling():
                task.cancel("its slot was called again")
            self._superseded.add(task)


class _Call:
    """One call of a slot, and how far it has got. If the handler of a signal interrupts it, it goes
    on from there."""

    def __init__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.args = args
        self.kwargs = kwargs
        self.calls: _Calls | None = None
        self.coroutine: Coroutine[Any, Any, Any] | None = None
        self.task: asyncio.Task[Any] | None = None
        #: How often the tasks that this call cancels were cancelled before.
        self.cancelled_before: dict[asyncio.Task[Any], int] = {}
        self.is_over = False
        #: The task's done callback.
        self.ended: Callable[[asyncio.Task[Any]], object] | None = None


class _Failed(Exception):
    """An error of what the program gives to start a task with: it fails each time."""


class _Starter:
    """Starts the tasks of a slot."""

    def __init__(
        self, function: Callable[..., Coroutine[Any, Any, Any]], is_method: bool, reentry: Reentry
    ) -> None:
        self._function = function
        self._is_method = is_method
        self._name = getattr(function, "__qualname__", repr(function))
        self._short_name = getattr(function, "__name__", self._name)
        self._reentry = reentry
        #: The calls, by the ids of the receiver and of the loop, while there are any.
        self._calls: dict[tuple[int, int], _Calls] = {}

    def call(self, call: _Call) -> asyncio.Task[Any] | None:
        """Does what the slot does when it is called, in any thread. May be called again for the
        same call."""
        if call.is_over:
            return call.task
        args = call.args
        receiver = (
            args[0] if self._is_method and args else getattr(self._function, "__self__", None)
        )
        owner = receiver if isinstance(receiver, _qt.core().QObject) else None
        if owner is not None and _qobjects.is_deleted(owner):
            _logger.error("slot %s was called though Qt has deleted its object", self._name)
            return None
        loop = _current.guest() or _current.running()
        elsewhere = _other_thread(owner, loop)
        if elsewhere is not None:
            _posted_calls.call_in_thread(elsewhere, functools.partial(self.call, call))
            return None
        if loop is None:
            _logger.error("slot %s was called where no event loop runs", self._name)
            return None
        try:
            self._start(loop, receiver, owner, call)
        except _Failed as failed:
            assert isinstance(failed.__cause__, Exception)
            self._report(loop, failed.__cause__)
        call.is_over = True
        return call.task

    def _start(
        self, loop: asyncio.AbstractEventLoop, receiver: object, owner: Any, call: _Call
    ) -> None:
        key = id(receiver), id(loop)
        if call.calls is None:
            call.calls = self._joined(key, call)
        calls = call.calls
        if calls is None:
            return
        self._calls.setdefault(key, calls)  # It may have been forgotten when this was interrupted.
        calls.starting.add(call)
        try:
            if call.task is None:
                self._make_task(loop, call)
            task = call.task
            if task is None:  # It was started eagerly, and has ended by a signal.
                return
            calls.tasks.add(task)
        finally:
            calls.starting.discard(call)
            self._forget(key, calls)
        _owned_tasks.keep(task)
        if owner is not None:
            _owned_tasks.cancel_with(owner, task)
        if call.ended is None:
            call.ended = functools.partial(self._ended, key, call)
        task.remove_done_callback(call.ended)
        task.add_done_callback(call.ended)
        # This is the last step: from here on another call finds this one running. The loop's task
        # factory may have begun it.
        coroutine = call.coroutine
        if isinstance(loop, _core.Loop) and coroutine is not None and _is_new(coroutine):
            loop._begin_now(task)

    def _joined(self, key: tuple[int, int], call: _Call) -> _Calls | None:
        """The calls that this one belongs to; None if this call is to be ignored."""
        calls = self._calls.get(key)
        if calls is None or not calls.are_running():
            calls = self._calls[key] = _Calls()
        elif self._reentry == "ignore":
            return None
        elif self._reentry == "restart":
            calls.supersede(call.cancelled_before)
        return calls

    def _make_task(self, loop: asyncio.AbstractEventLoop, call: _Call) -> None:
        """If it fails twice, that is the program's fault. If it fails once, that was a signal.

        Raises _Failed; or what the signal has raised, once the task is made.
        """
        try:
            call.task = self._task(loop, call)
        except Exception:
            try:
                call.task = self._task(loop, call)
            except Exception as error:
                raise _Failed from error
            raise

    def _task(self, loop: asyncio.AbstractEventLoop, call: _Call) -> asyncio.Task[Any] | None:
        if call.coroutine is None:
            call.coroutine = self._coroutine(call)
        elif not _is_new(call.coroutine) or not _is_free(call.coroutine, loop):
            return next(
                (task for task in asyncio.all_tasks(loop) if task.get_coro() is call.coroutine),
                None,
            )
        return loop.create_task(call.coroutine)

    def _coroutine(self, call: _Call) -> Coroutine[Any, Any, Any]:
        if self._reentry in ("parallel", "ignore"):
            return self._function(*call.args, **call.kwargs)
        assert call.calls is not None
        coroutine: Any = self._in_turn(call.calls, call.args, call.kwargs)
        # Whoever shows the task shows the program's function, and not this one.
        coroutine.__name__, coroutine.__qualname__ = self._short_name, self._name
        return cast(Coroutine[Any, Any, Any], coroutine)

    async def _in_turn(self, calls: _Calls, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        task = asyncio.current_task()
        assert task is not None
        calls.tasks.add(task)
        async with calls.turn:
            return await self._function(*args, **kwargs)

    def _ended(self, key: tuple[int, int], call: _Call, task: asyncio.Task[Any]) -> None:
        if call.ended is None or call.calls is None:  # The callback was added twice.
            return
        call.is_over = True
        self._forget(key, call.calls)
        # Nothing is left that refers to this object or to the receiver.
        call.ended = call.calls = call.coroutine = None
        call.args, call.kwargs = (), {}
        if task.cancelled():
            return
        error = task.exception()
        if error is not None and not isinstance(error, SystemExit | KeyboardInterrupt):
            self._report(task.get_loop(), error, task=task)

    def _forget(self, key: tuple[int, int], calls: _Calls) -> None:
        if self._calls.get(key) is calls and not calls.are_running():
            del self._calls[key]

    def _report(self, loop: asyncio.AbstractEventLoop, error: BaseException, **more: Any) -> None:
        context = {"message": f"Exception in slot {self._name}", "exception": error, **more}
        loop.call_exception_handler(context)


def _is_new(coroutine: Coroutine[Any, Any, Any]) -> bool:
    return inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED


def _is_free(coroutine: Coroutine[Any, Any, Any], loop: asyncio.AbstractEventLoop) -> bool:
    """Whether no task has the coroutine."""
    return all(task.get_coro() is not coroutine for task in asyncio.all_tasks(loop))


def _passing_on(parameters: list[inspect.Parameter], starter: _Starter) -> Callable[..., Any]:
    """A plain function with these parameters, all optional. It makes the call with the arguments
    that it gets.

    Bindings count the parameters of a slot, to leave out arguments that the slot does not take.
    PySide also chooses between `clicked()` and `clicked(bool)` by that. The function itself calls
    no Python code: see `_core.enter`.
    """
    names = [
        parameter.name
        for parameter in parameters
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]

    def pass_all_on(made: dict[str, _Call], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if "call" not in made:
            made["call"] = _Call(args, kwargs)
        return starter.call(made["call"])

    def pass_on(made: dict[str, _Call], values: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        args = tuple(itertools.takewhile(lambda value: value is not _MISSING, values))
        named = zip(names[len(args) :], values[len(args) :], strict=True)
        given = {name: value for name, value in named if value is not _MISSING}
        return pass_all_on(made, args, {**given, **kwargs})

    enter = _core.enter
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return lambda *args, **kwargs: enter(pass_all_on, {}, args, kwargs)
    scope = {"_enter": enter, "_pass_on": pass_on, "_missing": _MISSING}
    head = ", ".join([*(f"{name}=_missing" for name in names), "**_kwargs"])
    values = "".join(f"{name}, " for name in names)
    exec(f"def slot({head}): return _enter(_pass_on, {{}}, ({values}), _kwargs)", scope)
    return scope["slot"]  # type: ignore[return-value]


def _other_thread(owner: Any, loop: asyncio.AbstractEventLoop | None) -> Any:
    """The QThread in which a call has to be made, if that is not this thread."""
    qt_core = _qt.core()
    if owner is not None:
        thread = owner.thread()
    elif loop is None and qt_core.QCoreApplication.instance() is not None:
        thread = qt_core.QCoreApplication.instance().thread()
    else:
        return None
    return thread if thread is not None and thread != qt_core.QThread.currentThread() else None
