"""The probes. Each is a small program that uses one thing, and checks what comes of it.

A probe ends quietly if the thing works, and raises if it does not. One that returns a string gives
that as its result: it measures.
"""

import asyncio
import contextlib
import contextvars
import gc
import logging
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

from PySide6 import QtCore, QtWidgets

from .bridges import Bridge
from .outcome import finish

#: What each probe tries, in the order of the table. The function's name is the probe's.
PROBES: dict[str, tuple[str, Callable[[Bridge], Any]]] = {}

_Test = Callable[[Bridge], Coroutine[Any, Any, str | None]]


def program(title: str) -> Callable[[Callable[[Bridge], Any]], Callable[[Bridge], Any]]:
    """A probe that runs the bridge itself."""

    def register(probe: Callable[[Bridge], Any]) -> Callable[[Bridge], Any]:
        PROBES[probe.__name__] = title, probe
        return probe

    return register


def coroutine(title: str) -> Callable[[_Test], _Test]:
    """A probe that is the main coroutine of a program."""

    def register(test: _Test) -> _Test:
        def probe(bridge: Bridge) -> Any:
            outcome: list[Any] = []

            async def main() -> None:
                try:
                    outcome.append(await test(bridge))
                except Exception as error:
                    # Some bridges log what `main` raises, and return; or hang after a failure.
                    finish(error)

            bridge.run(main())
            assert outcome, "`run` returned before `main` had ended"
            return outcome[0]

        PROBES[test.__name__] = title, probe
        return test

    return register


async def ticks(counted: list[float]) -> None:
    while True:
        await asyncio.sleep(0.01)
        counted.append(time.monotonic())


# ---- asyncio's methods


@coroutine("`create_task`, `gather`, `Event`, `wait_for`")
async def tasks(_: Bridge) -> None:
    event = asyncio.Event()

    async def setter() -> int:
        await asyncio.sleep(0.01)
        event.set()
        return 1

    one, none = await asyncio.gather(setter(), event.wait())
    assert (one, none) == (1, True)
    try:
        await asyncio.wait_for(asyncio.Event().wait(), 0.01)
    except TimeoutError:
        return
    raise AssertionError("the timeout is lost")


@coroutine("`TaskGroup`, `asyncio.timeout`")
async def structured(_: Bridge) -> None:
    ended: list[str] = []

    async def wait() -> None:
        try:
            await asyncio.sleep(10)
        finally:
            ended.append("wait")

    async def fail() -> None:
        await asyncio.sleep(0.01)
        raise LookupError

    # In this order: a group of the first 3.11 releases leaves its task's cancellation counted, and
    # a timeout then takes it for its own.
    try:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(10)
    except TimeoutError:
        ended.append("timeout")
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(wait())
            group.create_task(fail())
    except* LookupError:
        ended.append("group")
    assert ended == ["timeout", "wait", "group"], ended


@coroutine("eager tasks (`asyncio.eager_task_factory`)")
async def eager_tasks(_: Bridge) -> None:
    begun: list[int] = []

    async def begin() -> None:
        begun.append(1)
        await asyncio.sleep(0)

    if sys.version_info < (3, 12):
        raise NotImplementedError("Python 3.11 has no eager tasks")
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    task = asyncio.create_task(begin())
    assert begun, "the task has not begun in `create_task`"
    await task


@coroutine("context variables in callbacks, timers, tasks, threads")
async def contexts(_: Bridge) -> None:
    loop = asyncio.get_running_loop()
    variable = contextvars.ContextVar("variable", default="lost")
    variable.set("kept")
    seen: dict[str, str] = {}

    def note(place: str) -> None:
        seen[place] = variable.get()

    async def work() -> None:
        note("in a task")

    loop.call_soon(note, "in `call_soon`")
    loop.call_later(0.01, note, "in `call_later`")
    await asyncio.create_task(work())
    await asyncio.to_thread(note, "in `to_thread`")
    await asyncio.sleep(0.05)
    assert len(seen) == 4, seen
    lost = sorted(place for place, value in seen.items() if value == "lost")
    assert not lost, f"lost {', '.join(lost)}"


@coroutine("`run_in_executor`, `to_thread`")
async def executors(_: Bridge) -> None:
    loop = asyncio.get_running_loop()
    assert await loop.run_in_executor(None, threading.get_ident) != threading.get_ident()
    assert await asyncio.to_thread(sum, [1, 2]) == 3


@coroutine("`call_soon_threadsafe`, from an idle loop")
async def threadsafe(_: Bridge) -> None:
    loop = asyncio.get_running_loop()
    arrived: list[int] = []
    done = asyncio.Event()

    def send() -> None:
        time.sleep(0.2)
        for number in range(1000):
            loop.call_soon_threadsafe(arrived.append, number)
        loop.call_soon_threadsafe(done.set)

    thread = threading.Thread(target=send)
    thread.start()
    await done.wait()
    thread.join()
    assert arrived == list(range(1000))


@coroutine("`add_reader`, `add_writer`")
async def add_reader(_: Bridge) -> None:
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    read: asyncio.Future[bytes] = loop.create_future()
    loop.add_reader(ours, lambda: read.set_result(ours.recv(10)))
    writable = asyncio.Event()
    loop.add_writer(ours, writable.set)
    await writable.wait()
    loop.remove_writer(ours)
    theirs.send(b"x")
    assert await read == b"x"
    loop.remove_reader(ours)


@coroutine("`sock_connect`, `sock_accept`, `sock_sendall`, `sock_recv`")
async def sock_methods(_: Bridge) -> None:
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        server.setblocking(False)
        client.setblocking(False)
        accepting = asyncio.ensure_future(loop.sock_accept(server))
        await loop.sock_connect(client, server.getsockname())
        peer, _address = await accepting
        await loop.sock_sendall(client, b"hello")
        assert await loop.sock_recv(peer, 10) == b"hello"
        peer.close()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(await reader.readline())
    writer.close()


@coroutine("streams: `start_server`, `open_connection`")
async def streams(_: Bridge) -> None:
    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"hello\n")
        assert await reader.read() == b"hello\n"
        writer.close()


def certificate(folder: str) -> tuple[Path, Path]:
    certificate, key = Path(folder, "certificate"), Path(folder, "key")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    names = ("-addext", "subjectAltName=DNS:localhost")
    subprocess.run(
        [*command.split(), *names, "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
    return certificate, key


@coroutine("TLS, server and client")
async def tls(_: Bridge) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file, key = certificate(folder)
        serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        serving.load_cert_chain(file, key)
        trusting = ssl.create_default_context(cafile=str(file))
    async with await asyncio.start_server(echo, "127.0.0.1", 0, ssl=serving) as server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=trusting, server_hostname="localhost"
        )
        writer.write(b"hello\n")
        assert await reader.read() == b"hello\n"
        writer.close()


@coroutine("datagrams")
async def datagrams(_: Bridge) -> None:
    loop = asyncio.get_running_loop()
    received: asyncio.Future[bytes] = loop.create_future()

    class Receiver(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, _address: Any) -> None:
            received.set_result(data)

    here, _protocol = await loop.create_datagram_endpoint(Receiver, ("127.0.0.1", 0))
    address = here.get_extra_info("sockname")
    there, _other = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, remote_addr=address
    )
    there.sendto(b"hello")
    assert await received == b"hello"
    here.close()
    there.close()


@coroutine("subprocesses")
async def subprocesses(_: Bridge) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "print(input())", stdin=-1, stdout=-1
    )
    answer, _nothing = await process.communicate(b"hello\n")
    assert answer == b"hello\n"
    assert process.returncode == 0


@coroutine("pipes: `connect_read_pipe`, `connect_write_pipe`")
async def pipes(_: Bridge) -> None:
    loop = asyncio.get_running_loop()
    reading, writing = os.pipe()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(reading, "rb")
    )
    transport, _protocol = await loop.connect_write_pipe(
        asyncio.BaseProtocol, os.fdopen(writing, "wb")
    )
    transport.write(b"hello\n")
    assert await reader.readline() == b"hello\n"
    transport.close()


@coroutine("signal handlers: `add_signal_handler`")
async def signal_handlers(_: Bridge) -> None:
    loop = asyncio.get_running_loop()
    came = asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, came.set)
    threading.Timer(0.1, os.kill, [os.getpid(), signal.SIGUSR1]).start()
    async with asyncio.timeout(5):
        await came.wait()


# ---- together with Qt


def slot_starts_a_task(loop: asyncio.AbstractEventLoop) -> asyncio.Future[int]:
    answer: asyncio.Future[int] = loop.create_future()

    async def work() -> None:
        await asyncio.sleep(0.01)
        answer.set_result(42)

    QtCore.QTimer.singleShot(0, lambda: kept.append(asyncio.create_task(work())))
    return answer


kept: list[Any] = []


@coroutine("`asyncio.create_task` in a plain slot")
async def task_in_a_slot(_: Bridge) -> None:
    async with asyncio.timeout(5):
        assert await slot_starts_a_task(asyncio.get_running_loop()) == 42


@program("the program calls `app.exec()` itself")
def own_exec(bridge: Bridge) -> None:
    app = QtWidgets.QApplication.instance()
    assert isinstance(app, QtWidgets.QApplication)
    done: list[int] = []

    async def work() -> None:
        await asyncio.sleep(0.05)
        done.append(await asyncio.to_thread(int, "42"))
        app.quit()

    with bridge.carried(app):
        QtCore.QTimer.singleShot(0, lambda: kept.append(asyncio.ensure_future(work())))
        app.exec()
    assert done == [42], "the task has not ended"


@coroutine("an async method as a slot, by the bridge's decorator")
async def async_slot(bridge: Bridge) -> None:
    called: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def work(_: QtCore.QObject) -> None:
        await asyncio.sleep(0.01)
        called.set_result(42)

    # Bridges decorate what is defined in a class.
    worker = type("Worker", (QtCore.QObject,), {"work": bridge.decorated(work)})()
    timer = QtCore.QTimer(singleShot=True)
    timer.timeout.connect(bridge.slot(worker.work))
    timer.start(0)
    async with asyncio.timeout(5):
        assert await called == 42


@coroutine("awaiting a signal")
async def awaited_signal(bridge: Bridge) -> None:
    timer = QtCore.QTimer(singleShot=True)
    timer.start(50)
    await bridge.emission(timer.timeout)


async def dialog_with_others(show: Callable[[QtWidgets.QDialog], Coroutine[Any, Any, Any]]) -> None:
    """A task goes on while a modal dialog is open, and all goes on afterwards."""
    loop = asyncio.get_running_loop()
    reported: list[str] = []
    loop.set_exception_handler(lambda _, context: reported.append(str(context.get("exception"))))
    counted: list[float] = []
    ticking = asyncio.create_task(ticks(counted))
    await asyncio.sleep(0.05)
    before = len(counted)
    dialog = QtWidgets.QDialog()
    QtCore.QTimer.singleShot(300, dialog.accept)
    assert await show(dialog) == QtWidgets.QDialog.DialogCode.Accepted
    during = len(counted) - before
    await asyncio.sleep(0.05)
    assert not reported, re.sub(" <Task.*", " ...", reported[0])
    assert during > 5, "other tasks stand still"
    assert len(counted) > before + during, "other tasks have ended"
    ticking.cancel()


@coroutine("`dialog.exec()` in a coroutine, others go on")
async def nested_exec(_: Bridge) -> None:
    async def show(dialog: QtWidgets.QDialog) -> Any:
        return dialog.exec()

    await dialog_with_others(show)


@coroutine("a modal dialog by the bridge's own function, others go on")
async def modal_dialog(bridge: Bridge) -> None:
    await dialog_with_others(bridge.modal)


# ---- the end


def run_and_quit(bridge: Bridge, quit: Callable[[], object]) -> str:
    """What is left of `main`'s `finally` if the program is ended while `main` waits."""
    ended: list[str] = []

    async def main() -> None:
        threading.Timer(0.3, quit).start()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("begun")
            await asyncio.sleep(0.02)
            ended.append("done")

    try:
        bridge.run(main())
        outcome = "returns"
    except BaseException as error:
        outcome = f"raises {type(error).__name__}"
    gc.collect()
    assert "begun" in ended, f"`main` is not cancelled; `run` {outcome}"
    assert "done" in ended, f"the `finally` of `main` does not end; `run` {outcome}"
    return outcome


@program("`app.quit()`: `main` is cancelled and may clean up, and `run` returns")
def quit_cancels(bridge: Bridge) -> None:
    app = QtWidgets.QApplication.instance()
    assert app is not None
    queued = QtCore.Qt.ConnectionType.QueuedConnection
    outcome = run_and_quit(bridge, lambda: QtCore.QMetaObject.invokeMethod(app, "quit", queued))
    assert outcome == "returns", f"`main` cleans up, and `run` {outcome}"


@program("Ctrl-C: `main` is cancelled and may clean up, and `run` raises KeyboardInterrupt")
def control_c(bridge: Bridge) -> None:
    outcome = run_and_quit(bridge, lambda: os.kill(os.getpid(), signal.SIGINT))
    assert outcome == "raises KeyboardInterrupt", f"`main` cleans up, and `run` {outcome}"


@program("an async generator that is left is closed, also by `await`")
def async_generators(bridge: Bridge) -> None:
    closed: list[str] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            closed.append("closed")

    async def main() -> None:
        generator = numbers()
        kept.append(generator)
        await anext(generator)

    bridge.run(main())
    assert closed, "it is not closed"


# ---- watching


class Records(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            self.said.append(record.getMessage())


@contextlib.contextmanager
def debug_mode() -> Any:
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = 0.05
    records = Records()
    logging.getLogger().addHandler(records)
    yield records.said


def hold_the_gui() -> None:
    time.sleep(0.2)


@coroutine("debug mode reports a slow callback")
async def slow_callbacks(_: Bridge) -> None:
    with debug_mode() as said:
        await asyncio.sleep(0.01)
        asyncio.get_running_loop().call_soon(hold_the_gui)
        await asyncio.sleep(0.1)
    assert any("hold_the_gui" in line for line in said), "nothing is logged"


@coroutine("debug mode reports a slow slot of Qt's")
async def slow_slots(_: Bridge) -> None:
    with debug_mode() as said:
        await asyncio.sleep(0.01)
        QtCore.QTimer.singleShot(10, hold_the_gui)
        await asyncio.sleep(0.4)
    assert any("hold_the_gui" in line for line in said), "nothing is logged"


def switches() -> int:
    """How often the threads of this process have gone to sleep."""
    total = 0
    for status in Path("/proc/self/task").glob("*/status"):
        for line in status.read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                total += int(line.split()[1])
    return total


@coroutine("wake-ups of the process in 2 s of `asyncio.sleep(2)`")
async def idle_wake_ups(_: Bridge) -> str:
    await asyncio.sleep(0.5)
    before = switches()
    await asyncio.sleep(2)
    return str(switches() - before)
