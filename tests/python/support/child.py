"""Programs that need a process of their own: Ctrl-C, a QApplication, fork, exit codes."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from dataclasses import dataclass
from pathlib import Path

#: Seconds after which a program has hung. It is aborted then, and so says where it was.
PATIENCE = 20
REPOSITORY = Path(__file__).parents[3]

#: What most programs start with. `make_loop` is the factory of the loop under test.
PREAMBLE = """\
import asyncio, os, signal, sys, threading
import qtloop
from qtloop import _qt
qt_core = _qt.core()
"""


@dataclass
class Outcome:
    code: int
    out: str
    err: str


def environment(loop: str | None) -> dict[str, str]:
    """That of a child whose `EventLoop()` is the named one of `loops.OURS`."""
    chosen = dict(zip(("QTLOOP_HOST", "QTLOOP_FD"), loop.split("-"), strict=True)) if loop else {}
    return {**os.environ, "QT_QPA_PLATFORM": "offscreen", **chosen}


def run(program: str, loop: str | None = None, *, send: signal.Signals | None = None) -> Outcome:
    """Runs the program, behind the preamble, to its end. It gets `send` for each line "ready" of
    its."""
    return run_bare(PREAMBLE + textwrap.dedent(program), loop, send=send)


def run_bare(
    program: str, loop: str | None = None, *, send: signal.Signals | None = None
) -> Outcome:
    """Runs nothing but the program."""
    command = [sys.executable, "-X", "faulthandler", "-c", textwrap.dedent(program)]
    return run_command(command, loop, send=send)


def run_command(
    command: list[str],
    loop: str | None = None,
    *,
    send: signal.Signals | None = None,
    patience: float = PATIENCE,
) -> Outcome:
    with subprocess.Popen(
        command,
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(loop),
        text=True,
    ) as process:
        watchdog = threading.Timer(patience, process.send_signal, [signal.SIGABRT])
        watchdog.start()
        try:
            said = _signal_when_ready(process, send) if send else ""
            out, err = process.communicate()
        finally:
            watchdog.cancel()
            watchdog.join()
    return Outcome(process.returncode, said + out, err)


def _signal_when_ready(process: subprocess.Popen[str], sig: signal.Signals) -> str:
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        if line == "ready\n":
            process.send_signal(sig)
        else:
            said += line
    return said
