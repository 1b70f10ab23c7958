"""The inspector's window."""

import asyncio
import gc
import importlib
import logging
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from python.support import child
from python.support.loops import LoopFactory, opened, qt_core, run_briefly
from python.support.objects import delete, delete_later

from qtloop import EventLoop, _qobjects, _qt, inspector
from qtloop.inspector import _window

from .conftest import qt_widgets

qt_gui: Any = importlib.import_module(f"{_qt.binding()}.QtGui")
qt_test: Any = importlib.import_module(f"{_qt.binding()}.QtTest")

Modifier = qt_core.Qt.KeyboardModifier


@pytest.fixture(autouse=True)
def nothing_fails(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """What fails in the inspector is logged."""
    yield
    messages = [it.getMessage() for it in caplog.get_records("call")]
    assert "the inspector failed" not in messages


async def waits(event: asyncio.Event) -> None:
    await event.wait()


def texts(item: Any) -> list[str]:
    return [item.text(column) for column in range(item.columnCount())]


def rows(view: Any) -> list[tuple[int, str]]:
    """The depth and the first text of each row."""
    found = []
    iterator = qt_widgets.QTreeWidgetItemIterator(view)
    while (item := iterator.value()) is not None:
        depth, above = 0, item.parent()
        while above is not None:
            depth, above = depth + 1, above.parent()
        found.append((depth, item.text(0)))
        iterator += 1
    return found


def tab(window: Any, name: str) -> Any:
    """Brings a tab to the front."""
    titles = [window.tabs.tabText(it).replace("&", "") for it in range(window.tabs.count())]
    window.tabs.setCurrentIndex(titles.index(name))
    return window.tabs.currentWidget()


def watchers() -> list[threading.Thread]:
    return [it for it in threading.enumerate() if it.name == "qtloop-watchdog"]


async def gone(window: Any) -> None:
    while not _qobjects.is_deleted(window):
        await asyncio.sleep(0.001)


async def test_the_tree_of_tasks(qt_loop: EventLoop) -> None:
    event = asyncio.Event()

    async def gathers() -> None:
        names = ("first", "second", "<b>third</b>")
        await asyncio.gather(*(asyncio.create_task(waits(event), name=it) for it in names))

    task = asyncio.create_task(gathers(), name="gathers")
    await asyncio.sleep(0.01)
    window = inspector.show()
    tree = window.tasks._tree
    shown = rows(tree)
    start = shown.index((0, "gathers"))
    assert shown[start : start + 4] == [
        (0, "gathers"),
        (1, "<b>third</b>"),
        (1, "first"),
        (1, "second"),
    ]
    assert len(shown) == len(asyncio.all_tasks())
    event.set()
    await task
    window.refresh(qt_loop)
    assert (0, "gathers") not in rows(tree)
    window.close()


async def test_a_task_is_cancelled_and_its_stack_copied(qt_loop: EventLoop) -> None:
    tasks = [asyncio.create_task(waits(asyncio.Event()), name=f"task {it}") for it in range(3)]
    await asyncio.sleep(0.01)
    window = inspector.show()
    panel = window.tasks
    assert not panel.cancel_button.isEnabled()
    assert not panel.copy_button.isEnabled()
    panel.select(id(tasks[1]))
    qt_test.QTest.mouseClick(panel.copy_button, qt_core.Qt.MouseButton.LeftButton)
    copied = qt_gui.QGuiApplication.clipboard().text()
    head, first, second = copied.split("\n")
    assert head == "Task task 1 (waits), waits for Event.wait()"
    assert first.startswith(f'  File "{__file__}", line ')
    assert first.endswith(", in waits")
    assert second.endswith(", in Event.wait")
    assert panel._stack.toPlainText() == copied
    qt_test.QTest.mouseClick(panel.cancel_button, qt_core.Qt.MouseButton.LeftButton)
    await asyncio.sleep(0.01)
    assert [it.cancelled() for it in tasks] == [False, True, False]
    window.refresh(qt_loop)
    assert panel.selected() is None
    assert not panel.cancel_button.isEnabled()
    window.close()
    for task in tasks:
        task.cancel()


async def test_what_is_selected_stays_so(qt_loop: EventLoop) -> None:
    """Though rows come and go above it."""
    tasks = [asyncio.create_task(waits(asyncio.Event()), name=f"task {it}") for it in range(50)]
    await asyncio.sleep(0.01)
    window = inspector.show()
    window.tasks.select(id(tasks[40]))
    for task in tasks[:20]:
        task.cancel()
    await asyncio.sleep(0.01)
    window.refresh(qt_loop)
    selected = window.tasks.selected()
    assert selected is not None
    assert selected.name == "task 40"
    window.close()
    for task in tasks:
        task.cancel()


async def test_the_tabs(qt_loop: EventLoop) -> None:
    timer = qt_loop.call_later(100, waits)
    server = await qt_loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    client, _ = await qt_loop.create_connection(asyncio.Protocol, *address)
    window = inspector.show()
    assert "waits" in [it.text(1) for it in _items(tab(window, "Timers"))]
    fds = {it.text(0): it.text(2) for it in _items(tab(window, "Files"))}
    assert fds[str(server.sockets[0].fileno())] == "Listener"
    shown = [texts(it) for it in _items(tab(window, "Transports"))]
    local = "{}:{}".format(*client.get_extra_info("sockname"))
    assert local in [it[2] for it in shown]
    assert tab(window, "Blockers")._table.topLevelItemCount() == 0
    punctuality = tab(window, "Punctuality")
    assert "turns" in punctuality._counters.text()
    # Painted, in a light palette and in a dark one: there are both text and background.
    for text, base in (("black", "white"), ("white", "black")):
        palette = qt_gui.QPalette()
        palette.setColor(qt_gui.QPalette.ColorRole.Base, qt_gui.QColor(base))
        palette.setColor(qt_gui.QPalette.ColorRole.Text, qt_gui.QColor(text))
        for view in punctuality._views.values():
            view.setPalette(palette)
            image = view.grab().toImage()
            seen = {image.pixel(x, 14) & 0xFFFFFF for x in range(image.width())}
            assert image.pixel(1, 1) & 0xFFFFFF == qt_gui.QColor(base).rgb() & 0xFFFFFF
            assert len(seen) > 1
    window.close()
    timer.cancel()
    client.close()
    server.close()


def _items(view: Any) -> list[Any]:
    return [view.topLevelItem(it) for it in range(view.topLevelItemCount())]


async def test_it_looks_again_while_it_is_to_be_seen(
    qt_loop: EventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_window, "PACE", 1)
    monkeypatch.setattr(_window, "SHARE", 0)
    window = inspector.show()
    looks: list[None] = []
    look = window.refresh
    monkeypatch.setattr(window, "refresh", lambda loop: (looks.append(None), look(loop)))
    while len(looks) < 3:
        await asyncio.sleep(0.001)
    window.hide()
    assert not window._timer.isActive()
    del looks[:]
    await asyncio.sleep(0.02)
    assert not looks
    window.show()
    assert looks
    window.close()


async def test_looking_takes_a_small_share_of_the_time(
    qt_loop: EventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = inspector.show()
    assert window._timer.interval() >= _window.PACE
    monkeypatch.setattr(window, "refresh", lambda loop: work_for(0.05))
    window._tick()
    assert window._timer.interval() >= 50 * _window.SHARE
    window.close()


def work_for(seconds: float) -> None:
    limit = time.thread_time() + seconds
    while time.thread_time() < limit:
        pass


async def test_closing_leaves_nothing(qt_loop: EventLoop, application: Any) -> None:
    before = (qt_loop.metrics().timers, asyncio.all_tasks(), threading.active_count())
    others = application.allWidgets()  # The objects: a widget that Qt made has no lasting wrapper.
    window = inspector.show()
    reference = weakref.ref(window)
    assert (qt_loop.metrics().timers, asyncio.all_tasks()) == before[:2]
    assert len(watchers()) == 1
    assert inspector.show() is window
    await asyncio.sleep(0.01)
    qt_timer = window._timer
    window.close()
    await gone(window)
    assert _qobjects.is_deleted(qt_timer)
    await asyncio.sleep(0.01)
    del window, qt_timer
    gc.collect()
    assert reference() is None
    assert not [it for it in application.topLevelWidgets() if type(it).__name__ == "Window"]
    assert not [it for it in application.allWidgets() if it not in others]
    assert not watchers()
    assert (qt_loop._inspectors, qt_loop._close_inspector) == (0, None)
    assert not _window._open
    assert threading.active_count() == before[2]


async def test_it_may_be_opened_again(qt_loop: EventLoop) -> None:
    for _ in range(3):
        window = inspector.show()
        assert window.isVisible()
        window.close()
    await gone(window)


async def test_somebody_else_may_delete_it(qt_loop: EventLoop) -> None:
    window = inspector.show()
    delete_later(window)
    await gone(window)
    assert qt_loop._inspectors == 0
    assert not watchers()
    window = inspector.show()
    assert window.isVisible()
    delete(window)
    assert qt_loop._inspectors == 0
    window = inspector.show()
    window.close()
    await gone(window)


def test_it_closes_with_its_loop(qt_loop_factory: LoopFactory) -> None:
    with opened(qt_loop_factory) as loop:
        assert isinstance(loop, EventLoop)

        async def main() -> Any:
            return inspector.show()

        window = loop.run_until_complete(main())
        run_briefly(loop)
        assert window.isVisible()
    assert _qobjects.is_deleted(window)
    assert not _window._open


async def test_it_tells_of_a_modal_dialog_beside_it(qt_loop: EventLoop) -> None:
    event = asyncio.Event()
    tasks: list[asyncio.Task[None]] = []
    seen: list[Any] = []

    def ask() -> None:
        dialog = qt_widgets.QDialog()
        qt_core.QTimer.singleShot(20, lambda: (look(), dialog.accept()))
        (dialog.exec if hasattr(dialog, "exec") else dialog.exec_)()

    def look() -> None:
        window.refresh(qt_loop)
        window.tasks.select(id(tasks[0]))
        seen.append(window.tasks.selected())

    async def opens() -> None:
        await asyncio.sleep(0)
        ask()
        event.set()

    window = inspector.show()
    tasks.append(asyncio.create_task(opens(), name="opens"))
    await event.wait()
    (told,) = seen
    assert (told.state, told.waits_for) == ("running", "an event loop that runs inside it")
    functions = [it.function.rpartition(".")[2] for it in told.stack]
    assert functions[:2] == ["opens", "ask"]
    window.close()


async def test_who_blocks_is_noted_and_not_logged(
    qt_loop: EventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "qtloop")
    qt_loop.slow_callback_duration = 0.02
    window = inspector.show()
    blockers = tab(window, "Blockers")

    async def block() -> None:
        # What blocks in the same stretch is noted once: on a slow machine that may be another.
        for _ in range(10):
            await asyncio.sleep(0.01)
            if is_noted_while_it_blocks(qt_loop):
                return

    await asyncio.create_task(block(), name="blocks")
    found = [it for it in inspector.snapshot().blockers if it.culprit.startswith("blocks (")]
    assert len(found) == 1
    assert found[0].times == 1
    assert found[0].seconds >= 0.01
    assert "in is_noted_while_it_blocks" in found[0].stack
    assert "_run_once_or_on" not in found[0].stack
    window.refresh(qt_loop)
    shown = [texts(it) for it in _items(blockers._table)]
    assert found[0].culprit in [it[3] for it in shown]
    window.close()
    assert not watchers()
    assert not [it for it in caplog.messages if "blocked" in it]


def is_noted_while_it_blocks(loop: EventLoop) -> bool:
    """Blocks until the watchdog has noted it, or for long enough."""
    limit = time.monotonic() + 2
    while time.monotonic() < limit:
        assert loop._blockers is not None
        if any(it.culprit.startswith("blocks (") for it in loop._blockers.worst_first()):
            return True
        time.sleep(0.005)
    return False


async def test_debug_mode_goes_on_when_it_is_closed(qt_loop: EventLoop) -> None:
    qt_loop.set_debug(True)
    await asyncio.sleep(0)
    window = inspector.show()
    window.close()
    await gone(window)
    assert len(watchers()) == 1
    qt_loop.set_debug(False)
    await asyncio.sleep(0)
    assert not watchers()


async def until_active(window: Any) -> None:
    window.activateWindow()
    while qt_widgets.QApplication.activeWindow() is not window:
        await asyncio.sleep(0.001)


def press(window: Any) -> None:
    modifiers = Modifier.ControlModifier | Modifier.ShiftModifier
    qt_test.QTest.keyClick(window, qt_core.Qt.Key.Key_I, modifiers)


async def test_a_key_opens_it_from_any_window(qt_loop: EventLoop) -> None:
    first, second = qt_widgets.QWidget(), qt_widgets.QLineEdit()
    first.show()
    await until_active(first)
    remove = inspector.install_shortcut()
    for window in (first, second, first):
        window.show()
        await until_active(window)
        press(window)
        (opened_window,) = _window._open.values()
        opened_window.close()
        await gone(opened_window)
    # The window that has it may go.
    await until_active(first)
    delete(first)
    await until_active(second)
    press(second)
    assert _window._open
    for opened_window in list(_window._open.values()):
        opened_window.close()
        await gone(opened_window)
    await until_active(second)
    remove()
    remove()
    press(second)
    assert not _window._open
    delete(second)


def test_a_key_without_a_loop(caplog: pytest.LogCaptureFixture, application: Any) -> None:
    window = qt_widgets.QWidget()
    window.show()
    window.activateWindow()
    while qt_widgets.QApplication.activeWindow() is not window:
        application.processEvents()
    remove = inspector.install_shortcut("Ctrl+Shift+I")
    press(window)
    assert "there is nothing to inspect" in caplog.text
    remove()
    delete(window)


@pytest.mark.parametrize("key", ["", "no key"])
def test_what_is_no_key(key: str) -> None:
    with pytest.raises(ValueError, match="not a key"):
        inspector.install_shortcut(key)


async def test_not_in_another_thread(qt_loop: EventLoop) -> None:
    def refused() -> str:
        with pytest.raises(RuntimeError) as caught:
            inspector.show(qt_loop)
        return str(caught.value)

    assert "another thread" in await asyncio.to_thread(refused)
    await qt_loop.shutdown_default_executor()


def test_without_a_loop() -> None:
    with pytest.raises(RuntimeError, match="no loop of qtloop's"):
        inspector.show()


PREAMBLE = """
    import importlib
    from qtloop import inspector
    qt_widgets = importlib.import_module(f"{_qt.binding()}.QtWidgets")
"""


def test_an_open_inspector_lets_the_application_quit(name: str) -> None:
    outcome = child.run(
        PREAMBLE
        + """
    application = qt_widgets.QApplication([])

    async def main():
        own = qt_widgets.QWidget()
        own.show()
        inspector.show()
        asyncio.get_running_loop().call_later(0.05, own.close)
        try:
            await asyncio.sleep(20)
        except asyncio.CancelledError:
            print("quits")
            raise

    qtloop.run(main())
    print(len([it for it in application.topLevelWidgets() if it.isVisible()]))
    """,
        name,
    )
    assert (outcome.code, outcome.out) == (0, "quits\n0\n"), outcome.err


def test_an_inspector_may_be_open_at_the_end(name: str) -> None:
    outcome = child.run(
        PREAMBLE
        + """
    application = qt_widgets.QApplication([])
    with qtloop.attach() as loop:
        window = inspector.show()
        inspector.install_shortcut()
        loop.call_later(0.05, application.exit)
        qt_core.QCoreApplication.exec() if _qt.binding() != "PyQt5" else application.exec_()
        print(window.isVisible())
    """,
        name,
    )
    assert (outcome.code, outcome.out) == (0, "True\n"), outcome.err


def test_a_program_may_end_without_closing_anything(name: str) -> None:
    outcome = child.run(
        PREAMBLE
        + """
    application = qt_widgets.QApplication([])
    loop = qtloop.EventLoop()
    loop.call_soon(inspector.show)
    loop.call_soon(inspector.listen)
    loop.call_soon(inspector.install_shortcut)
    loop.call_later(0.05, loop.stop)
    loop.run_forever()
    print([it.isVisible() for it in application.topLevelWidgets()])
    """,
        name,
    )
    assert (outcome.code, outcome.out) == (0, "[True]\n"), outcome.err


def test_an_application_without_windows_is_told(name: str) -> None:
    outcome = child.run(
        """
    from qtloop import inspector

    async def main():
        for call in (inspector.show, inspector.install_shortcut):
            try:
                call()
            except RuntimeError as error:
                print(error)
        print([it for it in sys.modules if it.endswith("QtWidgets")])

    qtloop.run(main())
    """,
        name,
    )
    first, second, modules = outcome.out.splitlines()
    assert first == second
    assert "needs a QApplication, and this process has QCoreApplication" in first
    assert modules == "[]"
