"""Hosts for a run loop that has nothing to do with Qt: poll(2). Nothing here imports a binding."""

import ctypes
import select
import time
from collections.abc import Callable
from typing import Any, Final

from qtloop import hosts

READ, WRITE = 1, 2
_EVENTS: Final = {READ: select.POLLIN, WRITE: select.POLLOUT}

#: What makes a run of this loop end at once.
NOW: Final = 0


class PollHost:
    """A host as an object with the methods of `qtloop.hosts.Host`."""

    name = "poll"
    #: What it quits with.
    code = 0

    def __init__(self) -> None:
        self._is_left = False
        self._reporter: Any = None
        self._clear()

    def _clear(self) -> None:
        self._armed = False
        self._deadline: float | None = None
        self._watches: dict[int, int] = {}
        self._runs: list[list[bool]] = []

    def start(self, reporter: Any) -> None:
        self._reporter = reporter
        self._ready, self._due = reporter.ready(), reporter.deadline()

    def stop(self) -> None:
        self._reporter = None
        self._clear()

    def run(self, drain: bool) -> int:
        has_quit = [False]
        self._runs.append(has_quit)
        try:
            while not has_quit[0] and (drain or not self._is_left):
                self._turn(has_quit)
        finally:
            self._runs.pop()
        return 0 if has_quit[0] else self.code

    def leave(self) -> None:
        """The program quits: its run loop ends by itself."""
        self._is_left = True

    def quit(self) -> None:
        if self._runs:
            self._runs[-1][0] = True

    def arm(self) -> None:
        self._armed = True

    def disarm(self) -> None:
        self._armed = False

    def set_deadline(self, milliseconds: int | None) -> None:
        self._deadline = None if milliseconds is None else time.monotonic() + milliseconds / 1000

    def watch(self, fd: int, interest: int) -> None:
        self._watches.pop(fd, None)
        if interest:
            self._watches[fd] = interest

    def _turn(self, has_quit: list[bool]) -> None:
        poll = select.poll()
        for fd, interest in self._watches.items():
            poll.register(fd, sum(event for way, event in _EVENTS.items() if interest & way))
        ready = poll.poll(self._timeout())
        if self._deadline is not None and time.monotonic() >= self._deadline:
            self._deadline = None
            self._report_deadline()
        for fd, _ in ready:
            for way in (READ, WRITE):
                if self._watches.get(fd, 0) & way and self._is_ready(fd, way) and not has_quit[0]:
                    self._report_fd(fd, way)
        if self._armed and not has_quit[0]:
            self._armed = False
            self._report_ready()

    def _is_ready(self, fd: int, way: int) -> bool:
        poll = select.poll()
        poll.register(fd, _EVENTS[way])
        return bool(poll.poll(NOW))

    def _timeout(self) -> float | None:
        if self._armed:
            return NOW
        return (
            None
            if self._deadline is None
            else max(0, (self._deadline - time.monotonic()) * 1000 + 1)
        )

    def _report_ready(self) -> None:
        self._ready()

    def _report_deadline(self) -> None:
        self._due()

    def _report_fd(self, fd: int, way: int) -> None:
        (self._reporter.readable if way == READ else self._reporter.writable)(fd)()


_pointer, _report = ctypes.c_void_p, ctypes.CFUNCTYPE(None, ctypes.c_void_p, *[ctypes.c_uint32] * 3)
_why = ctypes.POINTER(ctypes.c_char_p)
_TYPES: Final = {
    "start": ctypes.CFUNCTYPE(_pointer, _pointer, _report, _why),
    "stop": ctypes.CFUNCTYPE(None, _pointer),
    "run": ctypes.CFUNCTYPE(ctypes.c_int32, _pointer, ctypes.c_uint32),
    "quit": ctypes.CFUNCTYPE(None, _pointer),
    "arm": ctypes.CFUNCTYPE(None, _pointer, ctypes.c_uint32),
    "set_deadline": ctypes.CFUNCTYPE(None, _pointer, ctypes.c_int64),
    "watch": ctypes.CFUNCTYPE(ctypes.c_int32, _pointer, ctypes.c_int32, ctypes.c_uint32),
}


class Table(ctypes.Structure):
    """`qtloop_host` of the C header."""

    _fields_ = [("version", ctypes.c_uint32), ("name", ctypes.c_char_p), *_TYPES.items()]


class _Session(PollHost):
    """The same run loop behind C functions."""

    #: What `start` refuses with, if it is to.
    why: bytes | None = None
    #: What every watch ends with.
    errno = 0

    def begin(self, context: int, report: Any, why: Any) -> int | None:
        if self.why is not None:
            why[0] = self.why or None
            return None
        self._report = lambda *event: report(context, *event)
        return 1

    def _report_ready(self) -> None:
        self._report(0, 0, 0)

    def _report_deadline(self) -> None:
        self._report(1, 0, 0)

    def _report_fd(self, fd: int, way: int) -> None:
        self._report(2, fd, way)


_kept: list[Any] = []


def make_capsule(version: int = 1, why: bytes | None = None, errno: int = 0) -> Any:
    """A host as a capsule with a table of C functions. It lives as long as the process."""
    session = _Session()
    session.why, session.errno = why, errno

    def watch(_: int, fd: int, interest: int) -> int:
        session.watch(fd, interest)
        return session.errno if interest else 0

    table = Table(
        version=version,
        name=b"poll in C",
        start=_TYPES["start"](session.begin),
        stop=_TYPES["stop"](lambda _: session.stop()),
        run=_TYPES["run"](lambda _, drain: session.run(bool(drain))),
        quit=_TYPES["quit"](lambda _: session.quit()),
        arm=_TYPES["arm"](lambda _, armed: session.arm() if armed else session.disarm()),
        set_deadline=_TYPES["set_deadline"](
            lambda _, nanos: session.set_deadline(None if nanos < 0 else -(-nanos // 1_000_000))
        ),
        watch=_TYPES["watch"](watch),
    )
    _kept.append((session, table))
    return hosts.capsule(ctypes.addressof(table))


HOSTS: Final[dict[str, Callable[[], Any]]] = {"object": PollHost, "capsule": make_capsule}
