"""`qtloop.compat.qasync` beside qasync itself: what a program sees of either is the same."""

import asyncio
import concurrent.futures
import gc
import importlib
import importlib.util
import multiprocessing
import socket
import subprocess
import sys
import threading
import time
import warnings
import weakref
from asyncio import events
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from python.support.loops import Pair, qt_core

from .conftest import qt_widgets

#: qasync is the oracle, where it can be installed.
BRIDGES = ["qtloop.compat.qasync"]
if importlib.util.find_spec("qasync") is not None and sys.version_info < (3, 14):
    BRIDGES.insert(0, "qasync")

IS_PYQT = hasattr(qt_core, "pyqtSignal")
Signal: Any = qt_core.pyqtSignal if IS_PYQT else qt_core.Signal

with_loop_factory = pytest.mark.skipif(
    sys.version_info < (3, 12), reason="asyncio.run takes no loop factory before Python 3.12"
)


@pytest.fixture(params=BRIDGES)
def bridge(request: pytest.FixtureRequest) -> ModuleType:
    return importlib.import_module(request.param)


@pytest.fixture
def ours() -> ModuleType:
    return importlib.import_module("qtloop.compat.qasync")


@pytest.fixture
def lp(bridge: ModuleType, application: Any) -> Iterator[Any]:
    loop = bridge.QEventLoop(application)
    asyncio.set_event_loop(loop)
    yield loop
    asyncio.set_event_loop(None)
    loop.close()


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """What `sys.excepthook` was given."""
    errors: list[BaseException] = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, traceback: errors.append(error))
    return errors


# The loop.


def test_its_class_is_the_modules(lp: Any, bridge: ModuleType) -> None:
    assert type(lp) is bridge.QEventLoop
    assert issubclass(bridge.QEventLoop, asyncio.AbstractEventLoop)
    assert bridge.QApplication is qt_widgets.QApplication


def test_it_runs_twice_and_is_running_meanwhile(lp: Any) -> None:
    async def main() -> int:
        assert lp.is_running() and asyncio.get_running_loop() is lp
        await asyncio.sleep(0)
        return 3

    assert not lp.is_running()
    assert [lp.run_until_complete(main()) for _ in range(2)] == [3, 3]
    assert events._get_running_loop() is None and not lp.is_running()


def test_what_is_awaited_raises(lp: Any) -> None:
    async def main() -> None:
        raise LookupError("no")

    with pytest.raises(LookupError, match=r"^no$"):
        lp.run_until_complete(main())


def test_it_does_not_run_in_itself(lp: Any) -> None:
    async def main() -> None:
        for run in (lp.run_forever, lambda: lp.run_until_complete(lp.create_future())):
            with pytest.raises(RuntimeError, match=r"^Event loop already running$"):
                run()
        with pytest.raises(RuntimeError, match=r"^Cannot close a running event loop$"):
            lp.close()

    lp.run_until_complete(main())


def test_it_is_a_context_manager(bridge: ModuleType, application: Any) -> None:
    with bridge.QEventLoop(application) as loop:
        loop.call_soon(loop.stop)
        assert loop.run_forever() == 0
    assert loop.is_closed()


def test_the_application_is_found(bridge: ModuleType) -> None:
    with bridge.QEventLoop() as loop:
        assert loop.run_until_complete(asyncio.sleep(0, 3)) == 3


def test_the_exit_code_is_returned(lp: Any, application: Any) -> None:
    lp.call_soon(application.exit, 3)
    assert lp.run_forever() == 3


def test_stopped_before_the_end(lp: Any) -> None:
    lp.call_later(0.01, lp.stop)
    with pytest.raises(RuntimeError, match=r"^Event loop stopped before Future completed\.$"):
        lp.run_until_complete(lp.create_future())


def test_a_quit_cancels_nothing(lp: Any, application: Any) -> None:
    future = lp.create_future()
    lp.call_soon(application.quit)
    with pytest.raises(RuntimeError, match=r"^Event loop stopped before Future completed\.$"):
        lp.run_until_complete(future)
    assert not future.done()


def test_what_a_quit_sets_off_may_end(lp: Any, application: Any) -> None:
    event = asyncio.Event()
    application.aboutToQuit.connect(event.set)
    lp.call_soon(application.quit)
    assert lp.run_until_complete(event.wait()) is True
    application.aboutToQuit.disconnect(event.set)


def test_once_stopped_it_is_not_running(lp: Any) -> None:
    async def main() -> None:
        await asyncio.sleep(0)
        lp.stop()
        assert not lp.is_running()

    lp.run_until_complete(main())
    assert not lp.is_running()


def test_to_stop_what_does_not_run_does_nothing(lp: Any) -> None:
    lp.stop()
    assert lp.run_until_complete(asyncio.sleep(0.01, 3)) == 3


def test_close_twice_and_then_no_run(bridge: ModuleType, application: Any) -> None:
    loop = bridge.QEventLoop(application)
    loop.close()
    loop.close()
    assert loop.is_closed()


def test_timers(lp: Any) -> None:
    called: list[str] = []
    lp.call_later(0.02, called.append, "later")
    lp.call_at(lp.time() + 0.01, called.append, "at")
    lp.call_soon(called.append, "soon")
    lp.call_later(0.01, called.append, "never").cancel()
    lp.run_until_complete(asyncio.sleep(0.05))
    assert called == ["soon", "at", "later"]


def test_debug(lp: Any) -> None:
    for value in (True, False):
        lp.set_debug(value)
        assert lp.get_debug() is value


def test_another_thread(lp: Any) -> None:
    future = lp.create_future()
    thread = threading.Thread(target=lp.call_soon_threadsafe, args=(future.set_result, 3))
    thread.start()
    assert lp.run_until_complete(future) == 3
    thread.join()


def test_exceptions_in_callbacks_go_to_the_handler(lp: Any) -> None:
    contexts: list[Any] = []

    def fail() -> None:
        raise LookupError("in a callback")

    lp.set_exception_handler(lambda loop, context: contexts.append((loop, context["exception"])))
    lp.call_soon(fail)
    lp.run_until_complete(asyncio.sleep(0.01))
    ((loop, error),) = contexts
    assert loop is lp and isinstance(error, LookupError)


def test_an_exception_that_nobody_fetches_goes_there_too(lp: Any) -> None:
    contexts: list[Any] = []
    lp.set_exception_handler(lambda _, context: contexts.append(context["message"]))

    async def fail() -> None:
        raise LookupError

    lp.create_task(fail())
    lp.run_until_complete(asyncio.sleep(0.01))
    gc.collect()
    assert contexts == ["Task exception was never retrieved"]


# Subprocesses, sockets, fds.


@pytest.mark.parametrize("code", [0, 5])
def test_a_subprocess(lp: Any, code: int) -> None:
    async def main() -> tuple[bytes, int | None]:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            f"import sys; print(input()); sys.exit({code})",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        out, _ = await process.communicate(b"hello\n")
        return out, process.returncode

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # qasync's way to child watchers.
        assert lp.run_until_complete(main()) == (b"hello\n", code)


def test_streams(lp: Any, pair: Pair) -> None:
    async def main() -> bytes:
        (reader, ours), (_, theirs) = [await asyncio.open_connection(sock=sock) for sock in pair]
        theirs.write(b"hello")
        await theirs.drain()
        data = await reader.readexactly(5)
        ours.close()
        theirs.close()
        return data

    assert lp.run_until_complete(main()) == b"hello"


def test_readers_are_replaced_and_removed(lp: Any, pair: Pair) -> None:
    left, right = pair
    called: list[str] = []
    done = lp.create_future()

    def good() -> None:
        called.append("good")
        assert lp._remove_reader(left.fileno())
        done.set_result(left.recv(5))

    lp._add_reader(left.fileno(), called.append, "bad")
    lp._add_reader(left.fileno(), good)
    right.send(b"hello")
    assert lp.run_until_complete(done) == b"hello"
    assert called == ["good"]
    assert not lp._remove_reader(left.fileno())


def test_writers_are_replaced_and_removed(lp: Any, pair: Pair) -> None:
    fd = pair[0].fileno()
    called: list[str] = []
    done = lp.create_future()

    def good() -> None:
        called.append("good")
        assert lp._remove_writer(fd)
        done.set_result(None)

    assert not lp._remove_writer(fd)
    lp._add_writer(fd, called.append, "bad")
    lp._add_writer(fd, good)
    lp.run_until_complete(done)
    assert called == ["good"]


def test_watches_after_closing(bridge: ModuleType, application: Any, pair: Pair) -> None:
    fd = pair[0].fileno()
    loop = bridge.QEventLoop(application)
    loop._add_reader(fd, print)
    loop._add_writer(fd, print)
    loop.close()
    assert not loop._remove_reader(fd) and not loop._remove_writer(fd)
    for add in (loop._add_reader, loop._add_writer):
        with pytest.raises(RuntimeError):
            add(fd, print)


def test_sock_operations(lp: Any, pair: Pair) -> None:
    async def main() -> bytes:
        await lp.sock_sendall(pair[0], b"hello")
        data: bytes = await lp.sock_recv(pair[1], 10)
        return data

    assert lp.run_until_complete(main()) == b"hello"


# Executors.


@pytest.fixture(params=["default", "QThreadExecutor", "threads", "processes"])
def executor(request: pytest.FixtureRequest, bridge: ModuleType) -> Iterator[Any]:
    if request.param == "default":
        yield None
        return
    made: Any
    if request.param == "processes":
        made = concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
    else:
        made = (
            bridge.QThreadExecutor(1)
            if request.param == "QThreadExecutor"
            else concurrent.futures.ThreadPoolExecutor(1)
        )
    yield made
    made.shutdown()


def test_executors(lp: Any, executor: Any) -> None:
    async def main() -> int:
        with pytest.raises(ValueError, match="invalid literal"):
            await lp.run_in_executor(executor, int, "x")
        number: int = await lp.run_in_executor(executor, int, "3")
        return number

    assert lp.run_until_complete(main()) == 3


def test_the_default_executor_may_be_anything(lp: Any) -> None:
    class Here:
        def submit(self, function: Any, *args: Any) -> Any:
            future: Any = concurrent.futures.Future()
            future.set_result(function(*args))
            return future

        def shutdown(self, wait: bool = True) -> None: ...

    async def main() -> int:
        ident: int = await lp.run_in_executor(None, threading.get_ident)
        return ident

    lp.set_default_executor(Here())
    assert lp.run_until_complete(main()) == threading.get_ident()


def test_the_default_executor_has_threads_of_qts(lp: Any) -> None:
    async def main() -> bool:
        main_thread = qt_core.QThread.currentThread()
        return bool(await lp.run_in_executor(None, qt_core.QThread.currentThread) != main_thread)

    assert lp.run_until_complete(main())


def test_a_thread_executor(bridge: ModuleType) -> None:
    with bridge.QThreadExecutor(5, stack_size=1 << 21) as executor:
        futures = [executor.submit(lambda x, y=0: x + y, number, y=1) for number in range(20)]
        assert [future.result() for future in futures] == list(range(1, 21))
    with pytest.raises(RuntimeError):
        executor.submit(int)


def test_a_thread_executor_keeps_nothing(bridge: ModuleType) -> None:
    class Thing: ...

    with bridge.QThreadExecutor(1) as executor:
        gone = threading.Event()
        thing = Thing()
        reference = weakref.ref(thing, lambda _: gone.set())
        executor.submit(id, thing).result()
        del thing
        assert gone.wait(5) and reference() is None


def test_deep_recursion_in_a_thread_is_an_exception(bridge: ModuleType) -> None:
    def deeper(number: int) -> int:
        return deeper(number + 1)

    with bridge.QThreadExecutor(2) as executor:
        for future in [executor.submit(deeper, 0) for _ in range(4)]:
            with pytest.raises(RecursionError):
                future.result()


# run, asyncio.run, policies.


def test_run(bridge: ModuleType) -> None:
    seen: list[Any] = []

    async def main(debug: bool) -> str:
        loop = asyncio.get_running_loop()
        assert type(loop) is bridge.QEventLoop and loop.get_debug() is debug
        seen.append(loop)
        await asyncio.sleep(0.001)
        return "done"

    asyncio.set_event_loop(None)
    for debug in (True, False):
        assert bridge.run(main(debug), debug=debug) == "done"
        assert seen[-1].is_closed() and not seen[-1].is_running()


@with_loop_factory
def test_asyncio_run_ends_what_is_left(bridge: ModuleType, application: Any) -> None:
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    async def main() -> None:
        main.task = asyncio.create_task(work())  # type: ignore[attr-defined]
        await asyncio.sleep(0.01)

    asyncio.run(main(), loop_factory=lambda: bridge.QEventLoop(application))
    assert ended == ["cancelled"]
    asyncio.run(asyncio.sleep(0), loop_factory=bridge.QEventLoop)


def test_run_closes_async_generators(ours: ModuleType) -> None:
    """As asyncio.run does. qasync forgets them."""
    ended: list[str] = []

    async def generate() -> Any:
        try:
            yield 1
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            ended.append("generator")

    async def main() -> int:
        main.generator = generate()  # type: ignore[attr-defined]
        return int(await anext(main.generator))  # type: ignore[attr-defined]

    assert ours.run(main()) == 1
    assert ended == ["generator"]


def test_a_policy(ours: ModuleType) -> None:
    policy = ours.DefaultQEventLoopPolicy()
    loop = policy.new_event_loop()
    assert type(loop) is ours.QEventLoop
    loop.close()


def test_an_unknown_name_is_an_attribute_error(ours: ModuleType) -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        ours.no_such_name  # noqa: B018


# already_running.


def test_a_loop_in_an_application_that_runs(bridge: ModuleType, application: Any) -> None:
    done: list[str] = []

    async def work() -> None:
        await asyncio.sleep(0.01)
        done.append("worked")
        application.exit(3)

    loop = bridge.QEventLoop(application, already_running=True)
    assert loop.is_running() and asyncio.get_running_loop() is loop
    task = asyncio.ensure_future(work())
    assert qt_execute(application) == 3
    assert done == ["worked"] and task.done()
    loop.stop()
    assert not loop.is_running()
    loop.close()
    events._set_running_loop(None)  # qasync leaves it.
    assert loop.is_closed()


def test_stop_ends_the_application_that_runs(bridge: ModuleType, application: Any) -> None:
    loop = bridge.QEventLoop(application, already_running=True)
    loop.call_later(0.01, loop.stop)
    assert qt_execute(application) == 0
    loop.close()
    events._set_running_loop(None)


def qt_execute(application: Any) -> int:
    return int((application.exec if hasattr(application, "exec") else application.exec_)())


# Slots.


class Window(qt_widgets.QWidget):  # type: ignore[misc]
    sent = Signal(int, str)


def window_with(bridge: ModuleType, called: list[Any]) -> Any:
    class Slots(Window):
        @bridge.asyncSlot()
        async def nothing(self) -> None:
            await asyncio.sleep(0)
            called.append("nothing")

        @bridge.asyncSlot(int, str)
        async def both(self, number: int, text: str) -> None:
            await asyncio.sleep(0)
            called.append((number, text))

        @bridge.asyncSlot(int)
        async def first(self, number: int, more: str = "none") -> None:
            called.append((number, more))

        @bridge.asyncSlot()
        async def fails(self) -> None:
            raise LookupError("in a slot")

        @bridge.asyncSlot()
        async def cancelled(self) -> None:
            raise asyncio.CancelledError

    return Slots()


@pytest.mark.parametrize(
    ("name", "expected"),
    # PySide leaves nothing out by itself, so the function gets what it has a parameter for.
    [
        ("nothing", "nothing"),
        ("both", (3, "three")),
        ("first", (3, "none" if IS_PYQT else "three")),
    ],
)
def test_a_slot_takes_what_it_has_parameters_for(
    lp: Any, bridge: ModuleType, name: str, expected: Any
) -> None:
    called: list[Any] = []
    window = window_with(bridge, called)
    window.sent.connect(getattr(window, name))

    async def main() -> None:
        window.sent.emit(3, "three")
        await asyncio.sleep(0.01)

    lp.run_until_complete(main())
    assert called == [expected]


def test_a_slot_returns_its_task(lp: Any, bridge: ModuleType) -> None:
    called: list[Any] = []
    window = window_with(bridge, called)

    async def main() -> None:
        assert window.nothing.__name__ == "nothing"
        task = window.nothing()
        assert isinstance(task, asyncio.Task)
        await task

    lp.run_until_complete(main())
    assert called == ["nothing"]


def test_what_a_slot_raises_is_shown(
    lp: Any, bridge: ModuleType, shown: list[BaseException]
) -> None:
    window = window_with(bridge, [])

    async def main() -> None:
        window.fails()
        window.cancelled()
        await asyncio.sleep(0.01)

    lp.run_until_complete(main())
    assert [repr(error) for error in shown] == ["LookupError('in a slot')"]


def test_a_slot_that_does_not_fit(lp: Any, bridge: ModuleType) -> None:
    async def main() -> None:
        @bridge.asyncSlot()
        async def slot(*, needed: int) -> None: ...

        with pytest.raises(TypeError, match="asyncSlot was not callable from Signal"):
            slot(1)

    lp.run_until_complete(main())


def test_a_plain_function_without_parameters(ours: ModuleType, application: Any) -> None:
    """qasync's own raises TypeError for it."""
    called: list[str] = []

    @ours.asyncSlot()
    async def slot() -> None:
        called.append("called")

    async def main() -> None:
        await slot()

    ours.run(main())
    assert called == ["called"]


# asyncClose, asyncWrap.


def closing(bridge: ModuleType, story: list[str], seconds: float) -> Any:
    class Closing(Window):
        @bridge.asyncClose
        async def closeEvent(self, event: Any) -> None:
            story.append("asked")
            await asyncio.sleep(seconds)
            story.append("saved")
            event.accept()

    return Closing()


def test_a_window_closes_when_its_coroutine_has_ended(lp: Any, bridge: ModuleType) -> None:
    story: list[str] = []
    window = closing(bridge, story, 0.01)

    def close() -> None:
        window.close()
        story.append("closed")
        lp.stop()

    async def work() -> None:
        await asyncio.sleep(0)
        story.append("other task")

    window.show()
    task = lp.create_task(work())
    qt_core.QTimer.singleShot(0, close)
    lp.run_forever()
    assert story[-2:] == ["saved", "closed"] and {*story[:2]} == {"asked", "other task"}
    assert task.done() and not window.isVisible()


def test_it_may_be_closed_by_a_task(ours: ModuleType) -> None:
    """With qasync that hangs: no other task can run inside a task's step."""
    story: list[str] = []

    async def main() -> None:
        window = closing(ours, story, 0.01)
        window.show()
        window.close()
        story.append("closed")

    ours.run(main())
    assert story == ["asked", "saved", "closed"]


def test_stopping_in_it_takes_effect_when_it_has_ended(lp: Any, bridge: ModuleType) -> None:
    story: list[str] = []

    class Closing(Window):
        @bridge.asyncClose
        async def closeEvent(self, event: Any) -> None:
            lp.stop()
            await asyncio.sleep(0.01)
            story.append("saved")

    window = Closing()
    window.show()
    lp.call_soon(window.close)
    lp.run_forever()
    assert story == ["saved"]


def test_a_window_is_closed_when_the_loop_does_not_run_any_more(
    lp: Any, bridge: ModuleType
) -> None:
    story: list[str] = []
    window = closing(bridge, story, 0)
    lp.run_until_complete(asyncio.sleep(0))
    window.close()
    assert story == ["asked", "saved"]


def test_a_dialog_in_async_wrap(lp: Any, bridge: ModuleType) -> None:
    story: list[str] = []

    async def work(dialog: Any) -> None:
        for number in range(3):
            await asyncio.sleep(0.005)
            story.append(f"step {number}")
        dialog.accept()

    async def main() -> int:
        dialog = qt_widgets.QDialog()
        task = asyncio.create_task(work(dialog))
        result = await bridge.asyncWrap(dialog.exec if hasattr(dialog, "exec") else dialog.exec_)
        await task
        return int(result)

    assert lp.run_until_complete(main()) == 1
    assert story == ["step 0", "step 1", "step 2"]


def test_async_wrap_passes_on_what_is_raised(lp: Any, bridge: ModuleType) -> None:
    async def main() -> None:
        assert await bridge.asyncWrap(lambda x, *, y: (x, y), 1, y=2) == (1, 2)
        with pytest.raises(ValueError, match="invalid literal"):
            await bridge.asyncWrap(int, "x")

    lp.run_until_complete(main())


def test_async_wrap_that_is_cancelled_raises_nothing_to_qt(
    ours: ModuleType, shown: list[BaseException]
) -> None:
    async def main() -> None:
        task = asyncio.create_task(ours.asyncWrap(time.time))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0.01)
        assert task.cancelled()

    ours.run(main())
    assert shown == []


def test_a_close_after_stop_in_a_callback_waits_for_the_end_of_the_run(
    ours: ModuleType, application: Any
) -> None:
    loop = ours.QEventLoop(application)

    def end() -> None:
        loop.stop()
        loop.close()
        assert not loop.is_closed()

    loop.call_soon(end)
    loop.run_forever()
    assert loop.is_closed()


def test_an_app_is_needed(ours: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    class NoApplication:
        @staticmethod
        def instance() -> None: ...

    monkeypatch.setattr(ours, "QApplication", NoApplication)
    with pytest.raises(AssertionError, match=r"^No QApplication has been instantiated$"):
        ours.QEventLoop()


def test_sockets_are_not_leaked(ours: ModuleType) -> None:
    async def main() -> bytes:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.readline())
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", family=socket.AF_INET) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"hello\n")
            line = await reader.readline()
            writer.close()
            await writer.wait_closed()
            return line

    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        assert ours.run(main()) == b"hello\n"
