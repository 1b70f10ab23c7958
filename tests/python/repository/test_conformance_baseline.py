"""Which stock runs a run of CPython's tests is compared with."""

from tests.conformance.configuration import Configuration
from tests.conformance.report import _document
from tests.conformance.results import Facts, Run, differences, stock_runs

from qtloop.conformance.outcomes import FAILED, PASSED, SKIPPED, Outcome


def run(label: str, *, python: str = "3.15.2", status: str = PASSED) -> Run:
    outcome = Outcome("test_events.Class.test", status)
    return Run(Configuration.parse(label), Facts(python=python), [outcome])


def test_a_run_is_compared_with_stock_on_its_own_python() -> None:
    stock, ours = run("stock"), run("PyQt6/qt")
    assert stock_runs(ours, [run("stock", python="3.14.0"), stock, ours]) == [stock]
    assert stock_runs(ours, [run("stock", python="3.14.0"), ours]) == []


def test_a_run_is_compared_with_stock_beside_its_own_binding_too() -> None:
    alone, beside, ours = run("stock"), run("stock/PySide6"), run("PySide6/qt")
    assert stock_runs(ours, [alone, beside, ours]) == [alone, beside]
    assert stock_runs(run("PyQt6/qt"), [alone, beside]) == [alone]
    assert stock_runs(run("game"), [alone, beside]) == [alone]


def test_stock_beside_a_binding_is_compared_with_stock_alone() -> None:
    alone, beside = run("stock"), run("stock/PySide6")
    assert stock_runs(beside, [beside, alone]) == [alone]
    assert stock_runs(alone, [beside, alone]) == []


def test_a_test_comes_out_as_in_one_of_the_stock_runs() -> None:
    stocks = [run("stock"), run("stock/PySide6", status=FAILED)]
    assert differences(run("PySide6/qt"), stocks) == []
    assert differences(run("PySide6/qt", status=FAILED), stocks) == []
    assert differences(run("PySide6/qt", status=SKIPPED), stocks) == [
        "test_events.Class.test: skipped (stock: passed or failed)"
    ]


def test_what_only_one_side_ran_is_a_difference() -> None:
    ours, stock = run("PyQt6/qt"), run("stock")
    ours.outcomes.append(Outcome("ours", PASSED))
    stock.outcomes.append(Outcome("theirs", PASSED))
    assert differences(ours, [stock]) == [
        "ours: passed (stock: absent)",
        "theirs: absent (stock: passed)",
    ]


def test_what_a_binding_breaks_counts_for_the_binding() -> None:
    broken = [run("stock/PySide6", status=FAILED), run("PySide6/qt", status=FAILED)]
    stock, beside, ours = list(_document([run("stock"), *broken]))[3:6]
    assert [row.split(" | ")[-1] for row in (stock, beside, ours)] == [" |", "1 |", "0 |"]
