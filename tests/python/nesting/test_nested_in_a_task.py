"""A nested event loop inside a task's step: every other task goes on, and this one resumes where it
was."""

import asyncio
import contextvars
import sys
import threading
from asyncio import AbstractEventLoop
from collections.abc import Iterator
from typing import Any

import pytest

from qtloop import EventLoop

from ..support import child
from ..support.loops import Errors, Pair, qt_core
from ..support.nested_loop import Nested

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


def c_tasks(loop: AbstractEventLoop, coro: Any, **options: Any) -> Any:
    return asyncio.Task(coro, loop=loop, **options)


def python_tasks(loop: AbstractEventLoop, coro: Any, **options: Any) -> Any:
    return asyncio.tasks._PyTask(coro, loop=loop, **options)  # type: ignore[attr-defined]


class OwnTask(asyncio.Task[Any]):
    """What a framework may bring."""


def own_tasks(loop: AbstractEventLoop, coro: Any, **options: Any) -> Any:
    return OwnTask(coro, loop=loop, **options)


FACTORIES: dict[str, Any] = {
    "default": None,
    "c": c_tasks,
    "python": python_tasks,
    "own": own_tasks,
}
if sys.version_info >= (3, 12):
    FACTORIES["eager"] = asyncio.eager_task_factory
    FACTORIES["python-eager"] = asyncio.create_eager_task_factory(asyncio.tasks._PyTask)  # type: ignore[attr-defined]


@pytest.fixture(params=FACTORIES)
def any_loop(
    request: pytest.FixtureRequest, qt_loop: EventLoop, monkeypatch: pytest.MonkeyPatch
) -> Iterator[EventLoop]:
    """A loop with each kind of task."""
    if "python" in request.param and sys.version_info >= (3, 14):
        # There asyncio does not look for such tasks by itself, but has a function for who prefers
        # them.
        for module in (asyncio, asyncio.tasks):
            monkeypatch.setattr(module, "current_task", asyncio.tasks._py_current_task)  # type: ignore[attr-defined]
    qt_loop.set_task_factory(FACTORIES[request.param])
    yield qt_loop
    qt_loop.set_task_factory(None)


def run(loop: EventLoop, coro: Any) -> Any:
    return loop.run_until_complete(asyncio.wait_for(coro, 20))


def test_every_other_task_goes_on(any_loop: EventLoop, pair: Pair) -> None:
    nested = Nested()
    path: list[Any] = []

    async def worker() -> None:
        await asyncio.sleep(0)
        await asyncio.sleep(0.001)
        await asyncio.to_thread(path.append, "thread")
        await any_loop.sock_sendall(pair[0], b"x")
        path.append(await any_loop.sock_recv(pair[1], 1))
        async with asyncio.timeout(10):
            await asyncio.gather(*(asyncio.sleep(0) for _ in range(10)))
        nested.quit()

    async def main() -> None:
        task = asyncio.create_task(worker())
        await asyncio.sleep(0)
        nested.exec()
        path.append("resumed")
        await task

    run(any_loop, main())
    assert path == ["thread", b"x", "resumed"]


def test_the_current_task_is_right_at_every_point(any_loop: EventLoop) -> None:
    nested = Nested()
    seen: dict[str, Any] = {}
    see = lambda point: seen.update({point: asyncio.current_task()})  # noqa: E731

    async def other() -> Any:
        await asyncio.sleep(0)
        see("another task")
        await asyncio.sleep(0.001)
        see("another task later")
        any_loop.call_soon(nested.quit)
        return asyncio.current_task()

    async def main() -> tuple[Any, Any]:
        task = asyncio.ensure_future(other())
        any_loop.call_soon(see, "a callback")
        any_loop.call_later(0, see, "a timer")
        qt_core.QTimer.singleShot(0, lambda: see("Qt, called by the step"))
        nested.exec()
        see("after")
        second = Nested()
        any_loop.call_soon(second.quit)
        second.exec()
        see("after a second one")
        await asyncio.sleep(0)
        see("in the next step")
        return asyncio.current_task(), await task

    outer, inner = run(any_loop, main())
    assert outer is not inner
    assert {point: task for point, task in seen.items() if task is None}.keys() == {
        "a callback",
        "a timer",
    }
    assert [point for point, task in seen.items() if task is inner] == [
        "another task",
        "another task later",
    ]
    assert [point for point, task in seen.items() if task is outer] == [
        "Qt, called by the step",
        "after",
        "after a second one",
        "in the next step",
    ]


def test_contexts_are_right_at_every_point(any_loop: EventLoop) -> None:
    nested = Nested()
    seen: list[str] = []

    async def other() -> None:
        seen.append(variable.get())
        variable.set("other's")
        await asyncio.sleep(0)
        seen.append(variable.get())
        nested.quit()

    async def main() -> None:
        variable.set("inherited")
        task = asyncio.ensure_future(other())
        variable.set("main's")
        any_loop.call_soon(lambda: (seen.append(variable.get()), variable.set("the callback's")))
        nested.exec()
        seen.append(variable.get())
        await task
        seen.append(variable.get())

    run(any_loop, main())
    assert sorted(seen) == sorted(["inherited", "main's", "other's", "main's", "main's"])


async def test_tasks_that_share_the_context_run_inside(qt_loop: EventLoop) -> None:
    nested = Nested()
    context = contextvars.copy_context()
    path: list[str] = []

    async def sharing() -> None:
        path.append(variable.get())
        await asyncio.sleep(0)
        variable.set("set by the sharing task")
        nested.quit()

    async def nesting() -> None:
        variable.set("set before")
        task = asyncio.create_task(sharing(), context=context)
        qt_loop.call_soon(path.append, "callback in it", context=context)
        nested.exec()
        path.append(variable.get())
        await task

    await asyncio.create_task(nesting(), context=context)
    assert path == ["set before", "callback in it", "set by the sharing task"]


async def test_what_cannot_run_inside_runs_as_soon_as_it_can(qt_loop: EventLoop) -> None:
    """The program has entered a context of its own, which nobody but the program can exit."""
    nested = Nested()
    context = contextvars.copy_context()
    path: list[str] = []

    async def sharing() -> None:
        path.append("a task that shares the context")

    async def nesting() -> None:
        task = asyncio.create_task(sharing(), context=context)
        for n in range(3):
            qt_loop.call_soon(path.append, f"callback {n} that does", context=context)
        qt_loop.call_soon(path.append, "a callback that does not")
        qt_loop.call_later(0.005, nested.quit)
        contextvars.copy_context().run(nested.exec)
        path.append("the nested loop ended")
        await task

    await asyncio.create_task(nesting(), context=context)
    assert path == [
        "a callback that does not",
        "the nested loop ended",
        "a task that shares the context",
        *(f"callback {n} that does" for n in range(3)),
    ]


async def test_what_cannot_run_waits_for_the_right_frame(qt_loop: EventLoop) -> None:
    """Two nested loops: what the outer one blocks does not run when the inner one has ended."""
    outer, inner = Nested(), Nested()
    context = contextvars.copy_context()
    path: list[str] = []

    def nest_again() -> None:
        qt_loop.call_soon(path.append, "blocked", context=context)
        qt_loop.call_later(0.002, inner.quit)
        inner.exec()
        path.append("inner ended")
        qt_loop.call_later(0.002, outer.quit)

    async def nesting() -> None:
        qt_loop.call_soon(nest_again, context=contextvars.Context())
        contextvars.copy_context().run(outer.exec)
        path.append("outer ended")
        await asyncio.sleep(0)

    await asyncio.create_task(nesting(), context=context)
    assert path == ["inner ended", "outer ended", "blocked"]


def test_what_is_put_aside_at_the_end_of_a_run_waits_for_the_next(qt_loop: EventLoop) -> None:
    context = contextvars.copy_context()
    ran: list[str] = []
    nested = Nested()

    def leave() -> None:
        qt_loop.call_soon(ran.append, "blocked", context=context)
        qt_loop.call_later(0.002, nested.quit)
        contextvars.copy_context().run(nested.exec)
        raise SystemExit

    qt_loop.call_soon(leave, context=context)
    with pytest.raises(SystemExit):
        qt_loop.run_forever()
    assert ran == []
    qt_loop.call_soon(qt_loop.stop)
    qt_loop.run_forever()
    assert ran == ["blocked"]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are new in Python 3.12")
def test_a_nested_loop_in_an_eager_tasks_first_step(qt_loop: EventLoop) -> None:
    """Eager tasks have entered contexts, and stand one above the other, without a handle of the
    loop's."""
    qt_loop.set_task_factory(asyncio.eager_task_factory)
    nested = Nested()
    context = contextvars.copy_context()
    path: list[Any] = []

    async def innermost() -> Any:
        qt_loop.call_soon(path.append, "in the shared context", context=context)
        qt_loop.call_soon(lambda: path.append(asyncio.current_task()))
        qt_loop.call_later(0.002, nested.quit)
        nested.exec()
        return asyncio.current_task()

    async def middle() -> Any:
        task = asyncio.create_task(innermost())
        assert task.done()
        return task.result() is task, asyncio.current_task()

    async def main() -> None:
        outer = asyncio.current_task()
        task = asyncio.create_task(middle())
        assert task.result() == (True, task)
        assert asyncio.current_task() is outer

    run(qt_loop, asyncio.Task(main(), loop=qt_loop, context=context))
    assert path == ["in the shared context", None]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are new in Python 3.12")
def test_a_nested_loop_in_an_eager_task_that_a_slot_starts(qt_loop: EventLoop) -> None:
    qt_loop.set_task_factory(asyncio.eager_task_factory)
    nested = Nested()
    tasks: list[Any] = []

    async def ask() -> Any:
        asyncio.get_running_loop().call_soon(
            lambda: (tasks.append(asyncio.current_task()), nested.quit())
        )
        nested.exec()
        return asyncio.current_task()

    async def main() -> None:
        asked = asyncio.Event()

        def slot() -> None:
            tasks.append(asyncio.create_task(ask()))
            asked.set()

        qt_core.QTimer.singleShot(0, slot)
        await asked.wait()

    run(qt_loop, main())
    assert tasks[0] is None
    assert tasks[1].result() is tasks[1]


def test_loops_nest_in_tasks_that_nest(any_loop: EventLoop) -> None:
    depth = 30
    path: list[int] = []

    async def descend(level: int) -> None:
        me = asyncio.current_task()
        nested = Nested()
        if level < depth:
            task = asyncio.get_running_loop().create_task(descend(level + 1))
            task.add_done_callback(lambda _: nested.quit())
            if not task.done():
                nested.exec()
        path.append(level)
        assert asyncio.current_task() is me

    run(any_loop, descend(1))
    assert path == [*range(depth, 0, -1)]


def test_beyond_a_hundred_turns_on_the_stack_only_qt_goes_on(qt_loop: EventLoop) -> None:
    """More nested loops than the stack has room for: all of them end, and every task with them."""
    ended: list[int] = []

    async def nest(n: int) -> None:
        loop = qt_core.QEventLoop()
        qt_core.QTimer.singleShot(20, loop.quit)
        getattr(loop, "exec", getattr(loop, "exec_", None))()
        await asyncio.sleep(0)
        ended.append(n)

    async def main() -> None:
        await asyncio.gather(*(nest(n) for n in range(300)))

    run(qt_loop, main())
    assert sorted(ended) == [*range(300)]


async def test_a_flood_of_process_events(qt_loop: EventLoop) -> None:
    steps = 0

    async def work() -> None:
        nonlocal steps
        for _ in range(5):
            qt_core.QCoreApplication.processEvents()
            steps += 1
            await asyncio.sleep(0)

    await asyncio.gather(*(work() for _ in range(500)))
    assert steps == 2_500


async def test_an_fd_beyond_the_deepest_turn_waits_without_spinning(
    qt_loop: EventLoop, pair: Pair
) -> None:
    """Nobody can serve it there; it must not be reported again and again, and must be served
    afterwards."""
    received = asyncio.Event()
    qt_loop.add_reader(pair[1], lambda: (qt_loop.remove_reader(pair[1]), received.set()))
    deepest: list[int] = []

    def descend(level: int) -> None:
        if level < 100:
            qt_loop.call_soon(descend, level + 1)
            qt_core.QCoreApplication.processEvents()
            return
        pair[0].send(b"x")
        before = qt_loop.metrics().turns if hasattr(qt_loop, "metrics") else 0
        nested = Nested()
        qt_core.QTimer.singleShot(20, nested.quit)
        nested.exec()
        deepest.append((qt_loop.metrics().turns if hasattr(qt_loop, "metrics") else 0) - before)
        assert not received.is_set()

    qt_loop.call_soon(descend, 1)
    await received.wait()
    assert deepest == [0]


async def test_cancelling_the_outer_task_takes_effect_at_its_next_await(qt_loop: EventLoop) -> None:
    nested = Nested()
    path: list[str] = []

    async def outer() -> None:
        nested.exec()
        path.append("the step goes on")
        await asyncio.sleep(3_600)

    task = asyncio.create_task(outer())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    # The nested loop has ended by now, if this task could not have run inside it.
    path.append("cancelling")
    task.cancel()
    assert task.cancelling() == 1 and not task.done()
    nested.quit()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert path == ["cancelling", "the step goes on"]


async def test_a_timeout_inside_which_a_nested_loop_runs(qt_loop: EventLoop) -> None:
    nested = Nested()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.002):
            qt_loop.call_later(0.01, nested.quit)
            nested.exec()
            await asyncio.sleep(0)


async def test_a_task_that_raises_inside_raises_where_it_is_awaited(
    qt_loop: EventLoop, errors: Errors
) -> None:
    nested = Nested()

    async def fail() -> None:
        nested.quit()
        raise LookupError("inside")

    task = asyncio.create_task(fail())
    nested.exec()
    with pytest.raises(LookupError, match="inside"):
        await task
    assert not errors


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_exit_inside_a_nested_loop_of_a_task(
    qt_loop: EventLoop, error: type[BaseException]
) -> None:
    nested = Nested()
    path: list[str] = []

    async def leave() -> None:
        qt_core.QTimer.singleShot(0, nested.quit)
        raise error

    async def main() -> None:
        task = asyncio.ensure_future(leave())
        nested.exec()
        path.append("the step went on")
        try:
            await asyncio.sleep(0)
        finally:
            path.append("resumed" if isinstance(task.exception(), error) else "lost")

    task = qt_loop.create_task(main())
    with pytest.raises(error):
        qt_loop.run_until_complete(task)
    assert path == ["the step went on"]
    qt_loop.run_until_complete(task)
    assert path == ["the step went on", "resumed"]


def test_a_thread_calls_into_a_nested_loop(any_loop: EventLoop) -> None:
    nested = Nested()

    async def answer() -> Any:
        await asyncio.sleep(0)
        return asyncio.current_task()

    async def main() -> Any:
        answers: list[Any] = []

        def ask() -> None:
            for _ in range(20):
                answers.append(asyncio.run_coroutine_threadsafe(answer(), any_loop).result(10))
            any_loop.call_soon_threadsafe(nested.quit)

        thread = threading.Thread(target=ask)
        thread.start()
        nested.exec()
        thread.join()
        return answers

    answers = run(any_loop, main())
    assert len({id(task) for task in answers}) == len(answers) == 20 and None not in answers


async def test_an_async_generator_and_a_lock_across_a_nested_loop(qt_loop: EventLoop) -> None:
    nested = Nested()
    lock = asyncio.Lock()
    got: list[int] = []

    async def numbers() -> Any:
        for n in range(3):
            await asyncio.sleep(0)
            yield n

    async def collect() -> None:
        async for n in numbers():
            got.append(n)
        async with lock:
            got.append(99)

    async with lock:
        task = asyncio.create_task(collect())
        qt_loop.call_later(0.005, nested.quit)
        nested.exec()
        assert got == [0, 1, 2]
    await task
    assert got == [0, 1, 2, 99]


def test_an_exception_being_handled_outside_is_the_context_of_one_inside(
    qt_loop: EventLoop,
) -> None:
    """A limit of Python's: which exception is being handled is a property of the thread's whole
    stack."""
    nested = Nested()

    async def fail() -> None:
        nested.quit()
        raise LookupError

    async def main() -> BaseException | None:
        task = asyncio.ensure_future(fail())
        try:
            raise ValueError
        except ValueError:
            nested.exec()
        return task.exception()

    error = run(qt_loop, main())
    assert isinstance(error, LookupError) and isinstance(error.__context__, ValueError)


def test_in_debug_mode_too(any_loop: EventLoop) -> None:
    any_loop.set_debug(True)
    test_the_current_task_is_right_at_every_point(any_loop)


def test_quitting_inside_ends_both_and_cancels_main(name: str) -> None:
    outcome = child.run(
        """
        async def main():
            loop = qt_core.QEventLoop()
            asyncio.get_running_loop().call_soon(qt_core.QCoreApplication.exit, 7)
            _qt.execute(loop)
            print("the nested loop ended")
            try:
                await asyncio.sleep(3600)
            finally:
                await asyncio.sleep(0.001)
                inner = qt_core.QEventLoop()
                asyncio.get_running_loop().call_soon(inner.quit)
                _qt.execute(inner)
                print("finalized, with a nested loop")

        qtloop.run(main())
        """,
        name,
    )
    assert outcome.out.splitlines() == ["the nested loop ended", "finalized, with a nested loop"]
    assert outcome.code == 7, outcome.err
