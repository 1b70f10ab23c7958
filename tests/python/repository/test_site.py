"""What the site of the documentation has to be true about, apart from `make docs`."""

import importlib
import re
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
REFERENCE = sorted((ROOT / "docs" / "reference").glob("*.md"))
TUTORIAL = sorted((ROOT / "docs" / "tutorial").glob("[1-9]*.md"))
HOOK = ROOT / ".ci" / "site" / "pages.py"
PROGRAMS = ROOT / "examples" / "tutorial"

MODULES = ("qtloop", "qtloop.testing", "qtloop.hosts", "qtloop.compat.qasync", "pytest_qtloop")
#: IPython looks for them by these names, so `__all__` has no need of them.
NOTEBOOK = {"qtloop.load_ipython_extension", "qtloop.unload_ipython_extension"}
DESCRIBED = {"qtloop.testing", "qtloop.hosts", "qtloop.notebook", "qtloop.compat.qasync"}

_ENTRY = re.compile(r"^::: (\S+)$", re.MULTILINE)
_CODE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_reference_has_each_public_name_once() -> None:
    entries = [name for page in REFERENCE for name in _ENTRY.findall(page.read_text())]
    public = {
        f"{module}.{name}" for module in MODULES for name in importlib.import_module(module).__all__
    }
    assert sorted(entries) == sorted(public | NOTEBOOK | DESCRIBED)


@pytest.mark.parametrize("name", sorted(DESCRIBED))
def test_each_module_of_the_reference_says_what_it_is(name: str) -> None:
    assert importlib.import_module(name).__doc__


@pytest.mark.parametrize("page", TUTORIAL, ids=lambda page: page.stem)
def test_the_tutorial_shows_its_programs(page: Path) -> None:
    """Each piece of code on a page is in the program of that chapter; indented there, perhaps, and
    with other empty lines."""
    text = page.read_text()
    [program] = re.findall(r"^python (?:-m pytest )?(examples/tutorial\S*)", text, re.MULTILINE)
    file = ROOT / program
    source = without_empty_lines((file if file.is_file() else file / "test_ports.py").read_text())
    pieces = [without_empty_lines(piece) for piece in _CODE.findall(text)]
    assert pieces
    assert [
        piece
        for piece in pieces
        if not any(textwrap.indent(piece, " " * depth) in source for depth in (0, 4, 8))
    ] == []


def test_a_search_has_a_word_for_each_page_of_how_to_and_migrating() -> None:
    """What the pages are about: `KEYWORDS`."""
    words = re.findall(r'^    "([\w/-]+\.md)": \[', HOOK.read_text(), re.MULTILINE)
    pages = {
        str(page.relative_to(ROOT / "docs"))
        for folder in ("how-to", "migrating")
        for page in (ROOT / "docs" / folder).glob("[a-z]*.md")
    }
    assert pages - set(words) == set()
    assert [it for it in words if it != "index.md" and not (ROOT / "docs" / it).is_file()] == []


def without_empty_lines(code: str) -> str:
    return re.sub(r"\n+", "\n", f"\n{code}")


def test_the_tutorial_names_each_of_its_programs() -> None:
    table = (ROOT / "docs" / "tutorial" / "README.md").read_text()
    assert [file.name for file in PROGRAMS.glob("*.py") if f"`{file.name}`" not in table] == []


def test_no_docstring_has_a_heading_or_a_table_of_another_markup() -> None:
    """In Markdown a line of `=` makes a heading of what stands above it."""
    sources = [*ROOT.glob("python/qtloop/**/*.py*"), *ROOT.glob("python/pytest_qtloop/**/*.py")]
    sources = [source for source in sources if source.suffix in (".py", ".pyi")]
    assert sources
    assert [
        source for source in sources if re.search(r"^ *[=~-]{4,}$", source.read_text(), re.M)
    ] == []
