"""Hosts: how a loop lives in a run loop other than Qt's.

A host written in Python is a class with the methods of `Host`; one in another language is a table
of C functions in a capsule, see the header in `get_include()`. Either is given to a loop::

    qtloop.run(main(), host=TkHost(root))
    with qtloop.attach(host=GLibHost()):
        Gtk.main()

`qtloop.EventLoop(host=...)`, `qtloop.run` and `qtloop.attach` take a host, a capsule, or a name;
the environment variable `QTLOOP_HOST` takes a name. A name is that of an entry point of the group
`qtloop.hosts`: an object that makes a host when it is called without arguments, or a host itself.
Or it is `MODULE:NAME` for such an object. A package offers a host like this, and `QTLOOP_HOST=tk`
finds it::

    [project.entry-points."qtloop.hosts"]
    tk = "my_package.tk:TkHost"

`check` puts a host to the test. A loop on such a host imports nothing of Qt.
"""

import asyncio
import ctypes
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from . import _core, _host_choice
from ._host_protocol import READ, WRITE, Host, Report, Reporter
from ._loop import EventLoop

__all__ = [
    "CAPSULE",
    "READ",
    "WRITE",
    "BrokenRule",
    "Host",
    "Report",
    "Reporter",
    "capsule",
    "check",
    "get_include",
    "names",
]

#: The name of a capsule with a host's table.
CAPSULE: Final = "qtloop.HostTable"

_logger = logging.getLogger("qtloop")
#: It must live as long as every capsule.
_capsule_name = ctypes.create_string_buffer(CAPSULE.encode())


class BrokenRule(RuntimeError):
    """A host does not keep the contract. `rule` is what it should do, `reason` what it did."""

    def __init__(self, rule: str, reason: str) -> None:
        super().__init__(f"{rule}: {reason}")
        #: What the host should do.
        self.rule = rule
        #: What it did.
        self.reason = reason


def names() -> list[str]:
    """The names that `host=` and `QTLOOP_HOST` take here: qtloop's own, and those of installed
    packages."""
    return [
        *_host_choice.OWN,
        *sorted({point.name for point in _host_choice.entry_points()} - {*_host_choice.OWN}),
    ]


def get_include() -> str:
    """The folder with the C header `qtloop_host.h`."""
    return str(Path(__file__).parent / "include")


def capsule(address: int) -> Any:
    """Makes a host from the address of its table, a `qtloop_host` of the header. The table must
    live for ever."""
    new = ctypes.pythonapi["PyCapsule_New"]
    new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p] * 3
    return new(address, ctypes.addressof(_capsule_name), None)


def check(host: object, *, patience: float = 10.0) -> None:
    """Tests a host against the contract, in this thread, which must not be in the host's run loop.

    `host` is a host, a capsule, a name, or a callable that makes a host without arguments. With a
    callable each rule gets a new host. The test takes a second or two.

    A broken host may keep a rule waiting for ever. After `patience` seconds the rule is logged
    (logger `qtloop`). In the main thread it is also interrupted, as by Ctrl-C, and then raised,
    unless the run loop does not return from its wait.

    Raises BrokenRule for the first rule that the host breaks; TypeError if it is no host; and what
    making the host raises.
    """
    make = _maker(host)
    with _Watch(patience) as watch:
        _check_host(make, watch)
        for rule, keeps in _RULES.items():
            watch.begins(rule)
            with _converted(watch):
                reason = keeps(make)
            if reason is not None:
                raise BrokenRule(rule, reason)


def _maker(host: object) -> Callable[[], object]:
    if isinstance(host, str) or _host_choice.is_host(host) or not callable(host):
        return lambda: _host_choice.resolve(host)
    return lambda: _host_choice.resolve(host())


def _check_host(make: Callable[[], object], watch: "_Watch") -> None:
    with _converted(watch):
        try:
            _core.check_host(make, watch.begins)
        except RuntimeError as error:
            if watch.complaint is not None:
                raise KeyboardInterrupt from None
            rule, colon, reason = str(error).partition(": ")
            if not colon or rule != watch.rule:
                raise  # By what makes the host.
            raise BrokenRule(rule, reason) from None


@contextmanager
def _converted(watch: "_Watch") -> Iterator[None]:
    """The watch interrupts a rule by KeyboardInterrupt. It is raised as the rule that it has
    interrupted."""
    try:
        yield
    except KeyboardInterrupt:
        if watch.complaint is None:
            raise
        raise BrokenRule(*watch.complaint) from None


class _Watch:
    """Reports a rule that does not end."""

    def __init__(self, patience: float) -> None:
        self.rule = ""
        #: A rule that has not ended, and the message about it.
        self.complaint: tuple[str, str] | None = None
        self._patience = patience
        self._thread = threading.Thread(target=self._wait, name="qtloop.hosts.check", daemon=True)
        self._checker = threading.current_thread()
        self._changed = threading.Condition()
        self._begun = 0

    def begins(self, rule: str) -> None:
        with self._changed:
            self.rule = rule
            self._begun += 1
            self._changed.notify()

    def __enter__(self) -> "_Watch":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._changed:
            self._begun = -1
            self._changed.notify()
        self._thread.join()

    def _wait(self) -> None:
        with self._changed:
            while (begun := self._begun) >= 0:
                if self._changed.wait_for(lambda: self._begun != begun, self._patience):
                    continue
                self.complaint = (self.rule, f"it has not come to an end in {self._patience:g} s")
                _logger.error("check of a host: %s: %s", *self.complaint)
                # One interrupt may not be enough: the rest of the test may also have to be
                # interrupted.
                while self._begun >= 0:
                    self._interrupt()
                    self._changed.wait_for(lambda: self._begun < 0, self._patience)

    def _interrupt(self) -> None:
        is_main = self._checker is threading.main_thread()
        if is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.pthread_kill(self._checker.ident or 0, signal.SIGINT)


# Rules that are tested best with a loop.


def _sleeps_when_idle(make: Callable[[], object]) -> str | None:
    import resource

    if not hasattr(resource, "RUSAGE_THREAD"):
        return None  # As on macOS.

    async def count() -> int:
        await asyncio.sleep(0.01)
        before = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
        await asyncio.sleep(0.3)
        return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw - before

    woken = _run(make, count)
    return f"it woke {woken} times in 0.3 s" if woken > 10 else None


def _is_woken_by_threads(make: Callable[[], object]) -> str | None:
    async def wait() -> None:
        for _ in range(3):
            await asyncio.to_thread(threading.Event().wait, 0.02)

    _run(make, wait)
    return None


def _run(make: Callable[[], object], main: Callable[[], Any]) -> Any:
    loop = EventLoop(host=make())
    try:
        return loop.run_until_complete(main())
    finally:
        with suppress(KeyboardInterrupt):
            loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


_RULES: Final[dict[str, Callable[[Callable[[], object]], str | None]]] = {
    "an idle host sleeps": _sleeps_when_idle,
    "another thread wakes the host by an fd that it watches": _is_woken_by_threads,
}
