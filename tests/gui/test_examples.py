"""The examples with windows play by themselves, tell what happened, and end."""

import sys
import textwrap
from pathlib import Path

import pytest
from python.support import child
from python.support.loops import qt_core

BINDING = qt_core.__name__.partition(".")[0]

STORIES = {
    "chat": """\
        3 messages behind the dialog, which is open
        Ann: hello
        3 messages behind the dialog, which is open
        Bob: hello
    """,
    "downloads": """\
        2 clicks, 1 dialog
        /report?500000: done, 100 %
        /shaky?200000: failed, 50 %
        /shaky?200000: done, 100 %
        /endless?900000000: cancelled, its owner was destroyed
    """,
    "inspector": """\
        north (probe north): waits for shield of task probe north
        surveyed: south, west
        block was caught: True
        the inspector is open: True
    """,
    "plugin": """\
        visitor: note 1
        visitor: note 2, with QInputDialog open
        plug-in: the server is closed
        host: no longer serving, but still here
        host: exec() ended with 0
        milk, bread, butter
    """,
    "save_on_close": """\
        asked: untitled.txt has been changed.
        answered: Cancel
        window: open, file: False
        asked: untitled.txt has been changed.
        answered: Save
        window: closed, file: 17 bytes
        run: None
    """,
}


pytestmark = pytest.mark.skipif(BINDING == "PyQt5", reason="these examples are written for Qt 6")


@pytest.fixture(autouse=True)
def api(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QT_API", BINDING.lower())


@pytest.mark.parametrize("example", STORIES)
def test_an_example_tells_its_story(example: str) -> None:
    outcome = child.run_command([sys.executable, "-W", "error", f"examples/{example}.py", "--auto"])
    assert outcome.code == 0, outcome.out + outcome.err
    assert outcome.out == textwrap.dedent(STORIES[example])
    assert "Traceback" not in outcome.err and "Warning" not in outcome.err, outcome.err


def test_a_slot_that_is_clicked_twice_reads_one_poem() -> None:
    outcome = child.run_command([sys.executable, "-W", "error", "examples/slots.py", "--auto"])
    assert outcome.code == 0, outcome.out + outcome.err
    assert (
        outcome.out.count("The Zen of Python") == 1
        and "Namespaces are one honking great idea" in outcome.out
    )
    assert "Traceback" not in outcome.err and "Warning" not in outcome.err, outcome.err


def test_save_on_close_writes_the_file_that_it_is_given(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    outcome = child.run_command([sys.executable, "examples/save_on_close.py", str(file), "--auto"])
    assert outcome.code == 0, outcome.out + outcome.err
    assert file.read_text() == "asyncio inside Qt"
