"""Names of the package in a text become links to their entries in the reference."""

import ast
import re
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "python" / "qtloop"

#: In whose `__all__` the names are that have an entry.
MODULES = {
    "qtloop": "__init__.py",
    "qtloop.hosts": "hosts.py",
    "qtloop.testing": "testing/__init__.py",
}

_NAME = re.compile(r"(?<!\[)`(qtloop(?:\.\w+)+)(\(\))?`(?!\])")


def public_names(file: Path) -> list[str]:
    """The `__all__` of a file, which is not imported."""
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            names: list[str] = ast.literal_eval(node.value)
            return names
    return []


NAMES = {
    f"{module}.{name}" for module, file in MODULES.items() for name in public_names(PACKAGE / file)
}


def with_links(text: str) -> str:
    """The text, in which each `qtloop.NAME` is a link, unless it is part of a link or heading."""
    lines = text.splitlines(keepends=True)
    return "".join(line if line.startswith("#") else _NAME.sub(_link, line) for line in lines)


def _link(found: re.Match[str]) -> str:
    return f"[{found[0]}][{found[1]}]" if found[1] in NAMES else found[0]
