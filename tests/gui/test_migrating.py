"""The programs before and after of `docs/migrating` tell the same story, as their reader would
start them."""

import importlib.util
import re
import sys

import pytest
from python.support import child
from python.support.loops import qt_core

BINDING = qt_core.__name__.partition(".")[0]

EXAMPLES = child.REPOSITORY / "examples" / "migrating"
PAGES = child.REPOSITORY / "docs" / "migrating"

STORIES = {
    "qtasyncio": "count 0\ncount 1\ncount 2\nlooked up 42 degrees\nbye\n",
    "qtinter": "clicked\nit went on behind the dialog: True\nbye\n",
    "thread": "25 %\n50 %\n75 %\n100 %\nlast: line 4\nbye\n",
}

#: The first step of an async slot runs in the call, so a dialog in it opens before the signal goes
#: on.
AFTER = {**STORIES, "qtinter": "it went on behind the dialog: True\nclicked\nbye\n"}

#: What a program before imports.
NEEDED = {"qtasyncio": "PySide6", "qtinter": "qtinter", "thread": "asyncio"}

pytestmark = pytest.mark.skipif(BINDING == "PyQt5", reason="these examples are written for Qt 6")


def before() -> list[str]:
    """Those whose bridge is there: QtAsyncio is PySide6's, and not every bridge is there for every
    Python."""
    found = [name for name in STORIES if importlib.util.find_spec(NEEDED[name]) is not None]
    return found if BINDING == "PySide6" else [name for name in found if name != "qtasyncio"]


def run(name: str, when: str, *options: str) -> child.Outcome:
    return child.run_command(
        [sys.executable, *options, str(EXAMPLES / f"{name}_{when}.py"), "--auto"]
    )


@pytest.fixture(autouse=True)
def api(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QT_API", BINDING.lower())


@pytest.mark.parametrize("name", before())
def test_before(name: str) -> None:
    outcome = run(name, "before")
    assert (outcome.code, outcome.out) == (0, STORIES[name]), outcome.err


@pytest.mark.parametrize("name", STORIES)
def test_after(name: str) -> None:
    outcome = run(name, "after", "-W", "error")
    assert (outcome.code, outcome.out) == (0, AFTER[name]), outcome.err
    assert "Traceback" not in outcome.err, outcome.err


@pytest.mark.parametrize("name", [*STORIES, "qasync"])
def test_a_page_names_programs_and_pages_that_exist(name: str) -> None:
    page = (PAGES / f"{name}.md").read_text()
    for when in ("before", "after"):
        path = f"examples/migrating/{name}_{when}.py"
        assert path in page and (child.REPOSITORY / path).exists()
    for link in re.findall(r"\]\(([^)#]+)", page):
        assert (PAGES / link).exists(), link
