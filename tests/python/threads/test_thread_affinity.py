"""Objects used in wrong threads: what `check_thread` refuses, and what Qt notices is told to the
loop."""

import asyncio
import gc
import os
import threading
import weakref
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from qtloop import _thread_affinity
from qtloop._thread_affinity import check_thread, thread_warnings

from ..support import child
from ..support.loops import Errors, LoopFactory, failure, opened, qt_core


def in_thread(call: Callable[[], Any], name: str | None = None) -> Any:
    """What the call returns in another thread."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(call()), name=name)
    thread.start()
    thread.join()
    return results[0]


def test_an_object_may_be_used_where_it_lives() -> None:
    check_thread(qt_core.QObject())
    assert in_thread(lambda: failure(lambda: check_thread(qt_core.QObject()))) is None


def test_an_object_used_elsewhere_is_named_with_both_threads() -> None:
    timer = qt_core.QTimer()
    timer.setObjectName("ticker")
    error, message = in_thread(lambda: failure(lambda: check_thread(timer)), "elsewhere")
    assert error is RuntimeError
    assert message.startswith(
        "QTimer 'ticker' lives in the main thread and must not be used in the thread 'elsewhere'"
    )


def test_an_object_that_was_moved_is_refused_here() -> None:
    moved, thread = qt_core.QObject(), qt_core.QThread()
    thread.setObjectName("worker")
    moved.moveToThread(thread)
    with pytest.raises(
        RuntimeError, match=r"QObject.* lives in the thread 'worker' .* in the main thread"
    ):
        check_thread(moved)
    thread.setObjectName("")
    with pytest.raises(RuntimeError, match=r"lives in another thread \(<.*QThread"):
        check_thread(moved)


def test_an_object_without_a_thread_is_refused_everywhere() -> None:
    lost = qt_core.QObject()
    lost.moveToThread(None)
    with pytest.raises(RuntimeError, match="lives in no thread and"):
        check_thread(lost)


def test_a_deleted_object_is_refused_in_the_bindings_words(qt_loop: AbstractEventLoop) -> None:
    doomed = qt_core.QObject()
    gone = asyncio.Event()
    doomed.destroyed.connect(gone.set)
    doomed.deleteLater()
    qt_loop.run_until_complete(gone.wait())
    with pytest.raises(RuntimeError, match="deleted"):
        check_thread(doomed)


@pytest.fixture
def watched(qt_loop: AbstractEventLoop) -> Iterator[None]:
    with thread_warnings(qt_loop):
        yield


class Victims:
    """Objects of the main thread, and what must not be done to them elsewhere."""

    def __init__(self) -> None:
        self.parent = qt_core.QObject()
        self.timer = qt_core.QTimer()
        self.reader, self.writer = os.pipe()
        self.notifier = qt_core.QSocketNotifier(self.reader, qt_core.QSocketNotifier.Type.Read)
        self.notifier.setEnabled(False)

    def close(self) -> None:
        del self.notifier
        os.close(self.reader)
        os.close(self.writer)


OFFENCES: dict[str, Callable[[Victims], Any]] = {
    "child": lambda victims: qt_core.QObject(victims.parent),
    "setParent": lambda victims: qt_core.QObject().setParent(victims.parent),
    "timer": lambda victims: victims.timer.start(1000),
    "moveToThread": lambda victims: victims.parent.moveToThread(qt_core.QThread.currentThread()),
    "event filter": lambda victims: victims.parent.installEventFilter(qt_core.QObject()),
    "notifier": lambda victims: victims.notifier.setEnabled(True),
}


@pytest.fixture
def victims() -> Iterator[Victims]:
    victims = Victims()
    yield victims
    victims.close()


@pytest.mark.parametrize("offend", OFFENCES.values(), ids=OFFENCES)
def test_an_offence_of_a_task_is_reported_to_its_loop(
    qt_loop_factory: LoopFactory, victims: Victims, offend: Callable[[Victims], Any]
) -> None:
    reports: Errors = []

    async def main() -> None:
        task = asyncio.create_task(culprit(), name="culprit")
        await task
        await asyncio.sleep(0)

    async def culprit() -> None:
        offend(victims)

    def program() -> None:
        with opened(qt_loop_factory) as loop:
            loop.set_exception_handler(lambda _, context: reports.append(context))
            with thread_warnings(loop):
                loop.run_until_complete(main())

    in_thread(program, "offender")
    report = reports[0]  # Qt 5 notices a timer's twice.
    assert "thread" in report["message"]
    assert report["task"].get_name() == "culprit"
    assert report["thread"] == "the thread 'offender'"
    assert [frame.name for frame in report["stack"]][-2:] == ["culprit", "<lambda>"]
    assert report["stack"][-1].filename == __file__


async def test_an_offence_of_a_thread_without_a_loop_is_reported_too(
    qt_loop: AbstractEventLoop, watched: None, errors: Errors, victims: Victims
) -> None:
    """A job that touches what is the GUI's: the commonest mistake of all."""
    await asyncio.to_thread(OFFENCES["child"], victims)
    await asyncio.sleep(0)
    report = errors.pop()
    assert "parent that is in a different thread" in report["message"]
    assert "task" not in report
    assert "thread '" in report["thread"]
    assert report["stack"][-1].filename == __file__


async def test_an_offence_without_python_is_reported_without_a_stack(
    qt_loop: AbstractEventLoop, watched: None, errors: Errors, victims: Victims
) -> None:
    """A connection from Qt to Qt: no Python code runs in that thread."""
    thread = qt_core.QThread()
    thread.setObjectName("of Qt alone")
    thread.started.connect(victims.timer.start, qt_core.Qt.ConnectionType.DirectConnection)
    thread.start()
    thread.quit()
    await asyncio.to_thread(thread.wait)
    await asyncio.sleep(0)
    report = errors.pop()
    assert "Timers cannot be started from another thread" in report["message"]
    assert report["thread"] == "the thread 'of Qt alone'"
    assert list(report["stack"]) == []


def test_the_default_handler_shows_the_stack(
    qt_loop_factory: LoopFactory, victims: Victims, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        await asyncio.to_thread(OFFENCES["child"], victims)
        await asyncio.sleep(0)

    with opened(qt_loop_factory) as loop:
        loop.set_debug(True)
        with thread_warnings(loop):
            loop.run_until_complete(main())
    assert f'File "{__file__}", line ' in caplog.text
    assert "handle_traceback" not in caplog.text


def test_what_was_noticed_last_is_reported_at_the_end(
    qt_loop: AbstractEventLoop, errors: Errors, victims: Victims
) -> None:
    def offend_and_stop() -> None:
        in_thread(lambda: OFFENCES["child"](victims))
        qt_loop.stop()

    with thread_warnings(qt_loop):
        qt_loop.call_soon(offend_and_stop)
        qt_loop.run_forever()
    assert "different thread" in errors.pop()["message"]


async def test_other_messages_are_no_reports(
    qt_loop: AbstractEventLoop, watched: None, capfd: pytest.CaptureFixture[str]
) -> None:
    qt_core.qWarning("nothing of that kind")
    await asyncio.sleep(0)
    assert "nothing of that kind\n" in capfd.readouterr().err


class Received:
    """A message handler of the program's own."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.previous: Any = None

    def __call__(self, kind: Any, context: Any, text: str) -> None:
        self.texts.append(text)
        if self.previous is not None:
            self.previous(kind, context, text)


@pytest.fixture
def received() -> Iterator[Received]:
    received = Received()
    before = qt_core.qInstallMessageHandler(received)
    yield received
    assert qt_core.qInstallMessageHandler(before) is received


def test_the_handler_that_was_there_gets_everything_and_comes_back(
    qt_loop: AbstractEventLoop, received: Received, errors: Errors, victims: Victims
) -> None:
    with thread_warnings(qt_loop):
        qt_core.qWarning("one")
        in_thread(lambda: OFFENCES["child"](victims))
    qt_core.qWarning("two")
    assert [text[:10] for text in received.texts] == ["one", "QObject: C", "two"]
    assert "different thread" in errors.pop()["message"]


def test_without_one_qts_own_comes_back(qt_loop: AbstractEventLoop) -> None:
    with thread_warnings(qt_loop):
        pass
    assert qt_core.qInstallMessageHandler(None) is None


def test_handlers_whose_removal_was_interrupted_do_not_pile_up(
    qt_loop: AbstractEventLoop, errors: Errors, victims: Victims
) -> None:
    for _ in range(2):
        _thread_affinity._MessageHandler(qt_core)
    with thread_warnings(qt_loop):
        in_thread(lambda: OFFENCES["child"](victims))
    assert errors.pop()["stack"][-1].filename == __file__
    assert qt_core.qInstallMessageHandler(None) is None


def test_a_handler_installed_meanwhile_stays(
    qt_loop: AbstractEventLoop, errors: Errors, victims: Victims, capfd: pytest.CaptureFixture[str]
) -> None:
    """It passes its messages on to ours, and goes on doing so when that is done, or is there
    anew."""
    received = Received()
    for _ in range(3):
        with thread_warnings(qt_loop):
            if received.previous is None:
                received.previous = qt_core.qInstallMessageHandler(received)
            in_thread(lambda: OFFENCES["child"](victims))
        assert "different thread" in errors.pop()["message"]
        assert not errors
        qt_core.qWarning("after")
    assert qt_core.qInstallMessageHandler(None) is received
    assert [text[:5] for text in received.texts] == ["QObje", "after"] * 3
    assert capfd.readouterr().err.count("after\n") == 3


def test_loops_in_several_threads_come_and_go(
    qt_loop_factory: LoopFactory, victims: Victims
) -> None:
    """In whatever order: each hears of its own, and the last one takes the handler away."""
    threads, offences = 8, 50
    reports: list[Errors] = [[] for _ in range(threads)]
    together = threading.Barrier(threads)

    async def offend() -> None:
        for _ in range(offences):
            OFFENCES["child"](victims)
            await asyncio.sleep(0)

    def program(n: int) -> None:
        with opened(qt_loop_factory) as loop:
            loop.set_exception_handler(lambda _, context: reports[n].append(context))
            together.wait()
            with thread_warnings(loop):
                loop.run_until_complete(loop.create_task(offend(), name=f"task {n}"))

    running = [threading.Thread(target=program, args=(n,)) for n in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    for n in range(threads):
        assert [report["task"].get_name() for report in reports[n]] == [f"task {n}"] * offences
    assert qt_core.qInstallMessageHandler(None) is None


def test_an_interrupt_inside_the_handler_leaves_the_loop(
    qt_loop: AbstractEventLoop, victims: Victims, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python may raise it anywhere; to a binding it must not get, since PyQt would abort."""

    def interrupted(text: str, frame: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(_thread_affinity, "_note", interrupted)
    with thread_warnings(qt_loop):
        qt_loop.call_soon(lambda: in_thread(lambda: OFFENCES["child"](victims)))
        with pytest.raises(KeyboardInterrupt):
            qt_loop.run_forever()


def test_an_exception_handler_that_fails_does_no_harm(
    qt_loop: AbstractEventLoop, victims: Victims, caplog: pytest.LogCaptureFixture
) -> None:
    qt_loop.set_exception_handler(lambda loop, context: 1 / 0)  # type: ignore[arg-type, return-value]
    with thread_warnings(qt_loop):
        qt_loop.run_until_complete(asyncio.to_thread(OFFENCES["child"], victims))
    assert "Unhandled error in exception handler" in caplog.text


def test_the_loop_is_not_kept(qt_loop_factory: LoopFactory, victims: Victims) -> None:
    with ExitStack() as stack:
        loop = stack.enter_context(opened(qt_loop_factory))
        loop.set_exception_handler(lambda loop, context: None)
        with thread_warnings(loop):
            loop.run_until_complete(asyncio.to_thread(OFFENCES["child"], victims))
    alive = weakref.ref(loop)
    del loop, stack
    gc.collect()
    assert alive() is None


def test_an_interpreter_may_end_while_a_loop_is_watched(name: str) -> None:
    """In a daemon thread, which never leaves. What Qt logs after Python's end must not go to
    Python."""
    program = """
    from qtloop._thread_affinity import thread_warnings
    app = qt_core.QCoreApplication([])
    started = threading.Event()
    def program():
        loop = qtloop.new_event_loop()
        with thread_warnings(loop):
            loop.call_soon(started.set)
            loop.run_forever()
    threading.Thread(target=program, daemon=True).start()
    started.wait()
    print("ended")
    """
    outcome = child.run(program, name)
    assert (outcome.code, outcome.out) == (0, "ended\n"), outcome.err
