"""`completed`: something of Qt's is started, awaited and cancelled, and nothing of that is left
over."""

import asyncio
import contextlib
import gc
import threading
import weakref
from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Any

import pytest

from qtloop._completed import QtError, SenderDestroyed, completed

from ..support.loops import LoopFactory, nothing, opened, qt_core, run_briefly
from ..support.objects import Device, delete, delete_later, receivers

SIGNALS = [
    "done()",
    "done_too()",
    "value(int)",
    "pair(int,QString)",
    "failed(QString)",
    "code(int)",
]


def is_untouched(device: Device) -> bool:
    return [receivers(device, signal) for signal in SIGNALS] == [0] * len(SIGNALS)


@pytest.fixture
def device() -> Device:
    return Device()


async def until_waiting(awaitable: Any) -> asyncio.Task[Any]:
    """The task of the awaitable, which waits for its signals."""
    task = asyncio.ensure_future(awaitable)
    await asyncio.sleep(0)
    return task


async def until_cancelled(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


CARRIED: dict[str, tuple[tuple[Any, ...], Any]] = {
    "done": ((), None),
    "value": ((7,), 7),
    "pair": ((7, "seven"), (7, "seven")),
}


@pytest.mark.parametrize("signal", CARRIED)
async def test_the_result_is_what_the_signal_carries(
    qt_loop: AbstractEventLoop, device: Device, signal: str
) -> None:
    args, result = CARRIED[signal]
    task = await until_waiting(completed(device, getattr(device, signal)))
    getattr(device, signal).emit(*args)
    assert await task == result
    assert is_untouched(device)


async def test_the_first_of_several_signals_counts(
    qt_loop: AbstractEventLoop, device: Device
) -> None:
    task = await until_waiting(completed(device, device.done, device.value))
    device.value.emit(1)
    device.value.emit(2)
    device.done.emit()
    assert await task == 1
    assert is_untouched(device)


async def test_a_signal_emitted_while_starting_counts(
    qt_loop: AbstractEventLoop, device: Device
) -> None:
    assert await completed(device, device.value, start=lambda: device.value.emit(3)) == 3
    assert is_untouched(device)


async def test_nothing_is_connected_or_started_before_it_is_awaited(
    qt_loop: AbstractEventLoop, device: Device
) -> None:
    waiting = completed(device, device.done, start=device.done.emit)
    assert is_untouched(device)
    await waiting


async def test_the_result_is_read_inside_the_emission(
    qt_loop: AbstractEventLoop, device: Device
) -> None:
    """The object may be gone when the task goes on."""
    device.setObjectName("alive")
    task = await until_waiting(completed(device, device.done, result=device.objectName))
    device.done.emit()
    delete(device)
    assert await task == "alive"


async def test_until_is_asked_after_the_start_and_after_each_signal(
    qt_loop: AbstractEventLoop, device: Device
) -> None:
    states = [True, True]

    def is_over() -> bool:
        return not states

    assert await completed(
        device, device.done, until=is_over, start=states.clear, result=lambda: "at once"
    ) == ("at once")
    states[:] = [True, True]
    task = await until_waiting(completed(device, device.value, until=is_over))
    for number in range(4):
        if states:
            states.pop()
        device.value.emit(number)
    assert await task == 1
    assert is_untouched(device)


FAILURES: dict[str, tuple[tuple[Any, ...], str, Any]] = {
    "failed": (("as the signal says",), "as the signal says", "as the signal says"),
    "pair": ((5, "as the signal says"), "as the signal says", 5),
    "code": ((5,), "as the device says", 5),
}


@pytest.mark.parametrize("signal", FAILURES)
async def test_a_signal_may_mean_failure(
    qt_loop: AbstractEventLoop, device: Device, signal: str
) -> None:
    args, message, code = FAILURES[signal]
    task = await until_waiting(completed(device, device.done, failed=getattr(device, signal)))
    getattr(device, signal).emit(*args)
    with pytest.raises(QtError, match=message) as failure:
        await task
    assert (failure.value.code, failure.value.source) == (code, device)
    assert is_untouched(device)


async def test_a_signal_may_carry_the_exception(qt_loop: AbstractEventLoop, device: Device) -> None:
    task = await until_waiting(completed(device, device.done, failed=device.error))
    device.error.emit(LookupError("carried"))
    with pytest.raises(LookupError, match="carried"):
        await task


def fail() -> Any:
    raise LookupError("mine")


FAILING: dict[str, dict[str, Any]] = {
    "start": {"start": fail},
    "until": {"until": fail},
    "result": {"result": fail},
}


@pytest.mark.parametrize("which", FAILING)
async def test_what_its_functions_raise_reaches_the_awaiter(
    qt_loop: AbstractEventLoop, device: Device, which: str
) -> None:
    arguments = {"start": device.done.emit, **FAILING[which]}
    with pytest.raises(LookupError, match="mine"):
        await completed(device, device.done, **arguments)
    assert is_untouched(device)


async def test_an_exception_in_a_slot_reaches_the_awaiter(
    qt_loop: AbstractEventLoop, device: Device
) -> None:
    """And not Qt, who would be the one that called."""
    for error in (LookupError, StopIteration, asyncio.CancelledError):

        def result(error: type[BaseException] = error) -> None:
            raise error

        task = await until_waiting(completed(device, device.done, result=result))
        device.done.emit()
        with pytest.raises(RuntimeError if error is StopIteration else error):
            await task
    assert is_untouched(device)


def test_an_exit_in_a_slot_leaves_the_loop(qt_loop: AbstractEventLoop, device: Device) -> None:
    def result() -> None:
        raise KeyboardInterrupt

    qt_loop.call_later(0.001, device.done.emit)
    with pytest.raises(KeyboardInterrupt):
        qt_loop.run_until_complete(completed(device, device.done, result=result))
    assert is_untouched(device)


async def test_cancelling_the_task_cancels_the_operation(
    qt_loop: AbstractEventLoop, device: Device
) -> None:
    cancelled: list[int] = []

    def cancel() -> None:
        cancelled.append(sum(receivers(device, signal) for signal in SIGNALS))
        device.done.emit()
        device.failed.emit("it was cancelled")

    waiting = completed(device, device.done, failed=device.failed, cancel=cancel)
    await until_cancelled(await until_waiting(waiting))
    assert cancelled == [0]
    assert is_untouched(device)


async def test_cancelling_may_take_a_while(qt_loop: AbstractEventLoop, device: Device) -> None:
    steps: list[str] = []

    async def cancel() -> None:
        await completed(device, device.done_too)
        steps.append("cancelled")

    task = await until_waiting(completed(device, device.done, cancel=cancel))
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    device.done_too.emit()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert steps == ["cancelled"]
    assert is_untouched(device)


async def test_what_cancelling_raises_reaches_the_awaiter(
    qt_loop: AbstractEventLoop, device: Device
) -> None:
    task = await until_waiting(completed(device, device.done, cancel=fail))
    task.cancel()
    with pytest.raises(LookupError, match="mine"):
        await task
    assert is_untouched(device)


async def test_what_has_ended_is_not_cancelled(qt_loop: AbstractEventLoop, device: Device) -> None:
    task = await until_waiting(completed(device, device.done, cancel=fail))
    device.done.emit()
    await until_cancelled(task)


async def test_a_timeout_cancels(qt_loop: AbstractEventLoop, device: Device) -> None:
    cancelled: list[str] = []
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await completed(device, device.done, cancel=lambda: cancelled.append("cancelled"))
    assert cancelled == ["cancelled"]
    assert is_untouched(device)


def delete_parent(thing: Any) -> None:
    parent = qt_core.QObject()
    thing.setParent(parent)
    delete(parent)


DELETIONS: dict[str, Callable[[Any], None]] = {
    "at once": delete,
    "later": delete_later,
    "with its parent": delete_parent,
}


@pytest.mark.parametrize("deletion", DELETIONS)
async def test_an_object_that_is_destroyed_raises(
    qt_loop: AbstractEventLoop, device: Device, deletion: str
) -> None:
    task = await until_waiting(completed(device, device.done, failed=device.failed, cancel=fail))
    DELETIONS[deletion](device)
    with pytest.raises(SenderDestroyed, match="the Device was destroyed"):
        await task


async def test_an_object_that_is_destroyed_while_starting_raises(
    qt_loop: AbstractEventLoop, device: Device
) -> None:
    with pytest.raises(SenderDestroyed):
        await completed(device, device.done, start=lambda: delete(device))


async def test_an_object_may_be_destroyed_while_it_is_cancelled(qt_loop: AbstractEventLoop) -> None:
    for cancel in (delete, delete_later):
        device = Device()

        async def stop(device: Device = device, cancel: Callable[[Any], None] = cancel) -> None:
            qt_loop.call_soon(cancel, device)
            await completed(device, device.done)

        await until_cancelled(await until_waiting(completed(device, device.done, cancel=stop)))


async def test_only_what_it_connected_is_disconnected(
    qt_loop: AbstractEventLoop, device: Device
) -> None:
    got: list[int] = []
    device.value.connect(got.append)
    first = await until_waiting(completed(device, device.value))
    second = await until_waiting(completed(device, device.value))
    await until_cancelled(first)
    device.value.emit(1)
    assert await second == 1
    device.value.emit(2)
    assert got == [1, 2]
    assert receivers(device, "value(int)") == 1


async def test_somebody_else_may_disconnect_everything(
    qt_loop: AbstractEventLoop, device: Device
) -> None:
    task = await until_waiting(completed(device, device.done, device.value))
    device.done.disconnect()
    device.value.emit(1)
    assert await task == 1


async def test_a_signal_may_be_emitted_in_another_thread(
    qt_loop: AbstractEventLoop, device: Device
) -> None:
    loop_thread = threading.get_ident()
    threads: list[int] = []

    def result() -> str:
        threads.append(threading.get_ident())
        return "result"

    for _ in range(20):
        emitting = threading.Thread(target=device.done.emit)
        assert await completed(device, device.done, start=emitting.start, result=result) == "result"
        emitting.join()
    assert set(threads) == {loop_thread}
    assert is_untouched(device)


async def test_operations_go_on_side_by_side(qt_loop: AbstractEventLoop) -> None:
    async def one(number: int) -> int:
        device = Device()
        qt_loop.call_later(0.0001 * (number % 7), device.value.emit, number)
        return int(await completed(device, device.value))

    assert await asyncio.gather(*map(one, range(100))) == [*range(100)]


def test_a_loop_that_was_closed_does_not_mind(qt_loop_factory: LoopFactory, device: Device) -> None:
    with opened(qt_loop_factory) as loop:
        task = loop.create_task(completed(device, device.done, result=device.objectName))
        run_briefly(loop)
    device.done.emit()
    assert not task.done()
    task._log_destroy_pending = False  # type: ignore[attr-defined]


def test_what_a_closed_loop_left_open_is_garbage(qt_loop_factory: LoopFactory) -> None:
    """The object is destroyed by the garbage collector, with the task that waits for it."""

    def use() -> weakref.ref[Any]:
        device = Device()
        with opened(qt_loop_factory) as loop:
            task = loop.create_task(
                completed(device, device.done, failed=device.failed, until=nothing)
            )
            run_briefly(loop)
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        return weakref.ref(device)

    weak = use()
    gc.collect()
    # PySide does not show the garbage collector what a signal refers to.
    if hasattr(qt_core, "pyqtSignal"):
        assert weak() is None


def test_a_signal_between_two_runs_counts(qt_loop: AbstractEventLoop, device: Device) -> None:
    task = qt_loop.create_task(completed(device, device.value))
    run_briefly(qt_loop)
    device.value.emit(1)
    assert qt_loop.run_until_complete(task) == 1


async def test_a_task_that_nobody_keeps_lives_on(qt_loop: AbstractEventLoop) -> None:
    """asyncio has only a weak reference to it, but the object it waits for will wake it."""
    ended: list[str] = []
    timer = qt_core.QTimer()
    timer.setSingleShot(True)

    async def wait() -> None:
        await completed(timer, timer.timeout, start=lambda: timer.start(5))
        ended.append("ended")

    weak = weakref.ref(await until_waiting(wait()))
    gc.collect()
    task = weak()
    assert task is not None
    await task
    assert ended == ["ended"]


ENDS: dict[str, Callable[[Device, asyncio.Task[Any]], object]] = {
    "done": lambda device, task: device.done.emit(),
    "failed": lambda device, task: device.failed.emit("failed"),
    "cancelled": lambda device, task: task.cancel(),
    "destroyed": lambda device, task: delete(device),
}


@pytest.mark.parametrize("end", ENDS)
async def test_the_object_and_the_task_die_after_use(qt_loop: AbstractEventLoop, end: str) -> None:
    async def use() -> list[weakref.ref[Any]]:
        device = Device()
        waiting = completed(device, device.done, failed=device.failed, cancel=nothing)
        task = await until_waiting(waiting)
        ENDS[end](device, task)
        with contextlib.suppress(QtError, SenderDestroyed, asyncio.CancelledError):
            await task
        return [weakref.ref(device), weakref.ref(task)]

    weak = await use()
    await asyncio.sleep(0.001)
    gc.collect()
    assert [reference() for reference in weak] == [None, None]


@pytest.mark.parametrize("end", ["done", "failed"])
async def test_the_object_dies_without_the_garbage_collector(
    qt_loop: AbstractEventLoop, end: str
) -> None:
    async def use() -> weakref.ref[Any]:
        device = Device()
        signals: dict[str, Callable[[], None]] = {
            "done": device.done.emit,
            "failed": lambda: device.failed.emit(""),
        }
        with contextlib.suppress(QtError):
            await completed(device, device.done, failed=device.failed, start=signals[end])
        return weakref.ref(device)

    gc.disable()
    try:
        weak = await use()
        await asyncio.sleep(0.001)
        assert weak() is None
    finally:
        gc.enable()


async def test_every_path_leaves_the_object_as_it_was(
    qt_loop: AbstractEventLoop, device: Device
) -> None:
    """`destroyed` too, once the binding has had the time to delete what it connected."""
    connected: list[int] = []
    for _ in range(2):  # What the binding connects for itself remains after the first time.
        for end in ("done", "failed", "cancelled"):
            task = await until_waiting(completed(device, device.done, failed=device.failed))
            ENDS[end](device, task)
            with contextlib.suppress(QtError, asyncio.CancelledError):
                await task
        await asyncio.sleep(0.001)
        connected.append(receivers(device, "destroyed(QObject*)"))
    assert connected[0] == connected[1]
    assert is_untouched(device)


async def test_debug_mode_refuses_an_object_of_another_thread(qt_loop: AbstractEventLoop) -> None:
    qt_loop.set_debug(True)
    device, thread = Device(), qt_core.QThread()
    device.moveToThread(thread)
    with pytest.raises(RuntimeError, match="lives in another thread"):
        await completed(device, device.done)
