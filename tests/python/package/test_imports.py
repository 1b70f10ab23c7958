"""What a program pays for that only runs a loop: nothing is imported that it does not use."""

import json
from typing import Any

import pytest

import qtloop

from ..support import child
from ..support.loops import qt_core

#: The modules that are imported when a program uses a name of theirs.
LATE = {
    f"qtloop.{name}"
    for name in (
        "_close_event",
        "_completed",
        "_dialogs",
        "_finished",
        "_metrics",
        "_qt_signals",
        "_slots",
        "_thread_pool",
    )
}

#: Prints what is imported beside asyncio and the binding.
PROGRAM = f"""
import asyncio, json, sys
import {qt_core.__name__}
before = set(sys.modules)
import qtloop
async def main(): pass
qtloop.run(main())
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def test_a_run_imports_only_what_a_loop_needs() -> None:
    outcome = child.run_bare(PROGRAM)
    imported = json.loads(outcome.out)
    assert "qtloop._loop" in imported
    assert LATE.isdisjoint(imported)
    # asyncio itself imports `typing` before Python 3.15.
    allowed = {"gc", "typing", "_typing"}
    assert {name for name in imported if not name.startswith("qtloop")} <= allowed


@pytest.mark.parametrize("name", qtloop.__all__)
def test_each_public_name_can_be_had(name: str) -> None:
    assert name in dir(qtloop)
    assert getattr(qtloop, name).__name__ == name


def test_what_a_program_uses_is_imported_once() -> None:
    outcome = child.run_bare(
        "import qtloop\n"
        "assert 'slot' not in vars(qtloop)\n"
        "first = qtloop.slot\n"
        "assert vars(qtloop)['slot'] is first\n"
        "from qtloop import *\n"
        "assert slot is first and ThreadPoolExecutor.__name__ == 'ThreadPoolExecutor'\n"
    )
    assert (outcome.code, outcome.err) == (0, "")


def test_another_name_is_an_attribute_error() -> None:
    module: Any = qtloop
    with pytest.raises(AttributeError, match=r"^module 'qtloop' has no attribute 'slots'$"):
        module.slots  # noqa: B018
