"""Every path and link that the documents name exists."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DOCUMENTS = sorted(
    path
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")]
    if path.name != "CHANGELOG.md"
)
#: Folders of the project whose files documents name by their path from the root.
FOLDERS = ("src", "cpp", "python", "tests", "benches", "examples", "docs")

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_PATH = re.compile(rf"`((?:{'|'.join(FOLDERS)})/[\w./-]*)`")


def links(document: Path) -> Iterator[tuple[Path, str]]:
    """The files that a document links to, each with the heading that is linked, or an empty
    string."""
    for target in _LINK.findall(document.read_text()):
        if not target.startswith(("http://", "https://", "mailto:")):
            path, _, heading = target.partition("#")
            yield (document.parent / path if path else document), heading


def anchors(document: Path) -> set[str]:
    """The names by which the headings of a document can be linked."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    found = list(links(document))
    missing = [str(path) for path, _ in found if not path.exists()]
    unknown = [
        f"{path}#{heading}"
        for path, heading in found
        if heading and path.exists() and heading not in anchors(path)
    ]
    assert (missing, unknown) == ([], [])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_named_paths_exist(document: Path) -> None:
    named = set(_PATH.findall(document.read_text()))
    assert sorted(path for path in named if not (ROOT / path).exists()) == []


def test_there_are_documents_with_links_and_paths() -> None:
    assert any(list(links(document)) for document in DOCUMENTS)
    assert any(_PATH.search(document.read_text()) for document in DOCUMENTS)
