"""Which test classes there are in this interpreter's `test.test_asyncio`, minus the exclusions."""

from __future__ import annotations

import fnmatch
import importlib
import pkgutil
import unittest
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .exclusions import exclusion_of

PACKAGE = "test.test_asyncio"


@dataclass(frozen=True)
class TestClass:
    """A class of tests and the methods of it that are to be run."""

    module: str
    name: str
    methods: tuple[str, ...]

    @property
    def id(self) -> str:
        return f"{self.module}.{self.name}"

    @property
    def test_ids(self) -> list[str]:
        return [f"{self.id}.{method}" for method in self.methods]


@dataclass(frozen=True)
class Plan:
    """What to run, and how many tests each exclusion leaves out."""

    classes: list[TestClass]
    excluded: Counter[str]


def plan(pattern: str | None = None, without: Sequence[str] = ()) -> Plan:
    """Plan every test, or those with `pattern` (a glob, or a part of their name) in their id, but
    none with a pattern of `without`."""
    classes: list[TestClass] = []
    excluded: Counter[str] = Counter()
    for found in _test_classes():
        wanted = []
        for method in found.methods:
            test_id = f"{found.id}.{method}"
            exclusion = exclusion_of(test_id)
            if exclusion is not None:
                excluded[exclusion.pattern] += 1
            elif (pattern is None or _has(test_id, pattern)) and not any(
                _has(test_id, other) for other in without
            ):
                wanted.append(method)
        if wanted:
            classes.append(TestClass(found.module, found.name, tuple(wanted)))
    return Plan(classes, excluded)


def _has(test_id: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(test_id, f"*{pattern}*")


def _test_classes() -> Iterator[TestClass]:
    loader = unittest.TestLoader()
    package = importlib.import_module(PACKAGE)
    for info in pkgutil.iter_modules(package.__path__):
        if not info.name.startswith("test_"):
            continue
        try:
            module = importlib.import_module(f"{PACKAGE}.{info.name}")
        except unittest.SkipTest:
            # A module for another system refuses to be imported.
            continue
        for name, value in vars(module).items():
            if isinstance(value, type) and issubclass(value, unittest.TestCase):
                methods = loader.getTestCaseNames(value)
                if value.__module__ == module.__name__ and methods:
                    yield TestClass(info.name, name, tuple(methods))
