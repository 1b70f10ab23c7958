"""`slot`: async functions as slots."""

import asyncio
import gc
import inspect
import logging
import threading
import weakref
from asyncio import AbstractEventLoop
from typing import Any

import pytest

from qtloop import EventLoop, _owned_tasks
from qtloop._qt_signals import emitted
from qtloop._slots import slot

from ..support import child
from ..support.loops import Errors, LoopFactory, opened, qt_core
from ..support.nested_loop import Nested
from ..support.objects import WAYS_TO_DIE, Sender, Slot, delete, settle
from .test_owned_tasks import needs_eager_tasks

MODES = ["parallel", "ignore", "restart", "queue"]


@pytest.fixture
def sender() -> Any:
    return Sender()


pytestmark = pytest.mark.usefixtures("no_exception_in_a_slot")


class Receiver(qt_core.QObject):  # type: ignore[misc]
    """Notes what its slots are called with; a call ends when `go` lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[Any] = []
        self.go = asyncio.Semaphore(0)

    async def _run(self, number: int) -> int:
        self.log.append(("start", number))
        try:
            await self.go.acquire()
        except asyncio.CancelledError:
            self.log.append(("cancelled", number))
            raise
        self.log.append(("end", number))
        return number

    @slot
    async def no_arguments(self) -> None:
        self.log.append(())

    @slot
    async def one_argument(self, number: int) -> None:
        self.log.append((number,))

    @slot
    async def optional(self, thing: object, text: str = "default") -> None:
        self.log.append((thing, text))

    @slot
    async def any_arguments(self, *arguments: object) -> None:
        self.log.append(arguments)

    @staticmethod
    @slot
    async def static(thing: object, text: str) -> tuple[object, str]:
        return thing, text

    @Slot(int)
    @slot
    async def decorated(self, number: int) -> None:
        self.log.append((number,))

    @Slot()
    @slot(reentry="ignore")
    async def decorated_without_arguments(self) -> None:
        self.log.append(())

    @slot
    async def failing(self) -> None:
        raise LookupError("reason")

    @slot(reentry="parallel")
    async def parallel(self, number: int) -> int:
        return await self._run(number)

    @slot(reentry="ignore")
    async def ignore(self, number: int) -> int:
        return await self._run(number)

    @slot(reentry="restart")
    async def restart(self, number: int) -> int:
        return await self._run(number)

    @slot(reentry="queue")
    async def queue(self, number: int) -> int:
        return await self._run(number)

    def let_go(self, count: int = 1) -> None:
        for _ in range(count):
            self.go.release()


@pytest.fixture
def receiver() -> Any:
    return Receiver()


def test_a_slot_is_a_plain_function() -> None:
    @slot
    async def on_change(value: int) -> None:
        """Documentation."""

    assert inspect.isfunction(on_change)
    assert not inspect.iscoroutinefunction(on_change)
    assert not asyncio.iscoroutinefunction(on_change)
    assert (on_change.__name__, on_change.__doc__) == ("on_change", "Documentation.")


@pytest.mark.parametrize("wrong", [print, lambda: None, 3, Receiver.let_go])
def test_only_async_functions_become_slots(wrong: Any) -> None:
    with pytest.raises(TypeError, match="async function"):
        slot(wrong)


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="reentry"):
        slot(reentry="sometimes")  # type: ignore[call-overload]


async def test_a_call_returns_the_task(qt_loop: AbstractEventLoop, receiver: Any) -> None:
    task = receiver.parallel(3)
    assert isinstance(task, asyncio.Task)
    receiver.let_go(2)
    assert await task == 3
    assert await receiver.parallel(number=4) == 4
    assert await Receiver.static(1, text="x") == (1, "x")


async def test_surplus_arguments_are_left_out(
    qt_loop: AbstractEventLoop, sender: Any, receiver: Any
) -> None:
    sender.pair.connect(receiver.no_arguments)
    sender.pair.connect(receiver.one_argument)
    sender.pair.connect(receiver.optional)
    sender.pair.connect(receiver.any_arguments)
    sender.number.connect(receiver.decorated)
    sender.number.connect(receiver.decorated_without_arguments)
    sender.pair.emit(1, "text")
    await settle()
    assert receiver.log == [(), (1,), (1, "text"), (1, "text")]
    receiver.log.clear()
    sender.number.emit(2)
    await settle()
    assert receiver.log == [(2,), ()]


async def test_functions_and_bound_methods(
    qt_loop: AbstractEventLoop, sender: Any, receiver: Any
) -> None:
    seen: list[Any] = []

    @slot
    async def function() -> None:
        seen.append("function")

    class Plain:
        async def method(self, number: int) -> None:
            seen.append(number)

        @slot
        async def decorated(self) -> None:
            seen.append("decorated")

    plain = Plain()
    sender.number.connect(function)
    sender.number.connect(slot(plain.method))
    sender.number.connect(plain.decorated)
    sender.number.emit(1)
    await settle()
    assert seen == ["function", 1, "decorated"]


async def test_missing_arguments_are_an_error_of_the_task(
    qt_loop: AbstractEventLoop, sender: Any, receiver: Any, errors: Errors
) -> None:
    for mode in ("parallel", "queue"):

        @slot(reentry=mode)  # type: ignore[call-overload,untyped-decorator]
        async def greedy(number: int, another: int) -> None: ...

        sender.number.connect(greedy)
        sender.number.emit(1)
        await settle()
        (context,) = errors
        assert isinstance(context["exception"], TypeError) and "another" in str(
            context["exception"]
        )
        errors.clear()
        sender.number.disconnect()


# Re-entry


async def test_parallel(qt_loop: AbstractEventLoop, sender: Any, receiver: Any) -> None:
    sender.number.connect(receiver.parallel)
    for number in range(3):
        sender.number.emit(number)
    await settle()
    assert receiver.log == [("start", 0), ("start", 1), ("start", 2)]
    receiver.let_go(3)
    await settle()
    assert receiver.log[3:] == [("end", 0), ("end", 1), ("end", 2)]


async def test_ignore(qt_loop: AbstractEventLoop, sender: Any, receiver: Any) -> None:
    sender.number.connect(receiver.ignore)
    for number in range(3):
        sender.number.emit(number)
    await settle()
    assert receiver.ignore(3) is None
    assert receiver.log == [("start", 0)]
    receiver.let_go()
    await settle()
    sender.number.emit(4)
    receiver.let_go()
    await settle()
    assert receiver.log == [("start", 0), ("end", 0), ("start", 4), ("end", 4)]


async def test_ignore_ends_with_the_task(qt_loop: AbstractEventLoop, receiver: Any) -> None:
    """Not a step later."""
    task = receiver.ignore(0)
    receiver.let_go()
    task.add_done_callback(lambda _: second.append(receiver.ignore(1)))
    second: list[Any] = []
    await task
    receiver.let_go()
    assert await second[0] == 1
    task = receiver.ignore(2)
    task.cancel()
    await asyncio.wait([task])
    assert receiver.ignore(3) is not None
    receiver.let_go()
    await settle()


async def test_restart(qt_loop: AbstractEventLoop, sender: Any, receiver: Any) -> None:
    sender.number.connect(receiver.restart)
    sender.number.emit(0)
    await settle()
    for number in range(1, 4):
        sender.number.emit(number)
    await settle()
    assert receiver.log == [("start", 0), ("cancelled", 0), ("start", 3)]
    receiver.let_go()
    await settle()
    assert receiver.log[3:] == [("end", 3)]


async def test_restart_waits_for_what_it_cancels(qt_loop: AbstractEventLoop, sender: Any) -> None:
    running: list[int] = []
    log: list[Any] = []

    @slot(reentry="restart")
    async def work(number: int) -> None:
        assert not running
        running.append(number)
        log.append(number)
        try:
            await asyncio.sleep(30)
        finally:
            await asyncio.sleep(0.002)
            running.remove(number)

    sender.number.connect(work)
    for number in range(5):
        sender.number.emit(number)
        await asyncio.sleep(0.001)
    last = work(5)
    assert last is not None
    while log[-1] != 5:
        await asyncio.sleep(0.001)
    last.cancel()
    await asyncio.wait([last])
    assert log[0] == 0 and not running


async def test_queue(qt_loop: AbstractEventLoop, sender: Any, receiver: Any) -> None:
    sender.number.connect(receiver.queue)
    for number in range(3):
        sender.number.emit(number)
    cancelled = receiver.queue(3)
    last = receiver.queue(4)
    await settle()
    assert receiver.log == [("start", 0)]
    cancelled.cancel()
    await settle()
    receiver.let_go(4)
    assert await last == 4
    assert receiver.log == [(what, number) for number in (0, 1, 2, 4) for what in ("start", "end")]


async def test_a_long_queue_keeps_its_order(qt_loop: AbstractEventLoop, sender: Any) -> None:
    seen: list[int] = []

    @slot(reentry="queue")
    async def work(number: int) -> None:
        await asyncio.sleep(0)
        seen.append(number)

    sender.number.connect(work)
    for number in range(1_000):
        sender.number.emit(number)
    last = work(1_000)
    assert last is not None
    await last
    assert seen == list(range(1_001))


@pytest.mark.parametrize("mode", MODES)
async def test_receivers_do_not_disturb_each_other(qt_loop: AbstractEventLoop, mode: str) -> None:
    receivers = [Receiver() for _ in range(3)]
    tasks = [getattr(receiver, mode)(0) for receiver in receivers]
    await settle()
    for receiver in receivers:
        assert receiver.log == [("start", 0)]
        receiver.let_go()
    assert await asyncio.gather(*tasks) == [0, 0, 0]


async def test_slots_of_a_receiver_do_not_disturb_each_other(
    qt_loop: AbstractEventLoop, receiver: Any
) -> None:
    tasks = [getattr(receiver, mode)(number) for number, mode in enumerate(MODES)]
    await settle()
    assert receiver.log == [("start", number) for number in range(4)]
    receiver.let_go(4)
    await asyncio.gather(*tasks)


@pytest.mark.parametrize("mode", MODES)
async def test_a_slot_that_causes_itself(
    qt_loop: AbstractEventLoop, sender: Any, mode: Any
) -> None:
    log: list[Any] = []

    @slot(reentry=mode)
    async def work(number: int) -> None:
        log.append(number)
        if number < 2:
            sender.number.emit(number + 1)
        await asyncio.sleep(0)
        log.append(("end", number))

    sender.number.connect(work)
    sender.number.emit(0)
    await settle()
    await settle()
    assert (
        log
        == {
            "parallel": [0, 1, 2, ("end", 2), ("end", 1), ("end", 0)],
            "ignore": [0, ("end", 0)],
            "restart": [0, 1, 2, ("end", 2)],
            "queue": [0, ("end", 0), 1, ("end", 1), 2, ("end", 2)],
        }[mode]
    )


async def test_in_a_nested_event_loop(
    qt_loop: AbstractEventLoop, sender: Any, receiver: Any
) -> None:
    nested = Nested()

    def open_dialog() -> None:
        receiver.let_go(2)
        for number in (1, 2):
            sender.number.emit(number)
        receiver.queue(3).add_done_callback(lambda _: nested.quit())
        qt_loop.call_later(0.001, receiver.let_go)
        nested.exec()
        closed.set()

    sender.number.connect(receiver.queue)
    closed = asyncio.Event()
    qt_loop.call_soon(open_dialog)
    await closed.wait()
    assert receiver.log == [(what, number) for number in (1, 2, 3) for what in ("start", "end")]


# Exceptions


@pytest.mark.parametrize("mode", MODES)
async def test_an_exception_is_reported_at_once(
    qt_loop: AbstractEventLoop, sender: Any, errors: Errors, mode: Any
) -> None:
    kept: list[Any] = []

    @slot(reentry=mode)
    async def failing() -> None:
        kept.append(asyncio.current_task())
        raise LookupError("reason")

    sender.plain.connect(failing)
    sender.plain.emit()
    await settle()
    (context,) = errors
    assert isinstance(context["exception"], LookupError)
    assert context["task"] is kept[0]
    assert "Exception in slot" in context["message"] and "failing" in context["message"]
    errors.clear()
    del context
    kept.clear()
    gc.collect()
    await settle()
    assert not errors


async def test_a_cancelled_slot_is_no_error(qt_loop: AbstractEventLoop, receiver: Any) -> None:
    receiver.parallel(1).cancel()
    await settle()


async def test_a_queue_goes_on_after_an_exception(
    qt_loop: AbstractEventLoop, sender: Any, errors: Errors
) -> None:
    @slot(reentry="queue")
    async def failing(number: int) -> None:
        await asyncio.sleep(0)
        raise LookupError(number)

    sender.number.connect(failing)
    for number in range(3):
        sender.number.emit(number)
    await settle()
    assert [str(context["exception"]) for context in errors] == ["0", "1", "2"]
    errors.clear()


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_what_ends_a_run_ends_it(
    qt_loop: AbstractEventLoop, sender: Any, error: type[BaseException]
) -> None:
    @slot
    async def leave() -> None:
        raise error

    sender.plain.connect(leave)
    qt_loop.call_soon(sender.plain.emit)
    with pytest.raises(error):
        qt_loop.run_forever()


# Lifetime


ENDS_OF_RECEIVERS = [name for name in WAYS_TO_DIE if name not in ("drop", "collect")]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("end", ENDS_OF_RECEIVERS)
async def test_tasks_end_with_the_receiver(qt_loop: AbstractEventLoop, end: str, mode: str) -> None:
    receiver = Receiver()
    log = receiver.log
    tasks = [task for number in range(3) if (task := getattr(receiver, mode)(number))]
    await settle()
    box: list[Any] = [receiver]
    del receiver
    WAYS_TO_DIE[end](box)
    await asyncio.wait(tasks)
    assert all(task.cancelled() for task in tasks)
    assert ("end", 0) not in log


async def test_a_running_task_keeps_its_receiver_and_itself(
    qt_loop: AbstractEventLoop, sender: Any
) -> None:
    receiver = Receiver()
    log, alive = receiver.log, weakref.ref(receiver)
    sender.number.connect(receiver.parallel)
    sender.number.emit(1)
    await settle()
    let_go = receiver.let_go
    del receiver
    gc.collect()
    let_go()
    del let_go
    await settle()
    gc.collect()
    assert log == [("start", 1), ("end", 1)]
    assert alive() is None


@pytest.mark.parametrize("mode", MODES)
async def test_a_connection_does_not_keep_the_receiver(
    qt_loop: AbstractEventLoop, sender: Any, mode: str
) -> None:
    receiver = Receiver()
    log, alive = receiver.log, weakref.ref(receiver)
    sender.number.connect(getattr(receiver, mode))
    task = getattr(receiver, mode)(0)
    receiver.let_go()
    await task
    await settle()
    del task, receiver
    gc.collect()
    assert alive() is None
    log.clear()
    sender.number.emit(1)
    await settle()
    assert log == []


async def test_a_call_after_the_receivers_end(
    qt_loop: AbstractEventLoop, receiver: Any, caplog: pytest.LogCaptureFixture
) -> None:
    delete(receiver)
    assert receiver.parallel(1) is None
    assert "deleted its object" in caplog.text


def test_no_running_loop(sender: Any, receiver: Any, caplog: pytest.LogCaptureFixture) -> None:
    sender.number.connect(receiver.parallel)
    sender.number.emit(1)
    assert receiver.queue(1) is None
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2
    assert "Receiver.parallel was called where no event loop runs" in caplog.text


def test_without_a_loop_no_process_is_aborted() -> None:
    program = """
        from qtloop._slots import slot

        app = qt_core.QCoreApplication([])
        timer = qt_core.QTimer()

        @slot
        async def tick():
            pass

        timer.timeout.connect(tick)
        timer.timeout.connect(app.quit)
        timer.start(0)
        _qt.execute(app)
        print("alive")
        """
    outcome = child.run(program)
    assert (outcome.code, outcome.out) == (0, "alive\n")
    assert "tick was called where no event loop runs" in outcome.err
    assert "Traceback" not in outcome.err and "never awaited" not in outcome.err


# Threads


async def test_a_function_called_in_another_thread(qt_loop: AbstractEventLoop, sender: Any) -> None:
    seen: list[Any] = []

    @slot
    async def work(number: int) -> None:
        seen.append((number, threading.current_thread() is threading.main_thread()))

    def call() -> None:
        assert work(0) is None
        sender.number.connect(work, qt_core.Qt.ConnectionType.DirectConnection)
        sender.number.emit(1)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    await settle()
    assert seen == [(0, True), (1, True)]


async def test_a_method_called_in_another_thread(
    qt_loop: AbstractEventLoop, sender: Any, receiver: Any
) -> None:
    def call() -> None:
        for number in range(1_000):
            receiver.queue(number)
            sender.number.emit(number + 1_000)

    sender.number.connect(receiver.any_arguments)
    thread = threading.Thread(target=call)
    thread.start()
    receiver.let_go(1_000)
    while len(receiver.log) < 3_000:
        await settle()
    thread.join()
    own = [number for number in receiver.log if len(number) == 1]
    assert own == [(number,) for number in range(1_000, 2_000)]
    assert [number for what, *number in receiver.log if what == "end"] == [
        [n] for n in range(1_000)
    ]


def test_each_thread_has_its_loop(qt_loop_factory: LoopFactory) -> None:
    """A function is started on the loop of the thread that calls it, if that runs one."""
    seen: list[Any] = []

    @slot(reentry="ignore")
    async def work() -> None:
        seen.append(asyncio.get_running_loop())
        both_are_there.wait()

    async def main() -> None:
        sender = Sender()
        sender.plain.connect(work)
        sender.plain.emit()
        await settle()

    def run() -> None:
        with opened(qt_loop_factory) as loop:
            loops.append(loop)
            loop.run_until_complete(main())

    loops: list[Any] = []
    both_are_there = threading.Barrier(2, timeout=20)
    thread = threading.Thread(target=run)
    thread.start()
    run()
    thread.join()
    assert len(seen) == 2 and set(seen) == set(loops)


# Eager tasks


@needs_eager_tasks
@pytest.mark.parametrize("mode", MODES)
async def test_eager_tasks(qt_loop: EventLoop, sender: Any, mode: Any) -> None:
    qt_loop.set_task_factory(asyncio.eager_task_factory)
    log: list[Any] = []

    @slot(reentry=mode)
    async def work(number: int) -> None:
        log.append(number)
        if number < 2:
            sender.number.emit(number + 1)
        await asyncio.sleep(0)
        log.append(("end", number))

    @slot(reentry=mode)
    async def at_once() -> int:
        return 1

    task = at_once()
    assert task is not None and task.done() and task.result() == 1
    assert at_once() is not None
    sender.number.connect(work)
    sender.number.emit(0)
    assert log[0] == 0
    await settle()
    await settle()
    assert (
        log
        == {
            "parallel": [0, 1, 2, ("end", 2), ("end", 1), ("end", 0)],
            "ignore": [0, ("end", 0)],
            "restart": [0, 1, 2, ("end", 2)],
            "queue": [0, ("end", 0), 1, ("end", 1), 2, ("end", 2)],
        }[mode]
    )


@needs_eager_tasks
async def test_an_eager_slot_fails(
    qt_loop: EventLoop, sender: Any, receiver: Any, errors: Errors
) -> None:
    qt_loop.set_task_factory(asyncio.eager_task_factory)
    sender.number.connect(receiver.failing)
    sender.number.emit(1)
    await settle()
    assert [str(context["exception"]) for context in errors] == ["reason"]
    errors.clear()


@needs_eager_tasks
def test_an_eager_slot_ends_the_run(qt_loop: EventLoop, sender: Any, errors: Errors) -> None:
    qt_loop.set_task_factory(asyncio.eager_task_factory)

    @slot
    async def leave() -> None:
        raise SystemExit(3)

    sender.plain.connect(leave)
    qt_loop.call_soon(sender.plain.emit)
    with pytest.raises(SystemExit):
        qt_loop.run_forever()
    # As asyncio says of any task that raises it as it starts eagerly.
    assert [context["message"] for context in errors] == ["Task exception was never retrieved"]
    errors.clear()


@needs_eager_tasks
async def test_an_eager_slot_deletes_its_receiver(qt_loop: EventLoop) -> None:
    qt_loop.set_task_factory(asyncio.eager_task_factory)

    class Fleeting(qt_core.QObject):  # type: ignore[misc]
        @slot
        async def vanish(self) -> None:
            delete(self)
            await asyncio.sleep(30)

    task = Fleeting().vanish()
    assert task is not None
    await asyncio.wait([task])
    assert task.cancelled()


# Together


async def test_a_slot_that_waits_for_a_signal_of_its_receiver(qt_loop: AbstractEventLoop) -> None:
    seen: list[Any] = []

    class Dialog(Sender):  # type: ignore[misc]
        @slot(reentry="restart")
        async def ask(self) -> None:
            seen.append(await emitted(self.number))

    dialog = Dialog()
    dialog.plain.connect(dialog.ask)
    dialog.plain.emit()
    await settle()
    dialog.plain.emit()
    await settle()
    dialog.number.emit(1)
    await settle()
    assert seen == [(1,)]
    assert dialog.listeners() == 1
    dialog.plain.emit()
    await settle()
    alive = weakref.ref(dialog)
    dialog.deleteLater()
    del dialog
    await settle()
    gc.collect()
    assert alive() is None


async def test_nothing_is_left_after_many_calls(qt_loop: AbstractEventLoop, sender: Any) -> None:
    async def rounds(count: int) -> None:
        for number in range(count):
            receiver = Receiver()
            for mode in MODES:
                sender.number.connect(getattr(receiver, mode))
            receiver.let_go(4)
            sender.number.emit(number)
            await settle()
            del receiver
        await settle()

    def receivers() -> int:
        gc.collect()
        return sum(isinstance(thing, Receiver) for thing in gc.get_objects())

    await rounds(20)
    assert receivers() == 0
    assert not _owned_tasks._running.get(qt_loop, set()) - {asyncio.current_task()}
