"""Child processes: exit codes, pipes, signals, many at once, and from a loop in any thread."""

import asyncio
import os
import signal
import sys
import threading
from asyncio import AbstractEventLoop
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import qtloop

from ..support.loops import LoopFactory, opened

CAT = ("cat",)
BIG = bytes(range(256)) * 4_096  # 1 MiB


@pytest.fixture(autouse=True)
def no_watcher(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forgets the child watcher that the stock loop has set up on its turn, up to Python 3.13."""
    monkeypatch.setattr(asyncio.events, "_event_loop_policy", None)


async def start(*command: str, **options: Any) -> Process:
    return await asyncio.create_subprocess_exec(*command, **options)


async def python(program: str, **options: Any) -> Process:
    return await start(sys.executable, "-S", "-c", program, **options)


@pytest.mark.parametrize("code", [0, 1, 7, 255])
async def test_the_exit_code_is_returned(loop: AbstractEventLoop, code: int) -> None:
    process = await asyncio.create_subprocess_shell(f"exit {code}")
    assert await process.wait() == code
    assert process.returncode == code


async def test_the_three_streams(loop: AbstractEventLoop) -> None:
    process = await asyncio.create_subprocess_shell(
        "read line; echo out $line; echo err $line >&2", stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    assert await process.communicate(b"x\n") == (b"out x\n", b"err x\n")


async def test_stderr_can_join_stdout(loop: AbstractEventLoop) -> None:
    process = await asyncio.create_subprocess_shell(
        "echo a; echo b >&2", stdout=PIPE, stderr=STDOUT
    )
    assert (await process.communicate())[0] == b"a\nb\n"
    assert process.stderr is None


async def test_big_data_goes_in_and_out(loop: AbstractEventLoop) -> None:
    process = await start(*CAT, stdin=PIPE, stdout=PIPE)
    out, _ = await process.communicate(BIG)
    assert out == BIG
    assert process.returncode == 0


async def test_lines_are_exchanged_while_the_child_runs(loop: AbstractEventLoop) -> None:
    process = await start(*CAT, stdin=PIPE, stdout=PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    for n in range(20):
        process.stdin.write(b"%d\n" % n)
        assert await process.stdout.readline() == b"%d\n" % n
    process.stdin.close()
    assert await process.wait() == 0


@pytest.mark.parametrize(
    ("end", "number"),
    [("kill", signal.SIGKILL), ("terminate", signal.SIGTERM), ("usr1", signal.SIGUSR1)],
)
async def test_a_child_killed_by_a_signal_has_a_negative_code(
    loop: AbstractEventLoop, end: str, number: signal.Signals
) -> None:
    process = await start("sleep", "100")
    process.send_signal(number) if end == "usr1" else getattr(process, end)()
    assert await process.wait() == -number


async def test_a_finished_child_cannot_be_signalled(loop: AbstractEventLoop) -> None:
    process = await start("sleep", "100")
    process.kill()
    await process.wait()
    with pytest.raises(ProcessLookupError):
        process.kill()


async def test_a_program_that_does_not_exist_raises(loop: AbstractEventLoop) -> None:
    with pytest.raises(FileNotFoundError):
        await start("/no/such/program")


async def test_a_child_that_has_ended_before_anyone_waits(loop: AbstractEventLoop) -> None:
    process = await start("true", stdout=PIPE)
    assert process.stdout is not None
    assert await process.stdout.read() == b""
    assert await process.wait() == 0
    assert await process.wait() == 0


async def test_several_wait_for_one_child(loop: AbstractEventLoop) -> None:
    process = await start(*CAT, stdin=PIPE)
    waiting = [asyncio.ensure_future(process.wait()) for _ in range(5)]
    await asyncio.sleep(0)
    assert process.stdin is not None
    process.stdin.close()
    assert await asyncio.gather(*waiting) == [0] * 5


async def test_a_cancelled_wait_leaves_the_child_running(loop: AbstractEventLoop) -> None:
    process = await start(*CAT, stdin=PIPE, stdout=PIPE)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(process.wait(), 0.01)
    assert process.returncode is None
    assert (await process.communicate(b"alive"))[0] == b"alive"


async def test_many_children_at_once(loop: AbstractEventLoop) -> None:
    async def one(n: int) -> tuple[int, bytes]:
        process = await asyncio.create_subprocess_shell(f"echo {n}; exit {n}", stdout=PIPE)
        out, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out

    outcomes = await asyncio.gather(*(one(n) for n in range(30)))
    assert outcomes == [(n, b"%d\n" % n) for n in range(30)]


async def test_no_fd_is_left_behind(loop: AbstractEventLoop) -> None:
    async def run_a_few() -> int:
        for _ in range(5):
            process = await start(*CAT, stdin=PIPE, stdout=PIPE, stderr=DEVNULL)
            await process.communicate(b"x")
        await asyncio.sleep(0)
        return len(os.listdir("/proc/self/fd"))

    assert await run_a_few() == await run_a_few()


async def test_no_thread_waits_for_a_child(qt_loop: AbstractEventLoop) -> None:
    before = threading.active_count()
    process = await start(*CAT, stdin=PIPE)
    during = threading.active_count()
    await process.communicate(b"")
    assert during == before


@pytest.fixture(params=["kernel", "system", "older macOS"])
def no_pidfd(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel or a sandbox that has no pidfd, or a Python for a system that has none."""

    def refuse(pid: int, flags: int = 0) -> int:
        raise OSError(38, "Function not implemented")

    if request.param == "kernel":
        monkeypatch.setattr(os, "pidfd_open", refuse)
    else:
        monkeypatch.delattr(os, "pidfd_open")
    if request.param == "older macOS":
        monkeypatch.delattr(os, "waitid")


async def test_without_pidfd_a_thread_waits(qt_loop: AbstractEventLoop, no_pidfd: None) -> None:
    process = await start(*CAT, stdin=PIPE, stdout=PIPE)
    assert f"waitpid-{process.pid}" in [thread.name for thread in threading.enumerate()]
    assert (await process.communicate(b"x"))[0] == b"x"
    killed = await start("sleep", "100")
    killed.kill()
    assert await killed.wait() == -signal.SIGKILL


@pytest.fixture
def kernel_reaps() -> Iterator[Callable[[], None]]:
    """Makes the kernel reap children as they end, which no watcher can be quicker than."""

    def ignore_children() -> None:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)

    before = signal.getsignal(signal.SIGCHLD)
    yield ignore_children
    signal.signal(signal.SIGCHLD, before)


async def test_a_child_reaped_by_someone_else_has_code_255(
    loop: AbstractEventLoop, caplog: pytest.LogCaptureFixture, kernel_reaps: Callable[[], None]
) -> None:
    process = await start("sleep", "100")
    kernel_reaps()
    os.kill(process.pid, signal.SIGKILL)
    assert await process.wait() == 255
    assert "will report returncode 255" in " ".join(caplog.text.split())


async def _run_children() -> list[int]:
    children = [await asyncio.create_subprocess_shell(f"exit {n}") for n in range(5)]
    return [await child.wait() for child in children]


def test_children_of_loops_in_several_threads(qt_loop_factory: LoopFactory) -> None:
    def run_one() -> list[int]:
        with opened(qt_loop_factory) as loop:
            return loop.run_until_complete(_run_children())

    with ThreadPoolExecutor(4) as executor:
        results = [executor.submit(run_one) for _ in range(4)]
        assert [result.result() for result in results] == [[0, 1, 2, 3, 4]] * 4


def test_a_child_may_outlive_its_loop(
    loop_factory: LoopFactory, recwarn: pytest.WarningsRecorder
) -> None:
    loop = loop_factory()
    process = loop.run_until_complete(start("sleep", "100"))
    transport: Any = process._transport  # type: ignore[attr-defined]
    transport.close()
    loop.run_until_complete(process.wait())
    loop.close()
    assert process.returncode == -signal.SIGKILL


async def test_a_protocol_hears_of_pipes_and_of_the_end(loop: AbstractEventLoop) -> None:
    class Recorder(asyncio.SubprocessProtocol):
        def __init__(self) -> None:
            self.calls: list[str] = []
            self.out = b""
            self.closed = loop.create_future()

        def pipe_data_received(self, fd: int, data: bytes) -> None:
            self.out += data

        def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
            self.calls.append(f"pipe {fd} lost")

        def process_exited(self) -> None:
            self.calls.append("exited")

        def connection_lost(self, exc: Exception | None) -> None:
            self.closed.set_result(exc)

    transport, protocol = await loop.subprocess_exec(
        Recorder, "echo", "hello", stdin=None, stderr=None
    )
    assert await protocol.closed is None
    assert protocol.out == b"hello\n"
    assert sorted(protocol.calls) == ["exited", "pipe 1 lost"]
    assert transport.get_returncode() == 0
    transport.close()


@pytest.mark.parametrize("pipes", [False, True])
def test_starts_that_are_cancelled_all_at_once_end(
    qt_loop_factory: LoopFactory, pipes: bool
) -> None:
    """The task that connects the pipes is cancelled before it has begun. Stock 3.13.0 hangs."""
    options = dict.fromkeys(["stdin", "stdout", "stderr"], asyncio.subprocess.PIPE) if pipes else {}
    tasks: list[asyncio.Task[Any]] = []

    async def main() -> None:
        for _ in range(3):
            command = asyncio.create_subprocess_exec("sleep", "3600", **options)  # type: ignore[arg-type]
            tasks.append(asyncio.ensure_future(command))
        await asyncio.sleep(0)  # Each has started its process, and waits for its pipes.

    qtloop.run(main(), loop_factory=qt_loop_factory)  # type: ignore[arg-type]
    assert [task.cancelled() for task in tasks] == [True] * 3


def test_a_start_that_is_cancelled_leaves_no_fd(qt_loop_factory: LoopFactory) -> None:
    async def main() -> int:
        await (await asyncio.create_subprocess_exec("true")).wait()
        before = len(os.listdir("/proc/self/fd"))
        for steps in range(6):
            pipe = asyncio.subprocess.PIPE
            start = asyncio.create_subprocess_exec(
                "sleep", "3600", stdin=pipe, stdout=pipe, stderr=pipe
            )
            task = asyncio.ensure_future(start)
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                process = task.result()
                process.kill()
                await process.communicate()
        await asyncio.sleep(0.01)
        return len(os.listdir("/proc/self/fd")) - before

    assert qtloop.run(main(), loop_factory=qt_loop_factory) == 0  # type: ignore[arg-type]
