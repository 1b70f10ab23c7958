"""The files of the crate import each other in no circle: each stands above what it uses."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[3] / "src"

#: A file's place among the crate's modules; `()` is the crate.
Module = tuple[str, ...]

#: What is not followed: the executor's own files, each of which is a part of one state machine.
KNOT = {("task", "current"), ("task", "executor")}
KNOT |= {("task", "cell", name) for name in ("body", "join", "raw", "waker")}


def module_of(file: Path) -> Module:
    parts = file.relative_to(SOURCES).with_suffix("").parts
    return parts[:-1] if parts[-1] in ("mod", "lib") else parts


def code_of(file: Path) -> str:
    """The file without comments, texts and tests."""
    text = re.sub(r"//[^\n]*", "", file.read_text())
    text = re.sub(r'"(?:\\.|[^"\\])*"', '""', text)
    return re.split(r"#\[cfg\(test\)\]\n(?:#\[.*\]\n)*mod \w+ {", text)[0]


def leaves(tree: str) -> Iterator[Module]:
    """The paths that a `use` names: `a::{b, c::d}` names two."""
    head, brace, rest = tree.partition("{")
    if not brace:
        yield tuple(name.strip() for name in re.sub(r"\s+as\s+\w+$", "", tree.strip()).split("::"))
        return
    prefix = tuple(name.strip() for name in head.split("::") if name.strip())
    depth, branch = 0, ""
    for character in rest[: rest.rindex("}")] + ",":
        depth += {"{": 1, "}": -1}.get(character, 0)
        if character == "," and depth == 0:
            if branch.strip():
                yield from (prefix + leaf for leaf in leaves(branch))
            branch = ""
        else:
            branch += character


class Crate:
    def __init__(self) -> None:
        self.code = {module_of(file): code_of(file) for file in SOURCES.rglob("*.rs")}
        self.exports = {
            (*module, leaf[-1]): path
            for module, code in self.code.items()
            for tree in re.findall(r"^\s*pub(?:\([^)]*\))?\s+use ([^;]+);", code, re.MULTILINE)
            for leaf in leaves(tree)
            if (path := self.absolute(leaf, module))
        }

    def absolute(self, path: Module, module: Module) -> Module | None:
        """A path that stands in `module`, from the crate on; None if it is of another crate."""
        first, *rest = path
        if first in ("crate", "$crate"):
            return tuple(rest)
        if first == "self":
            return (*module, *rest)
        if first == "super":
            while path and path[0] == "super":
                path, module = path[1:], module[:-1]
            return module + path
        return module + path if (*module, first) in self.code else None

    def file_of(self, path: Module) -> Module:
        """The module whose file has what the path names, wherever it is exported again."""
        for _ in range(len(self.exports)):
            prefixes = [path[:length] for length in range(len(path), 0, -1)]
            exported = next(
                (it for it in prefixes if it in self.exports and it not in self.code), None
            )
            if exported is None:
                break
            path = self.exports[exported] + path[len(exported) :]
        return next(
            path[:length] for length in range(len(path), -1, -1) if path[:length] in self.code
        )

    def imports(self, module: Module) -> set[Module]:
        code = self.code[module]
        paths = [leaf for tree in re.findall(r"\buse ([^;]+);", code) for leaf in leaves(tree)]
        rest = re.sub(r"\buse [^;]+;|pub\(in [^)]*\)", "", code)
        inline = re.findall(r"(?<![\w:])(?:\$?crate|super|self)(?:::\w+)+", rest)
        paths += [tuple(path.split("::")) for path in inline]
        known = [found for path in paths if (found := self.absolute(path, module)) is not None]
        return {self.file_of(path) for path in known} - {module}

    def circles(self) -> Iterator[list[Module]]:
        """A way from each module back to itself, if there is one."""
        graph = {module: self.imports(module) for module in self.code}
        for start in graph:
            ways, seen = [[start]], {start}
            while ways:
                way = ways.pop(0)
                for module in graph[way[-1]]:
                    if module == start:
                        yield [*way, start]
                        ways = []
                        break
                    if module not in seen:
                        seen.add(module)
                        ways.append([*way, module])


@pytest.fixture(scope="module")
def crate() -> Crate:
    return Crate()


def test_no_files_import_each_other_in_a_circle(crate: Crate) -> None:
    circles = [circle for circle in crate.circles() if not set(circle) & KNOT]
    assert not circles, "\n".join(
        " -> ".join("::".join(it) or "crate" for it in way) for way in circles
    )


def test_the_walk_follows_what_the_sources_import(crate: Crate) -> None:
    """A change of the sources' style must not blind the test above."""
    assert ("core", "time") in crate.imports(("driver", "turn"))
    assert ("driver",) in crate.imports(("asyncio", "client"))
    assert ("asyncio", "event_loop") in crate.imports(("asyncio", "cancel"))
    assert ("asyncio", "transport", "channel") in crate.imports(
        ("asyncio", "transport", "pipe", "common")
    )
    assert sum(len(crate.imports(module)) for module in crate.code) > 300
