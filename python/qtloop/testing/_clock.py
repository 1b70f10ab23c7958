"""The loop on a simulated clock, and how programs run on it."""

import asyncio
import contextlib
import contextvars
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable
from typing import Any, TypeVar, TypeVarTuple

from .._loop import EventLoop
from . import _idle, _machines
from ._schedule import Schedule

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")


class SimulatedLoop(EventLoop):
    """An event loop on a simulated clock that starts at 0.

    With a seed, tasks that are ready together run in an order that the seed decides: see `run`.
    Inside a machine of a `Network`, connections are simulated.
    """

    def __init__(
        self, *, seed: int | None = None, host: object = "sim", fds: str | None = None
    ) -> None:
        self._schedule = None if seed is None else Schedule(seed)
        self._network: Any = None
        self._is_checking = False
        #: How many looks in a row have found nothing to do.
        self._idle_looks = 0
        self._next_check: asyncio.TimerHandle | None = None
        self._deadlock: _idle.Deadlock | None = None
        self._calls_in_threads: weakref.WeakSet[Any] = weakref.WeakSet()
        super().__init__(host=host, fds=fds)

    @property
    def seed(self) -> int | None:
        """The seed of the order of tasks; None for asyncio's own order."""
        return None if self._schedule is None else self._schedule.seed

    # Scheduling: steps of tasks may be delayed, and the end of all work is noticed.

    def call_soon(
        self,
        callback: Callable[[*_Ts], object],
        /,
        *args: *_Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        """As the base's. With a seed the step of a task may run some iterations later."""
        self._check_soon()
        delay = 0 if self._schedule is None else self._schedule.delay(callback)
        if delay > 0:
            return self._put_off(delay, callback, args, context)
        return super().call_soon(callback, *args, context=context)

    def call_soon_threadsafe(
        self,
        callback: Callable[[*_Ts], object],
        /,
        *args: *_Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        """As the base's."""
        handle = super().call_soon_threadsafe(callback, *args, context=context)
        with contextlib.suppress(RuntimeError):  # The callback has closed the loop meanwhile.
            super().call_soon_threadsafe(self._check_soon)
        return handle

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Any, *args: Any
    ) -> Any:
        """As the base's."""
        call = super().run_in_executor(executor, func, *args)
        self._calls_in_threads.add(call)
        return call

    def _put_off(
        self, delay: int, callback: Any, args: Any, context: contextvars.Context | None
    ) -> asyncio.Handle:
        """Calls the callback so many iterations after the next one."""
        if delay == 0:
            return super().call_soon(callback, *args, context=context)
        if context is None:
            context = contextvars.copy_context()
        # In no context of the program: a nested run may have entered that.
        return super().call_soon(
            self._put_off, delay - 1, callback, args, context, context=contextvars.Context()
        )

    def _at(self, when: float, callback: Callable[..., object], *args: Any) -> asyncio.TimerHandle:
        """A timer of the simulation itself, which belongs to no test and no machine."""
        return EventLoop.call_at(self, when, callback, *args, context=contextvars.Context())

    # Idleness: nothing is ready, and perhaps nothing will ever be.

    def _check_soon(self) -> None:
        self._idle_looks = 0
        if not self._is_checking:
            self._look_later()

    def _look_later(self) -> None:
        self._is_checking = True
        EventLoop.call_soon(self, self._look, context=contextvars.Context())

    def _look(self) -> None:
        """Runs in every iteration, until nothing else is ready."""
        try:
            # At the second look everything that came meanwhile is there, also what came from
            # threads.
            self._idle_looks = self._idle_looks + 1 if self._finds_nothing() else 0
        except BaseException:
            self._is_checking = False  # A slot has raised SystemExit.
            raise
        if self._idle_looks < 2:
            return self._look_later()
        self._is_checking = False
        if not self._waits_for_timers() and self._awaited is not None:
            self._fail_if_stuck(self._awaited)

    def _finds_nothing(self) -> bool:
        """Whether nothing is ready, after Qt was asked too."""
        if not self._counters()["ready"]:
            _idle.deliver_posted_events()
        return not self._counters()["ready"]

    def _waits_for_timers(self) -> bool:
        """Whether there are due timers. Then there is another look after the last of them, as its
        callback may make nothing ready."""
        if self._next_check is not None:
            if self._counters()["timers"] > 1:
                return True
            # It would be the only thing that moves the clock.
            self._next_check.cancel()
            self._next_check = None
        last = max((timer.when() for timer in self._queued()[1]), default=None)
        if last is not None:
            self._next_check = self._at(last, self._after_timers)
        return last is not None

    def _after_timers(self) -> None:
        self._next_check = None
        self._check_soon()

    def _fail_if_stuck(self, awaited: asyncio.Future[Any]) -> None:
        if awaited.done():
            return
        if _idle.waits_for_qt():
            self._check_soon()
        elif _idle.can_be_woken(self):
            return
        elif self._idle_looks < 4:
            # A thread may have made a call and ended since the last look.
            self._look_later()
        else:
            self._deadlock = _idle.Deadlock(_idle.describe(self))
            self.stop()

    def run_until_complete(self, future: Generator[Any, None, _T] | Awaitable[_T]) -> _T:
        """As the base's. Raises `Deadlock` if the future can never be done. If the future is a
        coroutine or a task, it is cancelled first."""
        if self.is_running() or self.is_closed():
            return super().run_until_complete(future)
        awaited: Any = asyncio.ensure_future(future, loop=self)  # type: ignore[arg-type]
        if awaited is not future and isinstance(awaited, asyncio.Task):
            awaited._log_destroy_pending = False  # type: ignore[attr-defined]
        self._deadlock = None
        self._check_soon()
        try:
            result: _T = super().run_until_complete(awaited)
        except BaseException:
            deadlock = self._deadlock
            if deadlock is None or awaited.done():
                if awaited is not future and awaited.done() and not awaited.cancelled():
                    awaited.exception()  # It is being raised.
                raise
        else:
            return result
        self._deadlock = None
        if isinstance(awaited, asyncio.Task):
            awaited.cancel("deadlock")
            try:
                super().run_until_complete(awaited)
            except asyncio.CancelledError as cancelled:
                # The traceback goes on to where the coroutine waited.
                deadlock.__traceback__ = cancelled.__traceback__
            except Exception:
                pass
        raise deadlock from None

    # Tasks and connections of machines.

    def create_task(self, coro: Any, **options: Any) -> Any:
        """As the base's. A task that is made by a machine's task belongs to that machine."""
        task = super().create_task(coro, **options)
        _machines.adopt(task, options.get("context"))
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """As the base's. On 3.11 asyncio's streams report that a connection's task was cancelled.
        For a machine that has crashed that is not reported."""
        if not _machines.is_of_a_crash(context.get("exception")):
            super().call_exception_handler(context)

    async def create_connection(self, protocol_factory: Any, *args: Any, **options: Any) -> Any:
        """As the base's; inside a machine through the simulated network."""
        machine = _machines.current()
        if machine is None or options.get("sock") is not None:
            return await super().create_connection(protocol_factory, *args, **options)
        return await machine._connect(protocol_factory, *args, **options)

    async def create_server(self, protocol_factory: Any, *args: Any, **options: Any) -> Any:
        """As the base's; inside a machine in the simulated network."""
        machine = _machines.current()
        if machine is None or options.get("sock") is not None:
            return await super().create_server(protocol_factory, *args, **options)
        return await machine._serve(protocol_factory, *args, **options)

    async def create_datagram_endpoint(
        self, protocol_factory: Any, *args: Any, **options: Any
    ) -> Any:
        """As the base's; inside a machine in the simulated network."""
        machine = _machines.current()
        if machine is None or options.get("sock") is not None:
            return await super().create_datagram_endpoint(protocol_factory, *args, **options)
        return await machine._open_datagrams(protocol_factory, *args, **options)

    async def getaddrinfo(self, host: Any, port: Any, **options: Any) -> Any:
        """As the base's. Inside a machine it knows only the machines of the network."""
        machine = _machines.current()
        if machine is None:
            return await super().getaddrinfo(host, port, **options)
        return machine._look_up(host, port, **options)


def new_event_loop(seed: int | None = None) -> SimulatedLoop:
    """A loop on a simulated clock that starts at 0, for `asyncio.Runner(loop_factory=...)` and test
    plug-ins."""
    return SimulatedLoop(seed=seed)


def run(main: Coroutine[Any, Any, _T], *, debug: bool | None = None, seed: int | None = None) -> _T:
    """`asyncio.run` on a simulated clock. Raises what `asyncio.run` raises, and `Deadlock`.

    With a seed, tasks that are ready together run in another order than asyncio's: each step of a
    task may come some iterations later. The same seed gives the same order. What `call_soon`
    promises is kept. An error that is raised has a note with the seed.
    """
    try:
        with asyncio.Runner(debug=debug, loop_factory=lambda: new_event_loop(seed)) as runner:
            return runner.run(main)
    except BaseException as error:
        if seed is not None:
            error.add_note(f"with the order of seed={seed}: run it with that seed again")
        raise


def explore(
    main: Callable[[], Coroutine[Any, Any, _T]],
    *,
    seeds: Iterable[int] = range(100),
    debug: bool | None = None,
) -> list[_T]:
    """Runs a coroutine function once with each seed. Returns the results.

    Raises the error of the first seed that fails; it has a note with that seed.
    """
    return [run(main(), debug=debug, seed=seed) for seed in seeds]
