"""The generated part of a document that people write in, too."""

from __future__ import annotations

from pathlib import Path

BEGIN = (
    "<!-- figures: begin (written by `python -m benches --write`; text outside these marks is "
    "kept) -->"
)
END = "<!-- figures: end -->"

NEW = f"# Performance\n\n{BEGIN}\n{END}\n"


def write(path: Path, figures: str) -> None:
    """Replaces what is between the marks, and nothing else."""
    old = path.read_text() if path.exists() else NEW
    before, begin, rest = old.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path} has no marks to put the figures between: {BEGIN} and {END}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{before}{BEGIN}\n\n{figures}\n\n{END}{after}")
