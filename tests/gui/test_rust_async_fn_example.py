"""The example whose slots await Rust clicks its own buttons; its window is looked at."""

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
from python.support import child, extensions

from .test_examples import BINDING, pytestmark  # noqa: F401

qt_gui: Any = importlib.import_module(f"{BINDING}.QtGui")

STORY = """\
the greatest factor is 1000003
press Answer!
the answer: yes
cancelled
1252 primes
"""
#: The side of the square on which the primes are marked, in pixels, and that of a mark.
SIDE, MARK = 404, 4


#: What runs a program under each of Qt's platforms.
DISPLAYS: dict[str, list[str]] = {"offscreen": [], "xcb": ["xvfb-run", "--auto-servernum"]}


@pytest.mark.parametrize("platform", DISPLAYS)
def test_slots_await_rust(platform: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QT_API", BINDING.lower())
    library = extensions.build("rust_async_fn")
    picture = tmp_path / "window.png"
    program = [
        "examples/rust_async_fn/app.py",
        "--extension",
        str(library),
        "--screenshot",
        str(picture),
    ]
    command = [sys.executable, "-W", "error", *program]
    outcome = child.run_command(
        [*DISPLAYS[platform], "env", f"QT_QPA_PLATFORM={platform}", *command]
    )
    assert outcome.code == 0, outcome.out + outcome.err
    assert outcome.out == STORY
    assert "Traceback" not in outcome.err and "Warning" not in outcome.err, outcome.err
    image = qt_gui.QImage(str(picture))
    assert count(image, "#ffb454") == 1252 * MARK * MARK
    assert count(image, "#10222e") == SIDE * SIDE - 1252 * MARK * MARK


def count(image: Any, colour: str) -> int:
    """The pixels of that colour."""
    wanted = qt_gui.QColor(colour).rgb()
    return sum(
        image.pixel(x, y) == wanted for x in range(image.width()) for y in range(image.height())
    )
