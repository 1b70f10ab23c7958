"""Which stock run a run of CPython's tests is compared with."""

from tests.conformance.configuration import Configuration
from tests.conformance.report import _document
from tests.conformance.results import Facts, Run, stock_like

from qtloop.conformance.outcomes import FAILED, PASSED, Outcome


def run(label: str, *, python: str = "3.15.2", status: str = PASSED) -> Run:
    outcome = Outcome("test_events.Class.test", status)
    return Run(Configuration.parse(label), Facts(python=python), [outcome])


def test_a_run_is_compared_with_stock_on_its_own_python() -> None:
    stock, ours = run("stock"), run("PyQt6/qt")
    assert stock_like(ours, [run("stock", python="3.14.0"), stock, ours]) is stock
    assert stock_like(ours, [run("stock", python="3.14.0"), ours]) is None


def test_a_run_is_compared_with_stock_beside_its_own_binding() -> None:
    alone, beside, ours = run("stock"), run("stock/PySide6"), run("PySide6/qt")
    assert stock_like(ours, [alone, beside, ours]) is beside
    assert stock_like(run("PyQt6/qt"), [alone, beside]) is alone


def test_stock_beside_a_binding_is_compared_with_stock_alone() -> None:
    alone, beside = run("stock"), run("stock/PySide6")
    assert stock_like(beside, [beside, alone]) is alone
    assert stock_like(alone, [beside, alone]) is None


def test_what_a_binding_breaks_counts_for_the_binding() -> None:
    broken = [run("stock/PySide6", status=FAILED), run("PySide6/qt", status=FAILED)]
    stock, beside, ours = list(_document([run("stock"), *broken]))[3:6]
    assert [row.split(" | ")[-1] for row in (stock, beside, ours)] == [" |", "1 |", "0 |"]
