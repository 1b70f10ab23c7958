"""The example of a service in a thread of its own, as its reader would start it."""

import sys

import pytest
from python.support import child
from python.support.loops import qt_core

BINDING = qt_core.__name__.partition(".")[0]
COMMAND = [sys.executable, "-W", "error", "-X", "faulthandler", "-m", "examples.worker_thread"]


@pytest.fixture(autouse=True)
def same_binding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QT_API", BINDING.lower())


def test_the_window_shows_what_the_service_finds(name: str) -> None:
    outcome = child.run_command([*COMMAND, "--auto"], name)
    assert (outcome.code, outcome.out) == (0, "result: 2262, the bar is at 20000\n"), outcome.err
    assert "Traceback" not in outcome.err


def test_it_works_without_a_window(name: str) -> None:
    outcome = child.run_command([*COMMAND, "--headless"], name)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.splitlines()[-2:] == ["2262 primes below 20000 of 20000", "result: 2262"]


def test_closing_the_window_in_the_midst_of_it_ends_both_threads(name: str) -> None:
    program = """
    import sys
    from examples import worker_thread as example
    from qtloop import _qt

    widgets = __import__(f"{example.BINDING}.QtWidgets").QtWidgets
    app = widgets.QApplication([])
    window = example.make_window()
    example.make_window = lambda: window
    window.start.click()
    window.bar.valueChanged.connect(lambda value: window.close())
    assert qtloop.run(example.main(headless=False, auto=False)) is None
    print(window.bar.value())
    """
    outcome = child.run(program, name)
    assert outcome.code == 0, outcome.err
    assert "Traceback" not in outcome.err
    assert int(outcome.out) < 1_000_000
