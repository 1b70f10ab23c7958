"""Debug mode says who blocks Qt's event loop, while it is blocked.

What blocks here goes on until the report of it has come, so nothing depends on how quick the
machine is. A loop in which nothing blocks is watched for longer than the limit, and must not be
reported.
"""

import asyncio
import contextlib
import ctypes
import functools
import gc
import importlib
import logging
import os
import queue
import re
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from qtloop import EventLoop, _qt, _watchdog

from ..support import child
from ..support.loops import LoopFactory, opened, qt_core, run_briefly

#: Seconds after which what should have been reported was not.
PATIENCE = 10

#: Seconds for which nothing may block; and for how long nothing does.
LIMIT, MORE = 0.25, 0.4


class Reports(logging.Handler):
    """What the watchdog logs."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []
        self._reported: queue.SimpleQueue[None] = queue.SimpleQueue()

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if " blocked for " in message:
            self.messages.append(message)
        if " so far by " in message and "(block at" in message:
            self._reported.put(None)

    def block(self) -> None:
        """Blocks this thread until it is reported. Raises nothing: it may be called by Qt."""
        with contextlib.suppress(queue.Empty):
            self._reported.get(timeout=PATIENCE)

    def of(self, culprit: str) -> list[str]:
        """What was reported about one who blocks."""
        return [
            message
            for message in self.messages
            if f" by {culprit} (block at {__file__}:" in message
        ]


@pytest.fixture
def reports() -> Iterator[Reports]:
    handler = Reports()
    logger = logging.getLogger("qtloop")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


@pytest.fixture
def watched(qt_loop: EventLoop) -> EventLoop:
    """A loop in debug mode with little patience."""
    qt_loop.set_debug(True)
    qt_loop.slow_callback_duration = 0.05
    return qt_loop


def watchers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "qtloop-watchdog"]


def check(reports: Reports, culprit: str, subject: str = "event loop") -> str:
    """One report while it blocked and one when it had ended; returns the stack."""
    begin, end = reports.of(culprit)
    head, _, stack = begin.partition("\n")
    assert re.fullmatch(
        rf"{subject} blocked for \d+\.\d\d s so far by {culprit} \(block at .+:\d+\)", head
    ), head
    assert re.fullmatch(
        rf"{subject} was blocked for \d+\.\d\d s by {culprit} \(block at .+:\d+\)", end
    ), end
    assert stack.startswith("Stack (most recent call last):\n"), stack
    assert stack.endswith("in block\n    self._reported.get(timeout=PATIENCE)"), stack
    for internal in ("run_timed", "run_forever", "_run_host", "_run_once_or_on"):
        assert internal not in stack
    return stack


async def load(reports: Reports) -> None:
    await asyncio.sleep(0.002)
    reports.block()


async def serve(reports: Reports) -> None:
    await load(reports)


def test_a_coroutine_that_blocks_is_named_with_its_stack(
    watched: EventLoop, reports: Reports
) -> None:
    watched.run_until_complete(watched.create_task(serve(reports), name="server"))
    stack = check(reports, "server")
    assert stack.index("in serve") < stack.index("in load") < stack.index("in block")


def test_a_callback_that_blocks_is_named(watched: EventLoop, reports: Reports) -> None:
    watched.call_soon(functools.partial(reports.block))
    watched.call_later(0.001, watched.stop)
    watched.run_forever()
    check(reports, "callback Reports.block")


def test_a_timer_that_blocks_is_named(watched: EventLoop, reports: Reports) -> None:
    watched.call_later(0.002, reports.block)
    watched.call_later(0.003, watched.stop)
    watched.run_forever()
    check(reports, "callback Reports.block")


def test_a_c_function_that_blocks_is_named_though_it_has_no_frame(
    watched: EventLoop, reports: Reports
) -> None:
    watched.call_soon(time.sleep, 0.15)
    run_briefly(watched)
    assert any(
        re.search(r"blocked for .* by callback sleep$", message) for message in reports.messages
    )


QtWork = Callable[[Callable[[], None]], Any]


def by_timer(work: Callable[[], None]) -> Any:
    timer = qt_core.QTimer()
    timer.setSingleShot(True)
    timer.timeout.connect(work)
    timer.start(2)
    return timer


def by_event(work: Callable[[], None]) -> Any:
    class Receiver(qt_core.QObject):  # type: ignore[misc]
        def event(self, event: Any) -> bool:
            work()
            return True

    receiver = Receiver()
    user = qt_core.QEvent(qt_core.QEvent.Type.User)
    return receiver, by_timer(lambda: qt_core.QCoreApplication.postEvent(receiver, user))


def by_notifier(work: Callable[[], None]) -> Any:
    def read(*args: Any) -> None:
        notifier.setEnabled(False)
        os.read(reader, 1)
        work()
        os.close(reader)
        os.close(writer)

    reader, writer = os.pipe()
    notifier = qt_core.QSocketNotifier(reader, qt_core.QSocketNotifier.Type.Read)
    notifier.activated.connect(read)
    return notifier, by_timer(lambda: os.write(writer, b"x"))


@pytest.mark.parametrize("qt_work", [by_timer, by_event, by_notifier])
def test_what_qt_runs_is_watched_too(watched: EventLoop, reports: Reports, qt_work: QtWork) -> None:
    """Qt has slept before, and asyncio has nothing to do with it."""
    keep: list[Any] = []

    def work() -> None:
        reports.block()
        watched.call_soon_threadsafe(watched.stop)

    watched.call_soon(lambda: keep.append(qt_work(work)))
    watched.run_forever()
    check(reports, "a Qt slot or event handler")


def test_every_stretch_is_reported_once(watched: EventLoop, reports: Reports) -> None:
    async def main() -> None:
        for n in range(3):
            await asyncio.create_task(load(reports), name=f"load-{n}")

    watched.run_until_complete(main())
    for n in range(3):
        check(reports, f"load-{n}")


def test_what_blocks_at_the_end_of_the_run_is_reported_before_it_returns(
    watched: EventLoop, reports: Reports
) -> None:
    watched.call_soon(lambda: (watched.stop(), reports.block()))
    watched.run_forever()
    assert len(reports.of("callback .*<lambda>")) == 0, "names are no patterns"
    assert [message.split()[2] for message in reports.messages if "(block at" in message] == [
        "blocked",
        "was",
    ]


@pytest.fixture
def patient(watched: EventLoop) -> EventLoop:
    """A loop in debug mode whose limit even a loaded machine keeps."""
    watched.slow_callback_duration = LIMIT
    return watched


def test_an_idle_loop_is_not_reported(patient: EventLoop, reports: Reports) -> None:
    patient.call_later(MORE, patient.stop)
    patient.run_forever()
    assert not reports.messages


def test_a_busy_loop_is_not_reported(patient: EventLoop, reports: Reports) -> None:
    async def main() -> None:
        end = patient.time() + MORE
        while patient.time() < end:
            await asyncio.sleep(0)

    patient.run_until_complete(main())
    assert not reports.messages


def quit_later(nested: Any, seconds: float) -> Any:
    timer = qt_core.QTimer()
    timer.setSingleShot(True)
    timer.timeout.connect(nested.quit)
    timer.start(int(seconds * 1000))
    return timer


def test_a_nested_loop_is_not_reported(
    patient: EventLoop, reports: Reports, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor does the coroutine that runs it count as slow."""

    async def main() -> None:
        nested = qt_core.QEventLoop()
        timer = quit_later(nested, MORE)
        _qt.execute(nested)
        timer.stop()

    patient.run_until_complete(main())
    assert not reports.messages
    assert not [record for record in caplog.records if "took" in record.getMessage()]


def test_what_blocks_before_in_and_after_a_nested_loop_is_reported(
    watched: EventLoop, reports: Reports
) -> None:
    keep: list[Any] = []

    async def main() -> None:
        nested = qt_core.QEventLoop()
        reports.block()
        keep.append(by_timer(lambda: (reports.block(), keep.append(quit_later(nested, 0.01)))))
        nested.exec() if hasattr(nested, "exec") else nested.exec_()
        reports.block()

    watched.run_until_complete(watched.create_task(main(), name="nesting"))
    begins = [message for message in reports.of("nesting") if " so far by " in message]
    assert len(begins) == 3
    assert ["<lambda>" in message for message in begins] == [False, True, False]


def test_processing_events_ends_a_stretch(
    patient: EventLoop, reports: Reports, application: Any
) -> None:
    def work() -> None:
        end = time.monotonic() + MORE
        while time.monotonic() < end:
            time.sleep(0.01)
            application.processEvents()

    patient.call_soon(work)
    run_briefly(patient)
    assert not reports.messages


def keep_the_gil(seconds: float) -> None:
    ctypes.PyDLL(None).usleep(int(seconds * 1e6))


def test_what_keeps_the_gil_is_reported_when_it_is_over(
    watched: EventLoop, reports: Reports
) -> None:
    """Nobody can look before that."""
    watched.call_soon(keep_the_gil, 0.2)
    run_briefly(watched)
    lengths = [
        re.match(r"event loop was blocked for (\d+\.\d\d) s", message)
        for message in reports.messages
    ]
    assert any(length is not None and float(length[1]) >= 0.2 for length in lengths), (
        reports.messages
    )


def test_without_debug_mode_nobody_watches(qt_loop: EventLoop, reports: Reports) -> None:
    seen: list[list[threading.Thread]] = []
    qt_loop.slow_callback_duration = 0.01
    qt_loop.call_soon(lambda: (time.sleep(0.05), seen.append(watchers())))
    run_briefly(qt_loop)
    assert seen == [[]]
    assert not reports.messages


def test_the_watchdog_lives_as_long_as_the_run(watched: EventLoop) -> None:
    seen: list[int] = []
    for _ in range(2):
        watched.call_soon(lambda: seen.append(len(watchers())))
        run_briefly(watched)
        assert not watchers()
    assert seen == [1, 1]


def test_an_exception_that_ends_the_run_ends_the_watch(watched: EventLoop) -> None:
    def leave() -> None:
        raise SystemExit(3)

    watched.call_soon(leave)
    with pytest.raises(SystemExit):
        watched.run_forever()
    assert not watchers()


def test_debug_mode_can_be_switched_while_the_loop_runs(
    qt_loop: EventLoop, reports: Reports
) -> None:
    qt_loop.slow_callback_duration = 0.05

    async def main() -> list[int]:
        seen = [len(watchers())]
        qt_loop.set_debug(True)
        await asyncio.sleep(0)
        seen.append(len(watchers()))
        reports.block()
        qt_loop.set_debug(False)
        await asyncio.sleep(0)
        return [*seen, len(watchers())]

    assert qt_loop.run_until_complete(qt_loop.create_task(main(), name="switching")) == [0, 1, 0]
    check(reports, "switching")


def test_a_limit_of_nothing_does_not_report_everything(
    watched: EventLoop, reports: Reports
) -> None:
    watched.slow_callback_duration = 0
    watched.run_until_complete(watched.create_task(serve(reports), name="server"))
    for message in reports.messages:
        length = re.search(r"blocked for (\d+\.\d\d) s", message)
        assert length is not None
        assert float(length[1]) >= _watchdog.MINIMUM
    check(reports, "server")


@pytest.mark.parametrize("limit", [float("inf"), 1e300])
def test_a_limit_beyond_all_clocks_is_one(
    watched: EventLoop, reports: Reports, limit: float
) -> None:
    watched.slow_callback_duration = limit
    watched.call_soon(time.sleep, 0.05)
    run_briefly(watched)
    assert not reports.messages


def test_a_loop_in_another_thread_is_watched_by_its_name(
    qt_loop_factory: LoopFactory, reports: Reports
) -> None:
    def run() -> None:
        with opened(qt_loop_factory) as loop:
            loop.set_debug(True)
            loop.slow_callback_duration = 0.05
            loop.run_until_complete(loop.create_task(serve(reports), name="server"))

    thread = threading.Thread(target=run, name="elsewhere")
    thread.start()
    thread.join()
    check(reports, "server", "thread 'elsewhere'")
    assert not watchers()


def test_two_loops_are_watched_each_for_itself(
    patient: EventLoop, qt_loop_factory: LoopFactory, reports: Reports
) -> None:
    """The one here sleeps while the other one blocks."""

    def run() -> None:
        with opened(qt_loop_factory) as loop:
            loop.set_debug(True)
            loop.slow_callback_duration = 0.05
            loop.call_soon(time.sleep, MORE)
            loop.run_until_complete(loop.create_task(serve(reports), name="server"))

    async def main() -> int:
        thread = asyncio.to_thread(run)
        waiting = asyncio.ensure_future(thread)
        await asyncio.sleep(MORE / 2)
        count = len(watchers())
        await waiting
        return count

    assert patient.run_until_complete(main()) == 2
    assert reports.of("server")
    assert not [message for message in reports.messages if message.startswith("event loop")]


def test_outside_the_applications_thread_slots_of_qts_are_not_watched(
    qt_loop_factory: LoopFactory, reports: Reports
) -> None:
    """Nothing says there that Qt wakes. What asyncio runs is watched all the same."""

    def run() -> None:
        with opened(qt_loop_factory) as loop:
            loop.set_debug(True)
            loop.slow_callback_duration = 0.05
            keep: list[Any] = []
            loop.call_soon(lambda: keep.append(by_timer(lambda: (time.sleep(0.1), loop.stop()))))
            loop.run_forever()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert not reports.messages


def test_simulated_time_is_not_watched(reports: Reports) -> None:
    loop = EventLoop(host="sim")
    loop.set_debug(True)
    loop.run_until_complete(asyncio.sleep(3600))
    assert not watchers()
    loop.close()
    assert not reports.messages


def test_a_report_keeps_nothing_alive(qt_loop_factory: LoopFactory, reports: Reports) -> None:
    class Held: ...

    def run() -> list[weakref.ref[Any]]:
        with opened(qt_loop_factory) as loop:
            loop.set_debug(True)
            loop.slow_callback_duration = 0.05
            held = Held()

            async def main() -> None:
                local = held
                reports.block()
                del local

            task = loop.create_task(main(), name="holder")
            loop.run_until_complete(task)
            return [weakref.ref(loop), weakref.ref(held), weakref.ref(task)]

    remaining = run()
    check(reports, "holder")
    gc.collect()
    assert [reference() for reference in remaining] == [None, None, None]


def test_a_run_does_not_wait_for_ever_for_a_log_handler(
    watched: EventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_watchdog, "PATIENCE", 0.01)
    entered, released = threading.Event(), threading.Event()

    class Stuck(logging.Handler):
        def handle(
            self, record: logging.LogRecord
        ) -> bool:  # Not `emit`, for which the handler is locked.
            if " so far by " in record.getMessage():
                entered.set()
                released.wait(PATIENCE)
            return True

    handler = Stuck()
    logging.getLogger("qtloop").addHandler(handler)
    try:
        watched.call_soon(entered.wait, PATIENCE)
        run_briefly(watched)
        (watcher,) = watchers()
        released.set()
        watcher.join(PATIENCE)
        assert not watcher.is_alive()
    finally:
        logging.getLogger("qtloop").removeHandler(handler)


def test_a_watch_that_cannot_start_does_not_stop_the_run(
    watched: EventLoop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    ran: list[int] = []
    monkeypatch.setattr(threading.Thread, "start", refuse)
    watched.call_soon(ran.append, 1)
    run_briefly(watched)
    assert ran == [1]
    assert "can't start new thread" in caplog.text


def test_the_application_may_quit_meanwhile(
    watched: EventLoop, reports: Reports, application: Any
) -> None:
    watched.call_soon(lambda: (application.quit(), reports.block()))
    watched.run_forever()
    assert not watchers()
    assert len([message for message in reports.messages if "(block at" in message]) == 2


def test_all_entrances_are_there() -> None:
    """Functions at which a report's stack ends. If one is renamed, stacks show what is of no
    interest."""
    for module, function in _watchdog._ENTRANCES:
        namespace = vars(importlib.import_module(module))
        classes = [value for value in namespace.values() if isinstance(value, type)]
        assert (
            any(callable(getattr(scope, function, None)) for scope in classes)
            or function in namespace
        )


DEBUG_PREAMBLE = """
        loop = qtloop.EventLoop()
        loop.set_debug(True)
        # No reports: on a loaded machine a start may take its time.
        loop.slow_callback_duration = 10
"""


def test_ctrl_c_in_debug_mode_ends_an_idle_loop(name: str) -> None:
    outcome = child.run(
        f"""
        {DEBUG_PREAMBLE}
        interrupt = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
        loop.call_later(0.01, interrupt.start)
        try:
            loop.run_forever()
        except KeyboardInterrupt:
            others = [thread for thread in threading.enumerate() if thread is not interrupt]
            print("interrupted", [thread.name for thread in others])
        loop.close()
        """,
        name,
    )
    assert (outcome.code, outcome.out, outcome.err) == (0, "interrupted ['MainThread']\n", "")


def test_a_program_may_exit_in_debug_mode_while_its_loop_runs(name: str) -> None:
    outcome = child.run(
        f"""
        {DEBUG_PREAMBLE}
        loop.call_later(0.01, sys.exit, 3)
        loop.run_forever()
        """,
        name,
    )
    assert (outcome.code, outcome.out, outcome.err) == (3, "", "")


def test_the_last_report_of_a_program_is_not_lost(name: str) -> None:
    outcome = child.run(
        """
        import time

        async def main():
            asyncio.get_running_loop().slow_callback_duration = 0.05
            time.sleep(0.2)

        qtloop.run(main(), debug=True)
        """,
        name,
    )
    assert outcome.code == 0
    assert "event loop blocked for" in outcome.err
    assert "event loop was blocked for" in outcome.err


def test_nothing_is_imported_that_a_headless_program_has_no_use_for(name: str) -> None:
    outcome = child.run(
        f"""
        {DEBUG_PREAMBLE}
        loop.call_soon(loop.stop)
        loop.run_forever()
        others = ("QtGui", "QtWidgets", "QtNetwork")
        print([module for module in sys.modules if module.endswith(others)])
        loop.close()
        """,
        name,
    )
    assert (outcome.code, outcome.out, outcome.err) == (0, "[]\n", "")
