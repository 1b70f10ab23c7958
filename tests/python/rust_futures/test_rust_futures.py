"""Rust futures of an extension module, tests/extension/lib.rs, as tasks of the loop."""

import asyncio
import contextvars
import ctypes
import functools
import gc
import shutil
import threading
import traceback
import weakref
from asyncio import AbstractEventLoop
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

import qtloop

from ..support import child, extensions
from ..support.loops import LoopFactory, opened, run_briefly, run_for
from ..support.nested_loop import Nested

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="default")


@pytest.fixture(scope="session")
def library() -> Any:
    return extensions.build("rust_futures")


@pytest.fixture(scope="session")
def rust(library: Any) -> Any:
    return extensions.load(library)


@pytest.fixture(autouse=True)
def no_future_is_left(rust: Any) -> Any:
    before = rust.alive()
    yield
    gc.collect()
    assert rust.alive() == before


class Story(list[str]):
    """What happened, in order."""

    def teller(self, word: str) -> Callable[[], None]:
        return functools.partial(self.append, word)


async def settle(rounds: int = 10) -> None:
    for _ in range(rounds):
        await asyncio.sleep(0)


# Outcomes.


async def test_a_result_is_awaited(qt_loop: AbstractEventLoop, rust: Any) -> None:
    value = object()
    future = rust.after(0.001, value)
    assert asyncio.isfuture(future) and future.get_loop() is qt_loop
    assert await future is value
    assert await rust.after(0) is None


async def test_a_sleep_is_never_short(qt_loop: AbstractEventLoop, rust: Any) -> None:
    start = qt_loop.time()
    await rust.after(0.02)
    assert qt_loop.time() - start >= 0.02


async def test_nothing_runs_before_the_next_batch(qt_loop: AbstractEventLoop, rust: Any) -> None:
    story = Story()
    future = rust.calling(story.teller("polled"))
    qt_loop.call_soon(story.append, "called")
    assert story == []
    await future
    assert story == ["polled", "called", "polled"]


async def test_an_exception_has_its_traceback(qt_loop: AbstractEventLoop, rust: Any) -> None:
    async def inner() -> None:
        await asyncio.sleep(0)
        raise LookupError("where it is raised")

    with pytest.raises(LookupError, match="where it is raised") as caught:
        await rust.call_in_task(inner)
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert names[-1] == "inner" and names[0] == "test_an_exception_has_its_traceback"


async def test_an_exception_of_rust_is_raised(qt_loop: AbstractEventLoop, rust: Any) -> None:
    error = KeyError("no such key")
    with pytest.raises(KeyError) as caught:
        await rust.raising(error)
    assert caught.value is error


async def test_stop_iteration_becomes_a_cause(qt_loop: AbstractEventLoop, rust: Any) -> None:
    error = StopIteration(1)
    with pytest.raises(RuntimeError, match="StopIteration") as caught:
        await rust.raising(error)
    assert caught.value.__cause__ is error


async def test_a_panic_is_a_runtime_error(
    qt_loop: AbstractEventLoop, rust: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(RuntimeError, match=r"^a Rust future panicked: by design$"):
        await rust.panicking("by design")
    assert "by design" in capfd.readouterr().err  # The panic hook says where.
    assert await rust.after(0, 1) == 1


async def test_an_exception_that_nobody_awaits_is_reported(
    qt_loop: AbstractEventLoop, rust: Any, errors: Any
) -> None:
    rust.raising(ValueError("lost"))
    await settle()
    gc.collect()
    [context] = errors
    assert str(context["exception"]) == "lost"
    errors.clear()


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_what_ends_a_run_ends_it(
    qt_loop: AbstractEventLoop, rust: Any, kind: type[BaseException]
) -> None:
    async def main() -> Any:
        return await rust.raising(kind("enough"))

    task = qt_loop.create_task(main())
    with pytest.raises(kind, match="enough"):
        qt_loop.run_forever()
    assert not task.done()  # It raises it once more, as if it had awaited a task.
    with pytest.raises(kind, match="enough"):
        qt_loop.run_forever()
    assert isinstance(task.exception(), kind)
    run_briefly(qt_loop)


async def test_a_thousand_at_once(qt_loop: AbstractEventLoop, rust: Any) -> None:
    async def echo(n: int) -> int:
        await asyncio.sleep(0)
        return n

    assert await asyncio.gather(*(rust.after(0, n) for n in range(1000))) == list(range(1000))
    assert await asyncio.gather(*(rust.relay(echo(n)) for n in range(1000))) == list(range(1000))
    assert await rust.spawning(1000) == sum(range(1000))


# What Rust awaits.


async def test_rust_awaits_whatever_can_be_awaited(qt_loop: AbstractEventLoop, rust: Any) -> None:
    class Awaitable:
        def __await__(self) -> Any:
            yield from asyncio.sleep(0.001).__await__()
            return "awaited"

    done: asyncio.Future[str] = qt_loop.create_future()
    done.set_result("done")
    pending: asyncio.Future[str] = qt_loop.create_future()
    qt_loop.call_later(0.001, pending.set_result, "pending")
    assert await rust.relay(done) == "done"
    assert await rust.relay(pending) == "pending"
    assert await rust.relay(qt_loop.create_task(asyncio.sleep(0.001, "task"))) == "task"
    assert await rust.relay(asyncio.sleep(0, "coroutine")) == "coroutine"
    assert await rust.relay(Awaitable()) == "awaited"
    assert await rust.relay(rust.relay(asyncio.sleep(0, "twice"))) == "twice"
    with pytest.raises(TypeError):
        rust.relay(1)


async def test_a_future_of_another_loop_is_refused(
    qt_loop: AbstractEventLoop, rust: Any, qt_loop_factory: LoopFactory
) -> None:
    other = qt_loop_factory()
    with pytest.raises(ValueError, match="loop"):
        rust.relay(other.create_future())
    other.close()


async def test_rust_awaits_two_at_once(qt_loop: AbstractEventLoop, rust: Any) -> None:
    event = asyncio.Event()

    async def setter() -> str:
        event.set()
        return "set"

    assert await rust.both(event.wait, setter) == (True, "set")


# Cancellation.


async def test_cancelling_drops_the_rust_future_first(
    qt_loop: AbstractEventLoop, rust: Any
) -> None:
    story = Story()

    async def main() -> None:
        try:
            await rust.forever(story.teller("dropped"))
        except asyncio.CancelledError:
            story.append("cancelled")
            raise

    task = qt_loop.create_task(main())
    await settle()
    task.cancel("why")
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    assert story == ["dropped", "cancelled"] and caught.value.args == ("why",)


async def test_a_future_can_be_cancelled_before_its_first_poll(
    qt_loop: AbstractEventLoop, rust: Any
) -> None:
    story = Story()
    future = rust.calling(story.teller("polled"))
    never = rust.forever(story.teller("dropped"))
    future.cancel()
    never.cancel()
    await settle()
    # The poll was scheduled before; by then nobody had told the future.
    assert story.count("dropped") == 1 and story.count("polled") <= 1
    assert future.cancelled() and never.cancelled()


async def test_a_result_that_comes_too_late_is_ignored(
    qt_loop: AbstractEventLoop, rust: Any
) -> None:
    """The callback cancels what is being polled, or sets a result of its own."""
    future = rust.calling(lambda: future.cancel() and None)
    with pytest.raises(asyncio.CancelledError):
        await future
    other = rust.calling(lambda: other.done() or other.set_result("mine"))
    assert await other == "mine"
    await settle()


async def test_cancelling_goes_through_every_level(qt_loop: AbstractEventLoop, rust: Any) -> None:
    """Python awaits Rust awaits Python awaits Rust awaits Python."""
    story = Story()

    def level(number: int, below: Callable[[], Any]) -> Callable[[], Coroutine[Any, Any, Any]]:
        async def run() -> Any:
            try:
                return await rust.call_in_task(below)
            except asyncio.CancelledError:
                story.append(f"level {number}")
                raise

        return run

    async def bottom() -> None:
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            story.append("bottom")
            raise

    task = qt_loop.create_task(level(1, level(2, level(3, bottom)))())
    await settle(30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await settle(30)
    assert sorted(story) == ["bottom", "level 1", "level 2", "level 3"]


async def test_a_cancelled_task_cancels_who_awaits_it_in_rust(
    qt_loop: AbstractEventLoop, rust: Any
) -> None:
    inner = qt_loop.create_task(asyncio.sleep(100))
    outer = rust.relay(inner)
    await settle()
    inner.cancel()
    with pytest.raises(asyncio.CancelledError):
        await outer
    assert outer.cancelled()


async def test_a_task_may_refuse_to_be_cancelled(qt_loop: AbstractEventLoop, rust: Any) -> None:
    story = Story()

    async def stubborn() -> None:
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            await asyncio.sleep(0.001)
            story.append("ended on its own")

    outer = rust.call_in_task(stubborn)
    await settle()
    outer.cancel()
    await asyncio.sleep(0.01)
    assert story == ["ended on its own"]


async def test_time_limits_of_both_sides(qt_loop: AbstractEventLoop, rust: Any) -> None:
    story = Story()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(rust.forever(story.teller("dropped")), 0.005)
    assert story == ["dropped"]

    async def slow() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            story.append("cancelled")

    with pytest.raises(TimeoutError, match="the time was up"):
        await rust.within(0.005, slow)
    await settle()
    assert story == ["dropped", "cancelled"]
    assert await rust.within(10, lambda: asyncio.sleep(0, "quick")) == "quick"


# Contexts.


async def test_a_future_has_the_context_of_its_call(qt_loop: AbstractEventLoop, rust: Any) -> None:
    variable.set("outer")
    looks = rust.looks(variable.get, lambda: variable.set("inner") and None)
    variable.set("later")
    assert await looks == ("outer", "inner", "inner")
    assert variable.get() == "later"


async def test_what_rust_awaits_inherits_the_context(qt_loop: AbstractEventLoop, rust: Any) -> None:
    async def look() -> str:
        await asyncio.sleep(0)
        return variable.get()

    variable.set("inherited")
    future = rust.call_in_task(look)
    direct = rust.within(10, look)
    variable.set("later")
    assert await direct == "inherited"
    # A task of Rust's has no context of its own: that is the thread's.
    assert await future == "default"


async def test_there_is_no_current_task_in_rust(qt_loop: AbstractEventLoop, rust: Any) -> None:
    assert await rust.calling(asyncio.current_task) is None
    assert await rust.calling(asyncio.get_running_loop) is qt_loop


# Other threads.


async def test_a_thousand_wakes_are_one_poll(qt_loop: AbstractEventLoop, rust: Any) -> None:
    assert await rust.woken(1000) == (1000, 2)


async def test_other_rust_threads_spawn_here(qt_loop: AbstractEventLoop, rust: Any) -> None:
    assert await rust.from_thread() is True
    assert await rust.called_by_thread() == 42


# Nested event loops of Qt's.


@pytest.mark.filterwarnings("error")
async def test_a_nested_loop_in_a_rust_future(
    qt_loop: AbstractEventLoop, rust: Any, application: Any
) -> None:
    """What runs in it: tasks of Python's and of Rust's, in their own contexts."""
    nested, story = Nested(), Story()
    variable.set("mine")
    context = contextvars.copy_context()

    async def beside() -> None:
        story.append(f"beside: {variable.get()}")
        await rust.after(0.001)
        await rust.calling(lambda: story.append(f"rust: {variable.get()}"))
        nested.quit()

    def run_nested() -> str:
        if not story:
            variable.set("changed")
            qt_loop.create_task(beside(), context=contextvars.copy_context())
            nested.exec()
            story.append(f"back: {variable.get()}")
        return variable.get()

    assert await context.run(rust.calling, run_nested) == "changed"
    assert story == ["beside: changed", "rust: changed", "rust: changed", "back: changed"]
    assert variable.get() == "mine"


async def test_a_nested_loop_is_not_in_the_context_of_the_future(
    qt_loop: AbstractEventLoop, rust: Any
) -> None:
    """A task of Rust's, which has none of its own, has the thread's there as everywhere."""
    nested, story = Nested(), Story()

    def look() -> None:
        story.append(variable.get())
        nested.quit()

    def run_nested() -> None:
        if not story:
            rust.spawn_on(qt_loop, look)
            nested.exec()
            story.append(variable.get())

    variable.set("the future's")
    await rust.calling(run_nested)
    assert story == ["default", "the future's"]


async def test_a_future_cancelled_while_it_runs_a_nested_loop(
    qt_loop: AbstractEventLoop, rust: Any
) -> None:
    nested, story = Nested(), Story()
    left: asyncio.Future[None] = qt_loop.create_future()

    def run_nested() -> None:
        story.append("in")
        qt_loop.call_soon(future.cancel)
        qt_loop.call_later(0.002, nested.quit)
        nested.exec()
        story.append("out")
        left.set_result(None)

    future = rust.calling(run_nested)
    with pytest.raises(asyncio.CancelledError):
        await future
    await left
    assert story == ["in", "out"]


async def test_process_events_in_many_futures(
    qt_loop: AbstractEventLoop, rust: Any, application: Any
) -> None:
    await asyncio.gather(*(rust.calling(application.processEvents) for _ in range(300)))


async def test_a_nested_loop_in_a_context_of_the_programs(
    qt_loop: AbstractEventLoop, rust: Any
) -> None:
    """In the way of the future's own, which cannot be left then."""
    nested = Nested()
    seen: list[str] = []

    def first() -> None:
        seen.append(variable.get())
        if len(seen) == 1:
            qt_loop.call_later(0.002, nested.quit)
            contextvars.copy_context().run(nested.exec)

    variable.set("kept")
    await asyncio.gather(rust.calling(first), rust.calling(lambda: seen.append(variable.get())))
    assert seen == ["kept"] * 4


# Loops.


def test_a_closed_loop_drops_its_futures(qt_loop_factory: LoopFactory, rust: Any) -> None:
    before, story = rust.alive(), Story()
    loop = qt_loop_factory()

    async def main() -> Any:
        futures = [rust.forever(story.teller("dropped")), rust.after(100)]
        waiting = rust.relay(qt_loop_future := loop.create_future())
        await settle()
        return [*futures, waiting, qt_loop_future]

    futures = loop.run_until_complete(main())
    rust.spawn_forever_on(loop)
    rust.spawn_when_dropped(loop)
    assert rust.alive() == before + 5
    run_briefly(loop)
    assert rust.alive() == before + 5
    loop.close()
    assert story == ["dropped"] and rust.alive() == before
    assert not any(future.done() for future in futures)


@pytest.mark.parametrize("runs", [True, False])
def test_a_closed_loop_is_freed(qt_loop_factory: LoopFactory, rust: Any, runs: bool) -> None:
    loop = qt_loop_factory()
    rust.spawn_forever_on(loop)
    if runs:
        loop.run_until_complete(
            asyncio.wait([loop.create_task(rust_after(rust)) for _ in range(3)])
        )
    loop.close()
    reference = weakref.ref(loop)
    del loop
    gc.collect()
    assert reference() is None


async def rust_after(rust: Any) -> None:
    await rust.after(0.001)


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_a_forgotten_loop_is_collected(qt_loop_factory: LoopFactory, rust: Any) -> None:
    """Its executor does not keep it, nor do tasks that refer to nothing of Python's; they are
    dropped."""
    before = rust.alive()
    loop: Any = qt_loop_factory()
    loop.run_until_complete(rust_after(rust))
    rust.spawn_forever_on(loop)
    run_briefly(loop)
    loop.itself = loop
    reference = weakref.ref(loop)
    del loop
    gc.collect()
    assert reference() is None and rust.alive() == before


def test_a_loop_that_stands_where_another_stood(qt_loop_factory: LoopFactory, rust: Any) -> None:
    for _ in range(50):
        with opened(qt_loop_factory) as loop:
            assert loop.run_until_complete(returning(rust)) == 1


async def returning(rust: Any) -> Any:
    return await rust.after(0, 1)


def test_a_loop_runs_what_was_spawned_before(qt_loop: AbstractEventLoop, rust: Any) -> None:
    story = Story()
    rust.spawn_on(qt_loop, story.teller("called"))
    run_for(qt_loop)
    assert story == ["called"]


def test_no_loop_and_other_loops_are_told_apart(rust: Any, stock_loop: AbstractEventLoop) -> None:
    async def fails() -> None:
        with pytest.raises(TypeError, match=r"qtloop\.run"):
            rust.after(0)
        with pytest.raises(TypeError, match=r"qtloop\.run"):
            rust.has_loop()

    stock_loop.run_until_complete(fails())
    with pytest.raises(RuntimeError, match="no running event loop"):
        rust.after(0)
    with pytest.raises(TypeError, match="is none"):
        rust.spawn_forever_on(None)


def test_a_loop_of_another_version_is_refused(rust: Any) -> None:
    class Loop:
        def __init__(self, version: int, name: bytes) -> None:
            self.version = ctypes.c_uint32(version)
            new = ctypes.pythonapi.PyCapsule_New
            new.restype, new.argtypes = (
                ctypes.py_object,
                [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p],
            )
            self.name = name
            self._executor = new(ctypes.addressof(self.version), self.name, None)

    with pytest.raises(RuntimeError, match="installed qtloop version 99"):
        rust.spawn_forever_on(Loop(99, b"qtloop.LoopTable"))
    with pytest.raises(TypeError, match="is none"):
        rust.spawn_forever_on(Loop(99, b"another.Table"))


def test_a_closed_loop_is_refused(qt_loop_factory: LoopFactory, rust: Any) -> None:
    loop = qt_loop_factory()
    rust.spawn_forever_on(loop)
    loop.close()
    for _ in range(2):
        with pytest.raises(RuntimeError, match="closed"):
            rust.spawn_forever_on(loop)


def test_two_loops_in_two_threads(qt_loop_factory: LoopFactory, rust: Any) -> None:
    results: list[Any] = []

    def run() -> None:
        with opened(qt_loop_factory) as loop:
            results.append(loop.run_until_complete(several(rust)))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    run()
    for thread in threads:
        thread.join()
    assert results == [sum(range(100))] * 4


async def several(rust: Any) -> Any:
    await asyncio.gather(*(rust.after(0.001) for _ in range(20)))
    return await rust.spawning(100)


def test_a_loop_with_rust_futures_stays_on_its_thread(
    qt_loop: AbstractEventLoop, rust: Any
) -> None:
    rust.spawn_on(qt_loop, lambda: None)
    failures: list[str] = []

    def elsewhere() -> None:
        for attempt in (lambda: run_briefly(qt_loop), lambda: rust.spawn_forever_on(qt_loop)):
            try:
                attempt()
            except RuntimeError as error:
                failures.append(str(error))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert len(failures) == 2 and all("belong to another thread" in failure for failure in failures)
    qt_loop.call_later(0.01, qt_loop.stop)
    qt_loop.run_forever()


def test_another_thread_neither_runs_nor_drops_futures(library: Any, name: str) -> None:
    """It leaks them: in a process of its own. A loop that comes to stand in the same place is
    unharmed."""
    program = f"""
        import gc, warnings
        from pathlib import Path
        from tests.python.support import extensions
        qt_core.QCoreApplication([])
        rust = extensions.load(Path({str(library)!r}))
        warnings.simplefilter("always")

        def elsewhere(call):
            thread = threading.Thread(target=call)
            thread.start()
            thread.join()

        def loop_with_futures():
            loop = qtloop.EventLoop()
            loop.run_until_complete(asyncio.sleep(0))
            rust.spawn_forever_on(loop)
            loop.call_soon(loop.stop)
            loop.run_forever()
            return loop

        loop = loop_with_futures()
        elsewhere(loop.close)
        print(rust.alive())
        box = [loop_with_futures()]
        elsewhere(lambda: (box.clear(), gc.collect()))
        print(rust.alive())
        for _ in range(10):
            loop = loop_with_futures()
            loop.close()
            del loop
        print(rust.alive())
    """
    outcome = child.run(program, name)
    assert outcome.code == 0, outcome.err
    assert outcome.out.split() == ["1", "2", "2"]
    assert (
        outcome.err.count("ResourceWarning: a loop with Rust futures was closed by another thread")
        >= 1
    )


async def test_debug_mode(qt_loop: AbstractEventLoop, rust: Any) -> None:
    qt_loop.set_debug(True)
    assert await several(rust) == sum(range(100))
    assert await rust.call_in_task(lambda: asyncio.sleep(0.001, 1)) == 1
    future = rust.forever()
    await settle()
    future.cancel()
    await settle()


def test_attached_to_a_loop_of_qts(rust: Any, application: Any) -> None:
    results: list[Any] = []
    with qtloop.attach() as loop:
        nested = Nested()

        async def main() -> None:
            results.append(await several(rust))
            nested.quit()

        task = loop.create_task(main())
        nested.exec()
        assert task.done()
    with qtloop.attach(guest=True) as loop:
        nested = Nested()
        future = rust.after(0.001, "as a guest")
        future.add_done_callback(lambda future: (results.append(future.result()), nested.quit()))
        nested.exec()
    assert results == [sum(range(100)), "as a guest"]


async def test_nothing_piles_up(qt_loop: AbstractEventLoop, rust: Any) -> None:
    async def rounds(count: int) -> int:
        for _ in range(count):
            await rust.call_in_task(lambda: asyncio.sleep(0))
            future = rust.forever()
            await asyncio.sleep(0)
            future.cancel()
            await settle(3)
        gc.collect()
        return len(gc.get_objects())

    await rounds(10)
    before = await rounds(10)
    assert await rounds(100) - before < 50


async def test_a_finished_future_is_freed_at_once(qt_loop: AbstractEventLoop, rust: Any) -> None:
    gc.disable()
    try:
        value = Story()
        future = rust.after(0, value)
        references = [weakref.ref(future), weakref.ref(value)]
        del value
        await future
        await asyncio.sleep(0)  # Until then the handle of this step has it.
        del future
        assert [reference() for reference in references] == [None, None]
    finally:
        gc.enable()


# Modules.


@pytest.fixture(scope="session")
def other_rust(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Another copy of the module, with types and statics of its own: as another extension has
    them."""
    copy = tmp_path_factory.mktemp("copy") / library.name
    shutil.copy(library, copy)
    return extensions.load(copy)


async def test_two_modules_await_each_other(
    qt_loop: AbstractEventLoop, rust: Any, other_rust: Any
) -> None:
    assert rust.after is not other_rust.after
    assert await rust.relay(other_rust.relay(rust.after(0.001, "through both"))) == "through both"
    assert await rust.call_in_task(lambda: other_rust.after(0, "called")) == "called"
    story = Story()
    outer = rust.relay(other_rust.forever(story.teller("dropped")))
    await settle()
    outer.cancel()
    await settle()
    assert story == ["dropped"]


def test_a_closed_loop_drops_the_futures_of_every_module(
    qt_loop_factory: LoopFactory, rust: Any, other_rust: Any
) -> None:
    loop = qt_loop_factory()
    before = rust.alive(), other_rust.alive()

    async def main() -> Any:
        inner = other_rust.forever()
        return [inner, rust.relay(inner), other_rust.relay(rust.forever())]

    futures = loop.run_until_complete(main())
    run_briefly(loop)
    assert rust.alive() == before[0] + 2 and other_rust.alive() == before[1] + 2
    loop.close()
    assert (rust.alive(), other_rust.alive()) == before and len(futures) == 3


# By way of the crate pyo3-async-runtimes.


async def test_generic_code_runs_on_the_loop(
    qt_loop: AbstractEventLoop, rust: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    assert await rust.generic_after(0.001, "value") == "value"
    assert await rust.generic_relay(asyncio.sleep(0.001, "relayed")) == "relayed"
    assert await rust.generic_relay(rust.generic_relay(asyncio.sleep(0, "twice"))) == "twice"
    assert await rust.generic_calling(asyncio.get_running_loop) is qt_loop
    assert await rust.generic_from_thread() == (True, True, True)
    capfd.readouterr()


async def test_generic_code_is_cancelled_and_raises(qt_loop: AbstractEventLoop, rust: Any) -> None:
    inner = qt_loop.create_task(asyncio.sleep(100))
    outer = rust.generic_relay(inner)
    await settle()
    outer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await outer
    inner.cancel()
    await settle(30)

    async def fails() -> None:
        raise LookupError("through generic code")

    with pytest.raises(LookupError, match="through generic code"):
        await rust.generic_relay(fails())


async def test_generic_code_has_the_context_of_its_call(
    qt_loop: AbstractEventLoop, rust: Any
) -> None:
    async def look() -> str:
        return variable.get()

    variable.set("inherited")
    future = rust.generic_relay(look())
    variable.set("later")
    assert await future == "inherited"
