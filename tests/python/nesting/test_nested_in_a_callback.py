"""A QEventLoop inside a callback, as modal dialogs have it: everything else goes on inside."""

import asyncio
import os
import threading
from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Any

import pytest

from qtloop import EventLoop

from ..support import child
from ..support.loops import OURS, Errors, LoopFactory, nothing, opened, qt_core, run_briefly
from ..support.nested_loop import Nested

Enter = Callable[[EventLoop, Callable[[], None]], None]


def enter_from_callback(loop: EventLoop, body: Callable[[], None]) -> None:
    def callback() -> None:
        try:
            body()
        finally:
            loop.stop()

    loop.call_soon(callback)
    loop.run_forever()


def enter_from_timer(loop: EventLoop, body: Callable[[], None]) -> None:
    def callback() -> None:
        try:
            body()
        finally:
            loop.stop()

    loop.call_later(0.001, callback)
    loop.run_forever()


def enter_from_reader(loop: EventLoop, body: Callable[[], None]) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"x")

    def callback() -> None:
        os.read(reader, 1)
        try:
            body()
        finally:
            loop.stop()

    loop.add_reader(reader, callback)
    loop.run_forever()
    loop.remove_reader(reader)
    os.close(reader)
    os.close(writer)


def enter_from_coroutine(loop: EventLoop, body: Callable[[], None]) -> None:
    async def main() -> None:
        await asyncio.sleep(0)
        body()

    loop.run_until_complete(main())


def enter_from_qt(loop: EventLoop, body: Callable[[], None]) -> None:
    def slot() -> None:
        try:
            body()
        finally:
            loop.stop()

    timer = qt_core.QTimer()
    timer.setSingleShot(True)
    timer.timeout.connect(slot)
    timer.start(0)
    loop.run_forever()


ENTRIES: dict[str, Enter] = {
    "callback": enter_from_callback,
    "timer": enter_from_timer,
    "reader": enter_from_reader,
    "coroutine": enter_from_coroutine,
    "qt": enter_from_qt,
}


@pytest.fixture(params=ENTRIES)
def enter(request: pytest.FixtureRequest) -> Enter:
    """The ways into a nested loop."""
    return ENTRIES[request.param]


def test_callbacks_go_on(qt_loop: EventLoop, enter: Enter) -> None:
    steps: list[int] = []
    nested = Nested()

    def step(n: int) -> None:
        steps.append(n)
        qt_loop.call_soon(step, n + 1) if n < 1_000 else nested.quit()

    def body() -> None:
        qt_loop.call_soon(step, 0)
        nested.exec()

    enter(qt_loop, body)
    assert steps == list(range(1_001))


def test_timers_go_on(qt_loop: EventLoop, enter: Enter) -> None:
    fired: list[str] = []
    nested = Nested()
    qt_loop.call_later(0.01, fired.append, "set before")

    def body() -> None:
        qt_loop.call_later(0.002, fired.append, "set inside")
        qt_loop.call_later(0.02, nested.quit)
        nested.exec()

    enter(qt_loop, body)
    assert sorted(fired) == ["set before", "set inside"]


def test_a_timer_set_before_fires_though_nothing_happens_inside(
    qt_loop: EventLoop, enter: Enter
) -> None:
    nested = Nested()
    ended: list[bool] = []
    qt_loop.call_later(0.2, nested.quit)  # Later than the nested loop begins.
    enter(qt_loop, lambda: (nested.exec(), ended.append(True)))  # type: ignore[arg-type]
    assert ended == [True]


def test_an_fd_watched_before_is_served_though_nothing_happens_inside(
    qt_loop: EventLoop, enter: Enter
) -> None:
    reader, writer = os.pipe()
    nested = Nested()
    qt_loop.add_reader(reader, lambda: (os.read(reader, 1), nested.quit()))
    sender = threading.Timer(0.02, os.write, (writer, b"x"))

    def body() -> None:
        sender.start()
        nested.exec()

    enter(qt_loop, body)
    sender.join()
    assert qt_loop.remove_reader(reader)
    os.close(reader)
    os.close(writer)
    assert not nested.timed_out


def test_sockets_go_on(qt_loop: EventLoop, enter: Enter) -> None:
    got: list[bytes] = []
    pipes = [os.pipe(), os.pipe()]
    nested = Nested()

    def read(fd: int) -> None:
        got.append(os.read(fd, 1))
        nested.quit() if len(got) == 6 else os.write(pipes[len(got) % 2][1], b"%d" % len(got))

    def body() -> None:
        qt_loop.add_reader(pipes[1][0], read, pipes[1][0])
        os.write(pipes[0][1], b"0")
        nested.exec()

    qt_loop.add_reader(pipes[0][0], read, pipes[0][0])
    enter(qt_loop, body)
    for reader, writer in pipes:
        assert qt_loop.remove_reader(reader)
        os.close(reader)
        os.close(writer)
    assert got == [b"0", b"1", b"2", b"3", b"4", b"5"]


def test_calls_from_other_threads_go_on(qt_loop: EventLoop, enter: Enter) -> None:
    ran: list[int] = []
    nested = Nested()

    def send() -> None:
        for n in range(100):
            qt_loop.call_soon_threadsafe(ran.append, n)
        qt_loop.call_soon_threadsafe(nested.quit)

    def body() -> None:
        thread = threading.Thread(target=send)
        thread.start()
        nested.exec()
        thread.join()

    enter(qt_loop, body)
    assert ran == list(range(100))


def test_what_was_ready_with_it_runs_inside(qt_loop: EventLoop) -> None:
    """The rest of the iteration does not wait for the nested loop to end."""
    ran: list[str] = []
    nested = Nested()
    qt_loop.call_soon(lambda: (nested.exec(), ran.append("nested loop ended")))
    qt_loop.call_soon(ran.append, "next")
    qt_loop.call_soon(nested.quit)
    qt_loop.call_soon(qt_loop.stop)
    qt_loop.run_forever()
    assert ran == ["next", "nested loop ended"]


def test_other_tasks_go_on_while_a_callback_nests(qt_loop: EventLoop) -> None:
    nested = Nested()

    async def work() -> str:
        await asyncio.sleep(0.002)
        await asyncio.to_thread(nothing)
        await asyncio.sleep(0)
        nested.quit()
        return "done"

    async def main() -> str:
        working = asyncio.ensure_future(work())
        qt_loop.call_soon(nested.exec)
        return await working

    assert qt_loop.run_until_complete(main()) == "done"


def test_loops_nest_in_each_other(qt_loop: EventLoop) -> None:
    depth = 5
    path: list[str] = []

    def descend(level: int) -> None:
        nested = Nested()
        path.append(f"in {level}")
        qt_loop.call_soon(descend, level + 1) if level < depth else None
        qt_loop.call_later(0.002 * (depth + 1 - level), nested.quit)
        nested.exec()
        path.append(f"out {level}")
        if level == 1:
            qt_loop.stop()

    qt_loop.call_soon(descend, 1)
    qt_loop.run_forever()
    inward = [f"in {n}" for n in range(1, depth + 1)]
    assert path == [*inward, *(f"out {n}" for n in range(depth, 0, -1))]


def test_the_loop_is_still_the_running_one_inside_and_after(qt_loop: EventLoop) -> None:
    seen: list[AbstractEventLoop] = []
    nested = Nested()

    async def main() -> None:
        task = asyncio.current_task()
        qt_loop.call_soon(lambda: (seen.append(asyncio.get_running_loop()), nested.quit()))
        nested.exec()
        seen.append(asyncio.get_running_loop())
        assert asyncio.current_task() is task
        await asyncio.sleep(0.001)

    qt_loop.run_until_complete(main())
    assert seen == [qt_loop, qt_loop]


def test_an_exception_inside_goes_to_the_handler(qt_loop: EventLoop, errors: Errors) -> None:
    nested = Nested()
    qt_loop.call_soon(lambda: (nested.exec(), qt_loop.stop()))
    qt_loop.call_soon(lambda: 1 / 0)
    qt_loop.call_soon(nested.quit)
    qt_loop.run_forever()
    assert isinstance(errors.pop()["exception"], ZeroDivisionError)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_exit_inside_ends_both_and_reaches_the_caller(
    qt_loop: EventLoop, error: type[BaseException]
) -> None:
    steps: list[str] = []
    nested = Nested()

    def leave() -> None:
        # The nested loop is not ours to end where it does not end with the application.
        nested.quit()
        raise error

    qt_loop.call_soon(lambda: (nested.exec(), steps.append("nested loop ended")))
    qt_loop.call_later(0.005, leave)
    with pytest.raises(error):
        qt_loop.run_forever()
    assert steps == ["nested loop ended"]
    qt_loop.call_later(0.001, qt_loop.stop)
    qt_loop.run_forever()


def test_stopping_inside_ends_the_run_once_the_nested_loop_has_ended(qt_loop: EventLoop) -> None:
    steps: list[str] = []
    nested = Nested()

    def stop() -> None:
        qt_loop.stop()
        nested.quit()

    qt_loop.call_soon(lambda: (nested.exec(), steps.append("nested loop ended")))
    qt_loop.call_later(0.005, stop)
    qt_loop.run_forever()
    steps.append("run ended")
    run_briefly(qt_loop)
    assert steps == ["nested loop ended", "run ended"]


def test_processing_events_in_a_callback_runs_what_is_ready(
    qt_loop: EventLoop, application: Any
) -> None:
    ran: list[str] = []

    def process() -> None:
        application.processEvents()
        ran.append("processed")

    qt_loop.call_soon(process)
    qt_loop.call_soon(ran.append, "ready before")
    qt_loop.call_soon(lambda: qt_loop.call_soon(qt_loop.stop))
    qt_loop.run_forever()
    assert ran == ["ready before", "processed"]


def test_a_nested_loop_in_another_thread(qt_loop_factory: LoopFactory) -> None:
    ran: list[str] = []

    def run() -> None:
        with opened(qt_loop_factory) as loop:
            nested = Nested()
            loop.call_soon(lambda: (nested.exec(), loop.stop()))
            loop.call_later(0.002, ran.append, "timer")
            loop.call_later(0.004, nested.quit)
            loop.run_forever()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert ran == ["timer"]


@pytest.mark.parametrize("name", OURS)
def test_a_modal_dialog_is_closed_by_a_timer_of_asyncios(name: str) -> None:
    outcome = child.run(
        """
        import importlib
        widgets = importlib.import_module(qt_core.__name__.replace("QtCore", "QtWidgets"))
        app = widgets.QApplication(["test"])
        app.setQuitOnLastWindowClosed(False)

        async def main():
            loop = asyncio.get_running_loop()
            dialog = widgets.QDialog()
            answer = loop.create_future()
            loop.call_soon(lambda: answer.set_result(qt_exec(dialog)))
            loop.call_later(0.02, dialog.accept)
            return await answer

        def qt_exec(dialog):
            return (dialog.exec if hasattr(dialog, "exec") else dialog.exec_)()

        print(int(qtloop.run(main())))
        """,
        name,
    )
    assert (outcome.code, outcome.out) == (0, "1\n"), outcome.err
