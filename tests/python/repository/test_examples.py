"""Every example runs to its end, as its reader would start it."""

import os
import sys
from pathlib import Path

import pytest

from ..support import child
from ..support.loops import qt_core

BINDING = qt_core.__name__.partition(".")[0]


def run_example(*arguments: str) -> child.Outcome:
    return child.run_command([sys.executable, "-W", "error", *arguments])


def test_headless_answers_itself() -> None:
    outcome = run_example("-m", "examples.headless", "--once")
    assert outcome.code == 0, outcome.err
    first, second = outcome.out.splitlines()
    assert first.startswith("listening on 127.0.0.1:")
    assert second == r"echoed b'hello\n'"


def test_hello_counts_down_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is written for PyQt6, whatever the suite's binding is."""
    monkeypatch.delenv("QT_API", raising=False)
    outcome = run_example("examples/hello.py")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")


@pytest.mark.skipif(BINDING == "PyQt5", reason="these examples are written for Qt 6")
def test_the_tests_of_a_program_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QT_API", BINDING.lower())
    monkeypatch.setenv("PYTEST_QT_API", BINDING.lower())
    outcome = run_example(
        "-m", "pytest", "-q", "-p", "pytest_qtloop", "-p", "no:asyncio", "examples/testing"
    )
    assert outcome.code == 0, outcome.out + outcome.err
    assert "28 passed" in outcome.out


def test_the_dashboard_works_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QT_API", BINDING.lower())
    picture = tmp_path / "dashboard.png"
    outcome = run_example(
        "-m", "examples.dashboard", "--seconds", "3", "--screenshot", str(picture)
    )
    assert outcome.code == 0, outcome.out + outcome.err
    report = {line[:16].strip(): line[16:] for line in outcome.out.splitlines()}
    assert "FAILED" not in report
    assert report["versions"].startswith(BINDING)
    assert report["loop"].startswith("EventLoop on host ")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert os.path.getsize(picture) > 10_000
