"""`finished`: processes, animations and threads of Qt's are awaited."""

import asyncio
import gc
import threading
import weakref
from asyncio import AbstractEventLoop
from collections.abc import Iterator
from typing import Any

import pytest

from qtloop import _finished
from qtloop._completed import QtError, SenderDestroyed
from qtloop._finished import finished

from ..support import child
from ..support.loops import qt_core
from ..support.objects import delete, receivers

NOT_RUNNING = qt_core.QProcess.ProcessState.NotRunning
STOPPED = qt_core.QAbstractAnimation.State.Stopped
RUNNING = qt_core.QAbstractAnimation.State.Running


def shell(script: str) -> Any:
    process = qt_core.QProcess()
    process.setProgram("sh")
    process.setArguments(["-c", script])
    return process


async def until_waiting(awaitable: Any) -> asyncio.Task[Any]:
    task = asyncio.ensure_future(awaitable)
    await asyncio.sleep(0)
    return task


async def until_printed(process: Any) -> None:
    """Until the process has written its first line."""
    printed = asyncio.Event()

    def look() -> None:
        if process.canReadLine():
            printed.set()

    process.readyReadStandardOutput.connect(look)
    look()
    await printed.wait()


async def test_a_process_is_started_and_gives_its_exit_code(qt_loop: AbstractEventLoop) -> None:
    process = shell("echo hello; exit 3")
    assert await finished(process) == 3
    assert bytes(process.readAllStandardOutput()) == b"hello\n"


async def test_a_process_that_runs_is_awaited(qt_loop: AbstractEventLoop) -> None:
    process = shell("exit 0")
    process.start()
    assert await asyncio.gather(finished(process), finished(process)) == [0, 0]
    assert receivers(process, "errorOccurred(QProcess::ProcessError)") == 0


async def test_a_process_that_has_ended_is_not_started_again(qt_loop: AbstractEventLoop) -> None:
    process = shell("echo once; exit 4")
    assert await finished(process) == 4
    assert bytes(process.readAllStandardOutput()) == b"once\n"
    assert await finished(process) == 4
    assert bytes(process.readAllStandardOutput()) == b""


async def test_processes_run_side_by_side(qt_loop: AbstractEventLoop) -> None:
    processes = [shell(f"exit {code}") for code in range(8)]
    assert await asyncio.gather(*map(finished, processes)) == [*range(8)]


@pytest.mark.parametrize("program", ["/nonexistent/program", ""])
async def test_a_process_that_does_not_start_raises(
    qt_loop: AbstractEventLoop, program: str
) -> None:
    process = qt_core.QProcess()
    process.setProgram(program)
    for _ in range(2):
        with pytest.raises(QtError) as failure:
            await finished(process)
        assert failure.value.code == qt_core.QProcess.ProcessError.FailedToStart
        assert str(failure.value) == process.errorString() != ""
        assert failure.value.source is process


async def test_a_process_that_crashes_raises(qt_loop: AbstractEventLoop) -> None:
    process = shell("kill -9 $$")
    with pytest.raises(QtError, match="crashed") as failure:
        await finished(process)
    assert failure.value.code == qt_core.QProcess.ProcessError.Crashed


async def test_a_process_may_fail_to_be_written_to(qt_loop: AbstractEventLoop) -> None:
    """Not every error of a process is its end."""
    process = shell("exec <&-; echo closed; sleep 0.01; exit 5")
    task = await until_waiting(finished(process))
    await until_printed(process)
    process.write(b"x" * 1_000_000)
    assert await task == 5
    assert process.error() == qt_core.QProcess.ProcessError.WriteError


async def test_a_cancelled_process_is_terminated(
    qt_loop: AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_finished, "GRACE", 60)  # However busy the machine is.
    process = shell("trap 'exit 6' TERM; echo ready; while :; do sleep 0.01; done")
    task = await until_waiting(finished(process))
    await until_printed(process)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (process.state(), process.exitCode()) == (NOT_RUNNING, 6)


async def test_a_cancelled_process_that_does_not_heed_it_is_killed(
    qt_loop: AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_finished, "GRACE", 0.02)
    process = shell("trap '' TERM; echo ready; while :; do sleep 0.01; done")
    task = await until_waiting(finished(process))
    await until_printed(process)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (process.state(), process.exitCode()) == (NOT_RUNNING, 9)


async def test_a_process_that_is_cancelled_twice_is_killed(qt_loop: AbstractEventLoop) -> None:
    process = shell("trap '' TERM; echo ready; while :; do sleep 0.01; done")
    task = await until_waiting(finished(process))
    await until_printed(process)
    task.cancel()
    await asyncio.sleep(0.001)
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(QtError, match="crashed"):
        await finished(process)
    assert process.exitCode() == 9


async def test_a_process_that_is_destroyed_raises(qt_loop: AbstractEventLoop) -> None:
    process = shell("echo ready; exec sleep 10")
    task = await until_waiting(finished(process))
    await until_printed(process)
    delete(process)  # Qt kills it, and says so in the log.
    with pytest.raises(SenderDestroyed, match="the QProcess was destroyed"):
        await task


def make_animation(milliseconds: int, loops: int = 1) -> Any:
    animation = qt_core.QVariantAnimation()
    animation.setStartValue(0)
    animation.setEndValue(100)
    animation.setDuration(milliseconds)
    animation.setLoopCount(loops)
    return animation


async def test_an_animation_is_played_to_its_end(qt_loop: AbstractEventLoop) -> None:
    animation = make_animation(20)
    for _ in range(2):
        assert await finished(animation) is None
        assert (animation.state(), animation.currentValue()) == (STOPPED, 100)


async def test_an_animation_that_ends_at_once(qt_loop: AbstractEventLoop) -> None:
    await finished(make_animation(0))


async def test_an_animation_of_a_property_in_a_group(qt_loop: AbstractEventLoop) -> None:
    timer = qt_core.QTimer()
    group = qt_core.QSequentialAnimationGroup()
    for interval in (50, 70):
        animation = qt_core.QPropertyAnimation(timer, b"interval", group)
        animation.setDuration(5)
        animation.setEndValue(interval)
    await finished(group)
    assert timer.interval() == 70


async def test_an_animation_that_somebody_stops_is_over(qt_loop: AbstractEventLoop) -> None:
    animation = make_animation(10_000, loops=-1)
    task = await until_waiting(finished(animation))
    animation.pause()
    await asyncio.sleep(0.001)
    assert not task.done()
    animation.stop()
    await task


async def test_a_cancelled_animation_is_stopped(qt_loop: AbstractEventLoop) -> None:
    animation = make_animation(10_000)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.005):
            await finished(animation)
    assert animation.state() == STOPPED


async def test_an_animation_may_delete_itself(qt_loop: AbstractEventLoop) -> None:
    animation = make_animation(5)
    animation.start(qt_core.QAbstractAnimation.DeletionPolicy.DeleteWhenStopped)
    assert animation.state() == RUNNING
    await finished(animation)


class Working(qt_core.QThread):  # type: ignore[misc]
    """Works until it is told otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[str] = []
        self.go_on = threading.Event()

    def run(self) -> None:
        self.steps.append("started")
        self.go_on.wait(10)
        self.steps.append("interrupted" if self.isInterruptionRequested() else "ended")


@pytest.fixture
def working() -> Iterator[Working]:
    thread = Working()
    yield thread
    thread.go_on.set()
    thread.wait()


async def test_a_thread_is_started_and_awaited(
    qt_loop: AbstractEventLoop, working: Working
) -> None:
    working.go_on.set()
    for _ in range(2):  # It is not started a second time.
        assert await finished(working) is None
        assert working.steps == ["started", "ended"]
        assert receivers(working, "finished()") == 0


async def test_a_thread_that_runs_is_awaited(qt_loop: AbstractEventLoop, working: Working) -> None:
    working.start()
    task = await until_waiting(finished(working))
    working.go_on.set()
    await task
    assert working.isFinished()


async def test_a_cancelled_thread_is_asked_to_end_and_awaited(
    qt_loop: AbstractEventLoop, working: Working
) -> None:
    task = await until_waiting(finished(working))
    task.cancel()
    await asyncio.sleep(0.001)
    assert not task.done()
    working.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert working.isFinished()
    assert working.steps == ["started", "interrupted"]


async def test_a_cancelled_thread_with_an_event_loop_ends(qt_loop: AbstractEventLoop) -> None:
    thread = qt_core.QThread()
    for _ in range(20):
        thread.start()
        task = await until_waiting(finished(thread))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert thread.isFinished()


@pytest.mark.parametrize("thing", [None, qt_core.QTimer, 5])
def test_anything_else_is_refused(thing: Any) -> None:
    with pytest.raises(TypeError, match="is needed, not"):
        finished(thing)


async def test_things_and_tasks_die_after_use(qt_loop: AbstractEventLoop) -> None:
    async def use(thing: Any) -> list[weakref.ref[Any]]:
        task = asyncio.ensure_future(finished(thing))
        await task
        return [weakref.ref(thing), weakref.ref(task)]

    weak = [*await use(shell("exit 0")), *await use(make_animation(2)), *await use(made_thread())]
    await asyncio.sleep(0.001)
    gc.collect()
    assert [reference() for reference in weak] == [None] * 6


def made_thread() -> Working:
    thread = Working()
    thread.go_on.set()
    return thread


def test_a_headless_program_needs_no_widgets() -> None:
    outcome = child.run(
        """
        from qtloop._finished import finished
        from qtloop._close_event import close_event
        from qtloop._dialogs import opened

        async def main():
            process = qt_core.QProcess()
            process.setProgram("true")
            return await finished(process)

        print(qtloop.run(main()))
        others = (".QtGui", ".QtWidgets", ".QtNetwork")
        print([name for name in sys.modules if name.endswith(others)])
        """
    )
    assert (outcome.code, outcome.out) == (0, "0\n[]\n"), outcome.err
