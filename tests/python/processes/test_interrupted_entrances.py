"""The handler of a signal may raise its exception at any line of the package's that Qt has called.

Then nothing is lost or done twice: what Qt has told is dealt with, and the exception leaves the
run.
"""

import asyncio
import gc
import inspect
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

import qtloop
from qtloop import _posted_calls

from ..support.loops import OURS, LoopFactory, opened, qt_core
from ..support.objects import Sender, deleter
from .test_interrupted_anywhere import CtrlC, Deleted, Interrupt, Tracer

#: A C function: nothing of it is traced.
delete = deleter()


class OutsideOfTasks(Tracer):
    """Leaves coroutines alone: what is raised in one is its task's."""

    def __call__(self, frame: FrameType, event: str, arg: object) -> Any:
        is_coroutine = frame.f_code.co_flags & inspect.CO_COROUTINE
        return None if is_coroutine else super().__call__(frame, event, arg)


#: Turns that what was told may take to be dealt with.
PATIENCE = 50


@pytest.fixture(autouse=True)
def only_its_own_lines() -> Iterator[None]:
    """What an earlier test has left is freed before, and not in the midst of what is traced."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture(autouse=True)
def unseen(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing reaches the binding, which would print it or end the process."""
    seen: list[Any] = []
    monkeypatch.setattr(sys, "excepthook", lambda *error: seen.append(error))
    monkeypatch.setattr(sys, "unraisablehook", seen.append)
    yield
    assert not seen


class Scene:
    """Something that Qt tells the package of, in `told`; `outcome` is what comes of it."""

    async def prepare(self) -> None:
        """What comes before."""

    def told(self) -> object:
        raise NotImplementedError

    async def outcome(self) -> object:
        raise NotImplementedError


class AnEmission(Scene):
    async def prepare(self) -> None:
        self.sender = Sender()
        self.waiter = asyncio.ensure_future(qtloop.emitted(self.sender.number))
        await asyncio.sleep(0)

    def told(self) -> None:
        self.sender.number.emit(7)

    async def outcome(self) -> object:
        return await self.waiter


class Emissions(Scene):
    """Of which the oldest are dropped."""

    async def prepare(self) -> None:
        self.sender = Sender()
        self.stream = qtloop.emissions(self.sender.number, maxsize=2, overflow="drop-oldest")

    def told(self) -> None:
        for number in range(4):
            self.sender.number.emit(number)

    async def outcome(self) -> object:
        return [await anext(self.stream) for _ in range(2)]


class TooManyEmissions(Emissions):
    async def prepare(self) -> None:
        self.sender = Sender()
        self.stream = qtloop.emissions(self.sender.number, maxsize=2)

    async def outcome(self) -> object:
        numbers = []
        try:
            async for number in self.stream:
                numbers.append(number)
        except qtloop.EmissionsOverflow:
            numbers.append("overflow")
        return numbers


class TheSendersEnd(Scene):
    async def prepare(self) -> None:
        self.sender = Sender()
        self.waiter = asyncio.ensure_future(qtloop.emitted(self.sender.number))
        await asyncio.sleep(0)

    def told(self) -> None:
        delete(self.sender)

    async def outcome(self) -> object:
        return repr(await asyncio.gather(self.waiter, return_exceptions=True))


class TheOwnersEnd(Scene):
    async def prepare(self) -> None:
        self.owner = qt_core.QObject()
        sleep = asyncio.Event().wait
        self.tasks = [qtloop.create_task(sleep(), owner=self.owner) for _ in range(3)]
        await asyncio.sleep(0)

    def told(self) -> None:
        delete(self.owner)

    async def outcome(self) -> object:
        await asyncio.wait(self.tasks)
        return [(task.cancelled(), task.cancelling()) for task in self.tasks]


class AnOperation(Scene):
    async def prepare(self) -> None:
        self.sender = Sender()
        self.waiter = asyncio.ensure_future(qtloop.completed(self.sender, self.sender.number))
        await asyncio.sleep(0)

    def told(self) -> None:
        self.sender.number.emit(7)

    async def outcome(self) -> object:
        try:
            return await self.waiter
        except (Interrupt, CtrlC, Deleted):
            return 7  # What it asks the program for was interrupted: that is the operation's end.


class AnOperationThatFails(AnOperation):
    async def prepare(self) -> None:
        self.sender = Sender()
        self.waiter = asyncio.ensure_future(
            qtloop.completed(self.sender, failed=self.sender.number)
        )
        await asyncio.sleep(0)

    async def outcome(self) -> object:
        try:
            return await self.waiter
        except (qtloop.QtError, Interrupt, CtrlC, Deleted):
            return 7


class AnOperationWhoseObjectGoes(AnOperationThatFails):
    def told(self) -> None:
        delete(self.sender)

    async def outcome(self) -> object:
        try:
            return await self.waiter
        except (qtloop.SenderDestroyed, Interrupt, CtrlC, Deleted):
            return 7


class ASlot(Scene):
    """Of each kind of reentry, called twice."""

    reentry: Any = "parallel"

    async def prepare(self) -> None:
        self.ran: list[Any] = []
        self.sender = Sender()

        @qtloop.slot(reentry=self.reentry)
        async def slot(number: int) -> None:
            try:
                self.ran.append(number)
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            except asyncio.CancelledError:
                self.ran.append("cancelled")
                raise
            self.ran.append("ended")

        self.slot = slot
        self.sender.number.connect(slot)

    def told(self) -> None:
        self.sender.number.emit(1)
        self.sender.number.emit(2)

    async def outcome(self) -> object:
        for _ in range(PATIENCE):
            await asyncio.sleep(0)
        self.slot(3)
        for _ in range(PATIENCE):
            await asyncio.sleep(0)
        return self.ran


class ASlotThatIgnores(ASlot):
    reentry = "ignore"


class ASlotThatRestarts(ASlot):
    reentry = "restart"


class ASlotThatQueues(ASlot):
    reentry = "queue"


class AMethodAsSlot(Scene):
    async def prepare(self) -> None:
        ran = self.ran = list[object]()

        class Receiver(qt_core.QObject):  # type: ignore[misc]
            @qtloop.slot
            async def receive(self, number: int) -> None:
                ran.append(number)
                await asyncio.Event().wait()

        self.sender, self.receiver = Sender(), Receiver()
        self.sender.number.connect(self.receiver.receive)

    def told(self) -> None:
        self.sender.number.emit(1)

    async def outcome(self) -> object:
        await asyncio.sleep(0)
        # Not that of `wait_for` on Python 3.11.
        tasks = [task for task in asyncio.all_tasks() if "receive" in repr(task.get_coro())]
        delete(self.receiver)
        await asyncio.wait(tasks)
        return self.ran, [(task.cancelled(), task.cancelling()) for task in tasks]


class APostedCall(Scene):
    """That `opened` makes, when control is back in Qt's event loop."""

    async def prepare(self) -> None:
        self.calls: list[str] = []

    def told(self) -> None:
        caller = _posted_calls.call_next(lambda: self.calls.append("called"))
        qt_core.QCoreApplication.sendPostedEvents(caller)

    async def outcome(self) -> object:
        return self.calls[:1]


SCENES: list[type[Scene]] = [
    AnEmission,
    Emissions,
    TooManyEmissions,
    TheSendersEnd,
    TheOwnersEnd,
    AnOperation,
    AnOperationThatFails,
    AnOperationWhoseObjectGoes,
    ASlot,
    ASlotThatIgnores,
    ASlotThatRestarts,
    ASlotThatQueues,
    AMethodAsSlot,
]


def play(factory: LoopFactory, scene: Scene, tracer: Tracer) -> tuple[object, BaseException | None]:
    """What comes of the scene, and what the loop's run has raised when Qt has told."""
    raised: list[BaseException] = []
    with opened(factory) as loop:
        loop.run_until_complete(scene.prepare())
        # Qt tells in its own event loop, with no task around.
        qt_core.QTimer.singleShot(0, lambda: tracer.call(scene.told))
        stop = loop.call_later(0.002, loop.stop)
        try:
            loop.run_forever()
        except BaseException as error:
            raised.append(error)
        stop.cancel()
        result = loop.run_until_complete(asyncio.wait_for(scene.outcome(), 10))
    return result, raised[0] if raised else None


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("kind", [Interrupt, CtrlC, Deleted])
def test_an_exception_at_any_line_that_qt_has_called(
    scene: type[Scene], kind: type[BaseException]
) -> None:
    factory = next(iter(OURS.values()))
    # What is imported, and made once, is there from now on.
    play(factory, scene(), OutsideOfTasks())
    counter = OutsideOfTasks()
    expected, raised = play(factory, scene(), counter)
    assert raised is None
    for nth in range(1, counter.lines + 1):
        error = kind(nth)
        tracer = OutsideOfTasks(nth, error)
        result, raised = play(factory, scene(), tracer)
        assert result == expected, tracer.place
        if raised is None:
            # Only an operation may have it for its outcome.
            assert issubclass(scene, AnOperation), f"lost at {tracer.place}"
        else:
            assert raised is error, tracer.place
