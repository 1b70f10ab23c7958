"""`python -m qtloop.conformance`: CPython's own tests, on the loop that one names."""

import importlib.util
import re
import subprocess
import sys

import pytest

from ..support import child


def conformance(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "qtloop.conformance", *arguments, "--timeout", "60"],
        cwd=child.REPOSITORY,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    "loop",
    [
        "asyncio:SelectorEventLoop",
        "asyncio:new_event_loop",
        "qtloop:EventLoop",
        "qtloop:new_event_loop",
        *(["uvloop:Loop", "uvloop:new_event_loop"] if importlib.util.find_spec("uvloop") else []),
    ],
)
def test_a_class_or_what_makes_a_loop_passes(loop: str) -> None:
    """Timers come with scripts for a clock that jumps; streams make loops in many ways.

    uvloop has no such clock; with its own the tests of timeouts want a machine that is not busy.
    """
    module = "test_queues" if loop.startswith("uvloop") else "test_timeouts"
    finished = conformance(
        loop, "--select", module, "--before", "tests.python.support.faulty_loops:prepare"
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert re.search(rf"^\| {module} \| (\d\d) \| 0 \| 0 \|$", finished.stdout, re.MULTILINE)
    assert re.search(r"^100.00%: (\d\d) of \1 tests passed", finished.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("loop", "test", "words"),
    [
        ("NeverClosed", "test_base_events.BaseEventLoopTests.test_close", "AttributeError"),
        ("Crashing", "test_timeouts.TimeoutTests.test_timeout_basic", "the process hung or died"),
        ("SomebodyElses", "test_queues.QueueGetTests.test_blocking_get", "not the loop under test"),
    ],
)
def test_it_finds_a_fault(loop: str, test: str, words: str) -> None:
    finished = conformance(f"tests.python.support.faulty_loops:{loop}", "--select", test)
    assert finished.returncode == 1, finished.stdout + finished.stderr
    _, found, detail = finished.stdout.partition(f"\n{test}\n")
    assert found and words in detail


def test_it_wants_to_know_which_loop() -> None:
    finished = conformance()
    assert finished.returncode == 2
    assert "which loop? MODULE:FACTORY" in finished.stderr
