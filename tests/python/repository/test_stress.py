"""A short form of `make stress`, in processes of their own, with a fixed seed."""

import sys

import pytest

from ..support import child
from ..support.loops import HOSTS, STRATEGIES

#: Seconds of a run. It ends when everything in it has.
SECONDS = 3


def stress(*options: str, interpreter: tuple[str, ...] = ()) -> str:
    """Runs it and returns the line that sums it up."""
    command = [sys.executable, "-X", "faulthandler", *interpreter, "-m", "tests.stress"]
    outcome = child.run_command([*command, "--seed", "1", "--seconds", str(SECONDS), *options])
    assert (outcome.code, "WRONG" in outcome.out) == (0, False), outcome.out + outcome.err
    summary = outcome.out.splitlines()[-1]
    for what in (
        "connections",
        "bytes",
        "timers",
        "exceptions",
        "threadsafe",
        "cancelled",
        "datagrams",
    ):
        assert what in summary
    return summary


@pytest.mark.parametrize("fds", STRATEGIES)
@pytest.mark.parametrize("host", HOSTS)
def test_everything_at_once(host: str, fds: str) -> None:
    assert "nested" in stress("--host", host, "--fds", fds)


def test_everything_at_once_on_the_stock_loop() -> None:
    """The checks themselves are right."""
    stress("--loop", "stock")


def test_everything_at_once_in_debug_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")
    stress("--host", HOSTS[0])


def test_everything_at_once_with_python_s_own_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONMALLOC", "debug")
    stress("--host", HOSTS[0], interpreter=("-X", "dev"))


def test_every_seed_is_another_program() -> None:
    """By default it is a random one, and it is told."""
    command = [sys.executable, "-m", "tests.stress", "--loop", "stock", "--seconds", "0"]
    seeds = {child.run_command(command).out.splitlines()[0] for _ in range(2)}
    assert len(seeds) == 2
    assert all(seed.startswith("seed ") for seed in seeds)
