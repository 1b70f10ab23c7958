"""The application quits: `main` is cancelled and may finish, whoever runs the loop."""

import asyncio
import signal
import socket
import textwrap
import threading
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import qtloop
from qtloop import _qt

from ..support import child
from ..support.loops import LoopFactory, qt_core

Quit = Callable[[], None]


def run(main: Any, factory: Any) -> Any:
    return qtloop.run(main, loop_factory=factory)


#: `QEvent::Quit`, which PyQt5 does not name.
QUIT: Any = qt_core.QEvent.Type(20)

QUITS: dict[str, Quit] = {
    "quit": lambda: qt_core.QCoreApplication.quit(),
    "exit": lambda: qt_core.QCoreApplication.exit(0),
    "a posted quit, as a session manager's": lambda: qt_core.QCoreApplication.postEvent(
        qt_core.QCoreApplication.instance(), qt_core.QEvent(QUIT)
    ),
    "quit from a thread": lambda: threading.Thread(target=qt_core.QCoreApplication.quit).start(),
}


@pytest.fixture(params=QUITS)
def quit_soon(request: pytest.FixtureRequest) -> Iterator[Quit]:
    """Lets the application quit from a Qt timer, when called."""
    timer = qt_core.QTimer()
    timer.setSingleShot(True)
    timer.timeout.connect(QUITS[request.param])
    yield lambda: timer.start(5)
    timer.stop()


def test_quitting_cancels_main_and_lets_it_finish(
    qt_loop_factory: LoopFactory, quit_soon: Quit
) -> None:
    steps: list[str] = []

    async def main() -> None:
        quit_soon()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            steps.append("cancelled")
            raise
        finally:
            await asyncio.sleep(0.01)
            await asyncio.to_thread(steps.append, "thread")
            _, writer = await asyncio.open_connection(sock=connected_socket())
            writer.close()
            steps.append("cleaned up")

    assert run(main(), qt_loop_factory) is None
    assert steps == ["cancelled", "thread", "cleaned up"]


def connected_socket() -> Any:
    left, right = socket.socketpair()
    right.close()
    return left


def test_main_may_return_something_though_the_application_quits(
    qt_loop_factory: LoopFactory, quit_soon: Quit
) -> None:
    async def main() -> str:
        quit_soon()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0.002)
        return "all the same"

    assert run(main(), qt_loop_factory) == "all the same"


def test_main_may_fail_while_the_application_quits(
    qt_loop_factory: LoopFactory, quit_soon: Quit
) -> None:
    async def main() -> None:
        quit_soon()
        try:
            await asyncio.Event().wait()
        finally:
            raise LookupError("while cleaning up")

    with pytest.raises(LookupError, match="while cleaning up"):
        run(main(), qt_loop_factory)


def test_other_tasks_are_cleaned_up_after_a_quit(
    qt_loop_factory: LoopFactory, quit_soon: Quit
) -> None:
    cleaned: list[str] = []

    async def linger() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.005)
            cleaned.append("task")

    async def main() -> None:
        task = asyncio.ensure_future(linger())
        quit_soon()
        await asyncio.wait([task])

    assert run(main(), qt_loop_factory) is None
    assert cleaned == ["task"]


def test_one_run_after_another_each_ended_by_a_quit(
    qt_loop_factory: LoopFactory, quit_soon: Quit
) -> None:
    async def main() -> None:
        quit_soon()
        await asyncio.Event().wait()

    for _ in range(3):
        assert run(main(), qt_loop_factory) is None
    assert run(asyncio.sleep(0.001, "undisturbed"), qt_loop_factory) == "undisturbed"


def test_a_runners_main_is_cancelled_too(qt_loop_factory: LoopFactory, quit_soon: Quit) -> None:
    cleaned: list[str] = []

    async def main() -> None:
        quit_soon()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.002)
            cleaned.append("main")

    with asyncio.Runner(loop_factory=qt_loop_factory) as runner:
        with pytest.raises(asyncio.CancelledError):
            runner.run(main())
        assert cleaned == ["main"]
        assert runner.run(asyncio.sleep(0.001, "again")) == "again"


def test_quitting_ends_run_forever_which_can_be_called_again(
    qt_loop: AbstractEventLoop, quit_soon: Quit
) -> None:
    ran: list[str] = []
    qt_loop.call_soon(quit_soon)
    qt_loop.run_forever()
    assert not qt_loop.is_running()
    qt_loop.call_later(0.001, lambda: (ran.append("again"), qt_loop.stop()))
    qt_loop.run_forever()
    assert ran == ["again"]


def test_a_quit_before_the_run_is_forgotten(qt_loop_factory: LoopFactory) -> None:
    """As Qt has it: `quit()` concerns the loops that run."""
    qt_core.QCoreApplication.quit()
    assert run(asyncio.sleep(0.001, "ran"), qt_loop_factory) == "ran"


def test_a_future_that_is_no_task_ends_the_run_without_a_result(
    qt_loop: AbstractEventLoop, quit_soon: Quit
) -> None:
    qt_loop.call_soon(quit_soon)
    with pytest.raises(RuntimeError, match="Event loop stopped before Future completed"):
        qt_loop.run_until_complete(qt_loop.create_future())


def test_a_loop_in_another_thread_does_not_end_with_the_application(
    qt_loop_factory: LoopFactory,
) -> None:
    results: list[str] = []
    running, application_quit = threading.Event(), threading.Event()

    async def main() -> str:
        running.set()
        await asyncio.to_thread(application_quit.wait, 10)
        await asyncio.sleep(0.002)
        return "went on"

    thread = threading.Thread(target=lambda: results.append(run(main(), qt_loop_factory)))
    thread.start()
    assert running.wait(10)
    in_slot(qt_core.QCoreApplication.quit)
    application_quit.set()
    thread.join()
    assert results == ["went on"]


def in_slot(slot: Callable[[], None]) -> None:
    """Runs the application as its owner would, with `slot` called from Qt; the slot is to quit
    it."""
    timer = qt_core.QTimer()
    timer.setSingleShot(True)
    timer.timeout.connect(slot)
    timer.start(0)
    _qt.execute(qt_core.QCoreApplication.instance())


def test_a_slot_may_run_a_loop_inside_the_applications_own(qt_loop: AbstractEventLoop) -> None:
    results: list[Any] = []

    def slot() -> None:
        try:
            results.append(qt_loop.run_until_complete(asyncio.sleep(0.002, "ran")))
        finally:
            qt_core.QCoreApplication.quit()

    in_slot(slot)
    assert results == ["ran"]


def test_quitting_ends_a_loop_that_a_slot_runs(qt_loop: AbstractEventLoop, quit_soon: Quit) -> None:
    steps: list[str] = []

    async def main() -> None:
        quit_soon()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.002)
            steps.append("cleaned up")

    def slot() -> None:
        try:
            qt_loop.run_until_complete(main())
        except asyncio.CancelledError:
            steps.append("cancelled")

    in_slot(slot)
    assert steps == ["cleaned up", "cancelled"]


def test_a_runner_in_a_slot_cleans_up_after_a_quit(
    qt_loop_factory: LoopFactory, quit_soon: Quit
) -> None:
    """The quit is in force until the slot has returned; what the runner runs when it closes runs
    all the same."""
    steps: list[str] = []

    async def linger() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.002)
            steps.append("task")

    async def main(kept: list[Any]) -> None:
        kept.append(asyncio.ensure_future(linger()))
        quit_soon()
        await asyncio.Event().wait()

    def slot() -> None:
        try:
            with asyncio.Runner(loop_factory=qt_loop_factory) as runner:
                runner.run(main([]))
        except asyncio.CancelledError:
            steps.append("main")
        except RuntimeError as error:  # Raised to Qt it would end the process.
            steps.append(str(error))

    in_slot(slot)
    assert steps == ["task", "main"]


def test_a_loop_runs_in_a_qthread_and_ends_with_it(qt_loop_factory: LoopFactory) -> None:
    results: list[Any] = []
    waiting = threading.Event()

    async def main() -> None:
        waiting.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.002)
            results.append("cleaned up")

    class Thread(qt_core.QThread):  # type: ignore[misc]
        def run(self) -> None:
            results.append(run(asyncio.sleep(0.002, "ran"), qt_loop_factory))
            results.append(run(main(), qt_loop_factory))

    thread = Thread()
    thread.start()
    assert waiting.wait(10)
    thread.quit()
    assert thread.wait(10_000)
    assert results == ["ran", "cleaned up", None]


EXIT_CODES = {
    "main just waits": ("await asyncio.Event().wait()", "qtloop.run(main())", 3),
    "the code is handed on": ("await asyncio.Event().wait()", "sys.exit(qtloop.run(main()))", 3),
    "main returns something": (
        """
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return 4
        """,
        "sys.exit(qtloop.run(main()))",
        4,
    ),
    "main leaves in its own way": (
        """
            try:
                await asyncio.Event().wait()
            finally:
                sys.exit(6)
        """,
        "qtloop.run(main())",
        6,
    ),
}


@pytest.mark.parametrize("case", EXIT_CODES)
def test_the_exit_code_is_the_applications(name: str, case: str) -> None:
    body, start, code = EXIT_CODES[case]
    outcome = child.run_bare(
        f"""{child.PREAMBLE}
async def finalize():
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0.001)
        print("finalized")

async def main():
    task = asyncio.create_task(finalize())
    asyncio.get_running_loop().call_later(0.01, qt_core.QCoreApplication.exit, 3)
    {textwrap.dedent(body).strip().replace(chr(10), chr(10) + "    ")}

{start}
""",
        name,
    )
    assert (outcome.out, outcome.err, outcome.code) == ("finalized\n", "", code)


def test_sigterm_quits_if_it_is_told_to(name: str) -> None:
    outcome = child.run(
        """
        async def main():
            asyncio.get_running_loop().call_soon(lambda: print("ready", flush=True))
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0.001)
                print("finalized")

        print(qtloop.run(main(), quit_signals=[signal.SIGTERM]))
        """,
        name,
        send=signal.SIGTERM,
    )
    assert (outcome.out, outcome.err, outcome.code) == ("finalized\nNone\n", "", 0)
