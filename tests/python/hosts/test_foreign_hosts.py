"""`qtloop.hosts`: what a host of somebody else's is, how a loop gets it, and how it is put to the
test."""

import asyncio
import contextlib
import ctypes
import errno
import os
import re
import select
import signal
import subprocess
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import qtloop
from qtloop import EventLoop, hosts

from ..support import child, foreign
from ..support.foreign import PollHost, make_capsule
from ..support.loops import opened

# What a loop takes.


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (PollHost, "poll"),
        (make_capsule, "poll in C"),
        (lambda: "tests.python.support.foreign:PollHost", "poll"),
    ],
)
def test_a_loop_runs_on_a_host_and_has_its_name(make: Callable[[], Any], name: str) -> None:
    with opened(lambda: EventLoop(host=make())) as loop:
        assert loop.run_until_complete(asyncio.sleep(0.001, "slept")) == "slept"
        assert getattr(loop, "host") == name  # noqa: B009


def test_a_host_without_a_name_has_that_of_its_class() -> None:
    class Nameless(PollHost):
        name: Any = None

    with contextlib.closing(EventLoop(host=Nameless())) as loop:
        assert loop.host == "Nameless"


def test_the_environment_takes_a_module_and_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QTLOOP_HOST", "tests.python.support.foreign:PollHost")
    with contextlib.closing(EventLoop()) as loop:
        assert loop.host == "poll"


@pytest.mark.parametrize(
    "entry", ["tests.python.support.foreign:PollHost", "tests.python.support.foreign:make_capsule"]
)
def test_an_entry_point_of_somebody_elses_package_is_found_by_its_name(
    entry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "somebody_elses-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: somebody-elses\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[qtloop.hosts]\nmine = {entry}\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{child.REPOSITORY}")
    monkeypatch.setenv("QTLOOP_HOST", "mine")
    outcome = child.run_bare(
        """
        import asyncio, qtloop, sys
        from qtloop import hosts
        async def main():
            return asyncio.get_running_loop().host.partition(" ")[0]
        print(hosts.names())
        print(qtloop.run(main()), qtloop.run(main(), host="mine"))
        hosts.check("mine")
        try:
            qtloop.EventLoop(host="yours")
        except ValueError as error:
            print(error)
        print([name for name in sys.modules if "PyQt" in name or "PySide" in name])
        """
    )
    assert (outcome.code, outcome.out) == (
        0,
        "['qt', 'binding', 'sim', 'mine']\npoll poll\n"
        "host must be 'qt', 'binding', 'sim', 'mine' or 'MODULE:NAME', not 'yours'\n[]\n",
    ), outcome.err


def test_run_and_attach_take_a_host() -> None:
    async def name() -> str:
        return str(getattr(asyncio.get_running_loop(), "host"))  # noqa: B009

    host = PollHost()
    assert qtloop.run(name(), host=host) == "poll"
    with qtloop.attach(host=host) as loop:
        assert loop.host == "poll"
        asked = loop.create_task(name())
        loop.call_later(0.01, loop.stop)
        asked.add_done_callback(lambda _: host.leave())
        host.run(False)
    assert asked.result() == "poll"


def test_a_host_and_a_factory_exclude_each_other() -> None:
    both: Any = {"host": PollHost(), "loop_factory": lambda: EventLoop(host="sim")}
    with (
        contextlib.closing(asyncio.sleep(0)) as coroutine,
        pytest.raises(TypeError, match="either a host or"),
    ):
        qtloop.run(coroutine, **both)
    with pytest.raises(TypeError, match="either a host or a loop factory"):
        qtloop.attach(**both)


def test_what_is_no_host_is_refused() -> None:
    with pytest.raises(TypeError, match=r"object is no host: it has no method start, stop, run"):
        EventLoop(host=object())
    with pytest.raises(TypeError, match=r"not the class PollHost: call it"):
        EventLoop(host=PollHost)
    with pytest.raises(ImportError):
        EventLoop(host="no_such_module:Host")
    with pytest.raises(AttributeError):
        EventLoop(host="tests.python.support.foreign:NoSuchHost")


def test_a_host_in_python_is_a_host_by_its_methods() -> None:
    assert isinstance(PollHost(), hosts.Host)
    assert not isinstance(object(), hosts.Host)


# What the table in a capsule says.


@pytest.mark.parametrize("version", [0, 2, 2**32 - 1])
def test_a_table_of_an_unknown_version_is_refused(version: int) -> None:
    with pytest.raises(
        ValueError, match=f"table has version {version}, and this qtloop knows 1 to 1"
    ):
        EventLoop(host=make_capsule(version))


@pytest.mark.parametrize(
    ("why", "message"),
    [
        (b"no loop on Sundays", "no loop on Sundays"),
        (b"", 'the host "poll in C" has no run loop for this thread'),
    ],
)
def test_a_host_that_cannot_start_says_why(why: bytes, message: str) -> None:
    with contextlib.closing(EventLoop(host=make_capsule(why=why))) as loop:
        with pytest.raises(RuntimeError, match=f"^{message}$"):
            loop.run_forever()
        assert not loop.is_running()


def test_a_watch_that_fails_raises_the_error_of_its_number() -> None:
    with contextlib.closing(EventLoop(host=make_capsule(errno=errno.EPERM))) as loop:
        with pytest.raises(PermissionError):
            loop.run_forever()
        assert not loop.is_running()


def c_program(language: str) -> str:
    fields = [name for name, _ in foreign.Table._fields_]
    lines = [f'printf("{name} %zu\\n", offsetof(qtloop_host, {name}));' for name in fields]
    return textwrap.dedent(
        f"""
        #include <stddef.h>
        #include <stdio.h>
        #include "qtloop_host.h"
        int main(void) {{
            {" ".join(lines)}
            printf("%zu %d %s\\n", sizeof(qtloop_host), QTLOOP_HOST_VERSION, QTLOOP_HOST_CAPSULE);
            printf("%d %d %d ", QTLOOP_READY, QTLOOP_DEADLINE, QTLOOP_FD);
            printf("%d %d\\n", QTLOOP_READ, QTLOOP_WRITE);
            return 0;
        }}
        """
    )


@pytest.mark.parametrize(("compiler", "language"), [("cc", "c"), ("c++", "c++")])
def test_the_header_says_what_the_table_is(compiler: str, language: str, tmp_path: Path) -> None:
    """`foreign.Table` is what Rust reads: a loop runs on it."""
    flags = [
        "-Wall",
        "-Wextra",
        "-Wpedantic",
        "-Werror",
        f"-I{hosts.get_include()}",
        "-x",
        language,
        "-",
    ]
    program = tmp_path / "program"
    subprocess.run(
        [compiler, "-o", str(program), *flags], input=c_program(language), text=True, check=True
    )
    said = subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout
    table = foreign.Table
    offsets = "".join(f"{name} {getattr(table, name).offset}\n" for name, _ in table._fields_)
    assert (
        said
        == f"{offsets}{ctypes.sizeof(table)} 1 {hosts.CAPSULE}\n0 1 2 {hosts.READ} {hosts.WRITE}\n"
    )


def test_the_fields_of_the_header_are_those_of_the_table_in_rust() -> None:
    header = Path(hosts.get_include(), "qtloop_host.h").read_text()
    struct = re.sub(
        r"/\*.*?\*/",
        "",
        header.partition("typedef struct qtloop_host {")[2].partition("}")[0],
        flags=re.S,
    )
    in_c = re.findall(r"(?:\(\*)?(\w+)\)?(?:\([^;]*\))?;", struct)
    rust = (child.REPOSITORY / "src/host/table.rs").read_text()
    in_rust = re.findall(
        r"^    pub (\w+):", rust.partition("pub struct HostTable {")[2].partition("\n}")[0], re.M
    )
    assert in_c == in_rust == [name for name, _ in foreign.Table._fields_]


# The quit of an application, where there is none.


def test_a_host_whose_run_loop_ends_by_itself_has_quit(capsys: pytest.CaptureFixture[str]) -> None:
    host = PollHost()

    async def main() -> None:
        asyncio.get_running_loop().call_later(0.01, host.leave)
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            print("cleaned up")

    assert qtloop.run(main(), host=host) is None
    assert capsys.readouterr().out == "cleaned up\n"


def test_the_exit_code_of_a_host_that_has_quit_is_the_programs() -> None:
    host = PollHost()
    host.code = 3

    async def main() -> None:
        asyncio.get_running_loop().call_later(0.01, host.leave)
        await asyncio.Event().wait()

    with pytest.raises(SystemExit) as caught:
        qtloop.run(main(), host=host)
    assert caught.value.code == 3


def test_a_quit_signal_cancels_the_task(capsys: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        asyncio.get_running_loop().call_later(0.01, os.kill, os.getpid(), signal.SIGTERM)
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            print("cleaned up")

    assert qtloop.run(main(), host=PollHost(), quit_signals=[signal.SIGTERM]) is None
    assert capsys.readouterr().out == "cleaned up\n"


def test_a_task_that_is_cancelled_otherwise_is_cancelled() -> None:
    async def main() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    with pytest.raises(asyncio.CancelledError):
        qtloop.run(main(), host=PollHost(), quit_signals=[signal.SIGTERM])


# The check.


class Deaf(PollHost):
    """Never comes back: there is no deadline."""

    def set_deadline(self, milliseconds: int | None) -> None: ...


class Restless(PollHost):
    """Looks every 10 ms whether there is something to do."""

    def _timeout(self) -> float | None:
        patience = super()._timeout()
        return 10 if patience is None else min(patience, 10)


class EarlyDeadline(PollHost):
    """Takes no short wait seriously."""

    def set_deadline(self, milliseconds: int | None) -> None:
        super().set_deadline(0 if milliseconds is not None and milliseconds < 10 else milliseconds)


class OnlyOutermost(PollHost):
    """No fd is reported in a nested run."""

    def _is_ready(self, fd: int, way: int) -> bool:
        return len(self._runs) == 1 and super()._is_ready(fd, way)


class Overslept(PollHost):
    """Does not look at its fds once it sleeps without a deadline."""

    def _turn(self, has_quit: list[bool]) -> None:
        if self._timeout() is None and self._watches:
            select.poll().poll()
        super()._turn(has_quit)


@pytest.mark.parametrize("host", [PollHost, PollHost(), make_capsule, make_capsule(), "sim"])
def test_a_host_that_keeps_the_rules_passes(host: object) -> None:
    hosts.check(host)


@pytest.mark.parametrize(
    ("host", "rule"),
    [
        (EarlyDeadline, "a deadline is never early"),
        (Restless, "an idle host sleeps"),
        (OnlyOutermost, "every event comes in a run nested in any event"),
    ],
)
def test_the_broken_rule_is_named(host: Callable[[], Any], rule: str) -> None:
    with pytest.raises(hosts.BrokenRule) as caught:
        hosts.check(host, patience=3)
    assert caught.value.rule == rule
    assert str(caught.value) == f"{rule}: {caught.value.reason}"


@pytest.mark.parametrize(
    ("host", "rule"),
    [
        (Deaf, "one arm gives one Ready"),
        (Overslept, "an fd is reported for as long as it is ready"),
    ],
)
def test_a_host_that_never_comes_back_is_interrupted(
    host: Callable[[], Any], rule: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(hosts.BrokenRule) as caught:
        hosts.check(host, patience=0.5)
    assert str(caught.value) == f"{rule}: it has not come to an end in 0.5 s"
    assert [record.getMessage() for record in caplog.records] == [
        f"check of a host: {caught.value}"
    ]


def test_what_cannot_be_made_raises_what_it_raises() -> None:
    def make() -> Any:
        raise RuntimeError("out: of hosts")

    with pytest.raises(RuntimeError, match=r"^out: of hosts$") as caught:
        hosts.check(make)
    assert not isinstance(caught.value, hosts.BrokenRule)
    with pytest.raises(TypeError, match="is no host"):
        hosts.check(object())


def test_no_thread_stays() -> None:
    hosts.check(PollHost)
    assert "qtloop.hosts.check" not in [thread.name for thread in threading.enumerate()]


def test_the_package_brings_its_header() -> None:
    assert Path(hosts.get_include(), "qtloop_host.h").is_file()
