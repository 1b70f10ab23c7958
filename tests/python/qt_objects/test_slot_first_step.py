"""The first step of an async slot, which runs while Qt makes the call."""

import asyncio
import contextvars
from asyncio import AbstractEventLoop
from typing import Any

import pytest

import qtloop
from qtloop._slots import slot

from ..support import child
from ..support.loops import Errors, LoopFactory, opened, qt_core
from ..support.nested_loop import Nested
from ..support.objects import Sender, Slot, delete, settle

pytestmark = pytest.mark.usefixtures("no_exception_in_a_slot")

variable = contextvars.ContextVar("variable", default="outside")


class Receiver(qt_core.QObject):  # type: ignore[misc]
    """Notes who sent what its slots are called for."""

    def __init__(self) -> None:
        super().__init__()
        self.senders: list[Any] = []

    @slot
    async def bare(self) -> None:
        self.senders.append(self.sender())
        await asyncio.sleep(0)
        self.senders.append("end")

    @Slot()
    @slot(reentry="ignore")
    async def decorated(self) -> None:
        self.senders.append(self.sender())

    @slot(reentry="restart")
    async def restart(self) -> None:
        self.senders.append(self.sender())
        await asyncio.sleep(0.001)
        self.senders.append("end")

    @slot(reentry="queue")
    async def queue(self) -> None:
        # A call that has waited is in no slot's call, where PyQt may give what is gone for the
        # sender.
        self.senders.append("waited" if self.senders else self.sender())
        await asyncio.sleep(0)
        self.senders.append("end")


SLOTS = ["bare", "decorated", "restart", "queue"]


@pytest.mark.parametrize("name", SLOTS)
async def test_the_sender_is_known(qt_loop: AbstractEventLoop, name: str) -> None:
    sender, receiver = Sender(), Receiver()
    sender.plain.connect(getattr(receiver, name))
    sender.plain.emit()
    assert receiver.senders == [sender]
    await asyncio.sleep(0.01)
    assert receiver.senders == ([sender] if name == "decorated" else [sender, "end"])


@pytest.mark.parametrize("name", SLOTS)
async def test_the_sender_is_known_in_a_nested_loop(qt_loop: AbstractEventLoop, name: str) -> None:
    outer, inner = Sender(), Sender()
    receiver = Receiver()
    inner.plain.connect(getattr(receiver, name))

    def nest() -> None:
        nested = Nested()
        qt_core.QTimer.singleShot(0, inner.plain.emit)
        qt_core.QTimer.singleShot(20, nested.quit)
        nested.exec()

    outer.plain.connect(nest)
    outer.plain.emit()
    assert receiver.senders[0] is inner


@pytest.mark.parametrize("name", SLOTS)
def test_the_sender_is_known_between_turns(qt_loop_factory: LoopFactory, name: str) -> None:
    sender, receiver = Sender(), Receiver()
    sender.plain.connect(getattr(receiver, name))
    with opened(qt_loop_factory) as loop:
        qt_core.QTimer.singleShot(0, sender.plain.emit)
        loop.call_later(0.05, loop.stop)
        loop.run_forever()
    assert receiver.senders[0] is sender


async def test_a_call_that_waits_begins_when_the_one_before_it_has_ended(
    qt_loop: AbstractEventLoop,
) -> None:
    sender, receiver = Sender(), Receiver()
    sender.plain.connect(receiver.queue)
    sender.plain.emit()
    sender.plain.emit()
    await settle()
    assert receiver.senders == [sender, "end", "waited", "end"]


async def test_the_task_is_the_current_one_and_gives_way(qt_loop: AbstractEventLoop) -> None:
    seen: list[Any] = []

    @slot
    async def work() -> None:
        seen.append((asyncio.current_task(), variable.get(), asyncio.get_running_loop()))
        variable.set("inside")
        await asyncio.sleep(0)
        seen.append((asyncio.current_task(), variable.get(), asyncio.get_running_loop()))

    me = asyncio.current_task()
    variable.set("caller")
    task = work()
    assert asyncio.current_task() is me and variable.get() == "caller"
    await task
    assert seen == [(task, "caller", qt_loop), (task, "inside", qt_loop)]


async def test_it_opens_a_nested_loop(qt_loop: AbstractEventLoop) -> None:
    log: list[Any] = []

    async def other() -> None:
        variable.set("other")
        log.append(("other", asyncio.current_task() is task))

    @slot
    async def work() -> None:
        variable.set("work")
        nested = Nested()
        task.add_done_callback(lambda _: nested.quit())
        nested.exec()
        log.append((variable.get(), asyncio.current_task() is not task))

    variable.set("caller")
    task = asyncio.create_task(other())
    await work()
    assert log == [("other", True), ("work", True)] and variable.get() == "caller"


async def test_what_it_raises_at_once_is_reported(
    qt_loop: AbstractEventLoop, errors: Errors
) -> None:
    @slot
    async def failing() -> None:
        raise LookupError("reason")

    task = failing()
    assert task is not None and task.done() and not errors
    await settle()
    (context,) = errors
    errors.clear()
    assert repr(context["exception"]) == "LookupError('reason')" and context["task"] is task


async def test_a_call_in_the_first_step_finds_it_running(qt_loop: AbstractEventLoop) -> None:
    results: list[Any] = []

    @slot(reentry="ignore")
    async def work(sender: Any) -> None:
        results.append("begun")
        results.append(work(sender))

    await work(None)
    assert results == ["begun", None]


async def test_its_object_is_destroyed_by_it(qt_loop: AbstractEventLoop) -> None:
    class Suicidal(qt_core.QObject):  # type: ignore[misc]
        @slot
        async def work(self) -> None:
            delete(self)
            await asyncio.sleep(100)

    task = Suicidal().work()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_calls_may_nest_deeply(qt_loop: AbstractEventLoop) -> None:
    begun: list[int] = []

    @slot
    async def work(depth: int) -> None:
        begun.append(depth)
        if depth < 1000:
            work(depth + 1)

    work(0)
    assert 0 < len(begun) < 1000
    while len(begun) < 1001:
        await asyncio.sleep(0)
    assert begun == [*range(1001)]


async def test_a_task_factory_that_begins_by_itself(qt_loop: AbstractEventLoop) -> None:
    log: list[Any] = []

    def factory(loop: Any, coroutine: Any, **options: Any) -> Any:
        log.append("factory")
        return asyncio.Task(coroutine, loop=loop, **options)

    @slot
    async def work() -> None:
        log.append(1)
        await asyncio.sleep(0)
        log.append(2)

    qt_loop.set_task_factory(factory)
    task = work()
    qt_loop.set_task_factory(None)
    assert log == ["factory", 1]
    await task
    assert log == ["factory", 1, 2]


def test_a_guest_s_slot_is_on_the_guest() -> None:
    async def main() -> list[Any]:
        seen: list[Any] = []
        host = asyncio.get_running_loop()
        sender = Sender()

        @slot
        async def work() -> None:
            seen.append(asyncio.get_running_loop())
            await asyncio.sleep(0.001)
            seen.append(asyncio.get_running_loop())

        with qtloop.attach() as loop:
            sender.plain.connect(work)
            sender.plain.emit()
            assert asyncio.get_running_loop() is host
            while len(seen) < 2:
                qt_core.QCoreApplication.processEvents()
        return [it is loop for it in seen]

    loop = asyncio.SelectorEventLoop()
    assert loop.run_until_complete(main()) == [True, True]
    loop.close()


@pytest.mark.parametrize("error", ["SystemExit(5)", "KeyboardInterrupt()"])
def test_it_may_end_the_run(name: str, error: str) -> None:
    program = f"""
        from qtloop import slot
        @slot
        async def work():
            raise {error}
        async def main():
            print("calls", work() is not None)
            await asyncio.sleep(100)
        try:
            qtloop.run(main())
        except BaseException as error:
            print(repr(error))
    """
    outcome = child.run(program, name)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == f"calls True\n{error}\n"
