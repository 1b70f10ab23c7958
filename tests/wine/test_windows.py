"""Scenarios on Windows or Wine. Each runs on our loop, and also on asyncio's own loop if asyncio
has the feature.

Run by `make wine-test`. They need the binding that `QT_API` names. They use no support code of the
other tests.
"""

import asyncio
import contextlib
import errno
import gc
import importlib
import os
import pkgutil
import re
import socket
import ssl
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

BINDING = {"pyqt6": "PyQt6", "pyside6": "PySide6"}[os.environ.get("QT_API", "pyqt6").lower()]
QtCore = importlib.import_module(f"{BINDING}.QtCore")

import qtloop  # noqa: E402 # Imported after the binding, so that it chooses this binding.
from qtloop import _core, inspector  # noqa: E402

#: A key and its certificate for "localhost". `setup` has made the file.
CERTIFICATE = Path(__file__).parents[2] / "target/wine/certificate.pem"
LOOPS = {"qtloop": qtloop.new_event_loop, "stock": asyncio.ProactorEventLoop}

Run = Callable[[Callable[[], Awaitable[Any]]], Any]


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run:
    def run(main: Callable[[], Any]) -> Any:
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            return runner.run(asyncio.wait_for(main(), 60))

    return run


@pytest.fixture
def ours() -> Run:
    def run(main: Callable[[], Any]) -> Any:
        return qtloop.run(asyncio.wait_for(main(), 60))

    return run


def test_calls_run_in_order(run: Run) -> None:
    async def main() -> list[int]:
        loop, seen, done = asyncio.get_running_loop(), [], asyncio.Event()
        loop.call_later(0.02, seen.append, 3)
        loop.call_later(0.04, done.set)
        loop.call_later(0.01, seen.append, 2)
        loop.call_later(0.015, seen.append, 4).cancel()
        loop.call_soon(seen.append, 1)
        await done.wait()
        return seen

    assert run(main) == [1, 2, 3]


def test_a_timer_is_never_early(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        for delay in (0.001, 0.01, 0.05):
            before = loop.time()
            await asyncio.sleep(delay)
            assert loop.time() - before >= delay - time.get_clock_info("monotonic").resolution

    run(main)


def test_another_thread_wakes_an_idle_loop(run: Run) -> None:
    async def main() -> int:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        threading.Timer(0.05, loop.call_soon_threadsafe, (future.set_result, 7)).start()
        return await future

    assert run(main) == 7


def test_executor(run: Run) -> None:
    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        return await asyncio.gather(*(loop.run_in_executor(None, pow, n, 2) for n in range(20)))

    assert run(main) == [n * n for n in range(20)]


def test_an_idle_loop_is_not_woken(ours: Run) -> None:
    async def main() -> int:
        loop = qtloop.current()
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"x")
        await reader.readexactly(1)
        await asyncio.sleep(0.2)
        before = loop.metrics().turns
        await asyncio.sleep(1)
        turns = loop.metrics().turns - before
        writer.close()
        server.close()
        return turns

    assert ours(main) <= 2  # The turn of the timer, and one that had begun.


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()
        await writer.wait_closed()


def test_streams(run: Run) -> None:
    async def main() -> None:
        async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
            address = server.sockets[0].getsockname()

            async def talk(n: int) -> None:
                reader, writer = await asyncio.open_connection(*address)
                sent = bytes([n]) * 300_000
                writer.write(sent)
                writer.write_eof()
                assert await reader.read() == sent
                writer.close()
                await writer.wait_closed()

            await asyncio.gather(*map(talk, range(8)))

    run(main)


def test_a_refused_connection(run: Run) -> None:
    async def main() -> None:
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            address = bound.getsockname()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*address)

    run(main)


def test_datagrams(run: Run) -> None:
    class Echo(asyncio.DatagramProtocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, address: Any) -> None:
            self.transport.sendto(data[::-1], address)

    class Ask(asyncio.DatagramProtocol):
        def __init__(self, answer: asyncio.Future[bytes]) -> None:
            self.answer = answer

        def datagram_received(self, data: bytes, address: Any) -> None:
            self.answer.set_result(data)

    async def main() -> bytes:
        loop = asyncio.get_running_loop()
        server, _ = await loop.create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 0))
        answer = loop.create_future()
        client, _ = await loop.create_datagram_endpoint(
            lambda: Ask(answer), remote_addr=server.get_extra_info("sockname")
        )
        client.sendto(b"abc")
        result = await answer
        client.close()
        server.close()
        return result

    assert run(main) == b"cba"


def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(CERTIFICATE)
    client = ssl.create_default_context(cafile=CERTIFICATE)
    return server, client


def test_tls(run: Run) -> None:
    async def main() -> None:
        for_server, for_client = contexts()
        async with await asyncio.start_server(echo, "127.0.0.1", 0, ssl=for_server) as server:
            reader, writer = await asyncio.open_connection(
                *server.sockets[0].getsockname(), ssl=for_client, server_hostname="localhost"
            )
            writer.write(b"x" * 200_000)
            assert await reader.readexactly(200_000) == b"x" * 200_000
            writer.close()
            await writer.wait_closed()

    run(main)


def test_start_tls(run: Run) -> None:
    async def main() -> None:
        for_server, for_client = contexts()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            assert await reader.readline() == b"STARTTLS\n"
            writer.write(b"OK\n")
            await writer.start_tls(for_server)
            await echo(reader, writer)

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"STARTTLS\n")
            assert await reader.readline() == b"OK\n"
            await writer.start_tls(for_client, server_hostname="localhost")
            writer.write(b"secret\n")
            assert await reader.readline() == b"secret\n"
            writer.close()
            await writer.wait_closed()

    run(main)


def test_subprocess(run: Run) -> None:
    async def main() -> None:
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            "import sys; print(input()[::-1]); print('no', file=sys.stderr); sys.exit(3)",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        out, err = await child.communicate(b"abc\n")
        assert (out.split(), err.split(), child.returncode) == ([b"cba"], [b"no"], 3)

    run(main)


def test_a_child_is_killed(run: Run) -> None:
    async def main() -> int:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "print('up', flush=True); input()", stdin=-1, stdout=-1
        )
        assert child.stdout is not None
        assert (await child.stdout.readline()).split() == [b"up"]
        child.kill()
        return await child.wait()

    assert run(main) == 1


def test_pipes(run: Run) -> None:
    from asyncio.windows_utils import PipeHandle, pipe

    async def main() -> bytes:
        loop = asyncio.get_running_loop()
        reading, writing = map(PipeHandle, pipe(overlapped=(True, True), duplex=True))
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), reading)
        transport, _ = await loop.connect_write_pipe(asyncio.Protocol, writing)
        transport.write(b"through " * 1000)
        transport.close()
        return await reader.read()

    assert run(main) == b"through " * 1000


def test_a_named_pipe(run: Run) -> None:
    name = rf"\\.\pipe\qtloop-{os.getpid()}"

    async def main() -> bytes:
        loop = asyncio.get_running_loop()

        def serve() -> asyncio.StreamReaderProtocol:
            return asyncio.StreamReaderProtocol(asyncio.StreamReader(), echo)

        (server,) = await loop.start_serving_pipe(serve, name)
        reader = asyncio.StreamReader()
        transport, _ = await loop.create_pipe_connection(
            lambda: asyncio.StreamReaderProtocol(reader), name
        )
        transport.write(b"hello\n")
        line = await reader.readline()
        transport.close()
        server.close()
        await asyncio.sleep(0.05)
        return line

    assert run(main) == b"hello\n"


def test_sock_methods(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as client:
            listening.setblocking(False)
            client.setblocking(False)
            accepting = loop.create_task(loop.sock_accept(listening))
            await loop.sock_connect(client, listening.getsockname())
            accepted, _ = await accepting
            with accepted:
                sending = loop.create_task(loop.sock_sendall(client, b"y" * 500_000))
                got = 0
                while got < 500_000:
                    got += len(await loop.sock_recv(accepted, 65536))
                await sending
                waiting = loop.create_task(loop.sock_recv(accepted, 10))
                await asyncio.sleep(0.02)
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
                await loop.sock_sendall(client, b"later")
                buffer = bytearray(10)
                assert await loop.sock_recv_into(accepted, buffer) == 5
                assert buffer[:5] == b"later"

    run(main)


def test_sendfile(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"contents " * 10_000)

    async def main() -> bytes:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with file.open("rb") as opened:
                await asyncio.get_running_loop().sendfile(writer.transport, opened)
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            data = await reader.read()
            writer.close()
            return data

    assert run(main) == file.read_bytes()


def test_a_socket_is_watched(ours: Run) -> None:
    async def main() -> None:
        loop = qtloop.current()
        left, right = socket.socketpair()
        with left, right:
            left.setblocking(False)
            seen: list[bytes] = []
            done = asyncio.Event()

            def read() -> None:
                seen.append(left.recv(100))
                done.set()

            loop.add_reader(left, read)
            for message in (b"one", b"two"):
                right.send(message)
                await done.wait()
                done.clear()
            assert seen == [b"one", b"two"]
            assert loop.remove_reader(left)
            assert not loop.remove_reader(left)
            writable = asyncio.Event()
            loop.add_writer(right, writable.set)
            await writable.wait()
            assert loop.remove_writer(right)

    ours(main)


def test_the_simulated_host() -> None:
    """Time jumps there, and sockets are real."""

    async def main() -> tuple[bytes, float]:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await asyncio.sleep(3600)
        async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"abc")
            answer = await reader.readexactly(3)
            writer.close()
        return answer, loop.time() - began

    with asyncio.Runner(loop_factory=lambda: qtloop.EventLoop(host="sim")) as runner:
        assert runner.run(main()) == (b"abc", 3600)


def test_what_is_no_socket_cannot_be_watched(ours: Run) -> None:
    """The error is that of Python's own calls, with Windows' number."""

    async def main() -> OSError:
        with socket.socket() as gone:
            number = gone.fileno()
        with pytest.raises(OSError) as caught:
            qtloop.current().add_reader(number, print)
        return caught.value

    error = ours(main)
    assert (error.winerror, error.errno) == (10038, errno.ENOTSOCK)
    assert error.strerror


def test_every_module_can_be_imported() -> None:
    """But for those that are about Unix, which `_system` leaves alone."""
    unix = {"_connecting", "_subprocess", "_tls", "_unix"}
    for module in pkgutil.walk_packages(qtloop.__path__, "qtloop."):
        names = set(module.name.split("."))
        if not names & {*unix, "__main__", "__pyinstaller", "_kernel", "_core"}:
            found = importlib.import_module(module.name)
            text = Path(str(found.__file__)).read_text(encoding="utf-8")
            missing = {it for it in re.findall(r"\b_core\.(\w+)", text) if not hasattr(_core, it)}
            # `hosts.check`, and the annotation of what only Unix calls.
            assert missing <= {"check_host", "TlsEngine"}, f"{module.name} wants {missing}"


def test_the_inspector_sees_transports(ours: Run) -> None:
    async def main() -> list[str]:
        loop = qtloop.current()
        for_server, for_client = contexts()
        server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=for_server)
        address = server.sockets[0].getsockname()
        _, writer = await asyncio.open_connection(
            *address, ssl=for_client, server_hostname="localhost"
        )
        plain, _ = await loop.create_connection(asyncio.Protocol, *address)
        datagrams, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
        )
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "input()", stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        seen = inspector.snapshot()
        assert {it.kind for it in seen.fds} == {"socket"}
        assert all(it.fd > 0 for it in seen.transports)
        await child.communicate(b"\n")
        for transport in (writer, plain, datagrams):
            transport.close()
        server.close()
        kinds = sorted(it.kind for it in seen.transports)
        while inspector.snapshot().transports:
            await asyncio.sleep(0.01)
        return kinds

    # Both ends of both streams. The server's end of one waits for a handshake that does not come.
    assert ours(main) == ["datagram", "read pipe", "stream", "tls", "tls", "tls", "write pipe"]


def test_a_process_is_asked_from_outside(tmp_path: Path) -> None:
    environment = {**os.environ, "LOCALAPPDATA": str(tmp_path)}
    program = """
        import asyncio, qtloop, qtloop.inspector
        async def main():
            qtloop.inspector.listen()
            print("ready", flush=True)
            await asyncio.Event().wait()
        qtloop.run(main())
    """

    def ask(pid: int) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "qtloop.inspect", str(pid)],
            env=environment, capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        env=environment, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            asked = ask(process.pid)
            assert asked.returncode == 0, asked
            assert f"process {process.pid}, 1 loop(s)" in asked.stdout
            assert "Task-1 (main)" in asked.stdout
        finally:
            process.kill()
    assert "there is no process" in ask(process.pid).stderr


def test_signals_and_slots(ours: Run) -> None:
    async def main() -> None:
        timer = QtCore.QTimer()
        timer.start(10)
        await qtloop.emitted(timer.timeout)
        timer.stop()

        class Sender(QtCore.QObject):
            asked = getattr(QtCore, "pyqtSignal", getattr(QtCore, "Signal", None))(int)

        sender, seen = Sender(), asyncio.get_running_loop().create_future()

        @qtloop.slot
        async def answer(number: int) -> None:
            await asyncio.sleep(0.01)
            seen.set_result(number)

        sender.asked.connect(answer)
        sender.asked.emit(5)
        assert await seen == 5

    ours(main)


def test_attached_to_an_application() -> None:
    application = QtCore.QCoreApplication.instance() or QtCore.QCoreApplication([])
    seen = []

    async def work() -> None:
        await asyncio.sleep(0.01)
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"hello\n")
        seen.append(await reader.readline())
        writer.close()
        server.close()
        application.quit()

    with qtloop.attach() as loop:
        task = loop.create_task(work())
        application.exec()
        assert task.done()
    assert seen == [b"hello\n"]


def test_a_loop_in_a_thread() -> None:
    seen = []

    async def main() -> None:
        async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"hello\n")
            seen.append(await reader.readline())
            writer.close()

    def work() -> None:
        with asyncio.Runner(loop_factory=qtloop.new_event_loop) as runner:
            runner.run(main())

    QtCore.QCoreApplication.instance() or QtCore.QCoreApplication([])
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)
    assert seen == [b"hello\n"]


def test_an_exception_goes_to_the_handler(run: Run) -> None:
    async def main() -> str:
        loop = asyncio.get_running_loop()
        reported = loop.create_future()
        loop.set_exception_handler(lambda loop, context: reported.set_result(context["exception"]))
        loop.call_soon(int, "x")
        return type(await reported).__name__

    assert run(main) == "ValueError"


def test_debug_mode(run: Run) -> None:
    async def main() -> None:
        asyncio.get_running_loop().set_debug(True)
        async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"hello\n")
            assert await reader.readline() == b"hello\n"
            writer.close()

    run(main)


def test_a_loop_is_closed_while_something_is_awaited(run: Run) -> None:
    async def main() -> None:
        left, right = socket.socketpair()
        loop = asyncio.get_running_loop()
        for end in (left, right):
            end.setblocking(False)
        main.kept = (left, right)
        main.waiting = loop.create_task(loop.sock_recv(left, 10))
        await asyncio.sleep(0.01)

    run(main)
    assert main.waiting.cancelled()
    for end in main.kept:
        end.close()


def test_a_loop_that_nobody_closes_is_forgotten() -> None:
    QtCore.QCoreApplication.instance() or QtCore.QCoreApplication([])
    before = threading.active_count()
    loop = qtloop.new_event_loop()
    loop.call_soon(loop.stop)
    loop.run_forever()
    reference = weakref.ref(loop)
    with pytest.warns(ResourceWarning):
        del loop
        gc.collect()
    assert reference() is None
    assert threading.active_count() == before


def test_many_loops() -> None:
    async def main() -> int:
        return await asyncio.get_running_loop().run_in_executor(None, int, "3")

    for _ in range(20):
        assert qtloop.run(main()) == 3


def child(code: str, flags: int = 0) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", f"import {BINDING}.QtCore\n{textwrap.dedent(code)}"],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        creationflags=flags,
    )


def test_an_interrupt_ends_an_idle_loop() -> None:
    """An interrupt as after Ctrl-C: the C handler of the signal notes it and writes to the wake-up
    fd."""
    ended = child("""
        import _thread, asyncio, threading, time, qtloop
        async def main():
            threading.Timer(0.3, interrupt).start()
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                print("cancelled")
                raise
        def interrupt():
            global began
            began = time.monotonic()
            _thread.interrupt_main()
        try:
            qtloop.run(main())
        except KeyboardInterrupt:
            print("interrupted", time.monotonic() - began < 20)
    """)
    assert ended.stdout.split() == ["cancelled", "interrupted", "True"], ended


def test_ctrl_c_of_a_console() -> None:
    """A real Ctrl-C, from a console that only the child has."""
    ended = child(
        """
        import asyncio, os, signal, threading, qtloop
        async def main():
            threading.Timer(0.3, os.kill, (0, signal.CTRL_C_EVENT)).start()
            await asyncio.sleep(20)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            qtloop.run(main())
        except KeyboardInterrupt:
            print("interrupted")
    """,
        subprocess.CREATE_NEW_CONSOLE,
    )
    assert ended.stdout.split() == ["interrupted"], ended


def test_the_application_quits() -> None:
    ended = child(f"""
        import asyncio, qtloop
        from {BINDING}.QtCore import QCoreApplication, QTimer
        async def main():
            QTimer.singleShot(50, lambda: QCoreApplication.exit(3))
            try:
                await asyncio.sleep(60)
            finally:
                print("finished")
        qtloop.run(main())
    """)
    assert (ended.returncode, ended.stdout.split()) == (3, ["finished"]), ended
