"""Docstrings as the reference shows them: an extension of griffe's, which reads the sources."""

import re
import sys
import textwrap
from functools import cache
from pathlib import Path
from typing import Any

import griffe

sys.path.insert(0, str(Path(__file__).parent))

from links import with_links

#: An indented block behind a paragraph that ends with two colons.
_BLOCK = re.compile(r"::\n\n((?:    .*\n|\n)+)")


class AsMarkdown(griffe.Extension):
    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is None and obj.is_attribute:
            obj.docstring = _comment(obj)
        if obj.docstring is not None:
            obj.docstring.value = with_links(_BLOCK.sub(_fenced, obj.docstring.value + "\n"))


def _fenced(block: re.Match[str]) -> str:
    code = textwrap.dedent(block[1]).strip("\n")
    return f":\n\n```python\n{code}\n```\n\n"


def _comment(attribute: griffe.Object) -> griffe.Docstring | None:
    """The `#:` comment above an attribute."""
    if attribute.lineno is None or not isinstance(attribute.filepath, Path):
        return None
    above: list[str] = []
    for line in reversed(_lines(attribute.filepath)[: attribute.lineno - 1]):
        if not line.strip().startswith("#:"):
            break
        above.insert(0, line.strip().removeprefix("#:").strip())
    return griffe.Docstring(" ".join(above), parent=attribute) if above else None


@cache
def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines()
