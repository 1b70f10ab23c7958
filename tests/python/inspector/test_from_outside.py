"""`python -m qtloop.inspect`: a process is asked what its loops do."""

import json
import os
import socket
import stat
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from qtloop import EventLoop, inspect
from qtloop.inspector import Snapshot, _answer, _directory, _server, listen, snapshot

from ..support import child
from ..support.loops import run_briefly

#: Seconds after which a program that is asked has hung.
PATIENCE = 60

PROGRAM = """
    import asyncio, os, sys, time
    import qtloop
    import qtloop.inspector

    async def waits(event):
        await event.wait()

    async def main():
        LISTEN
        event = asyncio.Event()
        tasks = [asyncio.create_task(waits(event), name=name) for name in ("one", "two\\n")]
        await asyncio.sleep(0.01)
        print("ready", flush=True)
        BLOCK
        await event.wait()

    qtloop.run(main())
"""


@pytest.fixture(autouse=True)
def directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where the sockets of these tests are."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("QTLOOP_INSPECT", raising=False)
    return tmp_path / "qtloop"


@contextmanager
def running(
    name: str, *, listens: str = "qtloop.inspector.listen()", blocks: str = "pass", **others: str
) -> Iterator[subprocess.Popen[str]]:
    """A program that runs until it is killed."""
    program = textwrap.dedent(PROGRAM).replace("LISTEN", listens).replace("BLOCK", blocks)
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=child.REPOSITORY,
        env={**child.environment(name), **others},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def ask(*arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "qtloop.inspect", *arguments],
        cwd=child.REPOSITORY,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    return done.returncode, done.stdout, done.stderr


def test_a_program_is_asked(name: str, directory: Path) -> None:
    with running(name) as process:
        pid = str(process.pid)
        code, out, err = ask(pid)
        assert (code, err) == (0, "")
        assert f"process {pid}, 1 loop(s)" in out
        assert "  one (waits): waits for Event.wait()" in out
        assert "  two\\n (waits): waits for Event.wait()" in out
        code, out, err = ask(pid, "--json")
        assert (code, err) == (0, "")
        (loop,) = json.loads(out)["loops"]
        assert (loop["state"], loop["host"]) == ("running", name.partition("-")[0])
        assert {"one", r"two\n"} <= {it["name"] for it in loop["snapshot"]["tasks"]}
        # Nothing of what answers is among what it tells.
        assert len(loop["snapshot"]["tasks"]) == 3
        assert loop["snapshot"]["timers"] == []
        assert loop["snapshot"]["transports"] == []
        modes = [stat.S_IMODE(it.lstat().st_mode) for it in (directory, *directory.iterdir())]
        assert modes == [0o700, 0o600]


def test_a_blocked_loop_says_so_itself(name: str) -> None:
    with running(name, blocks="time.sleep(1000)") as process:
        code, out, _ = ask(str(process.pid))
        assert code == 0
        assert "blocked" in out
        assert "Task-1 (main at <string>:" in out
        assert "in main" in out
        code, out, _ = ask(str(process.pid), "--json")
        (loop,) = json.loads(out)["loops"]
        assert loop["state"] == "blocked"
        assert loop["blocked"]["seconds"] >= 1
        assert "in main" in loop["blocked"]["stack"]
        assert "snapshot" not in loop


def test_a_loop_that_takes_its_time_to_tell_is_not_blocked(
    qt_loop: EventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There may be very many tasks."""
    answers: list[str] = []

    def slow(loop: EventLoop) -> Snapshot:
        time.sleep(0.6)
        return snapshot(loop)

    def look() -> None:
        answers.extend(it["state"] for it in inspect.ask(os.getpid())["loops"])
        qt_loop.call_soon_threadsafe(qt_loop.stop)

    monkeypatch.setattr(_answer, "PATIENCE", 0.5)
    monkeypatch.setattr(_answer, "snapshot", slow)
    thread = threading.Thread(target=look)
    with listen(qt_loop):
        qt_loop.call_soon(thread.start)
        qt_loop.run_forever()
        thread.join()
    assert answers == ["running"]


def test_the_environment_makes_a_loop_listen(name: str) -> None:
    with running(name, listens="pass", QTLOOP_INSPECT="1") as process:
        code, out, _ = ask(str(process.pid))
        assert (code, "one (waits)" in out) == (0, True)


@pytest.mark.parametrize("value", ["", "0"])
def test_a_program_that_does_not_listen(name: str, value: str) -> None:
    with running(name, listens="pass", QTLOOP_INSPECT=value) as process:
        code, out, err = ask(str(process.pid))
    assert (code, out) == (1, "")
    assert f"process {process.pid} does not listen: it has to call qtloop.inspector.listen()" in err
    code, out, err = ask(str(process.pid))
    assert (code, out, err) == (1, "", f"there is no process {process.pid}\n")


def test_the_socket_of_a_dead_process_is_removed(
    name: str, directory: Path, qt_loop: EventLoop
) -> None:
    with running(name) as process:
        left = directory / f"{process.pid}.socket"
        assert left.exists()
    assert left.exists(), "it was killed"
    with listen(qt_loop) as listening:
        assert not left.exists()
        assert listening.path == directory / f"{os.getpid()}.socket"
        assert [*directory.iterdir()] == [listening.path]
    assert not listening.path.exists()


def test_what_is_no_socket_of_ours_stays(directory: Path, qt_loop: EventLoop) -> None:
    directory.mkdir(mode=0o700)
    others = [directory / "99999999999999999999.txt", directory / "notes"]
    for other in others:
        other.write_text("")
    with listen(qt_loop):
        pass
    assert all(it.exists() for it in others)


def test_a_program_that_ends_takes_its_socket_with_it(name: str, directory: Path) -> None:
    outcome = child.run(
        """
        import qtloop.inspector

        loop = qtloop.EventLoop()
        listening = qtloop.inspector.listen(loop)
        print(listening.path.exists())
        """,
        name,
    )
    assert (outcome.code, outcome.out) == (0, "True\n")
    assert [*directory.iterdir()] == []


def test_closing_a_loop_ends_the_answers(directory: Path, qt_loop: EventLoop) -> None:
    path = listen(qt_loop).path
    run_briefly(qt_loop)
    assert path.exists()
    qt_loop.close()
    assert not path.exists()
    assert _server._server is None
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        listen(qt_loop)


def test_no_thread_stays(qt_loop: EventLoop) -> None:
    # The thread of an earlier test may still be about to end.
    before = set(threading.enumerate())
    with listen(qt_loop):
        made = set(threading.enumerate()) - before
        (thread,) = (it for it in made if it.name == "qtloop-inspect")
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_several_loops_answer_together(qt_loop: EventLoop) -> None:
    other = EventLoop()
    first, second = listen(qt_loop), listen(other)
    assert first.path == second.path
    answers = [inspect.ask(os.getpid())]
    first.close()
    answers.append(inspect.ask(os.getpid()))
    first.close()
    second.close()
    other.close()
    assert [[it["state"] for it in answer["loops"]] for answer in answers] == [
        ["not running", "not running"],
        ["not running"],
    ]


async def test_only_with_a_loop(qt_loop: EventLoop) -> None:
    with listen() as listening:
        assert listening.path.exists()


def test_without_a_loop() -> None:
    with pytest.raises(RuntimeError, match="no loop of qtloop's"):
        listen()


def test_a_directory_that_is_open_to_others_is_refused(directory: Path, qt_loop: EventLoop) -> None:
    directory.mkdir()
    directory.chmod(0o755)
    with pytest.raises(PermissionError, match="not a directory of this user's alone"):
        listen(qt_loop)
    assert [*directory.iterdir()] == []
    directory.rmdir()
    elsewhere = directory.with_name("elsewhere")
    elsewhere.mkdir(mode=0o700)
    directory.symlink_to(elsewhere)
    with pytest.raises(PermissionError, match="not a directory of this user's alone"):
        listen(qt_loop)
    assert qt_loop._end_listening is None


def test_a_program_runs_though_it_cannot_be_inspected(name: str, directory: Path) -> None:
    directory.mkdir()
    directory.chmod(0o755)
    outcome = child.run(
        """
        import logging
        os.environ["QTLOOP_INSPECT"] = "1"

        async def main():
            print("ran")

        qtloop.run(main())
        """,
        name,
    )
    assert (outcome.code, outcome.out) == (0, "ran\n")
    assert "nobody can inspect this program" in outcome.err


def test_without_a_runtime_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, qt_loop: EventLoop
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with listen(qt_loop) as listening:
        assert listening.path.parent == tmp_path / f"qtloop-{os.getuid()}"
        assert stat.S_IMODE(listening.path.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE(listening.path.stat().st_mode) == 0o600
        assert _directory.find(os.getpid()) == listening.path


def test_a_forked_child_leaves_its_parents_socket_alone(name: str, directory: Path) -> None:
    outcome = child.run(
        """
        import qtloop.inspector
        from qtloop import inspect

        loop = qtloop.EventLoop()
        listening = qtloop.inspector.listen(loop)
        pid = os.fork()
        if pid == 0:
            listening.close()
            sys.exit()
        print(os.waitpid(pid, 0)[1], listening.path.exists())
        print(len(inspect.ask(os.getpid())["loops"]))
        """,
        name,
    )
    assert (outcome.code, outcome.out) == (0, "0 True\n1\n"), outcome.err


def test_who_hangs_up_does_no_harm(qt_loop: EventLoop) -> None:
    with listen(qt_loop) as listening:
        for _ in range(3):
            with socket.socket(socket.AF_UNIX) as impatient:
                impatient.connect(str(listening.path))
        assert len(inspect.ask(os.getpid())["loops"]) == 1


def test_a_socket_that_nobody_serves(directory: Path) -> None:
    directory.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(directory / f"{os.getpid()}.socket"))
    with pytest.raises(inspect.NoAnswer, match="does not listen"):
        inspect.ask(os.getpid())


def test_no_number() -> None:
    code, _, err = ask("me")
    assert code == 2
    assert "PID" in err


def test_a_guest_listens_too(name: str) -> None:
    outcome = child.run(
        """
        os.environ["QTLOOP_INSPECT"] = "1"
        from qtloop import inspect

        application = qt_core.QCoreApplication([])

        async def host():
            with qtloop.attach(guest=True):
                return len((await asyncio.to_thread(inspect.ask, os.getpid()))["loops"])

        print(asyncio.run(host()))
        """,
        name,
    )
    assert (outcome.code, outcome.out) == (0, "1\n"), outcome.err


def test_it_is_not_imported_unless_it_is_used(name: str) -> None:
    outcome = child.run(
        """
        async def main():
            pass

        qtloop.run(main())
        print([it for it in sys.modules if "inspector" in it])
        """,
        name,
    )
    assert (outcome.code, outcome.out) == (0, "[]\n")
