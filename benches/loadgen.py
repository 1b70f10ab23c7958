"""The load generator, built once by the session and run by the measuring processes."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROGRAM = "QTLOOP_LOAD"
"""The environment variable that tells a measuring process where the program is."""

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Target:
    """An echo server to put under load."""

    address: str
    ca: str | None = None
    """The certificate to trust, if the address is a TLS one."""
    addresses: int = 1
    """The server listens on so many IP addresses, that one and those that follow."""
    talk: tuple[str, ...] = ()
    """What is said in place of an echo, as options of the program."""

    def options(self) -> list[str]:
        options = ["--connect", self.address, "--addresses", str(self.addresses)]
        return [*options, "--ca", self.ca] if self.ca else options


def build() -> str:
    """Builds the program and says where cargo has put it."""
    command = ["cargo", "build", "--release", "--package", "qtloop-load"]
    command.append("--message-format=json-render-diagnostics")
    built = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    messages = map(json.loads, built.stdout.splitlines())
    return next(str(message["executable"]) for message in messages if message.get("executable"))


def echo(
    target: Target,
    connections: int,
    size: int,
    seconds: float,
    server: int,
    busy: int | None = None,
) -> dict[str, Any]:
    """Drives echo round trips for so long; `server` is the process whose CPU time is measured.
    `busy` connections have one under way, all in their turns; without that all have."""
    numbers = {"connections": connections, "size": size, "seconds": seconds, "server-pid": server}
    if busy is not None:
        numbers["busy"] = busy
    # A tenth is enough for a loop to have seen every connection, but not for 500 large ones.
    numbers["warmup"] = max(0.2, seconds / 10)
    options = [word for name, value in numbers.items() for word in (f"--{name}", str(value))]
    command = [_program(), "echo", *target.options(), *options, *target.talk]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(
            done.stderr.strip() or f"the load generator ended with {done.returncode}"
        )
    return dict(json.loads(done.stdout))


def hold_idle(target: Target, connections: int) -> subprocess.Popen[str]:
    """Opens idle connections; they are all open when this returns, and close with the process's
    stdin."""
    command = [_program(), "idle", *target.options(), "--connections", str(connections)]
    process = _start(command)
    _first_line(process)
    return process


def stamp(count: int, interval: float, output: int) -> subprocess.Popen[bytes]:
    """Writes time stamps to the fd `output`."""
    command = [_program(), "stamp", "--count", str(count), "--interval", str(interval)]
    return subprocess.Popen(command, stdout=output)


@contextmanager
def floor_server() -> Iterator[tuple[Target, int]]:
    """The epoll echo server: where it listens, and its process."""
    process = _start([_program(), "serve", "--listen", "tcp:127.0.0.1:0"])
    try:
        yield Target(_first_line(process)["listening"]), process.pid
    finally:
        release(process)


def release(process: subprocess.Popen[str]) -> None:
    """Ends a process that lives as long as its stdin."""
    process.communicate()


def _start(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _first_line(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"the load generator ended with {process.wait()}")
    return dict(json.loads(line))


def _program() -> str:
    try:
        return os.environ[PROGRAM]
    except KeyError:
        raise RuntimeError(f"{PROGRAM} does not say where the load generator is") from None
