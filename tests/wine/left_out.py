"""A pytest plugin: which of the project's own tests are not run on Windows or Wine, and why.

    tests/wine/python -m pytest -p tests.wine.left_out tests/python/scheduling

A name is a test's id, with its parameters or without, or the start of one: a folder, a file, a
test. A test that fails there with asyncio's own loop, too, is among those that Wine fails.
"""

from pathlib import Path

import pytest

LEFT_OUT: dict[str, list[str]] = {
    "asyncio's ProactorEventLoop has no add_reader": [
        "python/scheduling/test_call_soon.py::test_fds_get_their_turn_between_iterations",
        "python/scheduling/test_call_soon.py::"
        "test_endless_rescheduling_starves_neither_fds_nor_timers[stock]",
    ],
    "needs fds that are looked at between iterations, which notifiers cannot": [
        "python/scheduling/test_random_programs.py"
    ],
    "not run there since its pipes, which Windows cannot watch, have become sockets": [
        "python/scheduling/test_floods.py"
    ],
    "asks for `resource`, which only Unix has": ["python/scheduling/test_timers.py"],
    "starts programs of Unix": ["python/qt_objects/test_finished.py"],
    "asks for nest_asyncio, which `setup` does not install": [
        "python/nesting/test_nest_asyncio.py"
    ],
}

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
        name = item.nodeid.removeprefix("tests/")
        (left if _reason(name) or _reason(name.partition("[")[0]) else run).append(item)
    config.hook.pytest_deselected(items=left)
    items[:] = run
