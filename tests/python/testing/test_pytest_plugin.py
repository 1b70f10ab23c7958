"""The pytest plugin, on test suites of their own, beside the plugins that its users have."""

import importlib.util
import textwrap
import tomllib
from collections.abc import Callable

import pytest

from ..support import child
from ..support.loops import qt_core

pytest_plugins = ["pytester"]

BINDING = qt_core.__name__.partition(".")[0]

pytestmark = pytest.mark.skipif(
    BINDING == "PyQt5", reason="what the tests are about has nothing to do with Qt 5"
)

OTHERS = {"asyncio": "pytest_asyncio", "anyio": "anyio", "pytest-qt": "pytestqt", "xdist": "xdist"}

PREAMBLE = f"""\
import asyncio, sys, time
import pytest
import qtloop
from {BINDING}.QtCore import QCoreApplication, QEvent, QObject, QTimer
from {BINDING}.QtWidgets import QApplication, QDialog, QLabel, QPushButton
"""

Suite = Callable[..., pytest.RunResult]


def test_the_plugins_that_users_have_are_here() -> None:
    assert [name for name in OTHERS.values() if importlib.util.find_spec(name) is None] == []


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Suite:
    """Runs a test module in a process of its own, with the named plugins beside ours."""
    monkeypatch.setenv("QT_API", BINDING.lower())
    monkeypatch.setenv("PYTEST_QT_API", BINDING.lower())
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)

    def run(
        program: str,
        *arguments: str,
        beside: tuple[str, ...] = (),
        preamble: str = PREAMBLE,
        conftest: str = "",
        ini: str = "",
    ) -> pytest.RunResult:
        blocked = [
            option for name in OTHERS if name not in beside for option in ("-p", f"no:{name}")
        ]
        asyncio_ini = (
            "asyncio_default_fixture_loop_scope = function\n" if "asyncio" in beside else ""
        )
        pytester.makeini(f"[pytest]\n{asyncio_ini}{textwrap.dedent(ini)}")
        pytester.makeconftest(textwrap.dedent(conftest))
        pytester.makepyfile(test_it=preamble + textwrap.dedent(program))
        plugin = () if "-p" in arguments else ("-p", "pytest_qtloop")
        return pytester.runpytest_subprocess(*plugin, *blocked, *arguments, timeout=60)

    return run


def test_pytest_finds_it_by_the_entry_point(suite: Suite, pytester: pytest.Pytester) -> None:
    """That of the project's own metadata, as an installation has it."""
    project = tomllib.loads((child.REPOSITORY / "pyproject.toml").read_text())["project"]
    ((name, target),) = project["entry-points"]["pytest11"].items()
    metadata = pytester.mkdir("qtloop_as_installed-0.1.0.dist-info")
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: qtloop-as-installed\nVersion: 0.1.0\n"
    )
    (metadata / "entry_points.txt").write_text(f"[pytest11]\n{name} = {target}\n")
    result = suite("@pytest.mark.qtloop\nasync def test(): pass", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=1)
    assert target in project_packages()


def project_packages() -> list[str]:
    """What a wheel carries."""
    tool = tomllib.loads((child.REPOSITORY / "pyproject.toml").read_text())["tool"]
    packages: list[str] = tool["setuptools"]["packages"]
    return packages


# Inert until it is used.


def test_it_imports_nothing_until_a_test_uses_it(suite: Suite) -> None:
    result = suite(
        """
        import sys

        def test_plain():
            assert not {"qtloop", "PyQt6", "PySide6", "pytest_qtloop._runs"} & {*sys.modules}
        """,
        preamble="",
    )
    result.assert_outcomes(passed=1)


def test_it_leaves_alone_what_is_not_marked(suite: Suite) -> None:
    result = suite(
        """
        async def test_async():
            raise AssertionError("it ran")

        def test_plain():
            with pytest.raises(RuntimeError):
                asyncio.get_running_loop()
            asyncio.new_event_loop().close()

        def test_no_errors_are_collected():
            loop = qtloop.new_event_loop()
            loop.call_exception_handler({"message": "nobody's"})
            loop.close()
        """
    )
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*async def functions are not natively supported*"])


@pytest.mark.parametrize(
    ("ini", "said"),
    [
        ("qtloop_mode = often", "qtloop_mode must be one of strict, auto"),
        ("qtloop_application = big", "qtloop_application must be one of auto, core, gui, widgets"),
        ("qtloop_loop_scope = test", "qtloop_loop_scope must be one of"),
        ("qtloop_timeout = soon", "qtloop_timeout must be a number of seconds"),
        ("qtloop_mode = auto\nasyncio_mode = auto", "asyncio_mode and qtloop_mode are both 'auto'"),
    ],
)
def test_an_option_that_cannot_be_is_refused(suite: Suite, ini: str, said: str) -> None:
    result = suite("def test(): pass", ini=ini, beside=("asyncio",))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{said}*"])


def test_an_unknown_argument_of_the_marker_is_refused(suite: Suite) -> None:
    result = suite("@pytest.mark.qtloop(timout=3)\nasync def test(): pass")
    assert result.ret != 0
    result.stderr.fnmatch_lines(
        ["*test_it.py::test: the marker qtloop takes timeout=, *, seed= and seeds=, not timout"]
    )


# Running tests.


def test_marked_tests_and_their_fixtures_run_on_one_loop(suite: Suite) -> None:
    result = suite(
        """
        import contextvars

        pytestmark = pytest.mark.qtloop
        seen = []
        variable = contextvars.ContextVar("variable")

        @pytest.fixture
        async def loop_of_fixture():
            await asyncio.sleep(0)
            return asyncio.get_running_loop()

        @pytest.fixture(params=["a", "b"])
        async def opened(request, loop_of_fixture):
            variable.set(request.param)
            yield request.param
            assert asyncio.get_running_loop() is loop_of_fixture
            seen.append(f"closed {request.param}")

        async def test_it(opened, loop_of_fixture, qtloop_loop):
            assert asyncio.get_running_loop() is loop_of_fixture is qtloop_loop
            assert isinstance(qtloop_loop, qtloop.EventLoop)
            assert variable.get() == opened
            seen.append(opened)

        class TestClass:
            @pytest.fixture
            async def own(self):
                self.value = 3
                return self

            async def test_method(self, own):
                assert own is self and self.value == 3

        def test_order():
            assert seen == ["a", "closed a", "b", "closed b"]

        @pytest.mark.parametrize("number", [1, 2])
        async def test_failures_are_failures(number):
            assert number == 1
        """
    )
    result.assert_outcomes(passed=5, failed=1)


def test_auto_takes_the_tests_that_nobody_has_claimed(suite: Suite) -> None:
    result = suite(
        """
        import unittest

        async def test_ours():
            assert isinstance(asyncio.get_running_loop(), qtloop.EventLoop)

        @pytest.mark.asyncio
        async def test_theirs():
            assert not isinstance(asyncio.get_running_loop(), qtloop.EventLoop)

        @pytest.mark.anyio
        async def test_anyios():
            assert not isinstance(asyncio.get_running_loop(), qtloop.EventLoop)

        class TestStandard(unittest.IsolatedAsyncioTestCase):
            async def test_librarys(self):
                assert not isinstance(asyncio.get_running_loop(), qtloop.EventLoop)

        def test_plain():
            with pytest.raises(RuntimeError):
                asyncio.get_running_loop()
        """,
        ini="qtloop_mode = auto",
        conftest="import pytest\n@pytest.fixture\ndef anyio_backend(): return 'asyncio'",
        beside=("asyncio", "anyio"),
    )
    result.assert_outcomes(passed=5)


def test_a_plain_test_turns_qt_and_the_loop_works(suite: Suite) -> None:
    result = suite(
        """
        @pytest.fixture
        async def greeting():
            await asyncio.sleep(0)
            yield "hello"
            await asyncio.sleep(0)

        @pytest.mark.qtloop
        def test_a_button(qtbot, greeting):
            button, label = QPushButton(), QLabel()
            qtbot.addWidget(button)

            @qtloop.slot
            async def clicked():
                await asyncio.sleep(0.01)
                label.setText(greeting)

            button.clicked.connect(clicked)
            button.click()
            qtbot.waitUntil(lambda: label.text() == "hello")

        @pytest.mark.qtloop
        def test_a_slot_fails():
            @qtloop.slot
            async def clicked():
                raise LookupError("no such poem")
            clicked()
            for _ in range(5):
                QCoreApplication.processEvents()
        """,
        beside=("pytest-qt",),
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["LookupError: no such poem"])


def test_simulated_time(suite: Suite) -> None:
    result = suite(
        """
        @pytest.mark.qtloop(simulated=True)
        async def test_an_hour():
            loop = asyncio.get_running_loop()
            await asyncio.sleep(3600)
            assert (loop.host, loop.time()) == ("sim", 3600)

        @pytest.mark.qtloop(simulated=True, timeout=0.1)
        async def test_its_timeout_is_real():
            await asyncio.sleep(3600)
            await asyncio.to_thread(time.sleep, 1)

        @pytest.mark.qtloop(simulated=True, timeout=60)
        async def test_it_waits_in_vain():
            await asyncio.Event().wait()

        def test_there_was_no_application():
            assert QCoreApplication.instance() is None
        """
    )
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(
        [
            "test_its_timeout_is_real did not end within 0.1 s",
            ">*await asyncio.Event().wait()",
            "*Deadlock: every task waits*",
            "*task 'test_it_waits_in_vain' (test_it_waits_in_vain at */test_it.py:*waits for*",
        ]
    )


def test_seeds(suite: Suite) -> None:
    program = """
        @pytest.mark.qtloop(simulated=True, seeds=range(30))
        async def test_a_race():
            log = []

            async def step(name, steps):
                for _ in range(steps):
                    await asyncio.sleep(0)
                log.append(name)

            await asyncio.gather(step("first", 1), step("second", 2))
            assert log == ["first", "second"]

        @pytest.mark.qtloop(simulated=True, seed=7)
        async def test_one_seed(qtloop_loop):
            assert qtloop_loop.seed == 7
        """
    result = suite(program)
    outcomes = result.parseoutcomes()
    assert outcomes["passed"] + outcomes["failed"] == 31 and outcomes["failed"] > 0
    failed = next(line.split()[1] for line in result.outlines if line.startswith("FAILED"))
    assert "[seed=" in failed
    for _ in range(2):
        suite(program, failed).assert_outcomes(failed=1)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ("seed=1", "*a seed is for simulated time*"),
        ("seeds=[1]", "*a seed is for simulated time*"),
        ("simulated=True, seed=1, seeds=[1]", "*takes seed or seeds, not both*"),
    ],
)
def test_a_seed_without_sense_is_refused(suite: Suite, options: str, complaint: str) -> None:
    result = suite(f"@pytest.mark.qtloop({options})\nasync def test(): pass")
    assert result.ret != 0
    result.stderr.fnmatch_lines([complaint])


def test_one_number_for_several_seeds_is_refused(suite: Suite) -> None:
    result = suite("@pytest.mark.qtloop(simulated=True, seeds=5)\nasync def test(): pass")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*test_it.py::test: seeds are several numbers, *, not 5"])
    result.stdout.no_fnmatch_line("*_items.py*")


def test_a_loop_of_a_wider_scope(suite: Suite) -> None:
    result = suite(
        """
        pytestmark = pytest.mark.qtloop
        loops = set()

        @pytest.fixture(scope="module")
        async def server():
            async def serve():
                await asyncio.Event().wait()
            task = asyncio.create_task(serve())
            label = QLabel()
            label.show()
            yield task
            task.cancel()
            label.hide()

        @pytest.mark.parametrize("number", [1, 2])
        async def test_it(server, number):
            await asyncio.sleep(0)
            assert not server.done()
            loops.add(asyncio.get_running_loop())

        def test_one():
            assert len(loops) == 1
        """,
        "-W",
        "error",
        ini="qtloop_loop_scope = module",
    )
    result.assert_outcomes(passed=3)


def test_a_fixture_that_would_outlive_its_loop_is_refused(suite: Suite) -> None:
    result = suite(
        """
        @pytest.fixture(scope="session")
        async def server():
            yield

        @pytest.mark.qtloop
        async def test_it(server): pass
        """
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["the async fixture 'server' has the scope 'session'*qtloop_loop_scope*"]
    )


def test_what_is_for_the_loop_cannot_be_asked_for_one_test_of_many(suite: Suite) -> None:
    result = suite(
        "@pytest.mark.qtloop(simulated=True)\nasync def test_it(): pass",
        ini="qtloop_loop_scope = session",
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["simulated is for the loop, which several tests share*"])


def test_debug_mode(suite: Suite) -> None:
    result = suite(
        """
        @pytest.mark.qtloop
        async def test_on():
            assert asyncio.get_running_loop().get_debug()

        @pytest.mark.qtloop(debug=False)
        async def test_off():
            assert not asyncio.get_running_loop().get_debug()
        """,
        ini="qtloop_debug = true",
    )
    result.assert_outcomes(passed=2)


# The application.


ASYNC_FIXTURE_FIRST = """
import pytest_asyncio

@pytest_asyncio.fixture
async def early():
    await asyncio.sleep(0)

@pytest.mark.asyncio
async def test_headless(early):
    pass

@pytest.mark.asyncio
async def test_widget(early, qtbot):
    label = QLabel("not in a QCoreApplication")
    qtbot.addWidget(label)
    label.show()

@pytest.mark.asyncio
async def test_closing(early, qtbot):
    label = QLabel()
    qtbot.addWidget(label)
    label.show()
    label.close()
    await asyncio.sleep(0.01)
"""
FACTORIES = """
import qtloop

def pytest_asyncio_loop_factories(config, item):
    return {"qtloop": qtloop.new_event_loop}
"""


@pytest.mark.parametrize("mode", ["strict", "auto"])
def test_the_application_comes_before_the_first_loop(suite: Suite, mode: str) -> None:
    beside = ("asyncio", "pytest-qt")
    result = suite(
        ASYNC_FIXTURE_FIRST, conftest=FACTORIES, beside=beside, ini=f"qtloop_mode = {mode}"
    )
    result.assert_outcomes(passed=3)


def test_an_application_class_of_the_programs_own_is_the_one_that_is_made(suite: Suite) -> None:
    result = suite(
        """
        @pytest.mark.qtloop
        async def test_it(qtloop_application):
            assert type(qtloop_application).__name__ == "Mine"
            assert not qtloop_application.quitOnLastWindowClosed()
        """,
        conftest=f"""
        import pytest
        from {BINDING}.QtWidgets import QApplication

        class Mine(QApplication): pass

        @pytest.fixture(scope="session")
        def qapp_cls(): return Mine
        """,
        beside=("pytest-qt",),
    )
    result.assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("imported", "ini", "made"),
    [
        ("QtCore", "", "QCoreApplication"),
        ("QtGui", "", "QGuiApplication"),
        ("QtWidgets", "", "QApplication"),
        ("QtWidgets", "qtloop_application = core", "QCoreApplication"),
        ("QtCore", "qtloop_application = widgets", "QApplication"),
    ],
)
def test_the_application_is_that_of_the_modules_imported(
    suite: Suite, imported: str, ini: str, made: str
) -> None:
    result = suite(
        f"""
        import pytest, qtloop
        import {BINDING}.{imported}
        from {BINDING}.QtCore import QCoreApplication

        async def main():
            assert QCoreApplication.instance().metaObject().className() == "{made}"

        def test_a_loop_that_the_program_runs():
            qtloop.run(main())

        @pytest.mark.qtloop
        async def test_it(qtloop_application):
            assert qtloop_application.metaObject().className() == "{made}"
        """,
        ini=ini,
        preamble="",
    )
    result.assert_outcomes(passed=2)


def test_an_application_that_will_not_do_fails_the_tests_and_not_the_interpreter(
    suite: Suite,
) -> None:
    result = suite(
        """
        app = QCoreApplication(["made on import"])

        @pytest.mark.qtloop
        async def test_it():
            QLabel()
        """,
        ini="qtloop_application = widgets",
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["the tests need a QApplication*but a QCoreApplication was made before them"]
    )


def test_without_a_display_the_platform_is_offscreen(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    program = """
        @pytest.mark.qtloop
        async def test_it(qtloop_application):
            assert qtloop_application.platformName() == "offscreen"
        """
    suite(program, conftest="import os; os.environ.pop('QT_QPA_PLATFORM')").assert_outcomes(
        passed=1
    )


def test_closing_the_last_window_goes_on_and_a_quit_says_so(suite: Suite) -> None:
    result = suite(
        """
        pytestmark = pytest.mark.qtloop

        async def test_closing():
            label = QLabel()
            label.show()
            label.close()
            await asyncio.sleep(0.01)

        async def test_quitting():
            QCoreApplication.quit()
            await asyncio.sleep(5)

        async def test_the_next_one_runs():
            await asyncio.sleep(0)
        """
    )
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["the application quit while test_quitting ran"])


# Errors.


def test_errors_in_slots_and_callbacks_fail_the_test(suite: Suite) -> None:
    result = suite(
        """
        pytestmark = pytest.mark.qtloop

        def fail(what):
            raise LookupError(what)

        @pytest.fixture
        async def failing():
            asyncio.get_running_loop().call_soon(fail, "in setup")
            await asyncio.sleep(0.01)

        @pytest.fixture
        async def failing_late():
            yield
            asyncio.get_running_loop().call_soon(fail, "in teardown")
            await asyncio.sleep(0.01)

        async def test_slot():
            button = QPushButton()

            @qtloop.slot
            async def clicked():
                fail("in a slot")

            button.clicked.connect(clicked)
            button.click()
            await asyncio.sleep(0.01)

        async def test_callback():
            asyncio.get_running_loop().call_soon(fail, "in a callback")
            await asyncio.sleep(0.01)

        async def test_setup(failing): pass

        async def test_teardown(failing_late): pass

        async def test_fails_anyway():
            asyncio.get_running_loop().call_soon(fail, "beside it")
            await asyncio.sleep(0.01)
            assert False

        async def test_expected(qtloop_errors):
            asyncio.get_running_loop().call_soon(fail, "and expected")
            await asyncio.sleep(0.01)
            (context,) = qtloop_errors
            assert str(context["exception"]) == "and expected"
            qtloop_errors.clear()

        async def test_handled_by_the_program():
            seen = []
            loop = asyncio.get_running_loop()
            loop.set_exception_handler(lambda _, context: seen.append(context))
            loop.call_soon(fail, "and handled")
            await asyncio.sleep(0.01)
            assert len(seen) == 1
        """
    )
    result.assert_outcomes(passed=3, failed=3, errors=2)
    for where in "in setup", "in teardown", "in a slot", "in a callback", "beside it":
        result.stdout.fnmatch_lines([f"LookupError: {where}"])
    result.stdout.no_fnmatch_line("*LookupError: and*")


def test_errors_of_virtual_methods_stay_pytest_qts(suite: Suite) -> None:
    result = suite(
        """
        class Broken(QObject):
            def event(self, event):
                raise LookupError("in event()")

        @pytest.mark.qtloop
        async def test_it(qtbot):
            broken = Broken()
            QCoreApplication.postEvent(broken, QEvent(QEvent.Type.User))
            await asyncio.sleep(0.01)
        """,
        beside=("pytest-qt",),
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*Exceptions caught in Qt event loop*", "LookupError: in event()"])


# Time.


def test_a_test_whose_time_is_over_shows_where_all_tasks_stood(suite: Suite) -> None:
    result = suite(
        """
        pytestmark = pytest.mark.qtloop

        async def wait_for_godot():
            await asyncio.Event().wait()

        @pytest.mark.qtloop(timeout=0.1)
        async def test_hangs():
            async with asyncio.TaskGroup() as group:
                group.create_task(wait_for_godot(), name="Vladimir")

        @pytest.fixture
        async def slow():
            await wait_for_godot()

        @pytest.mark.qtloop(timeout=0.1)
        async def test_fixture(slow): pass

        @pytest.mark.qtloop(timeout=0.1)
        async def test_dialog():
            QDialog().exec()

        @pytest.mark.qtloop(timeout=0.1)
        async def test_does_not_listen():
            try:
                await wait_for_godot()
            except asyncio.CancelledError:
                return "well, well"

        async def test_has_the_time_of_the_option():
            await wait_for_godot()

        @pytest.mark.qtloop(timeout=60)
        async def test_in_time():
            await asyncio.sleep(0)
        """,
        ini="qtloop_timeout = 0.2",
    )
    result.assert_outcomes(passed=1, failed=4, errors=1)
    result.stdout.fnmatch_lines(
        [
            "fixture slow did not end within 0.1 s",
            "task 'fixture slow', slow (most recent call last):",
            "test_hangs did not end within 0.1 s",
            "task 'Vladimir', wait_for_godot (most recent call last):",
            "  */test_it.py:*, in wait_for_godot",
            "    await asyncio.Event().wait()",
            "  waits for <Future pending*",
            "task 'test_hangs', test_hangs (most recent call last):",
            "  */test_it.py:*, in test_hangs",
            "test_dialog did not end within 0.1 s",
            "task 'test_dialog', test_dialog (most recent call last):",
            "    QDialog().exec()",
            "test_does_not_listen did not end within 0.1 s",
            "test_has_the_time_of_the_option did not end within 0.2 s",
        ]
    )


# What is left.

LEAVES = """
import os, socket

pytestmark = pytest.mark.qtloop
kept = []

async def work():
    await asyncio.sleep(3600)

async def test_a_task():
    kept.append(asyncio.create_task(work(), name="worker"))

async def test_a_timer():
    asyncio.get_running_loop().call_later(3600, print, "never")

async def test_a_watch():
    pair = socket.socketpair()
    kept.append(pair)
    asyncio.get_running_loop().add_reader(pair[0], print)

async def test_a_window():
    label = QLabel()
    label.setWindowTitle("forgotten")
    label.show()
    kept.append(label)

async def test_a_timer_of_qts():
    timer = QTimer()
    timer.setObjectName("ticker")
    timer.start(1000)
    kept.append(timer)

def test_a_task_of_a_slot():
    @qtloop.slot
    async def clicked():
        await work()
    kept.append(clicked())

def test_a_task_of_a_slot_that_has_turns():
    @qtloop.slot(reentry="restart")
    async def typed():
        await qtloop.emitted(kept[-2].timeout)
    kept.append(typed())
"""
LEFT = [
    "*test_a_task left behind:*",
    "*task 'worker' (work at *test_it.py:*",
    "*timer <TimerHandle *print(*",
    "*reader of fd *",
    "*window QLabel 'forgotten'*",
    "*QTimer 'ticker' of 1000 ms*",
    "*(test_a_task_of_a_slot.<locals>.clicked at *",
    "*(test_a_task_of_a_slot_that_has_turns.<locals>.typed at */test_it.py:*",
]


@pytest.mark.parametrize("scope", ["function", "session"])
def test_what_a_test_leaves_behind_is_put_away_and_named(suite: Suite, scope: str) -> None:
    gone = """
def test_they_are_gone():
    task, pair, label, timer, *_ = kept
    assert task.cancelled() and not label.isVisible() and not timer.isActive()
"""
    result = suite(LEAVES + gone, ini=f"qtloop_loop_scope = {scope}\nqtloop_find_timers = true")
    result.assert_outcomes(passed=8, warnings=7)
    result.stdout.fnmatch_lines(LEFT)


def test_a_filter_makes_it_an_error(suite: Suite) -> None:
    ini = "filterwarnings = error::pytest_qtloop.LeftBehindWarning\nqtloop_find_timers = true"
    result = suite(LEAVES, ini=ini)
    result.assert_outcomes(passed=7, errors=7)
    result.stdout.no_fnmatch_line("*_leftovers.py*")  # What the plugin does is nobody's business.
    for line in LEFT:
        result.stdout.fnmatch_lines([line])


def test_nobody_is_blamed_for_what_is_tidy(suite: Suite) -> None:
    result = suite(
        """
        pytestmark = pytest.mark.qtloop

        @pytest.fixture
        async def server():
            async def serve(reader, writer):
                writer.write(await reader.readline())
                writer.close()
            async with await asyncio.start_server(serve, "127.0.0.1") as server:
                yield server.sockets[0].getsockname()

        @pytest.fixture(scope="session")
        def window(qtloop_application):
            window = QLabel()
            window.show()
            timer = QTimer(window)
            timer.start(1000)
            yield window
            window.hide()

        @pytest.mark.parametrize("number", [1, 2])
        async def test_it(server, window, qtbot, number):
            reader, writer = await asyncio.open_connection(*server)
            writer.write(b"hello\\n")
            assert await reader.readline() == b"hello\\n"
            writer.close()
            button = QPushButton()
            qtbot.addWidget(button)
            button.show()
            task = asyncio.create_task(asyncio.sleep(60))
            await asyncio.sleep(0)
            task.cancel()
            async with asyncio.timeout(60):
                await asyncio.to_thread(int)
        """,
        "-W",
        "error",
        beside=("pytest-qt",),
        ini="qtloop_find_timers = true",
    )
    result.assert_outcomes(passed=2)


# Beside the others.


def test_qtbot_in_a_coroutine(suite: Suite) -> None:
    result = suite(
        """
        @pytest.mark.qtloop
        async def test_signal(qtbot):
            timer = QTimer()
            done = []

            async def work():
                await asyncio.sleep(0.01)
                done.append(True)

            task = asyncio.create_task(work())
            with qtbot.waitSignal(timer.timeout, timeout=5000):
                timer.start(1)
            timer.stop()
            qtbot.waitUntil(lambda: bool(done))
            await task
        """,
        beside=("pytest-qt",),
    )
    result.assert_outcomes(passed=1)


THEIRS = """
pytestmark = [pytest.mark.{marker}, pytest.mark.qtloop]

async def test_runs():
    assert isinstance(asyncio.get_running_loop(), qtloop.EventLoop)
    label = QLabel()
    label.show()
    label.close()
    await asyncio.sleep(0.01)

async def test_slot():
    @qtloop.slot
    async def clicked():
        raise LookupError("in a slot")
    clicked()
    await asyncio.sleep(0.01)

async def test_window():
    test_window.label = QLabel()
    test_window.label.show()
"""


def test_pytest_asyncio_runs_and_we_check(suite: Suite) -> None:
    result = suite(THEIRS.format(marker="asyncio"), conftest=FACTORIES, beside=("asyncio",))
    result.assert_outcomes(passed=2, failed=1, warnings=1)
    result.stdout.fnmatch_lines(
        ["LookupError: in a slot", "*test_window left behind:*", "*window QLabel*"]
    )


def test_pytest_asyncio_with_a_policy(suite: Suite) -> None:
    result = suite(
        THEIRS.format(marker="asyncio"),
        conftest="""
        import pytest, qtloop

        @pytest.fixture
        def event_loop_policy():
            return qtloop.EventLoopPolicy()
        """,
        beside=("asyncio",),
    )
    result.assert_outcomes(passed=2, failed=1, warnings=None)


def test_anyio_runs_and_we_check(suite: Suite) -> None:
    conftest = """
    import pytest, qtloop

    @pytest.fixture
    def anyio_backend():
        return "asyncio", {"loop_factory": qtloop.new_event_loop}
    """
    result = suite(THEIRS.format(marker="anyio"), conftest=conftest, beside=("anyio",))
    result.assert_outcomes(passed=2, failed=1, warnings=1)
    result.stdout.fnmatch_lines(["*LookupError: in a slot", "*test_window left behind:*"])


@pytest.mark.parametrize("mode", ["strict", "auto"])
def test_what_another_plugin_runs_cannot_be_simulated(suite: Suite, mode: str) -> None:
    marks = "@pytest.mark.asyncio\n" if mode == "strict" else ""
    program = (
        f"{marks}@pytest.mark.qtloop(simulated=True)\nasync def test_it(): await "
        f"asyncio.sleep(3600)"
    )
    result = suite(program, ini=f"asyncio_mode = {mode}", beside=("asyncio",))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*another plugin runs this test*simulated would have no effect*"])


def test_beside_xdist(suite: Suite) -> None:
    result = suite(
        """
        @pytest.mark.qtloop
        @pytest.mark.parametrize("number", range(6))
        async def test_it(qtbot, number):
            label = QLabel()
            qtbot.addWidget(label)
            await asyncio.sleep(0)
            assert number != 5
        """,
        "-n",
        "2",
        beside=("xdist", "pytest-qt"),
    )
    result.assert_outcomes(passed=5, failed=1)
