"""How a process is asked where Python has no Unix sockets: by the loopback interface. Here that
part is put in the place of the other."""

import os
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from qtloop import EventLoop, inspect
from qtloop.inspector import _loopback, _meeting, _server, listen

from .test_from_outside import PATIENCE


@pytest.fixture(autouse=True)
def loopback(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    monkeypatch.setattr(_loopback, "is_alive", lambda pid: pid == os.getpid())
    for name in ("Listener", "connect", "is_alive"):
        monkeypatch.setattr(_meeting, name, getattr(_loopback, name))
    yield
    assert _server._server is None


def states() -> list[str]:
    return [it["state"] for it in inspect.ask(os.getpid())["loops"]]


def test_a_process_is_asked(qt_loop: EventLoop, tmp_path: Path) -> None:
    with listen(qt_loop) as listening:
        assert listening.path == tmp_path / "qtloop" / f"{os.getpid()}.json"
        assert states() == ["not running"]
        if os.name == "posix":
            assert stat.S_IMODE(listening.path.stat().st_mode) == 0o600
    assert not listening.path.exists()
    with pytest.raises(inspect.NoAnswer, match="does not listen"):
        inspect.ask(os.getpid())


@pytest.mark.parametrize("said", [b"", b"x", b"x" * 32, b"x" * 100])
def test_who_does_not_know_the_secret_gets_no_answer(qt_loop: EventLoop, said: bytes) -> None:
    with listen(qt_loop):
        assert _server._server is not None
        address = _server._server._listener._socket.getsockname()
        with socket.create_connection(address, PATIENCE) as stranger:
            try:
                stranger.sendall(said)
                stranger.shutdown(socket.SHUT_WR)
                answer = stranger.recv(1)
            except OSError:  # It has hung up, perhaps before it had read all.
                answer = b""
        assert answer == b""
        assert states() == ["not running"]


def test_the_files_of_dead_processes_are_removed(qt_loop: EventLoop, tmp_path: Path) -> None:
    directory = tmp_path / "qtloop"
    directory.mkdir()
    for name in ("1.json", "99999999999999999999.json", "notes.json"):
        (directory / name).write_text("")
    with listen(qt_loop) as listening:
        assert {*directory.iterdir()} == {listening.path, directory / "notes.json"}


def test_a_file_of_a_process_that_has_ended(tmp_path: Path) -> None:
    """Another process has its number by now."""
    directory = tmp_path / "qtloop"
    directory.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    for text in ("", "{", f'{{"port": {port}, "secret": "00"}}'):
        (directory / f"{os.getpid()}.json").write_text(text)
        with pytest.raises(inspect.NoAnswer, match="does not listen"):
            inspect.ask(os.getpid())


def test_no_thread_stays(qt_loop: EventLoop) -> None:
    before = set(threading.enumerate())
    with listen(qt_loop):
        made = set(threading.enumerate()) - before
        (thread,) = (it for it in made if it.name == "qtloop-inspect")
    thread.join(PATIENCE)
    assert not thread.is_alive()
