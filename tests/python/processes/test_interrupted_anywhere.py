"""The handler of a signal may raise its exception between any two steps of Python code: of ours
too.

Then the step is done all the same, the run ends, and it raises that very exception.
"""

import asyncio
import gc
import linecache
import os
import signal
import sys
import threading
from asyncio import events
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import qtloop
from qtloop import EventLoop, _binding_host
from qtloop._qobjects import is_deleted

from ..support import foreign
from ..support.loops import OURS, Errors, LoopFactory, nothing, opened, qt_core, run_briefly


class Interrupt(Exception):
    """What no program catches by chance."""


class CtrlC(KeyboardInterrupt):
    """A program's own."""


class Deleted(RuntimeError):
    """Of the class by which bindings say that an object is gone."""


@pytest.fixture
def unraisable(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What would be printed and lost."""
    seen: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", seen.append)
    yield seen
    assert not seen


@pytest.fixture(params=[Interrupt, CtrlC, Deleted, SystemExit])
def error(request: pytest.FixtureRequest) -> Iterator[BaseException]:
    """What the handler of SIGUSR1 raises."""
    error: BaseException = request.param("by a signal")

    def handle(number: int, frame: FrameType | None) -> None:
        raise error

    before = signal.signal(signal.SIGUSR1, handle)
    yield error
    signal.signal(signal.SIGUSR1, before)


def interrupted_host(base: Any, method: str, is_after: bool) -> Any:
    """A host with a method that a signal interrupts in its first call, before or after it has done
    its work."""
    calls: list[Any] = []

    def interrupted(self: Any, *arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 1 and not is_after:
            signal.raise_signal(signal.SIGUSR1)
        result = getattr(base, method)(self, *arguments)
        if len(calls) == 1:
            signal.raise_signal(signal.SIGUSR1)
        return result

    return type("Interrupted", (base,), {method: interrupted, "calls": calls})


BASES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "binding": (_binding_host.Host, (qt_core,)),
    "foreign": (foreign.PollHost, ()),
}
METHODS = ["start", "stop", "run", "quit", "arm", "disarm", "set_deadline", "watch"]


def schedule_all(loop: EventLoop, ran: list[str]) -> None:
    """Has every method of a host called."""
    reader, writer = os.pipe()

    def read() -> None:
        ran.append("reader")
        loop.remove_reader(reader)
        os.close(reader)
        os.close(writer)

    loop.add_reader(reader, read)
    os.write(writer, b"x")
    loop.call_soon(ran.append, "soon")
    loop.call_later(0.001, ran.append, "timer")


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
def test_a_signal_in_the_midst_of_a_host(
    base: str, method: str, is_after: bool, error: BaseException, unraisable: list[Any]
) -> None:
    cls, arguments = BASES[base]
    host = interrupted_host(cls, method, is_after)(*arguments)
    with opened(lambda: EventLoop(host=host, fds="notifier")) as loop:
        assert isinstance(loop, EventLoop)
        ran: list[str] = []
        schedule_all(loop, ran)
        stops: list[asyncio.TimerHandle] = []

        def stop_when_interrupted() -> None:
            if host.calls or method in ("quit", "stop", "run"):
                loop.stop()
            stops.append(loop.call_later(0.001, stop_when_interrupted))

        stops.append(loop.call_later(0.001, stop_when_interrupted))
        with pytest.raises(type(error)) as raised:
            loop.run_forever()
        assert raised.value is error
        assert not loop.is_running()
        stops[-1].cancel()
        while len(ran) < 3:
            run_briefly(loop)  # Nothing is lost.
        assert sorted(ran) == ["reader", "soon", "timer"]
        assert loop.run_until_complete(asyncio.sleep(0.001, "alive")) == "alive"


def test_a_host_that_always_fails_ends_the_run(unraisable: list[Any]) -> None:
    class Broken(_binding_host.Host):
        def disarm(self) -> None:
            raise LookupError("broken")

    with opened(lambda: EventLoop(host=Broken(qt_core))) as loop:
        loop.call_soon(nothing)
        with pytest.raises(LookupError, match="broken"):
            loop.run_forever()
        Broken.disarm = _binding_host.Host.disarm  # type: ignore[method-assign]


def test_a_watch_that_always_fails_raises_what_it_raises() -> None:
    class Blind(_binding_host.Host):
        def watch(self, fd: int, interest: int) -> None:
            raise LookupError("nothing to see")

    loop = EventLoop(host=Blind(qt_core))
    with pytest.raises(LookupError, match="nothing to see"):
        loop.run_forever()
    loop.close()


def test_what_an_exception_handler_lets_through_leaves_the_loop(loop_factory: LoopFactory) -> None:
    def interrupted(context: dict[str, Any]) -> None:
        raise error

    error = Interrupt()
    with opened(loop_factory) as loop:
        loop.call_exception_handler = interrupted  # type: ignore[method-assign]
        loop.call_soon(lambda: 1 / 0)
        with pytest.raises(Interrupt) as raised:
            loop.run_forever()
        assert raised.value is error


PACKAGE = str(Path(qtloop.__file__).parent)


class Tracer:
    """Raises an exception at the n-th line of the package's that this thread comes to; counts them
    if there is none."""

    def __init__(self, nth: int = -1, error: BaseException | None = None) -> None:
        self.lines = 0
        self.place = ""
        self._nth, self._error = nth, error
        self._begun: set[tuple[FrameType, int]] = set()

    def __call__(self, frame: FrameType, event: str, arg: object) -> Any:
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if event == "line" and not self._is_end_of_with(frame):
            self.lines += 1
            if self.lines == self._nth and self._error is not None:
                self.place = f"{frame.f_code.co_name}:{frame.f_lineno}"
                raise self._error
        return self

    def _is_end_of_with(self, frame: FrameType) -> bool:
        """Whether a `with` is about to be left. A trace function is called there; no handler of a
        signal is."""
        is_with = (
            linecache.getline(frame.f_code.co_filename, frame.f_lineno).lstrip().startswith("with ")
        )
        line = (frame, frame.f_lineno)
        is_end = line in self._begun
        if is_with:
            self._begun.add(line)
        return is_end

    def call(self, function: Callable[[], object]) -> None:
        before = sys.gettrace()
        sys.settrace(self)
        try:
            function()
        finally:
            sys.settrace(before)


def state() -> tuple[Any, ...]:
    """What a run changes and has to restore."""
    wakeup_fd = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(wakeup_fd)
    return (
        wakeup_fd,
        sys.get_asyncgen_hooks(),
        sys.get_coroutine_origin_tracking_depth(),
        events._get_running_loop(),
        [thread.name for thread in threading.enumerate()],
    )


def notifiers() -> list[Any]:
    """The QSocketNotifiers that there are. One that is left calls for whoever has the number of its
    fd next."""
    gc.collect()
    kinds = (found for found in gc.get_objects() if type(found) is qt_core.QSocketNotifier)
    return [found for found in kinds if not is_deleted(found)]


def run_a_little(loop: asyncio.AbstractEventLoop) -> None:
    loop.call_soon(nothing)
    stop = loop.call_later(0.001, loop.stop)
    try:
        loop.run_forever()
    finally:
        stop.cancel()


@pytest.mark.parametrize("debug", [False, True], ids=["", "debug"])
def test_an_exception_at_any_line_leaves_everything_as_it_was(
    qt_loop_factory: LoopFactory, debug: bool, errors: Errors
) -> None:
    loop = qt_loop_factory()
    loop.set_debug(debug)
    loop.slow_callback_duration = 10
    run_a_little(loop)  # What is imported, and made once, is there from now on.
    before = state()
    counter = Tracer()
    counter.call(lambda: run_a_little(loop))
    loop.close()
    assert counter.lines > 10
    for nth in range(1, counter.lines + 1):
        error = Interrupt(nth)
        with opened(qt_loop_factory) as loop:
            loop.set_debug(debug)
            loop.slow_callback_duration = 10
            tracer = Tracer(nth, error)
            try:
                tracer.call(lambda: run_a_little(loop))
            except Interrupt as raised:
                assert raised is error
            else:
                assert not tracer.place, f"lost at {tracer.place}"
            del error
            assert not loop.is_running(), tracer.place
            assert state() == before, tracer.place
            assert loop.run_until_complete(asyncio.sleep(0, "alive")) == "alive"


@pytest.fixture
def wakeup_fd() -> Iterator[int]:
    """The program's own."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer)
    yield writer
    signal.set_wakeup_fd(before)
    os.close(reader)
    os.close(writer)


def test_a_run_that_is_interrupted_as_it_begins_gives_the_wakeup_fd_back(
    qt_loop_factory: LoopFactory, wakeup_fd: int
) -> None:
    with opened(qt_loop_factory) as loop:
        with pytest.raises(Interrupt):
            Tracer(3, Interrupt()).call(lambda: run_a_little(loop))
        assert not loop.is_running()
        assert signal.set_wakeup_fd(wakeup_fd) == wakeup_fd


@pytest.fixture
def no_collector() -> Iterator[None]:
    """What is collected may be closed by Python code of ours, which is no part of what is
    tested."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("name", ["binding-epoll", next(iter(OURS))])
def test_an_attachment_that_is_interrupted_at_any_line(name: str, no_collector: None) -> None:
    def attachment() -> qtloop.Attachment:
        return qtloop.attach(loop_factory=OURS[name])  # type: ignore[arg-type]

    def count(opens: Tracer, closes: Tracer) -> None:
        attached = attachment()
        opens.call(attached.open)
        closes.call(attached.close)

    count(Tracer(), Tracer())  # What is imported, and made once, is there from now on.
    before = state()
    opens, closes = Tracer(), Tracer()
    count(opens, closes)
    assert state() == before
    for nth in range(1, opens.lines + 1):
        attached, error = attachment(), Interrupt(nth)
        tracer = Tracer(nth, error)
        # What interrupts a method of the host's, which is then called again, is raised by `close`.
        raised = attempts(
            lambda attached=attached, tracer=tracer: tracer.call(attached.open), attached.close
        )
        assert raised == ([error] if tracer.place else []), tracer.place
        attached.close()
        assert state() == before, tracer.place
        assert works(attached if attached._thread is None else attachment()), tracer.place
        assert state() == before, tracer.place
    for nth in range(1, closes.lines + 1):
        attached, error = attachment(), Interrupt(nth)
        loop = attached.open()
        tracer = Tracer(nth, error)
        raised = attempts(
            lambda attached=attached, tracer=tracer: tracer.call(attached.close), attached.close
        )
        assert raised[:1] == ([error] if tracer.place else []), tracer.place
        assert loop.is_closed(), tracer.place
        assert state() == before, tracer.place
        assert works(attachment()), tracer.place
    assert not notifiers()


@pytest.mark.parametrize("name", ["binding-epoll", next(iter(OURS))])
def test_one_of_two_attachments_that_is_interrupted_at_any_line(
    name: str, no_collector: None
) -> None:
    """The other one has its loop afterwards, whatever happened."""

    def attachment() -> qtloop.Attachment:
        return qtloop.attach(loop_factory=OURS[name])  # type: ignore[arg-type]

    def opened_two() -> tuple[qtloop.Attachment, qtloop.Attachment, EventLoop]:
        leaving, staying = attachment(), attachment()
        leaving.open()
        loop = staying.open()
        loop.set_exception_handler(nothing)
        leaving.create_task(loop.shutdown_asyncgens())
        return leaving, staying, loop

    counter = Tracer()
    for _ in range(2):  # What is imported, and made once, is there from now on.
        leaving, staying, _loop = opened_two()
        counter = Tracer()
        counter.call(leaving.close)
        staying.close()
    del leaving, staying, _loop
    before = state()
    for nth in range(1, counter.lines + 1):
        leaving, staying, loop = opened_two()
        error = Interrupt(nth)
        tracer = Tracer(nth, error)
        # What interrupts a method of the host's is raised by whichever `close` comes next.
        another = attachment()
        raised = attempts(
            lambda leaving=leaving, tracer=tracer: tracer.call(leaving.close),
            leaving.close,
            another.open,
            another.close,
        )
        # What is raised in a callback of a task goes to the exception handler, as ever.
        is_raised = tracer.place and not tracer.place.startswith("_release")
        assert raised[:1] == ([error] if is_raised else []), tracer.place
        assert staying.loop is loop, tracer.place
        assert works(attachment()), tracer.place
        assert asyncio.get_running_loop() is loop, tracer.place
        staying.close()
        assert loop.is_closed(), tracer.place
        del leaving, staying, loop, another
        assert state() == before, nth
    assert not notifiers()


def attempts(*calls: Callable[[], object]) -> list[BaseException]:
    """Makes the calls. What they have raised."""
    raised: list[BaseException] = []
    for call in calls:
        try:
            call()
        except Interrupt as error:
            raised.append(error)
    return raised


def works(attached: qtloop.Attachment) -> bool:
    """Whether tasks of an attached loop run."""
    with attached as loop:
        task = loop.create_task(asyncio.sleep(0.001, "alive"))
        while not task.done():
            qt_core.QCoreApplication.processEvents(
                qt_core.QEventLoop.ProcessEventsFlag.WaitForMoreEvents
            )
        return task.result() == "alive"
