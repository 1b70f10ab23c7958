"""Several plug-ins of one program, each of which attaches: they share one loop, and are counted."""

import asyncio
import contextvars
import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import qtloop
from qtloop import _qt

from ..support import child
from ..support.loops import Errors, qt_core
from ..support.nested_loop import Nested
from .test_attach import execute

Attach = Callable[..., qtloop.Attachment]


@pytest.fixture
def attach(qt_loop_factory: Any) -> Iterator[Attach]:
    """What plug-ins call. Whatever a test has left open is closed."""
    made: list[qtloop.Attachment] = []

    def attach(**arguments: Any) -> qtloop.Attachment:
        made.append(qtloop.attach(**{"loop_factory": qt_loop_factory, **arguments}))
        return made[-1]

    yield attach
    for attachment in made:
        attachment.close()
    assert asyncio._get_running_loop() is None


async def stay(path: list[str], name: str) -> None:
    """Works until it is cancelled, and then needs the loop once more."""
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        await asyncio.sleep(0.001)
        path.append(name)


def turn() -> None:
    """The host's own event loop, for a moment in which every task gets its turn."""
    nested = Nested()
    qtloop.current().call_later(0.002, nested.quit)
    nested.exec()


def test_the_loop_lives_until_the_last_has_left(attach: Attach) -> None:
    first, second, third = attach(), attach(), attach()
    loop = first.open()
    assert second.open() is loop
    first.close()
    assert not loop.is_closed() and asyncio.get_running_loop() is loop
    assert third.open() is loop and third.loop is loop
    with pytest.raises(RuntimeError, match="not attached"):
        _ = first.loop
    second.close()
    assert not loop.is_closed()
    third.close()
    assert loop.is_closed() and asyncio._get_running_loop() is None
    assert attach().open() is not loop


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["not nested", "nested"])
def test_each_takes_its_own_tasks_with_it(attach: Attach, order: tuple[int, int]) -> None:
    path: list[str] = []
    plugins = [attach(), attach()]
    for plugin in plugins:
        plugin.open()
    tasks = [plugin.create_task(stay(path, f"{n}")) for n, plugin in enumerate(plugins)]
    of_nobody = asyncio.ensure_future(stay(path, "nobody's"))
    turn()
    first, last = order
    plugins[first].close()
    assert path == [f"{first}"] and tasks[first].cancelled()
    turn()
    assert not tasks[last].done() and not of_nobody.done()
    plugins[last].close()
    assert sorted(path[1:]) == sorted([f"{last}", "nobody's"])
    assert tasks[last].cancelled() and of_nobody.cancelled()


def test_what_a_task_starts_belongs_where_the_task_does(attach: Attach) -> None:
    path: list[str] = []
    served: list[asyncio.Task[Any] | None] = []
    started: list[asyncio.Task[Any]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(asyncio.current_task())
        try:
            await stay(path, "connection")
        finally:
            writer.close()

    async def work(ready: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        started.append(asyncio.create_task(stay(path, "child")))
        loop.call_later(
            0.001, lambda: started.append(loop.create_task(stay(path, "of a callback")))
        )
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            while not (served and len(started) == 2):
                await asyncio.sleep(0)
            ready()
            try:
                await stay(path, "task")
            finally:
                writer.close()

    async def hand_over(plugin: qtloop.Attachment) -> None:
        started.append(plugin.create_task(stay(path, "handed over")))

    leaving, staying = attach(), attach()
    leaving.open(), staying.open()
    nested = Nested()
    task = leaving.create_task(work(nested.quit))
    nested.exec()
    leaving.create_task(hand_over(staying))
    turn()
    leaving.close()
    assert sorted(path) == ["child", "connection", "of a callback", "task"]
    assert task.cancelled() and not started[-1].done()
    staying.close()
    assert path[4:] == ["handed over"]


def test_the_tasks_of_others_go_on_while_one_leaves(attach: Attach) -> None:
    ticks: list[int] = []

    async def tick() -> None:
        while True:
            ticks.append(len(ticks))
            await asyncio.sleep(0)

    async def leave() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            before = len(ticks)
            while len(ticks) < before + 10:
                await asyncio.sleep(0)

    leaving, staying = attach(), attach()
    loop = leaving.open()
    staying.open()
    ticking = staying.create_task(tick())
    leaving.create_task(leave())
    turn()
    leaving.close()
    before = len(ticks)
    turn()
    assert len(ticks) > before >= 10
    assert not ticking.done() and loop.is_running()


def test_what_the_tasks_start_as_they_end_is_left_to_the_others(attach: Attach) -> None:
    path: list[str] = []

    async def work() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            late.append(asyncio.create_task(stay(path, "late")))

    late: list[asyncio.Task[None]] = []
    leaving, staying = attach(), attach()
    leaving.open(), staying.open()
    leaving.create_task(work())
    turn()
    leaving.close()
    turn()
    assert not late[0].done()
    staying.close()
    assert late[0].cancelled() and path == ["late"]


def test_an_error_of_a_task_that_is_cancelled_is_reported(attach: Attach, errors: Errors) -> None:
    async def work() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            raise LookupError("in the end")

    leaving, staying = attach(), attach()
    leaving.open().set_exception_handler(lambda _, context: errors.append(context))
    staying.open()
    task = leaving.create_task(work())
    turn()
    leaving.close()
    context = errors.pop()
    assert context["task"] is task and str(context["exception"]) == "in the end"
    assert not errors


def test_plugins_that_come_and_go_inside_exec(attach: Attach) -> None:
    """As a program loads and unloads them from its menu."""
    path: list[str] = []
    loops: set[Any] = set()
    plugins = {"first": attach(), "second": attach(), "third": attach()}
    tasks: list[asyncio.Task[None]] = []

    def load(name: str) -> None:
        loops.add(plugins[name].open())
        tasks.append(plugins[name].create_task(stay(path, name)))

    def unload(name: str) -> None:
        plugins[name].close()

    steps = [
        (load, "first"),
        (load, "second"),
        (unload, "first"),
        (load, "third"),
        (unload, "second"),
        (unload, "third"),
    ]
    nested = Nested()

    def step() -> None:
        if not steps:
            return nested.quit()
        call, name = steps.pop(0)
        call(name)
        qt_core.QTimer.singleShot(2, step)

    qt_core.QTimer.singleShot(0, step)
    nested.exec()
    assert path == ["first", "second", "third"] and len(loops) == 1
    assert all(task.cancelled() for task in tasks)
    assert all(loop.is_closed() for loop in loops)


CONTRADICTIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "guest=True": ({}, {"guest": True}),
    "guest=False": ({"guest": True}, {"guest": False}),
    "debug=True": ({"debug": False}, {"debug": True}),
    "debug=False": ({"debug": True}, {"debug": False}),
    "host='sim'": ({}, {"host": "sim", "loop_factory": qtloop.new_event_loop}),
    "loop_factory=": ({}, {"loop_factory": lambda: qtloop.EventLoop(host="sim")}),
}


@pytest.mark.parametrize("named", CONTRADICTIONS)
def test_arguments_that_contradict_the_first_are_named(attach: Attach, named: str) -> None:
    arguments, others = CONTRADICTIONS[named]
    with attach(**arguments) as loop:
        with pytest.raises(RuntimeError, match="it was not made with ") as raised:
            attach(**others).open()
        assert named in str(raised.value) and loop.host in str(raised.value)
        # Who asks for nothing, or for the same, gets it; and nobody has been counted in vain.
        with attach(**arguments) as same, attach(loop_factory=qtloop.new_event_loop) as any_one:
            assert same is loop and any_one is loop
    assert loop.is_closed()


def test_the_host_by_its_name(attach: Attach) -> None:
    with attach() as loop, qtloop.attach(host=loop.host) as same:
        assert same is loop


def test_leaving_twice_counts_once(attach: Attach) -> None:
    first, second = attach(), attach()
    loop = first.open()
    second.open()
    first.close()
    first.close()
    assert not loop.is_closed() and second.loop is loop
    with pytest.raises(RuntimeError, match="only once"):
        first.open()


def test_only_its_own_thread_may_use_it(attach: Attach) -> None:
    attachment, other = attach(), attach()
    loop = attachment.open()
    other.open()
    failures: list[str] = []

    def use_elsewhere() -> None:
        for use in (attachment.close, lambda: attachment.create_task(stay([], ""))):
            try:
                use()
            except RuntimeError as error:
                failures.append(str(error))

    thread = threading.Thread(target=use_elsewhere)
    thread.start()
    thread.join()
    assert failures == ["the loop is attached to another thread"] * 2
    assert attachment.loop is loop


def test_a_closed_one_starts_no_tasks(attach: Attach) -> None:
    attachment, other = attach(), attach()
    for refused in (attachment.create_task,):
        with pytest.raises(RuntimeError, match="not attached"):
            refused(stay([], ""))
    attachment.open(), other.open()
    attachment.close()
    with pytest.raises(RuntimeError, match="not attached"):
        attachment.create_task(stay([], ""))


@pytest.mark.parametrize("whose", ["its own", "another's"])
def test_no_task_can_leave_for_its_plugin(attach: Attach, whose: str) -> None:
    leaving, other = attach(), attach()
    leaving.open(), other.open()
    outcome: list[str] = []

    async def leave(nested: Nested) -> None:
        try:
            leaving.close()
        except RuntimeError as error:
            outcome.append(str(error))
        nested.quit()

    nested = Nested()
    task = (leaving if whose == "its own" else other).create_task(leave(nested))
    nested.exec()
    assert outcome == ["the loop cannot be detached by one of its own callbacks or tasks"]
    turn()
    assert task.done() and not task.cancelled()
    # Nothing has changed: it is open, and can be closed by Qt.
    mine = leaving.create_task(stay(outcome, "closed"))
    turn()
    nested = Nested()
    qt_core.QTimer.singleShot(0, lambda: (leaving.close(), nested.quit()))
    nested.exec()
    assert mine.cancelled() and outcome[1:] == ["closed"]
    assert asyncio.get_running_loop() is other.loop


def test_one_may_leave_while_another_waits_for_its_tasks(attach: Attach) -> None:
    path: list[str] = []
    first, second, third = attach(), attach(), attach()
    loop = first.open()
    second.open(), third.open()

    async def work() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            left = asyncio.Event()

            def leave() -> None:
                second.close()
                path.append("second has left")
                left.set()

            qt_core.QTimer.singleShot(0, leave)
            await left.wait()
            path.append("first")

    tasks = [first.create_task(work()), second.create_task(stay(path, "second"))]
    staying = third.create_task(stay(path, "third"))
    turn()
    first.close()
    assert sorted(path) == ["first", "second", "second has left"]
    assert all(task.cancelled() for task in tasks)
    turn()
    assert not staying.done() and asyncio.get_running_loop() is loop
    third.close()
    assert loop.is_closed() and path[3:] == ["third"]


@pytest.mark.parametrize("comes", [False, True], ids=["all leave", "another comes"])
def test_the_last_may_leave_while_another_waits(attach: Attach, comes: bool) -> None:
    path: list[str] = []
    first, second, third = attach(), attach(), attach()
    loop = first.open()
    second.open()

    async def work() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            left = asyncio.Event()

            def change() -> None:
                if comes:
                    assert third.open() is loop
                second.close()
                left.set()

            qt_core.QTimer.singleShot(0, change)
            await left.wait()

    first.create_task(work())
    of_nobody = asyncio.ensure_future(stay(path, "nobody's"))
    turn()
    first.close()
    assert loop.is_closed() is not comes
    assert path == ([] if comes else ["nobody's"]) and of_nobody.cancelled() is not comes
    if comes:
        assert asyncio.get_running_loop() is loop
        turn()
        third.close()
    assert loop.is_closed() and of_nobody.cancelled() and path == ["nobody's"]


def test_nobody_comes_while_the_last_one_leaves(attach: Attach) -> None:
    outcome: list[str] = []
    attachment, late = attach(), attach()

    async def work() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            tried = asyncio.Event()

            def come() -> None:
                try:
                    late.open()
                except RuntimeError as error:
                    outcome.append(str(error))
                tried.set()

            qt_core.QTimer.singleShot(0, come)
            await tried.wait()

    loop = attachment.open()
    attachment.create_task(work())
    turn()
    attachment.close()
    assert outcome == ["the loop that is attached to this thread is just being closed"]
    assert loop.is_closed()
    with late as another:
        assert another is not loop


def test_an_exit_in_a_callback_is_raised_once(attach: Attach) -> None:
    def leave() -> None:
        raise SystemExit(3)

    first, second = attach(), attach()
    loop = first.open()
    second.open()
    task = second.create_task(stay([], ""))
    execute(lambda quit: loop.call_soon(leave) and None)
    with pytest.raises(SystemExit):
        first.close()
    turn()
    assert not task.done() and asyncio.get_running_loop() is loop
    second.close()
    assert task.cancelled() and loop.is_closed()


def test_with_blocks_share_too(attach: Attach) -> None:
    with attach() as outer:
        task = asyncio.ensure_future(stay([], ""))
        with attach() as inner:
            assert inner is outer
        turn()
        assert not task.done()
    assert task.cancelled() and outer.is_closed()


def test_guests_share_too(attach: Attach) -> None:
    path: list[str] = []

    async def main() -> None:
        host = asyncio.get_running_loop()
        first, second = attach(), attach()
        loop = first.open()
        assert second.open() is loop
        tasks = [first.create_task(stay(path, "first")), second.create_task(stay(path, "second"))]
        turn()
        first.close()
        assert asyncio.get_running_loop() is host and asyncio.current_task() is not None
        assert path == ["first"]
        turn()
        assert not tasks[1].done() and qtloop.current() is loop
        second.close()
        assert path == ["first", "second"] and loop.is_closed()
        await asyncio.sleep(0)

    asyncio.run(main())


def test_current_finds_the_loop_of_this_thread(attach: Attach) -> None:
    def complaint() -> str:
        with pytest.raises(RuntimeError) as raised:
            qtloop.current()
        return str(raised.value)

    missing = "no loop of qtloop's runs in this thread or is attached to it"
    assert complaint() == missing

    async def inside() -> Any:
        return qtloop.current(), asyncio.get_running_loop()

    with attach() as loop:
        assert qtloop.current() is loop
        seen: list[str] = []
        thread = threading.Thread(target=lambda: seen.append(complaint()))
        thread.start()
        thread.join()
        assert seen == [missing]
    assert complaint() == missing

    async def stranger() -> None:
        assert complaint() == missing
        with attach() as loop:
            assert qtloop.current() is loop

    asyncio.run(stranger())
    with attach(guest=True) as loop:
        assert qtloop.current() is loop
    found, running = qtloop.run(inside()) or (None, None)
    assert found is running is not None


def test_the_context_of_the_caller_is_inherited(attach: Attach) -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable")
    variable.set(1)

    async def read() -> int:
        variable.set(variable.get() + 1)
        return variable.get()

    with attach() as loop:
        attachment = attach()
        assert attachment.open() is loop
        task = attachment.create_task(read(), name="reader")
        turn()
        assert task.result() == 2 and task.get_name() == "reader" and variable.get() == 1


def test_nobody_need_keep_a_task(attach: Attach) -> None:
    attachment = attach()
    attachment.open()
    attachment.create_task(stay([], ""))
    gc.collect()
    turn()
    assert len(asyncio.all_tasks()) == 1


def test_nothing_keeps_what_has_left(attach: Attach, qt_loop_factory: Any) -> None:
    first, second = (qtloop.attach(loop_factory=qt_loop_factory) for _ in range(2))
    loop = first.open()
    second.open()
    first.create_task(stay([], ""))
    turn()
    first.close()
    second.close()
    gone = [weakref.ref(thing) for thing in (loop, first, second)]
    del loop, first, second
    gc.collect()
    assert [ref() for ref in gone] == [None] * 3


def test_each_thread_has_a_loop_of_its_own(attach: Attach, qt_loop_factory: Any) -> None:
    loops: list[Any] = []

    class Worker(qt_core.QThread):  # type: ignore[misc]
        def run(self) -> None:
            with (
                qtloop.attach(loop_factory=qt_loop_factory) as loop,
                qtloop.attach(loop_factory=qt_loop_factory) as same,
            ):
                loops.extend([loop, same])
                task = loop.create_task(self.work())
                _qt.execute(self)
                loops.append(task.result())

        async def work(self) -> str:
            await asyncio.sleep(0.001)
            self.quit()
            return "done"

    with attach() as loop:
        worker = Worker()
        worker.start()
        assert worker.wait(10_000)
        assert loops[0] is loops[1] and loops[0] is not loop and loops[2] == "done"


def test_ctrl_c_while_one_leaves_is_raised_and_the_others_stay(name: str) -> None:
    outcome = child.run(
        """
        async def stubborn():
            try:
                await asyncio.Event().wait()
            finally:
                loop.call_soon(lambda: print("ready", flush=True))
                await asyncio.Event().wait()

        async def tick():
            await asyncio.sleep(0.001)
            app.quit()

        app = qt_core.QCoreApplication([])
        first, second = qtloop.attach(), qtloop.attach()
        first.open()
        loop = second.open()
        task = first.create_task(stubborn())
        loop.call_soon(app.quit)
        _qt.execute(app)
        try:
            first.close()
        except KeyboardInterrupt:
            print("KeyboardInterrupt", task.cancelled())
        ticking = second.create_task(tick())
        _qt.execute(app)
        print(ticking.done(), asyncio.get_running_loop() is loop)
        second.close()
        print(loop.is_closed())
        """,
        name,
        send=child.signal.SIGINT,
    )
    assert outcome.out.splitlines() == [
        "KeyboardInterrupt True",
        "True True",
        "True",
    ], outcome.err
