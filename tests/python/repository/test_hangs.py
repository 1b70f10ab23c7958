"""A test that hangs ends the run, which says where."""

import signal
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import pytest

from ..support import child

TESTS = child.REPOSITORY / "tests"

#: Seconds; enough for pytest to start on a loaded machine.
HANG_TIMEOUT = 3

PREAMBLE = """\
import atexit, ctypes, threading, time
import pytest

def descend(depth):
    return descend(depth - 1) if depth else time.sleep(600)
"""

HANGS = {
    "setup": """
        @pytest.fixture
        def fixture():
            descend(30)
        def test(fixture):
            pass
    """,
    "call": """
        def stand_by():
            time.sleep(600)
        def test():
            threading.Thread(target=stand_by, daemon=True).start()
            descend(30)
    """,
    "teardown": """
        @pytest.fixture
        def fixture():
            yield
            descend(30)
        def test(fixture):
            pass
    """,
    "teardown after a failure": """
        @pytest.fixture
        def fixture():
            yield
            descend(30)
        def test(fixture):
            raise TimeoutError("first\\nsecond")
    """,
    "exit": """
        def test():
            atexit.register(descend, 30)
    """,
}
#: The signal that asks where the test stands would wake these.
KEEPS_THE_GIL = {
    function: f"""
        def test():
            ctypes.PyDLL(None).{function}
            ctypes.PyDLL(None)._exit(0)
    """
    for function in ("sleep(600)", "pause()")
}
GOES_ON = {
    "slowly": f"""
        @pytest.mark.parametrize("n", range(3))
        def test(n):
            time.sleep({HANG_TIMEOUT / 2})
    """,
    "after a debugger": f"""
        def test(request):
            request.config.hook.pytest_enter_pdb(config=request.config, pdb=None)
            time.sleep({HANG_TIMEOUT + 1})
    """,
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, child.Outcome]:
    """Of all programs, which run at the same time: they do nothing but wait."""

    def run(program: str) -> child.Outcome:
        folder = tmp_path_factory.mktemp("hangs")
        (folder / "test_it.py").write_text(PREAMBLE + textwrap.dedent(program))
        options = ["-q", "-p", "hangs", f"--rootdir={folder}", "-o", f"hang_timeout={HANG_TIMEOUT}"]
        return child.run_command([sys.executable, "-m", "pytest", *options, str(folder)])

    programs = {**HANGS, **KEEPS_THE_GIL, **GOES_ON}
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(len(programs)) as executor:
        patch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # They would only take their time.
        patch.setenv("PYTHONPATH", str(TESTS), prepend=":")
        return dict(zip(programs, executor.map(run, programs.values()), strict=True))


NAMED = {
    "setup": "setup of test_it.py::test",
    "call": "call of test_it.py::test",
    "teardown": "teardown of test_it.py::test",
    "teardown after a failure": (
        "teardown of test_it.py::test, whose call failed: TimeoutError: first"
    ),
    "exit": "what comes after test_it.py::test",
}


@pytest.mark.parametrize("hang", HANGS)
def test_the_last_lines_name_the_test_the_phase_and_the_innermost_frames(
    outcomes: dict[str, child.Outcome], hang: str
) -> None:
    outcome = outcomes[hang]
    assert outcome.code == -signal.SIGKILL
    headline, *frames = outcome.err.splitlines()[-13:]
    assert headline == f"hung for {HANG_TIMEOUT} s: {NAMED[hang]}"
    assert all(frame.endswith(" in descend") for frame in frames), outcome.err


def test_all_threads_are_shown_before_them(outcomes: dict[str, child.Outcome]) -> None:
    stacks, _, last = outcomes["call"].err.partition("hung for")
    assert " in stand_by" in stacks and " in stand_by" not in last
    assert stacks.count(" in descend") == 31


@pytest.mark.parametrize("function", KEEPS_THE_GIL)
def test_nor_does_one_go_on_that_keeps_the_gil(
    outcomes: dict[str, child.Outcome], function: str
) -> None:
    outcome = outcomes[function]
    assert outcome.code == -signal.SIGKILL
    headline, innermost, *_ = outcome.err[outcome.err.index("hung for") :].splitlines()
    assert headline == f"hung for {HANG_TIMEOUT} s: call of test_it.py::test"
    assert innermost.endswith(" in test")


@pytest.mark.parametrize("manner", GOES_ON)
def test_what_takes_its_time_is_left_alone(outcomes: dict[str, child.Outcome], manner: str) -> None:
    outcome = outcomes[manner]
    assert (outcome.code, outcome.err) == (0, "")
    assert " passed in " in outcome.out
