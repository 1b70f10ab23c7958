"""Loops in threads, Qt's and Python's: they run, serve the Qt objects of their thread, and can be
quit."""

import asyncio
import gc
import os
import signal
import socket
import sys
import threading
import weakref
from asyncio import AbstractEventLoop
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

import pytest

import qtloop
from qtloop._thread_pool import ThreadPoolExecutor

from ..support import child
from ..support.loops import STOCK, Errors, LoopFactory, failure, opened, qt_core

PATIENCE = 20
Signal: Any = qt_core.Signal if hasattr(qt_core, "Signal") else qt_core.pyqtSignal
Call = Callable[[], Any]


def settle(future: Future[Any], call: Call) -> None:
    """Nothing may be raised to Qt."""
    try:
        future.set_result(call())
    except BaseException as error:
        future.set_exception(error)


class Thread:
    """A thread that makes one call, started when it is made."""

    def __init__(self, call: Call) -> None:
        self._future: Future[Any] = Future()
        self._start(lambda: settle(self._future, call))

    def _start(self, call: Call) -> None:
        raise NotImplementedError

    def _join(self) -> None:
        raise NotImplementedError

    def result(self) -> Any:
        """What the call returned or raised, when the thread has ended."""
        self._join()
        return self._future.result(0)


class PythonThread(Thread):
    def _start(self, call: Call) -> None:
        self._thread = threading.Thread(target=call)
        self._thread.start()

    def _join(self) -> None:
        self._thread.join(PATIENCE)


class PoolThread(Thread):
    """One of a QThreadPool."""

    def _start(self, call: Call) -> None:
        self._executor = ThreadPoolExecutor(1)
        self._executor.submit(call)

    def _join(self) -> None:
        self._executor.shutdown()


class _Running(qt_core.QThread):  # type: ignore[misc]
    def __init__(self, call: Call) -> None:
        super().__init__()
        self._call = call

    def run(self) -> None:
        self._call()


class _Worker(qt_core.QObject):  # type: ignore[misc]
    def __init__(self, call: Call) -> None:
        super().__init__()
        self._call = call

    def work(self) -> None:
        self._call()
        qt_core.QThread.currentThread().quit()


class QtThread(Thread):
    """A QThread whose `run()` makes the call. No loop of Qt's runs there but ours."""

    def _start(self, call: Call) -> None:
        self.qthread = _Running(call)
        self.qthread.start()

    def _join(self) -> None:
        assert self.qthread.wait(PATIENCE * 1000)


class WorkerThread(QtThread):
    """A QThread that runs its own `exec()`. A slot of an object that lives there makes the call."""

    def _start(self, call: Call) -> None:
        self.qthread = qt_core.QThread()
        self._worker = _Worker(call)
        self._worker.moveToThread(self.qthread)
        self.qthread.started.connect(self._worker.work)
        self.qthread.start()


QT_KINDS: list[type[QtThread]] = [QtThread, WorkerThread]
KINDS: list[type[Thread]] = [PythonThread, PoolThread, *QT_KINDS]


def name_of(kind: type) -> str:
    return kind.__name__


every_kind = pytest.mark.parametrize("kind", KINDS, ids=name_of)
every_qt_kind = pytest.mark.parametrize("kind", QT_KINDS, ids=name_of)


def run(main: Any, factory: Any) -> Any:
    return qtloop.run(main, loop_factory=factory)


class Station:
    """A loop that runs in a thread of its own until it is left."""

    def __init__(self, kind: type[Thread], factory: LoopFactory) -> None:
        started: Future[AbstractEventLoop] = Future()
        self.thread = kind(lambda: run(self._main(started), factory))
        self.loop = started.result(PATIENCE)

    async def _main(self, started: Future[AbstractEventLoop]) -> None:
        self._left = asyncio.Event()
        started.set_result(asyncio.get_running_loop())
        await self._left.wait()

    def ask(self, coroutine: Any) -> asyncio.Future[Any]:
        """Runs the coroutine there; to be awaited here."""
        return asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, self.loop))

    def leave(self) -> None:
        self.loop.call_soon_threadsafe(self._left.set)
        self.thread.result()


async def use_everything(made: list[str]) -> int:
    """A little of all that a loop has. Returns the thread's number."""

    async def count() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            made.append("generator")
            closed.set()

    loop, closed = asyncio.get_running_loop(), asyncio.Event()
    await asyncio.sleep(0.001)
    assert await asyncio.to_thread(int, "1") == 1
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.Event().wait(), 0.001)
    left, right = socket.socketpair()
    left.setblocking(False)
    with right:
        reader, writer = await asyncio.open_connection(sock=left)
        right.send(b"line\n")
        assert await reader.readline() == b"line\n"
        writer.close()
        await writer.wait_closed()
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "exit(3)")
    assert await process.wait() == 3
    assert await anext(count()) == 1  # The loop closes the generator, which nobody keeps.
    await closed.wait()
    assert asyncio.get_running_loop() is loop
    return threading.get_ident()


@every_kind
def test_a_loop_is_a_whole_one(kind: type[Thread], qt_loop_factory: LoopFactory) -> None:
    made: list[str] = []
    assert (
        kind(lambda: run(use_everything(made), qt_loop_factory)).result() != threading.get_ident()
    )
    assert made == ["generator"]


@every_kind
def test_several_loops_after_each_other(kind: type[Thread], qt_loop_factory: LoopFactory) -> None:
    def program() -> list[Any]:
        with asyncio.Runner(loop_factory=qt_loop_factory) as runner:
            first = [runner.run(asyncio.sleep(0.001, n)) for n in range(2)]
        return [*first, run(asyncio.sleep(0.001, 2), qt_loop_factory), run(fail(), qt_loop_factory)]

    with pytest.raises(LookupError, match="in the thread"):
        kind(program).result()


async def fail() -> None:
    raise LookupError("in the thread")


@every_kind
def test_several_threads_at_once(kind: type[Thread], qt_loop_factory: LoopFactory) -> None:
    together = threading.Barrier(4)

    def program() -> Any:
        with opened(qt_loop_factory) as loop:
            together.wait(PATIENCE)
            return loop.run_until_complete(use_everything([]))

    threads = [kind(program) for _ in range(4)]
    assert len({thread.result() for thread in threads}) == 4


class Talker(qt_core.QObject):  # type: ignore[misc]
    said = Signal(object)

    def __init__(self, hear: Callable[[Any], None]) -> None:
        super().__init__()
        self._hear = hear

    def hear(self, what: Any) -> None:
        self._hear((threading.get_ident(), what))


@every_kind
def test_the_threads_qt_objects_are_served(
    kind: type[Thread], qt_loop_factory: LoopFactory
) -> None:
    """Its timers fire, its queued signals arrive, what it deletes later is deleted, all in the
    thread."""

    async def main() -> None:
        me, loop = threading.get_ident(), asyncio.get_running_loop()
        ticked, heard, gone = loop.create_future(), loop.create_future(), loop.create_future()
        timer = qt_core.QTimer()
        timer.setSingleShot(True)
        timer.timeout.connect(lambda: ticked.set_result(threading.get_ident()))
        timer.start(1)
        talker = Talker(heard.set_result)
        talker.said.connect(talker.hear, qt_core.Qt.ConnectionType.QueuedConnection)
        talker.said.emit("hello")
        doomed = qt_core.QObject()
        doomed.destroyed.connect(lambda: gone.set_result(threading.get_ident()))
        doomed.deleteLater()
        assert not heard.done()
        assert await asyncio.gather(ticked, heard, gone) == [me, (me, "hello"), me]

    kind(lambda: run(main(), qt_loop_factory)).result()


@every_kind
async def test_signals_cross_threads_both_ways(
    kind: type[Thread], qt_loop: AbstractEventLoop, qt_loop_factory: LoopFactory
) -> None:
    rounds = 1_000
    there: list[tuple[int, int]] = []
    here: list[tuple[int, int]] = []
    done = asyncio.Event()

    def hear_here(heard: tuple[int, int]) -> None:
        here.append(heard)
        if len(here) == rounds:
            done.set()

    def hear_there(heard: tuple[int, int]) -> None:
        there.append(heard)
        worker.said.emit(2 * heard[1])

    async def make_worker() -> Talker:
        return Talker(hear_there)

    station = Station(kind, qt_loop_factory)
    ours = Talker(hear_here)
    worker = await station.ask(make_worker())
    ours.said.connect(worker.hear)
    worker.said.connect(ours.hear)
    for n in range(rounds):
        ours.said.emit(n)
    await done.wait()
    station.leave()
    assert [n for _, n in there] == list(range(rounds))
    assert [n for _, n in here] == [2 * n for n in range(rounds)]
    assert {thread for thread, _ in here} == {threading.get_ident()}
    assert len({thread for thread, _ in there} - {threading.get_ident()}) == 1


@every_kind
async def test_a_blocking_signal_waits_for_the_other_loop(
    kind: type[Thread], qt_loop: AbstractEventLoop, qt_loop_factory: LoopFactory
) -> None:
    heard: list[tuple[int, str]] = []
    ours = Talker(heard.append)

    async def ask() -> int:
        theirs = Talker(lambda _: None)
        theirs.said.connect(ours.hear, qt_core.Qt.ConnectionType.BlockingQueuedConnection)
        theirs.said.emit("question")
        return len(heard)

    station = Station(kind, qt_loop_factory)
    assert await station.ask(ask()) == 1
    station.leave()
    assert heard == [(threading.get_ident(), "question")]


@every_kind
async def test_coroutines_await_each_other_across_threads(
    kind: type[Thread], qt_loop: AbstractEventLoop, qt_loop_factory: LoopFactory
) -> None:
    """Each waits for the other, to a depth, and many do so at once."""
    station = Station(kind, qt_loop_factory)
    loops = [qt_loop, station.loop]

    async def descend(depth: int) -> int:
        loop = loops[depth % 2]
        assert asyncio.get_running_loop() is loop
        if depth == 20:
            return depth
        await asyncio.sleep(0)
        deeper = asyncio.run_coroutine_threadsafe(descend(depth + 1), loops[(depth + 1) % 2])
        return await asyncio.wrap_future(deeper)

    assert await asyncio.gather(*(descend(0) for _ in range(50))) == [20] * 50
    station.leave()


@every_kind
async def test_exceptions_and_cancellation_cross_threads(
    kind: type[Thread], qt_loop: AbstractEventLoop, qt_loop_factory: LoopFactory
) -> None:
    entered, cancelled = threading.Event(), threading.Event()

    async def wait() -> None:
        entered.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    station = Station(kind, qt_loop_factory)
    with pytest.raises(LookupError, match="in the thread"):
        await station.ask(fail())
    waiting = station.ask(wait())
    assert await asyncio.to_thread(entered.wait, PATIENCE)
    waiting.cancel()
    assert await asyncio.to_thread(cancelled.wait, PATIENCE)
    with pytest.raises(asyncio.CancelledError):
        await waiting
    station.leave()


@every_qt_kind
def test_eight_threads_call_each_other_and_keep_count_and_order(
    kind: type[QtThread], qt_loop_factory: LoopFactory
) -> None:
    """Each sends 1,000 calls to all eight in turn, itself included, while it is sent as many."""
    stations = [Station(kind, qt_loop_factory) for _ in range(8)]
    heard: list[list[tuple[int, int, int]]] = [[] for _ in stations]

    async def send(sender: int) -> None:
        for n in range(1_000):
            target = n % 8
            call = (threading.get_ident(), sender, n)
            stations[target].loop.call_soon_threadsafe(heard[target].append, call)
            if n % 50 == 0:
                await asyncio.sleep(0)

    sending = [asyncio.run_coroutine_threadsafe(send(n), stations[n].loop) for n in range(8)]
    for sent in sending:
        sent.result(PATIENCE)
    for station in stations:
        station.leave()
    for target, calls in enumerate(heard):
        assert len(calls) == 1_000
        for sender in range(8):
            assert [n for _, who, n in calls if who == sender] == list(range(target, 1_000, 8))


@every_kind
def test_an_exception_of_a_callback_goes_to_the_threads_own_loop(
    kind: type[Thread], qt_loop: AbstractEventLoop, qt_loop_factory: LoopFactory, errors: Errors
) -> None:
    theirs: Errors = []

    async def main() -> str:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: theirs.append(context))
        loop.call_soon(lambda: 1 / 0)
        return await asyncio.sleep(0.001, "went on")

    assert kind(lambda: run(main(), qt_loop_factory)).result() == "went on"
    assert [type(context["exception"]) for context in theirs] == [ZeroDivisionError]


@every_kind
def test_another_thread_stops_the_loop_and_its_thread_goes_on(
    kind: type[Thread], qt_loop_factory: LoopFactory
) -> None:
    started: Future[AbstractEventLoop] = Future()

    def program() -> str:
        with opened(qt_loop_factory) as loop:
            loop.call_soon(started.set_result, loop)
            loop.run_forever()
            return loop.run_until_complete(asyncio.sleep(0.001, "went on"))

    thread = kind(program)
    loop = started.result(PATIENCE)
    loop.call_soon_threadsafe(loop.stop)
    assert thread.result() == "went on"


@every_kind
def test_a_loop_is_made_here_run_there_and_closed_here(
    kind: type[Thread], qt_loop_factory: LoopFactory
) -> None:
    loop = qt_loop_factory()
    assert kind(lambda: loop.run_until_complete(use_everything([]))).result()
    assert loop.run_until_complete(use_everything([])) == threading.get_ident()
    assert kind(lambda: loop.run_until_complete(use_everything([]))).result()
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


@every_kind
def test_a_closed_loop_leaves_nothing_to_the_thread(
    kind: type[Thread], qt_loop_factory: LoopFactory
) -> None:
    """Neither a running loop nor the loop itself, and the interpreter's list of threads is as
    before."""
    loops: list[weakref.ref[AbstractEventLoop]] = []

    def program() -> Any:
        run(main(), qt_loop_factory)
        return failure(asyncio.get_running_loop)

    async def main() -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        await asyncio.sleep(0)

    for _ in range(10):
        assert kind(program).result() == (RuntimeError, "no running event loop")
    gc.collect()
    assert [loop() for loop in loops] == [None] * 10


@every_kind
def test_signal_handlers_are_refused_as_on_stock(
    kind: type[Thread], qt_loop_factory: LoopFactory
) -> None:
    def program(factory: LoopFactory) -> Any:
        with opened(factory) as loop:
            return failure(lambda: loop.add_signal_handler(signal.SIGUSR1, print))

    expected = kind(lambda: program(STOCK["stock"])).result()
    assert expected is not None
    assert kind(lambda: program(qt_loop_factory)).result() == expected


@every_kind
async def test_a_signal_is_handled_in_the_main_thread(
    kind: type[Thread], qt_loop: AbstractEventLoop, qt_loop_factory: LoopFactory
) -> None:
    """Wherever it is sent from, and while another thread's loop sleeps and wakes."""
    handled: asyncio.Queue[int] = asyncio.Queue()
    qt_loop.add_signal_handler(signal.SIGUSR1, lambda: handled.put_nowait(threading.get_ident()))

    async def send() -> None:
        await asyncio.sleep(0.001)
        os.kill(os.getpid(), signal.SIGUSR1)

    station = Station(kind, qt_loop_factory)
    for _ in range(5):
        await station.ask(send())
        assert await handled.get() == threading.get_ident()
    station.leave()
    qt_loop.remove_signal_handler(signal.SIGUSR1)


# QThread.quit(): to its thread what QCoreApplication.quit() is to the main one.


@every_qt_kind
def test_quitting_the_thread_cancels_main_and_lets_it_finish(
    kind: type[QtThread], qt_loop_factory: LoopFactory
) -> None:
    steps: list[str] = []
    waiting = threading.Event()

    async def main() -> None:
        waiting.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            steps.append("cancelled")
            raise
        finally:
            await use_everything(steps)
            steps.append("cleaned up")

    thread = kind(lambda: run(main(), qt_loop_factory))
    assert waiting.wait(PATIENCE)
    thread.qthread.quit()
    assert thread.result() is None
    assert steps[0] == "cancelled"
    assert set(steps[1:]) == {"generator", "cleaned up"}


@every_qt_kind
def test_quitting_the_thread_ends_run_forever(
    kind: type[QtThread], qt_loop_factory: LoopFactory
) -> None:
    running = threading.Event()

    def program() -> str:
        loop = qt_loop_factory()
        loop.call_soon(running.set)
        loop.run_forever()
        assert not loop.is_running()
        loop.close()
        return "returned"

    thread = kind(program)
    assert running.wait(PATIENCE)
    thread.qthread.exit(3)
    assert thread.result() == "returned"


@every_qt_kind
def test_a_busy_loop_hears_of_the_quit(kind: type[QtThread], qt_loop_factory: LoopFactory) -> None:
    running = threading.Event()

    async def main() -> None:
        while True:
            await asyncio.sleep(0)
            running.set()

    thread = kind(lambda: run(main(), qt_loop_factory))
    assert running.wait(PATIENCE)
    thread.qthread.quit()
    assert thread.result() is None


@every_qt_kind
def test_a_quit_is_not_forgotten_before_the_run(
    kind: type[QtThread], qt_loop_factory: LoopFactory
) -> None:
    """As with `QThread.exec()`. Unlike an application, a thread is not quit twice."""
    has_quit = threading.Event()
    ran: list[str] = []

    async def main() -> None:
        ran.append("main")

    def program() -> Any:
        assert has_quit.wait(PATIENCE)
        return run(main(), qt_loop_factory)

    thread = kind(program)
    thread.qthread.quit()
    has_quit.set()
    assert thread.result() is None
    assert ran == []


@every_qt_kind
def test_a_thread_quits_alone(kind: type[QtThread], qt_loop_factory: LoopFactory) -> None:
    quitting, staying = Station(kind, qt_loop_factory), Station(kind, qt_loop_factory)
    assert isinstance(quitting.thread, QtThread)
    quitting.thread.qthread.quit()
    quitting.thread.result()
    assert (
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0.001, "on"), staying.loop).result(PATIENCE)
        == "on"
    )
    staying.leave()


def test_a_thread_can_be_started_again(qt_loop_factory: LoopFactory) -> None:
    """With the same loop: the quit before is history."""
    results: list[Any] = []
    waiting = threading.Event()
    loop = qt_loop_factory()

    async def main() -> str:
        waiting.set()
        await asyncio.Event().wait()
        return "never"

    def program() -> None:
        with suppress(asyncio.CancelledError):
            results.append(loop.run_until_complete(asyncio.sleep(0.001, "ran")))
            results.append(loop.run_until_complete(main()))

    thread = _Running(program)
    for _ in range(3):
        waiting.clear()
        thread.start()
        assert waiting.wait(PATIENCE)
        thread.quit()
        assert thread.wait(PATIENCE * 1000)
    loop.close()
    assert results == ["ran"] * 3


@every_qt_kind
def test_a_runner_cleans_up_after_a_quit(
    kind: type[QtThread], qt_loop_factory: LoopFactory
) -> None:
    """What `asyncio.Runner` runs when it closes are finalizers: they run though the thread has been
    quit."""
    cleaned: list[str] = []
    waiting = threading.Event()

    async def generate() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await asyncio.sleep(0.001)
            cleaned.append("generator")

    async def linger() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.001)
            cleaned.append("task")

    async def main(kept: list[Any]) -> None:
        kept.append(asyncio.ensure_future(linger()))
        kept.append(generate())
        await anext(kept[-1])
        waiting.set()
        await asyncio.Event().wait()

    def program() -> None:
        kept: list[Any] = []
        with (
            asyncio.Runner(loop_factory=qt_loop_factory) as runner,
            suppress(asyncio.CancelledError),
        ):
            runner.run(main(kept))

    thread = kind(program)
    assert waiting.wait(PATIENCE)
    thread.qthread.quit()
    thread.result()
    assert cleaned == ["task", "generator"]


@every_qt_kind
def test_run_forever_after_a_quit_returns_at_once(
    kind: type[QtThread], qt_loop_factory: LoopFactory
) -> None:
    running = threading.Event()

    def program() -> str:
        loop = qt_loop_factory()
        loop.call_soon(running.set)
        loop.run_forever()
        loop.run_forever()
        loop.close()
        return "returned"

    thread = kind(program)
    assert running.wait(PATIENCE)
    thread.qthread.quit()
    assert thread.result() == "returned"


def test_the_threads_own_exec_goes_on_after_a_loop(qt_loop_factory: LoopFactory) -> None:
    """A slot runs a loop inside it, and when that is done, the next slot another."""
    qthread = qt_core.QThread()
    theirs = Talker(
        lambda heard: settle(heard[1], lambda: run(use_everything([]), qt_loop_factory))
    )
    theirs.moveToThread(qthread)
    ours = Talker(print)
    ours.said.connect(theirs.hear)
    qthread.start()
    for _ in range(5):
        future: Future[int] = Future()
        ours.said.emit(future)
        assert future.result(PATIENCE) != threading.get_ident()
    qthread.quit()
    assert qthread.wait(PATIENCE * 1000)


DAEMONS = {
    "idle": "pass",
    "busy": "loop.call_soon(work)",
    "ticking": "loop.call_later(0.0005, work)",
}


@pytest.mark.parametrize("work", DAEMONS.values(), ids=DAEMONS)
def test_the_interpreter_may_end_while_a_loop_runs_in_a_daemon_thread(name: str, work: str) -> None:
    program = f"""
    app = qt_core.QCoreApplication([])
    started = threading.Event()
    def run():
        loop = qtloop.new_event_loop()
        def work():
            {work}
            started.set()
        loop.call_soon(work)
        loop.run_until_complete(loop.create_future())
        print("never printed")
    threading.Thread(target=run, daemon=True).start()
    started.wait()
    """
    outcome = child.run(program, name)
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")
