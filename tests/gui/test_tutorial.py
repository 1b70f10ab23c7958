"""The programs of the tutorial run with each binding, their user is played, and their tests pass.
They are written for PyQt6: with PySide6, the name in their imports is changed."""

import sys
from pathlib import Path

import pytest
from python.support import child
from python.support.loops import qt_core

BINDING = qt_core.__name__.partition(".")[0]
SOURCES = child.REPOSITORY / "examples" / "tutorial"
PLAYER = Path(__file__).with_name("play_tutorial.py")

STORIES = {
    "chapter1": ["Not a second yet", "it counts", "bye"],
    "chapter2": ["open", "closed"],
    "chapter3": [
        "['127.0.0.1', 'localhost']",
        "Remove localhost?",
        "['127.0.0.1'] ['Names and addresses will do.', 'selected: localhost',"
        " 'selected: 127.0.0.1']",
    ],
    "chapter4": ["['PORT hello', 'done'] 1", "['stopped'] 0"],
    "chapter5": [
        "Save what was found? Cancel",
        "open False",
        "Save what was found? Save",
        "bye",
    ],
}

pytestmark = pytest.mark.skipif(BINDING == "PyQt5", reason="these examples are written for Qt 6")


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("QT_API", raising=False)
    for source in SOURCES.iterdir():
        if source.is_file():
            text = source.read_text().replace("PyQt6", BINDING)
            (tmp_path / source.name).write_text(text)
    return tmp_path


@pytest.mark.parametrize("chapter", STORIES)
def test_a_program_of_the_tutorial(chapter: str, programs: Path) -> None:
    saved = programs / "saved.txt"
    command = [sys.executable, "-W", "error", str(PLAYER), str(programs / f"{chapter}.py")]
    outcome = child.run_command([*command, str(saved)])
    # Qt's platform without a display says that it has no size hints.
    said = [line for line in outcome.err.splitlines() if not line.startswith("This plugin")]
    assert (outcome.code, said) == (0, [])
    assert outcome.out.splitlines() == STORIES[chapter]
    if chapter == "chapter5":
        [found, done] = saved.read_text().splitlines()
        assert found.endswith(" hello") and done == "done"


def test_the_tests_of_the_tutorial_pass(
    programs: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # Else it removes the folders of earlier runs when it ends, which may take its time.
    folder = f"--basetemp={tmp_path_factory.mktemp('tutorial')}"
    plugins = ["-p", "pytest_qtloop", "-p", "no:asyncio", "-p", "no:pytest-qt"]
    outcome = child.run_command(
        [sys.executable, "-W", "error", "-m", "pytest", "-q", folder, *plugins, str(programs)]
    )
    assert outcome.code == 0, outcome.out + outcome.err
    assert "4 passed" in outcome.out
