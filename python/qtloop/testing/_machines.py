"""Machines of a simulated network: tasks that live and crash together, and their ports."""

import asyncio
import contextvars
import errno
import os
import socket
import weakref
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from ._datagrams import DatagramEndpoint
    from ._network import Network
    from ._servers import Listener
    from ._streams import StreamTransport

_T = TypeVar("_T")


class _Life:
    """One life of a machine: from a start until a crash."""

    def __init__(self, machine: "Machine") -> None:
        self.machine = machine
        #: In the order in which they were made. A set would have another order each time.
        self.tasks: weakref.WeakKeyDictionary[asyncio.Task[Any], None] = weakref.WeakKeyDictionary()


class _Crash(str):
    """The message of a cancellation by a crash."""

    def __new__(cls, machine: "Machine") -> "_Crash":
        return super().__new__(cls, f"machine {machine.name!r} has crashed")


#: The life of the machine whose code runs.
_current: contextvars.ContextVar[_Life | None] = contextvars.ContextVar("_current", default=None)

_FIRST_EPHEMERAL = 49152


def current() -> "Machine | None":
    """The machine whose code runs; None outside of all machines."""
    life = _current.get()
    return None if life is None else life.machine


def adopt(task: asyncio.Task[Any], context: contextvars.Context | None) -> None:
    """Notes which machine the task belongs to. A task from before a crash ends at once."""
    life = _current.get() if context is None else context.get(_current)
    if life is None:
        return
    life.tasks[task] = None
    if life.machine._life is not life:
        task.cancel(_Crash(life.machine))


def is_of_a_crash(error: BaseException | None) -> bool:
    """Whether the exception is how a task of a crashed machine ends."""
    return (
        isinstance(error, asyncio.CancelledError)
        and bool(error.args)
        and isinstance(error.args[0], _Crash)
    )


class Machine:
    """A machine of a `Network`, which makes it: `network.machine(name)`.

    In the machine's tasks `asyncio.open_connection`, `asyncio.start_server` and the loop's methods
    below them go through the network. The same holds for what these tasks start, and for callbacks
    of their connections.
    """

    def __init__(self, network: "Network", name: str, address: str) -> None:
        #: Its name, which is its host name in the network.
        self.name = name
        #: Its address, which is resolved from the name.
        self.address = address
        self._network = network
        self._loop = network._loop
        self._context = contextvars.copy_context()
        self._life: _Life | None = None
        self._begin_life()
        self._mains: list[Callable[[], Coroutine[Any, Any, object]]] = []
        self._listeners: dict[int, Listener] = {}
        self._endpoints: dict[int, DatagramEndpoint] = {}
        #: In the order in which they were made.
        self._streams: dict[StreamTransport, None] = {}
        self._next_port = _FIRST_EPHEMERAL

    def __repr__(self) -> str:
        return f"<Machine {self.name!r} {self.address}{'' if self.is_up else ' crashed'}>"

    @property
    def is_up(self) -> bool:
        """False from `crash` until `restart`."""
        return self._life is not None

    # What it runs.

    def create_task(
        self, coro: Coroutine[Any, Any, _T], *, name: str | None = None
    ) -> asyncio.Task[_T]:
        """Starts a coroutine on the machine. Raises RuntimeError if the machine has crashed."""
        if self._life is None:
            coro.close()
            raise RuntimeError(f"machine {self.name!r} has crashed")
        task: asyncio.Task[_T] = self._loop.create_task(
            coro, name=name, context=self._context.copy()
        )
        return task

    async def run(self, coro: Coroutine[Any, Any, _T]) -> _T:
        """Runs a coroutine on the machine: its result."""
        return await self.create_task(coro)

    def start(
        self, main: Callable[..., Coroutine[Any, Any, object]], *args: Any
    ) -> asyncio.Task[object]:
        """Starts the machine's program, now and whenever the machine is restarted. An exception of
        the program goes to the loop's exception handler."""

        def again() -> Coroutine[Any, Any, object]:
            return main(*args)

        task = self._start(again)
        self._mains.append(again)
        return task

    def _start(self, main: Callable[[], Coroutine[Any, Any, object]]) -> asyncio.Task[object]:
        task = self.create_task(main(), name=self.name)
        task.add_done_callback(self._has_ended)
        return task

    def _has_ended(self, task: asyncio.Task[object]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            message = f"what machine {self.name!r} was started for has failed"
            self._loop.call_exception_handler(
                {"message": message, "exception": error, "task": task}
            )

    def crash(self) -> None:
        """Ends everything that runs on the machine: connections are reset, servers are gone, tasks
        are cancelled.

        What the tasks still send when they are cancelled reaches nobody. The address still answers,
        as after the crash of a process: new connections are refused.
        """
        life, self._life = self._life, None
        if life is None:
            return
        self._network._note("crash", self.name)
        for listener in list(self._listeners.values()):
            listener.close()
        for endpoint in list(self._endpoints.values()):
            endpoint.abort()
        for stream in list(self._streams):
            stream._reset_by_crash()
        for task in list(life.tasks):
            task.cancel(_Crash(self))

    def restart(self) -> None:
        """Crashes the machine, if it is up, and starts its program anew, with new ports."""
        self.crash()
        self._begin_life()
        self._network._note("restart", self.name)
        for main in self._mains:
            self._start(main)

    def _begin_life(self) -> None:
        self._life = _Life(self)
        self._context.run(_current.set, self._life)

    # The requests of the loop. They are as its methods, for tasks of this machine.

    def _look_up(
        self,
        host: Any,
        port: Any,
        *,
        family: int = 0,
        type: int = 0,
        proto: int = 0,
        flags: int = 0,
    ) -> list[Any]:
        machine = self._network._find(host, self)
        kind = socket.SocketKind(type or socket.SOCK_STREAM)
        return [(socket.AF_INET, kind, proto, "", (machine.address, int(port or 0)))]

    async def _connect(
        self, factory: Any, host: Any = None, port: Any = None, **options: Any
    ) -> Any:
        from . import _servers

        return await _servers.connect(self, factory, host, port, **options)

    async def _serve(self, factory: Any, host: Any = None, port: Any = None, **options: Any) -> Any:
        from . import _servers

        return _servers.serve(self, factory, host, port, **options)

    async def _open_datagrams(
        self, factory: Any, local_addr: Any = None, remote_addr: Any = None, **options: Any
    ) -> Any:
        from . import _datagrams

        return await _datagrams.open_endpoint(self, factory, local_addr, remote_addr, **options)

    def _check_up(self) -> None:
        """Code that runs on from before a crash has no network any more."""
        if self._life is None or _current.get() is not self._life:
            raise OSError(errno.ENETDOWN, os.strerror(errno.ENETDOWN))

    def _new_port(self, taken: Any) -> int:
        while self._next_port in taken:
            self._next_port += 1
        self._next_port += 1
        return self._next_port - 1
