"""What `python -m qtloop` says, and what a program hears that lost its native host."""

import contextlib
import importlib
import importlib.util
import json
import modulefinder
import runpy
import sys
import tomllib
import types
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import qtloop
from qtloop import EventLoop, __version__, _about, _core, _host_choice, _qt

from ..support import child
from ..support.loops import NATIVE_HOSTS, qt_core
from .test_imports import LATE

BINDING = qt_core.__name__.partition(".")[0]

#: What a program starts with that was installed or frozen without the native host.
WITHOUT = "import sys; sys.modules['qtloop._qt6'] = None\n"
FROZEN = WITHOUT + "sys.frozen = True\n"

#: Likewise, by Nuitka, which marks modules.
COMPILED = WITHOUT + "from qtloop import _host_choice; _host_choice.__compiled__ = 'by Nuitka'\n"

#: Likewise, where the tool was told to leave it out: the finder refuses it.
EXCLUDED = """\
import sys
class Refusing:
    def find_spec(name, *arguments):
        if name == "qtloop._qt6":
            raise ImportError("it was excluded")
sys.meta_path.insert(0, Refusing)
sys.frozen = True
"""

in_either_way = pytest.mark.parametrize(
    "frozen",
    [FROZEN, COMPILED, EXCLUDED],
    ids=["sys is marked", "modules are marked", "the finder refuses"],
)
needs_qt6 = pytest.mark.skipif(not NATIVE_HOSTS, reason="Qt 5 has no native host to lose")


@pytest.fixture(autouse=True)
def api(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QT_API", BINDING.lower())
    for name in ("QTLOOP_HOST", "QTLOOP_FD"):
        monkeypatch.delenv(name, raising=False)


def facts(before: str = "") -> dict[str, Any]:
    program = (
        before
        + "from qtloop import _about, __version__\nsys.exit(_about.main(__version__, ['--json']))"
    )
    outcome = child.run_bare("import sys\n" + program)
    found = json.loads(outcome.out)
    assert outcome.code == (0 if found["error"] is None else 1), outcome.err
    return dict(found)


def test_a_host_of_somebody_elses_is_asked_without_qt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QTLOOP_HOST", "tests.python.support.foreign:PollHost")
    found = facts(
        "for name in ('PyQt6', 'PySide6', 'PyQt5', 'PySide2'): sys.modules[name] = None\n"
    )
    assert (found["host"], found["error"], found["binding"]) == ("poll", None, None)
    assert found["why_not_native"] == "QTLOOP_HOST is 'tests.python.support.foreign:PollHost'"


def test_the_module_prints_what_a_loop_is_made_of() -> None:
    outcome = child.run_command([sys.executable, "-W", "error", "-m", "qtloop"])
    assert (outcome.code, outcome.err) == (0, "")
    lines = {line[:12].strip(): line[13:] for line in outcome.out.splitlines()}
    assert lines["qtloop"] == __version__
    assert lines["Python"].startswith(sys.version.split()[0])
    assert lines["binding"].startswith(f"{BINDING} ")
    assert lines["Qt"] == qt_core.qVersion()
    assert lines["dispatcher"].startswith("QEventDispatcher")
    assert lines["host"].startswith("qt (native)" if NATIVE_HOSTS else "binding")
    assert lines["fds"] == _core.POLLER
    assert "error" not in lines


def test_json_has_the_same_for_a_bug_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QTLOOP_FD", "notifier")
    monkeypatch.setenv("QTLOOP_HOST", "binding")
    outcome = child.run_command([sys.executable, "-m", "qtloop", "--json"])
    found = json.loads(outcome.out)
    assert (found["host"], found["fds"], found["error"]) == ("binding", "notifier", None)
    assert found["why_not_native"] == "QTLOOP_HOST is 'binding'"
    assert found["environment"]["QTLOOP_FD"] == "notifier"
    assert BINDING in found["installed"]


@needs_qt6
def test_it_says_that_the_native_host_was_not_built() -> None:
    found = facts(WITHOUT)
    assert found["host"] == "binding"
    assert "qtloop._qt6 is missing" in found["why_not_native"]
    assert "qt6-base-dev" in found["why_not_native"]


@needs_qt6
def test_it_says_what_the_build_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = tmp_path / "qtloop"
    installed.mkdir()
    for path in Path(_core.__file__).parent.iterdir():
        if not path.name.startswith("_qt6."):
            (installed / path.name).symlink_to(path)
    (installed / "_qt6.txt").write_text("failed to find tool\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = facts()
    assert (found["host"], found["error"]) == ("binding", None)
    assert "qtloop._qt6 was not built: failed to find tool. Mend" in found["why_not_native"]
    outcome = child.run_bare("import qtloop\nqtloop.EventLoop(host='qt')")
    assert "qtloop._qt6 was not built: failed to find tool. Mend" in outcome.err


@needs_qt6
@in_either_way
def test_it_says_that_a_program_was_frozen_without_it(frozen: str) -> None:
    found = facts(frozen)
    assert (found["host"], found["frozen"]) == ("binding", sys.executable)
    assert "frozen without qtloop._qt6" in found["why_not_native"]


def test_it_says_why_nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QT_API", "nonsense")
    found = facts()
    assert (found["binding"], found["host"]) == (None, None)
    assert "QT_API is 'nonsense'" in found["error"]


def test_an_unknown_host_is_an_error_and_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QTLOOP_HOST", "cocoa")
    found = facts()
    assert found["binding"].startswith(BINDING)
    assert found["error"].startswith("ValueError: host must be")


def test_another_major_version_of_qt_has_no_native_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_qt, "core", lambda: SimpleNamespace(qVersion=lambda: "5.15.2"))
    assert _host_choice.why_not_native() == (
        "there is no native host for Qt 5: qtloop has one for Qt 6 only; the binding host serves "
        "every Qt"
    )


@needs_qt6
def test_a_module_that_does_not_load_is_told_from_one_that_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(major: str) -> Any:
        raise ImportError("undefined symbol: qt_of_tomorrow")

    monkeypatch.setattr(_host_choice, "_imported", fail)
    reason = _host_choice.why_not_native()
    assert reason is not None
    assert "qtloop._qt6 does not load (undefined symbol: qt_of_tomorrow)" in reason


def test_a_loop_of_the_default_host_needs_no_reason() -> None:
    assert (_host_choice.why_not_native() is None) == bool(NATIVE_HOSTS)


@needs_qt6
@in_either_way
def test_a_frozen_program_without_it_is_warned_once(frozen: str) -> None:
    outcome = child.run_bare(
        frozen
        + "import qtloop\nfor _ in range(2): loop = qtloop.new_event_loop(); loop.close()\n"
        + "print(loop.host)"
    )
    assert (outcome.code, outcome.out) == (0, "binding\n")
    assert outcome.err.count("RuntimeWarning: this program was frozen without qtloop._qt6") == 1


@needs_qt6
@pytest.mark.parametrize(
    ("before", "arguments"),
    [
        (FROZEN, "host='binding'"),
        (FROZEN, "host='sim'"),
        (WITHOUT, ""),
        ("import sys; sys.frozen = True\n", ""),
    ],
    ids=["binding is meant", "simulated", "not frozen", "native"],
)
def test_nobody_else_is_warned(before: str, arguments: str) -> None:
    outcome = child.run_bare(before + f"import qtloop\nqtloop.EventLoop({arguments}).close()")
    assert (outcome.code, outcome.err) == (0, "")


@needs_qt6
@in_either_way
def test_asked_for_by_name_it_is_an_error_that_says_what_to_do(frozen: str) -> None:
    outcome = child.run_bare(frozen + "import qtloop\nqtloop.EventLoop(host='qt')")
    assert (
        "ImportError: there is no native host for Qt 6: this program was frozen without"
        in outcome.err
    )


def test_pyinstaller_is_told_of_the_native_host(monkeypatch: pytest.MonkeyPatch) -> None:
    project = tomllib.loads((child.REPOSITORY / "pyproject.toml").read_text())["project"]
    (target,) = project["entry-points"]["pyinstaller40"].values()
    module, _, function = target.partition(":")
    (folder,) = getattr(importlib.import_module(module), function)()
    hooks: Any = types.ModuleType("PyInstaller.utils.hooks")
    hooks.can_import_module = lambda name: importlib.util.find_spec(name) is not None
    monkeypatch.setitem(sys.modules, "PyInstaller.utils.hooks", hooks)
    assert runpy.run_path(f"{folder}/hook-qtloop.py")["hiddenimports"] == ["qtloop._qt6"]


def test_the_report_is_what_main_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert _about.main("1.2.3", ["--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["qtloop"] == "1.2.3"
    with contextlib.closing(EventLoop(host=found["host"])) as loop:
        assert (loop.host, loop.fds) == (found["host"], found["fds"])


@needs_qt6
@pytest.mark.parametrize("types_are_checked", ["TYPE_CHECKING", "False"])
def test_tools_that_freeze_programs_find_all_that_is_imported_late(
    types_are_checked: str, tmp_path: Path
) -> None:
    """They follow the statements of the code, as the standard library's finder does. Nuitka leaves
    out those for type checkers."""
    for path in Path(_core.__file__).parent.glob("*.*"):
        copy = tmp_path / "qtloop" / path.name
        copy.parent.mkdir(exist_ok=True)
        if path.suffix == ".py":
            source = path.read_text().replace("if TYPE_CHECKING:", f"if {types_are_checked}:")
            copy.write_text(source)
        else:
            copy.symlink_to(path)
    finder = modulefinder.ModuleFinder(
        [str(tmp_path)], excludes=["asyncio", "importlib", "pytest", "test"]
    )
    finder.import_hook("qtloop")
    assert "qtloop._qt6" in finder.modules
    assert set(finder.modules) >= LATE


@pytest.mark.parametrize(
    "name", [name for name in qtloop.__all__ if getattr(qtloop, name).__module__ in LATE]
)
def test_what_is_imported_late_is_found_by_its_name(name: str) -> None:
    assert qtloop.__getattr__(name).__name__ == name
