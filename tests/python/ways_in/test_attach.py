"""asyncio inside an event loop of Qt's that somebody else runs."""

import asyncio
import contextvars
import gc
import signal
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import qtloop
from qtloop import _qt

from ..support import child
from ..support.loops import Pair, qt_core
from ..support.nested_loop import Nested


def execute(until: Callable[[Callable[[], None]], None]) -> None:
    """Runs the application's own event loop; `until` is given a way to end it."""
    guard = qt_core.QTimer()
    guard.setSingleShot(True)
    guard.timeout.connect(lambda: qt_core.QCoreApplication.exit(99))
    guard.start(10_000)
    application = qt_core.QCoreApplication.instance()
    until(application.quit)
    code = _qt.execute(application)
    guard.stop()
    assert code != 99, "nothing ended the application"


@pytest.fixture
def attach(qt_loop_factory: Any) -> Callable[[], qtloop.Attachment]:
    return lambda: qtloop.attach(loop_factory=qt_loop_factory)


Attach = Callable[[], qtloop.Attachment]


def test_tasks_made_before_exec_run_in_it(attach: Attach, pair: Pair) -> None:
    async def work() -> bytes:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(0.001)
        await loop.sock_sendall(pair[0], b"x")
        return await loop.sock_recv(pair[1], 1)

    with attach() as loop:
        task = asyncio.ensure_future(work())
        assert asyncio.get_running_loop() is loop and loop.is_running()
        execute(lambda quit: task.add_done_callback(lambda _: quit()))
        assert task.result() == b"x"
    assert loop.is_closed()


def test_slots_start_tasks(attach: Attach) -> None:
    results: list[Any] = []

    async def work(quit: Callable[[], None]) -> None:
        await asyncio.to_thread(results.append, asyncio.current_task())
        quit()

    with attach():

        def until(quit: Callable[[], None]) -> None:
            qt_core.QTimer.singleShot(0, lambda: results.append(asyncio.create_task(work(quit))))

        execute(until)
    assert results[0] is results[1]


def test_tasks_go_on_through_several_execs(attach: Attach) -> None:
    ticks: list[int] = []

    async def tick() -> None:
        while True:
            ticks.append(len(ticks))
            await asyncio.sleep(0.001)

    with attach() as loop:
        task = asyncio.create_task(tick())
        for _ in range(3):
            before = len(ticks)
            execute(lambda quit: loop.call_later(0.02, quit) and None)
            assert len(ticks) > before
            assert not task.done()
        nested = Nested()
        before = len(ticks)
        loop.call_later(0.02, nested.quit)
        nested.exec()
        assert len(ticks) > before
    assert task.cancelled()


def test_leaving_finalizes_as_asyncio_run_does(attach: Attach) -> None:
    path: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(3_600)
        finally:
            await asyncio.sleep(0.001)
            path.append("task")

    async def numbers() -> Any:
        try:
            yield 1
        finally:
            await asyncio.sleep(0.001)
            path.append("async generator")

    async def begin() -> Any:
        generator = numbers()
        await anext(generator)
        return generator

    with attach() as loop:
        task = asyncio.create_task(work())
        generator = asyncio.create_task(begin())
        loop.run_in_executor(None, path.append, "executor")
        execute(lambda quit: loop.call_later(0.01, quit) and None)
    assert task.cancelled() and generator.done()
    assert path == ["executor", "task", "async generator"]
    assert threading.active_count() == 1 or not any(
        thread.name.startswith("asyncio_") for thread in threading.enumerate()
    )


def test_nothing_stays_behind(attach: Attach) -> None:
    hooks = sys.get_asyncgen_hooks()
    wakeup_fd = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(wakeup_fd)
    with attach() as loop:
        assert sys.get_asyncgen_hooks() != hooks
    assert sys.get_asyncgen_hooks() == hooks
    assert asyncio._get_running_loop() is None
    assert signal.set_wakeup_fd(wakeup_fd) == wakeup_fd
    assert loop.is_closed() and not loop.is_running()

    async def main() -> str:
        await asyncio.sleep(0)
        return "stock"

    assert asyncio.run(main()) == "stock"
    gone = weakref.ref(loop)
    del loop
    gc.collect()
    assert gone() is None


def test_attaching_again_and_again(attach: Attach) -> None:
    async def work() -> int:
        await asyncio.sleep(0)
        return 1

    total = 0
    for _ in range(20):
        with attach():
            task = asyncio.create_task(work())
            execute(lambda quit, task=task: task.add_done_callback(lambda _: quit()))
            total += task.result()
    assert total == 20


def test_an_error_in_the_body_is_raised_and_all_is_cleaned_up(attach: Attach) -> None:
    with pytest.raises(LookupError), attach() as loop:
        task = asyncio.ensure_future(asyncio.sleep(3_600))
        raise LookupError
    assert task.cancelled() and loop.is_closed()


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_an_exit_in_a_callback_ends_exec_and_is_raised_in_the_end(
    attach: Attach, error: type[BaseException]
) -> None:
    def leave() -> None:
        raise error

    ended: list[str] = []
    with pytest.raises(error), attach() as loop:
        execute(lambda quit: loop.call_soon(leave) and None)
        ended.append("exec")
        execute(lambda quit: loop.call_soon(quit) and None)
        ended.append("another exec")
    assert ended == ["exec", "another exec"] and loop.is_closed()


def test_stop_ends_exec(attach: Attach) -> None:
    with attach() as loop:
        ran: list[int] = []
        for n in range(2):
            loop.call_soon(loop.stop)
            loop.call_soon(ran.append, n)
            execute(lambda quit: None)
        assert ran == [0, 1]


def test_it_cannot_be_closed_by_its_own_task(attach: Attach) -> None:
    attachment = attach()
    loop = attachment.open()
    outcome: list[Any] = []

    async def close() -> None:
        try:
            attachment.close()
        except RuntimeError as error:
            outcome.append(str(error))
        qt_core.QTimer.singleShot(0, lambda: (attachment.close(), qt_core.QCoreApplication.quit()))
        try:
            await asyncio.sleep(3_600)
        finally:
            await asyncio.sleep(0.001)
            outcome.append("finalized")

    task = asyncio.create_task(close())
    execute(lambda quit: None)
    assert outcome == [
        "the loop cannot be detached by one of its own callbacks or tasks",
        "finalized",
    ]
    assert task.cancelled() and loop.is_closed()
    attachment.close()


def test_misuse_gets_a_clear_error(attach: Attach) -> None:
    attachment = attach()
    with pytest.raises(RuntimeError, match="not attached"):
        _ = attachment.loop
    attachment.close()
    with attachment as loop:
        assert attachment.loop is loop
        with pytest.raises(RuntimeError, match="only once"):
            attachment.open()
        with pytest.raises(RuntimeError, match="already running"):
            loop.run_forever()
        coro = asyncio.sleep(0)
        with pytest.raises(RuntimeError, match=r"running event loop"):
            asyncio.run(coro)
        coro.close()
        with pytest.raises(RuntimeError, match="Cannot close a running event loop"):
            loop.close()
        failures: list[str] = []

        def close_elsewhere() -> None:
            try:
                attachment.close()
            except RuntimeError as error:
                failures.append(str(error))

        thread = threading.Thread(target=close_elsewhere)
        thread.start()
        thread.join()
        assert failures == ["the loop is attached to another thread"]
    with pytest.raises(RuntimeError, match="only once"):
        attachment.open()


def test_a_nested_loop_in_a_task(attach: Attach) -> None:
    nested = Nested()

    async def other() -> None:
        await asyncio.sleep(0.001)
        nested.quit()

    async def work(quit: Callable[[], None]) -> Any:
        task = asyncio.create_task(other())
        nested.exec()
        await task
        quit()
        return asyncio.current_task()

    with attach():
        tasks: list[Any] = []
        execute(lambda quit: tasks.append(asyncio.create_task(work(quit))))
        assert tasks[0].result() is tasks[0]


def test_in_a_context_of_the_programs(attach: Attach) -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable")
    variable.set(1)

    async def read() -> int:
        return variable.get()

    def program() -> int:
        variable.set(2)
        with attach():
            task = asyncio.create_task(read())
            execute(lambda quit: task.add_done_callback(lambda _: quit()))
            return task.result()

    assert contextvars.copy_context().run(program) == 2
    assert variable.get() == 1


def test_in_a_qthread(qt_loop_factory: Any) -> None:
    """`QThread.exec()` is somebody else's loop too."""
    results: list[Any] = []

    class Worker(qt_core.QThread):  # type: ignore[misc]
        def run(self) -> None:
            with qtloop.attach(loop_factory=qt_loop_factory):
                task = asyncio.create_task(self.work())
                _qt.execute(self)
                results.append(task.result())

        async def work(self) -> str:
            await asyncio.to_thread(results.append, "thread")
            await asyncio.sleep(0.001)
            self.quit()
            return "done"

    worker = Worker()
    worker.start()
    assert worker.wait(10_000)
    assert results == ["thread", "done"]


def test_a_guest_inside_another_loop(attach: Attach) -> None:
    """As in a Jupyter kernel: its asyncio loop runs, and lets Qt's turn from time to time."""
    path: list[str] = []

    async def guest(nested: Nested) -> Any:
        await asyncio.sleep(0.001)
        path.append("guest")
        async with asyncio.timeout(10):
            await asyncio.to_thread(path.append, "guest's thread")
        nested.quit()
        return asyncio.get_running_loop(), asyncio.current_task()

    async def turn_qt(nested: Nested) -> None:
        host, task = asyncio.get_running_loop(), asyncio.current_task()
        qt_core.QTimer.singleShot(
            0, lambda: path.append(f"slot {asyncio.get_running_loop() is host}")
        )
        nested.exec()
        assert asyncio.get_running_loop() is host and asyncio.current_task() is task

    async def main() -> None:
        host = asyncio.get_running_loop()
        hooks = sys.get_asyncgen_hooks()
        attachment = attach()
        loop = attachment.open()
        assert asyncio.get_running_loop() is host
        for _ in range(2):
            nested = Nested()
            task = loop.create_task(guest(nested))
            await asyncio.sleep(0)
            assert not task.done()
            await turn_qt(nested)
            assert task.result() == (loop, task)
        left = loop.create_task(asyncio.sleep(3_600))
        attachment.close()
        assert left.cancelled() and loop.is_closed()
        assert asyncio.get_running_loop() is host and sys.get_asyncgen_hooks() == hooks
        await asyncio.sleep(0.001)

    asyncio.run(main())
    assert sorted(path) == sorted(["slot True", "guest", "guest's thread"] * 2)


def test_a_guest_between_loops_that_come_and_go(qt_loop_factory: Any) -> None:
    """As at IPython's prompt."""

    async def work(nested: Nested) -> Any:
        await asyncio.sleep(0.001)
        nested.quit()
        return asyncio.get_running_loop()

    async def prompt() -> None:
        await asyncio.sleep(0)

    with qtloop.attach(guest=True, loop_factory=qt_loop_factory) as loop:
        for _ in range(2):
            asyncio.run(prompt())
            nested = Nested()
            task = loop.create_task(work(nested))
            nested.exec()
            assert task.result() is loop
            assert asyncio._get_running_loop() is None


def test_slots_find_the_guest(attach: Attach) -> None:
    loops: list[Any] = []

    @qtloop.slot
    async def slot(nested: Nested) -> None:
        await asyncio.sleep(0.001)
        loops.append(asyncio.get_running_loop())
        nested.quit()

    async def main() -> None:
        with attach() as loop:
            nested = Nested()
            qt_core.QTimer.singleShot(0, lambda: slot(nested))
            nested.exec()
            assert loops == [loop]

    asyncio.run(main())


def test_ctrl_c_ends_exec_and_is_raised(name: str) -> None:
    outcome = child.run(
        """
        async def work():
            asyncio.get_running_loop().call_soon(lambda: print("ready", flush=True))
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0.001)
                print("finalized")

        app = qt_core.QCoreApplication([])
        try:
            with qtloop.attach():
                task = asyncio.ensure_future(work())
                _qt.execute(app)
                print("exec ended")
        except KeyboardInterrupt:
            print("KeyboardInterrupt")
        """,
        name,
        send=signal.SIGINT,
    )
    assert outcome.out.splitlines() == ["exec ended", "finalized", "KeyboardInterrupt"], outcome.err


def test_without_an_application(name: str) -> None:
    outcome = child.run(
        """
        try:
            with qtloop.attach():
                pass
        except RuntimeError as error:
            print(error)
        print(asyncio._get_running_loop())
        """,
        name,
    )
    assert outcome.out.splitlines() == [
        "no QCoreApplication exists: create one before the loop runs",
        "None",
    ]


def test_the_application_is_destroyed_first(name: str) -> None:
    outcome = child.run(
        """
        async def work():
            try:
                await asyncio.sleep(3600)
            finally:
                await asyncio.sleep(0.001)
                print("finalized")

        import socket

        app = qt_core.QCoreApplication([])
        with qtloop.attach() as loop:
            task = asyncio.ensure_future(work())
            left, right = socket.socketpair()
            loop.add_reader(left, print)
            loop.call_later(0.01, app.quit)
            _qt.execute(app)
            del app
        print("left")
        """,
        name,
    )
    assert (outcome.out.splitlines(), outcome.code) == (["finalized", "left"], 0), outcome.err
