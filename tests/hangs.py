"""A pytest plugin: a test that hangs ends the run, and the last lines printed say which one, and
where.

A process of its own keeps the time, since a test may hang with the GIL held, so that no other
thread could speak. It hears through a pipe what begins. When nothing has begun for too long it
sends the run a signal, at which `faulthandler`, which needs no GIL, writes into the pipe where all
threads stand; prints that; and kills the run. Collection, the end of the session and the end of the
interpreter are watched as the tests are.
"""

import contextlib
import ctypes
import faulthandler
import os
import select
import signal
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import pytest

#: Asks the run where it stands. Nobody else's signal.
SIGNAL: Final = signal.SIGRTMAX

#: How many of the main thread's frames the last lines show: a log may be cut to these.
FRAMES: Final = 12

#: Seconds in which a run that is asked has begun to answer, and those after which it has ended its
#: answer.
ANSWER, SILENCE = 10.0, 1.0


def pytest_addoption(parser: "pytest.Parser") -> None:
    parser.addini(
        "hang_timeout", "seconds after which a setup, call or teardown has hung", default="100"
    )


def pytest_configure(config: "pytest.Config") -> None:
    config.pluginmanager.register(_Guard(config.getini("hang_timeout")))


class _Guard:
    """Starts the process that keeps the time, and tells it what begins."""

    def __init__(self, patience: str) -> None:
        reader, self._pipe = os.pipe()
        command = [sys.executable, "-S", __file__, str(os.getpid()), patience]
        os.posix_spawn(
            sys.executable, command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, reader, 0)]
        )
        os.close(reader)
        _sleep_at(SIGNAL)
        faulthandler.register(SIGNAL, self._pipe, chain=True)
        self._failed = ""

    def pytest_runtest_setup(self, item: "pytest.Item") -> None:
        self._failed = ""
        self._say(f"setup of {item.nodeid}")

    def pytest_runtest_call(self, item: "pytest.Item") -> None:
        self._say(f"call of {item.nodeid}")

    def pytest_runtest_teardown(self, item: "pytest.Item") -> None:
        self._say(f"teardown of {item.nodeid}{self._failed}")

    def pytest_runtest_logreport(self, report: "pytest.TestReport") -> None:
        if report.failed:  # Of which a run that is killed has no occasion to tell.
            crash = getattr(report.longrepr, "reprcrash", None)
            self._failed = (
                f", whose {report.when} failed: {crash.message if crash else report.longrepr}"
            )

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self._say(f"what comes after {nodeid}")

    def pytest_enter_pdb(self) -> None:
        self._say("")

    def _say(self, what: str) -> None:
        line, *_ = what.split("\n")
        os.write(self._pipe, f"{line}\n".encode(errors="replace"))


def _sleep_at(number: int) -> None:
    """Lets a thread that gets the signal sleep in its handler for ever: if that returned, the
    signal would have interrupted what hangs, and the run might go on."""
    libc = ctypes.CDLL(None)
    libc.signal.argtypes, libc.signal.restype = [ctypes.c_int, ctypes.c_void_p], ctypes.c_void_p
    libc.signal(number, ctypes.cast(libc.pause, ctypes.c_void_p))


# The process that keeps the time.


def watch(run: int, patience: float) -> None:
    """Hears on standard input what the process `run` begins, until that ends or has hung."""
    what = "the start"
    while news := _hear(patience if what else None):
        what = news.decode().splitlines()[-1]
    if news is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(run, SIGNAL)
            _report(f"hung for {patience:g} s: {what}", _answer())
            os.kill(run, signal.SIGKILL)


def _hear(seconds: float | None) -> bytes | None:
    """What was said; b"" if the run has ended; None after so many seconds of silence."""
    return os.read(0, 1 << 16) if select.select([0], [], [], seconds)[0] else None


def _answer() -> str:
    answer, seconds = b"", ANSWER
    while news := _hear(seconds):
        answer, seconds = answer + news, SILENCE
    return answer.decode(errors="replace")


def _report(headline: str, stacks: str) -> None:
    """The main thread comes last in `stacks`, its innermost frame first."""
    innermost = stacks.rpartition("(most recent call first):\n")[2].splitlines()[:FRAMES]
    print(f"\n{stacks}\n{headline}", *innermost, sep="\n", file=sys.stderr, flush=True)


if __name__ == "__main__":
    # Ctrl-C is for the run, which ends then or goes on.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    watch(int(sys.argv[1]), float(sys.argv[2]))
