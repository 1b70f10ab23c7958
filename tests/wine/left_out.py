"""A pytest plugin: which of the project's own tests are not run on Windows or Wine, and why.

    tests/wine/python -m pytest -p tests.wine.left_out tests/python/scheduling

A name is a test's id without its parameters, or the start of one: a folder, a file, a test. A test
that fails with asyncio's own loop there, too, is among those that Wine or Windows fails.
"""

from pathlib import Path

import pytest

LEFT_OUT: dict[str, list[str]] = {}

_ROOT = Path(__file__).parents[2]


def _reason(name: str) -> str | None:
    for reason, names in LEFT_OUT.items():
        if any(name == it or name.startswith((f"{it}/", f"{it}::")) for it in names):
            return reason
    return None


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """What is left out as a whole is not imported: it may need modules that only Unix has."""
    if collection_path.is_relative_to(_ROOT / "tests"):
        name = collection_path.relative_to(_ROOT / "tests").as_posix()
        return True if _reason(name) else None
    return None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselects single tests."""
    left, run = [], []
    for item in items:
        name = item.nodeid.removeprefix("tests/").partition("[")[0]
        (left if _reason(name) else run).append(item)
    config.hook.pytest_deselected(items=left)
    items[:] = run
