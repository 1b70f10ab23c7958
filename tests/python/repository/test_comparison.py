"""The comparison with other bridges is true of qtloop: each probe passes, and the table has it."""

import ast
import json
import sys

import pytest

from ..support import child

PROBES = child.REPOSITORY / "tests" / "comparison" / "probes.py"
PAGE = child.REPOSITORY / "docs" / "comparison.md"


def titles() -> dict[str, str]:
    """The title of each probe. They are not imported, since they import PySide6."""
    found = {}
    for node in ast.parse(PROBES.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.decorator_list:
            decorator = node.decorator_list[0]
            if isinstance(decorator, ast.Call):
                found[node.name] = ast.literal_eval(decorator.args[0])
    return found


#: The cells of the table, by their titles.
ROWS = {
    row.split(" | ")[0].removeprefix("| "): row.rstrip(" |").split(" | ")[1:]
    for row in PAGE.read_text().splitlines()
    if row.startswith("| ")
}


#: Python 3.11 has no eager tasks.
TRIED = [name for name in titles() if name != "eager_tasks" or sys.version_info >= (3, 12)]


@pytest.mark.parametrize("probe", TRIED)
def test_a_probe_says_of_qtloop_what_the_page_says(probe: str) -> None:
    pytest.importorskip("PySide6", reason="the comparison is made with PySide6")
    command = [sys.executable, "-m", "tests.comparison.one", "qtloop", probe]
    outcome = child.run_command(command)
    assert outcome.code == 0, outcome.err
    said = json.loads(outcome.out.splitlines()[-1])
    shown = ROWS[titles()[probe]][0]
    # A measurement is not the same each time.
    assert said == "yes" == shown or (said.isdigit() and shown.isdigit()), said


def test_the_table_has_the_probes_and_no_other_rows() -> None:
    assert [title for title in ROWS if title in titles().values()] == list(titles().values())
