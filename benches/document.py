"""The generated part of a document that people write in, too."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

KEPT = "(written by `python -m benches --write`; text outside these marks is kept)"

NEW = "# Performance\n"

PICTURES = "pictures"
"""The folder of the plots, beside the document."""


def write(path: Path, parts: Mapping[str, str], plots: Mapping[str, str]) -> None:
    """Replaces what is between the marks of each part, and nothing else; writes the plots."""
    text = path.read_text() if path.exists() else NEW + "".join(map(_empty, parts))
    for name, figures in parts.items():
        text = _replaced(path, text, name, figures)
    folder = path.parent / PICTURES
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    for name, plot in plots.items():
        (folder / name).write_text(plot)


def _marks(name: str) -> tuple[str, str]:
    return f"<!-- {name}: begin {KEPT} -->", f"<!-- {name}: end -->"


def _empty(name: str) -> str:
    begin, end = _marks(name)
    return f"\n{begin}\n{end}\n"


def _replaced(path: Path, text: str, name: str, figures: str) -> str:
    first, last = _marks(name)
    before, begin, rest = text.partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end:
        raise ValueError(f"{path} has no marks to put the figures between: {first} and {last}")
    return f"{before}{begin}\n\n{figures}\n\n{end}{after}"
