"""Windows that ask a coroutine before they close."""

import asyncio
import gc
import sys
import weakref
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from python.support.loops import Errors, LoopFactory, opened, qt_core, run_briefly
from python.support.objects import delete, delete_later

import qtloop
from qtloop import _qobjects, _qt
from qtloop._close_event import close_event
from qtloop._dialogs import opened as dialog_opened

from .conftest import qt_widgets

DELETE_ON_CLOSE = qt_core.Qt.WidgetAttribute.WA_DeleteOnClose


class Question:
    """Asked by a window; a test answers it."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.answers: list[asyncio.Future[Any]] = []

    async def ask(self) -> Any:
        self.steps.append("asked")
        answer = asyncio.get_running_loop().create_future()
        self.answers.append(answer)
        try:
            return await answer
        except asyncio.CancelledError:
            self.steps.append("cancelled")
            raise

    async def answer(self, value: object) -> None:
        """Answers it, and waits until the window has acted on that."""
        self.answers.pop().set_result(value)
        await settled()


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


class Plain(qt_widgets.QMainWindow):  # type: ignore[misc]
    """Notes the close events that it gets."""

    def __init__(self, question: Question) -> None:
        super().__init__()
        self.question = question

    def closeEvent(self, event: Any) -> None:
        self.question.steps.append("closed")
        super().closeEvent(event)


class Editor(Plain):
    @close_event
    async def closeEvent(self) -> Any:
        return await self.question.ask()


@pytest.fixture
def question() -> Question:
    return Question()


@pytest.fixture
def window(question: Question) -> Iterator[Any]:
    window = Editor(question)
    window.show()
    yield window
    if not _qobjects.is_deleted(window):
        window.hide()


CLOSES: dict[str, Callable[[Any], object]] = {
    "code": lambda window: window.close(),
    "title bar": lambda window: window.windowHandle().close(),
}


@pytest.mark.parametrize("close", CLOSES)
@pytest.mark.parametrize("answer", [True, None, 0])
async def test_a_window_closes_once_the_answer_is_there(
    qt_loop: AbstractEventLoop, window: Any, question: Question, close: str, answer: object
) -> None:
    CLOSES[close](window)
    await settled()
    assert window.isVisible() and question.steps == ["asked"]
    await question.answer(answer)
    assert not window.isVisible() and question.steps == ["asked", "closed"]


async def test_a_window_remains_if_the_answer_is_false(
    qt_loop: AbstractEventLoop, window: Any, question: Question
) -> None:
    for _ in range(3):
        assert not window.close()
        await settled()
        await question.answer(False)
        assert window.isVisible()
    assert question.steps == ["asked"] * 3


async def test_it_asks_each_time(
    qt_loop: AbstractEventLoop, window: Any, question: Question
) -> None:
    """A permission is for one event."""
    for _ in range(3):
        window.show()
        window.close()
        await settled()
        assert window.isVisible()
        await question.answer(True)
        assert not window.isVisible()
    assert question.steps == ["asked", "closed"] * 3


async def test_it_asks_once_at_a_time(
    qt_loop: AbstractEventLoop, window: Any, question: Question
) -> None:
    for _ in range(3):
        assert not window.close()
        await settled()
        assert not window.close()
    assert question.steps == ["asked"]
    await question.answer(True)
    assert question.steps == ["asked", "closed"]


async def test_the_coroutine_starts_after_the_event(
    qt_loop: AbstractEventLoop, window: Any, question: Question
) -> None:
    """So it is not inside Qt's closing of the window."""
    window.close()
    assert question.steps == []
    await settled()
    assert question.steps == ["asked"]
    await question.answer(False)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Python 3.12 has eager tasks")
async def test_an_eager_task_closes_the_window_too(qt_loop: AbstractEventLoop) -> None:
    class Quick(qt_widgets.QWidget):  # type: ignore[misc]
        @close_event
        async def closeEvent(self) -> None:
            pass

    qt_loop.set_task_factory(asyncio.eager_task_factory)
    window = Quick()
    window.show()
    window.close()
    await settled()
    assert not window.isVisible()


async def test_an_exception_is_reported_and_the_window_remains(
    qt_loop: AbstractEventLoop, window: Any, question: Question, errors: Errors
) -> None:
    window.close()
    await settled()
    question.answers.pop().set_exception(LookupError("cannot save"))
    await settled()
    context = errors.pop()
    assert isinstance(context["exception"], LookupError)
    assert context["message"] == f"Exception while a {type(window).__name__} was to be closed"
    assert window.isVisible()
    window.close()
    await settled()
    await question.answer(True)
    assert not window.isVisible()


async def test_a_cancelled_future_decides_nothing(
    qt_loop: AbstractEventLoop, window: Any, question: Question
) -> None:
    """Say, a dialog's, which somebody else has cancelled."""
    for _ in range(2):
        window.close()
        await settled()
        question.answers.pop().cancel()
        await settled()
        assert window.isVisible()
    assert question.steps == ["asked", "cancelled"] * 2


@pytest.mark.parametrize("deletion", [delete, delete_later])
async def test_destroying_the_window_cancels_the_question(
    qt_loop: AbstractEventLoop, window: Any, question: Question, deletion: Callable[[Any], None]
) -> None:
    window.close()
    await settled()
    deletion(window)
    await asyncio.sleep(0.001)
    await settled()
    assert question.steps == ["asked", "cancelled"]


async def test_a_window_that_is_destroyed_at_once_does_not_ask(
    qt_loop: AbstractEventLoop, window: Any, question: Question
) -> None:
    window.close()
    delete(window)
    await settled()
    assert question.steps == []


async def test_an_answer_after_the_window_is_gone_does_nothing(qt_loop: AbstractEventLoop) -> None:
    answered: list[bool] = []

    class Insistent(qt_widgets.QWidget):  # type: ignore[misc]
        @close_event
        async def closeEvent(self) -> bool:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                answered.append(True)
            return True

    window = Insistent()
    window.close()
    await settled()
    delete(window)
    await settled()
    assert answered == [True]


async def test_closing_may_delete_the_window(
    qt_loop: AbstractEventLoop, window: Any, question: Question
) -> None:
    window.setAttribute(DELETE_ON_CLOSE)
    window.close()
    await settled()
    await question.answer(True)
    await asyncio.sleep(0.001)
    assert _qobjects.is_deleted(window)


async def test_the_answer_may_be_a_dialogs(qt_loop: AbstractEventLoop) -> None:
    class Asking(qt_widgets.QWidget):  # type: ignore[misc]
        @close_event
        async def closeEvent(self) -> bool:
            self.box = qt_widgets.QMessageBox(self)
            self.box.setStandardButtons(self.box.StandardButton.Yes | self.box.StandardButton.No)
            return bool(await dialog_opened(self.box) == self.box.StandardButton.Yes)

    window = Asking()
    window.show()
    for answer in ("No", "Yes"):
        assert window.isVisible()
        window.close()
        await settled()
        assert window.box.isVisible()
        window.box.button(getattr(window.box.StandardButton, answer)).click()
        await settled()
    assert not window.isVisible()


async def test_the_base_class_gets_the_event_that_closes(qt_loop: AbstractEventLoop) -> None:
    """A QDialog is rejected by it."""

    class Dialog(qt_widgets.QDialog):  # type: ignore[misc]
        @close_event
        async def closeEvent(self) -> None:
            await asyncio.sleep(0)

    dialog = Dialog()
    waiting = asyncio.ensure_future(dialog_opened(dialog))
    await settled()
    dialog.close()
    assert dialog.isVisible()
    assert await waiting == 0


async def test_the_base_class_may_be_asked_too(
    qt_loop: AbstractEventLoop, question: Question
) -> None:
    class Careful(Editor):
        @close_event
        async def closeEvent(self) -> bool:
            question.steps.append("first")
            return bool(await super().closeEvent())

    window = Careful(question)
    window.show()
    window.close()
    await settled()
    await question.answer(True)
    assert question.steps == ["first", "asked", "closed"]
    assert not window.isVisible()


def test_without_a_loop_it_closes_at_once(window: Any, question: Question) -> None:
    assert window.close()
    assert not window.isVisible() and question.steps == ["closed"]


def test_another_loop_asks_again(
    qt_loop_factory: LoopFactory, window: Any, question: Question
) -> None:
    """The first one was closed with the question open."""
    with opened(qt_loop_factory) as loop:
        loop.call_soon(window.close)
        run_briefly(loop)
        run_briefly(loop)
        (task,) = asyncio.all_tasks(loop)
        task._log_destroy_pending = False  # type: ignore[attr-defined]
    with opened(qt_loop_factory) as loop:

        async def main() -> None:
            window.close()
            await settled()
            await question.answer(True)

        loop.run_until_complete(main())
    assert not window.isVisible()


def test_a_method_of_the_wrong_form_is_refused_with_a_word_on_what_to_do() -> None:
    async def with_event(self: Any, event: Any) -> None: ...

    async def with_nothing() -> None: ...

    for method, form in ((with_event, r"with_event\(self: .*, event"), (with_nothing, r"\(\)")):
        with pytest.raises(TypeError, match=rf"self alone, not .*{form}.*: .* return False"):
            close_event(method)  # type: ignore[arg-type]


@pytest.fixture
def quits(application: Any) -> Iterator[None]:
    """The application quits when its last window is closed."""
    application.setQuitOnLastWindowClosed(True)
    yield
    application.setQuitOnLastWindowClosed(False)


def run(main: Any, factory: Any) -> Any:
    return qtloop.run(main, loop_factory=factory)


def test_the_application_quits_after_the_last_window(
    qt_loop_factory: LoopFactory, quits: None, window: Any, question: Question
) -> None:
    async def main() -> str:
        window.close()
        await settled()
        await asyncio.sleep(0.005)
        question.steps.append("still running")
        question.answers.pop().set_result(True)
        await asyncio.Event().wait()
        return "not to be reached"

    assert run(main(), qt_loop_factory) is None
    assert question.steps == ["asked", "still running", "closed"]


@pytest.mark.skipif(
    _qt.version(qt_core).startswith("5"), reason="Qt 5 quits without asking the windows"
)
def test_quitting_waits_for_the_answer(
    qt_loop_factory: LoopFactory, quits: None, window: Any, question: Question
) -> None:
    async def main() -> None:
        qt_core.QCoreApplication.quit()
        await asyncio.sleep(0.005)
        assert window.isVisible()
        question.steps.append("still running")
        question.answers.pop().set_result(True)
        await asyncio.Event().wait()

    assert run(main(), qt_loop_factory) is None
    assert question.steps == ["asked", "still running", "closed"]


@pytest.mark.skipif(
    _qt.version(qt_core).startswith("5"), reason="Qt 5 quits without asking the windows"
)
def test_a_quit_is_not_resumed_while_other_windows_are_open(
    qt_loop_factory: LoopFactory, quits: None, window: Any, question: Question
) -> None:
    other = qt_widgets.QWidget()
    other.show()

    async def main() -> str:
        qt_core.QCoreApplication.quit()
        await asyncio.sleep(0.005)
        other.show()  # Qt closes windows in no particular order, until one does not.
        question.answers.pop().set_result(True)
        await asyncio.sleep(0.005)
        assert not window.isVisible()
        return "still running"

    assert run(main(), qt_loop_factory) == "still running"
    other.close()


def test_a_loop_that_ends_asks_no_more(
    qt_loop_factory: LoopFactory, window: Any, question: Question
) -> None:
    async def linger() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.001)
            question.steps.append("closes" if window.close() else "does not close")

    async def main() -> None:
        lingering.append(asyncio.ensure_future(linger()))
        window.close()
        await settled()
        qt_core.QCoreApplication.exit(0)
        await asyncio.Event().wait()

    lingering: list[asyncio.Future[None]] = []
    assert run(main(), qt_loop_factory) is None
    assert question.steps == ["asked", "cancelled", "closed", "closes"]


def test_what_a_closed_loop_left_open_is_garbage(qt_loop_factory: LoopFactory) -> None:
    """The window is destroyed by the garbage collector, with the question it has asked."""

    def use() -> weakref.ref[Any]:
        window = Editor(Question())
        with opened(qt_loop_factory) as loop:
            loop.call_soon(window.close)
            run_briefly(loop)
            run_briefly(loop)
            (task,) = asyncio.all_tasks(loop)
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        return weakref.ref(window)

    weak = use()
    gc.collect()
    assert weak() is None


@pytest.mark.parametrize("answer", [True, False])
async def test_the_window_and_the_task_die_after_use(
    qt_loop: AbstractEventLoop, answer: bool
) -> None:
    async def use() -> list[weakref.ref[Any]]:
        question = Question()
        window = Editor(question)
        window.show()
        before = asyncio.all_tasks()
        window.close()
        await settled()
        (task,) = asyncio.all_tasks() - before
        await question.answer(answer)
        window.hide()
        return [weakref.ref(window), weakref.ref(task)]

    weak = await use()
    await asyncio.sleep(0.001)
    gc.collect()
    assert [reference() for reference in weak] == [None, None]
