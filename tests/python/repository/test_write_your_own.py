"""The course "write your own loop": its programs run, its loops pass CPython's tests, its pages are
true."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ..support import child

PROGRAMS = child.REPOSITORY / "examples" / "write_your_own"
PAGES = child.REPOSITORY / "docs" / "write-your-own"

#: In the order of the alphabet: on a busy machine the two counters may overtake each other.
COUNTED = [
    "a thread says 499999500000",
    *(f"{name} {n}" for name in ("quick", "slow") for n in range(3)),
]
SERVED = "the server answers b'HELLO, SERVER\\n'\nthe child says b'hello, child\\n'\n"

OUTPUT = {
    "chapter2_simulator.py": """\
     0 s: car 0 boards, it waited for 0 s
    60 s: car 1 boards, it waited for 0 s
  1800 s: car 2 boards, it waited for 1680 s
  1860 s: car 3 boards, it waited for 1680 s
  3600 s: car 4 boards, it waited for 3360 s
  5400 s: all are across
""",
    "chapter4_qt.py": SERVED,
    "chapter4_notifiers.py": SERVED,
    "chapter5_qt.py": "the tasks went on while the dialog was open\n",
    "chapter5_starvation.py": """\
chapter4_qt: Qt's timer stood still
chapter5_qt: Qt's timer ticked meanwhile
""",
    "chapter5_nested.py": """\
chapter4_qt:
    another task stood still while the dialog was open
    afterwards both go on
chapter5_qt:
    another task went on while the dialog was open
    and was the current task then
    afterwards both go on
""",
    "chapter5_reentry.py": """\
run_until_complete in a task: This event loop is already running
progress 2 begins, 1 deep
progress 1 begins, 2 deep
progress 0 begins, 3 deep
progress 0 ends
progress 1 ends
progress 2 ends
step 2 begins and ends
step 1 begins and ends
step 0 begins and ends
""",
    "chapter5_fork.py": """\
the child closes the loop that it was born with:
    the thread is heard too late
the child leaves it alone:
    the thread is heard
""",
    "chapter5_exceptions.py": """\
await: in a task
exception handler: in a task that nobody awaits
exception handler: in a callback
sys.excepthook: in a slot
run_forever: SystemExit in a callback
run_forever: KeyboardInterrupt in a callback
""",
    "chapter5_garbage.py": """\
a task that nobody keeps, waiting for a future that nobody keeps:
    exception handler: Task was destroyed but it is pending!
a task that is kept until it is done:
    1 is waiting
a task that waits for a timer: the loop keeps the timer, the timer the future, and so on:
    done
a closed loop that nobody keeps is gone
""",
    "chapter5_end.py": """\
the main thread is done
atexit: the interpreter is still whole
the loop was told to end, and is closed: True
""",
}

#: The loops of the course in Qt.
QT_LOOPS = ("chapter3_qt", "chapter4_qt", "chapter4_notifiers", "chapter5_qt")


@pytest.fixture(autouse=True)
def one_of_qt_6(monkeypatch: pytest.MonkeyPatch) -> None:
    """The programs know two bindings. With any other the suite has them take the first."""
    api = os.environ.get("QT_API", "").lower()
    monkeypatch.setenv("QT_API", api if api == "pyside6" else "pyqt6")


def run(program: str, *python: str) -> child.Outcome:
    return child.run_command(
        [*(python or (sys.executable, "-W", "error")), str(PROGRAMS / program)]
    )


def interpreter_with(module: str) -> str:
    """This one or Debian's: a virtual environment seldom has these modules."""
    for python in (sys.executable, "/usr/bin/python3"):
        if (
            Path(python).exists()
            and not subprocess.run([python, "-c", f"import {module}"]).returncode
        ):
            return python
    pytest.skip(f"no Python here has {module}")


@pytest.mark.parametrize("program", OUTPUT)
def test_a_program_says_what_its_chapter_says(program: str) -> None:
    outcome = run(program)
    assert (outcome.code, outcome.out, outcome.err) == (0, OUTPUT[program], "")


def test_the_map_names_the_callers() -> None:
    outcome = run("chapter1_map.py")
    assert (outcome.code, outcome.err) == (0, "")
    callers = {line.split()[0]: line[28:] for line in outcome.out.splitlines()}
    assert "BaseEventLoop.run_forever" in callers["_run_once"]
    assert "Task.__init__" in callers["call_soon"]
    assert "TimerHandle.cancel" in callers["_timer_handle_cancelled"]
    assert "Runner.run" in callers["create_task"]


def test_chapter_3_in_qt() -> None:
    outcome = run("chapter3_qt.py")
    assert (outcome.code, outcome.err) == (0, "")
    assert sorted(outcome.out.splitlines()) == ["Qt's timer ticked all the time", *COUNTED]


def test_chapter_3_in_glib() -> None:
    outcome = run("chapter3_glib.py", interpreter_with("gi"))
    assert (outcome.code, outcome.err) == (0, "")
    assert sorted(outcome.out.splitlines()) == ["GLib's timer ticked all the time", *COUNTED]


def test_chapter_3_in_tk() -> None:
    outcome = run("chapter3_tk.py", "xvfb-run", "-a", interpreter_with("tkinter"))
    countdown = "".join(f"asyncio inside Tk: {number}\n" for number in (3, 2, 1))
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == countdown + "a thread says 499999500000\n"


def test_chapter_3_in_cocoa(monkeypatch: pytest.MonkeyPatch) -> None:
    """On macOS with PyObjC's module, elsewhere with one that stands in for it."""
    if sys.platform != "darwin":
        monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent / "stand_in"))
    outcome = run("chapter3_cocoa.py")
    assert (outcome.code, outcome.err) == (0, "")
    assert sorted(outcome.out.splitlines()) == COUNTED


@pytest.mark.parametrize(
    ("module", "python", "preamble"),
    [
        ("gi", [], "from chapter3_glib import GLibLoop as make_loop"),
        (
            "tkinter",
            ["xvfb-run", "-a"],
            "from chapter3_tk import TkLoop, tkinter\nmake_loop = lambda: TkLoop(tkinter.Tk())",
        ),
    ],
)
def test_ctrl_c_in_other_run_loops(module: str, python: list[str], preamble: str) -> None:
    program = f"""
import asyncio, os, signal, sys, threading
sys.path.insert(0, {str(PROGRAMS)!r})
{preamble}
loop = make_loop()
loop.call_soon(threading.Timer(0.1, os.kill, [os.getpid(), signal.SIGINT]).start)
try:
    loop.run_forever()
except KeyboardInterrupt:
    print("interrupted")
loop.close()
"""
    outcome = child.run_command([*python, interpreter_with(module), "-c", program])
    assert (outcome.code, outcome.out, outcome.err) == (0, "interrupted\n", "")


def test_the_part_that_every_run_loop_shares_is_the_same() -> None:
    parts = set()
    for program in PROGRAMS.glob("chapter3_*.py"):
        found = re.search(
            r"^class GuestLoop.*?(?=^class )", program.read_text(), re.DOTALL | re.MULTILINE
        )
        assert found is not None, program
        parts.add(found[0])
    assert len(parts) == 1


def run_on(loop: str, program: str, *, send: signal.Signals | None = None) -> child.Outcome:
    """Run the program, in which `QtLoop` is a loop of the course."""
    preamble = f"""
import asyncio, sys, threading
sys.path.insert(0, {str(PROGRAMS)!r})
from {loop} import QCoreApplication, QtLoop
application = QCoreApplication([])
"""
    return child.run_bare(preamble + program, send=send)


@pytest.mark.parametrize("loop", QT_LOOPS)
def test_ctrl_c_cancels_what_an_idle_loop_runs(loop: str) -> None:
    outcome = run_on(
        loop,
        """
async def main():
    try:
        print("ready", flush=True)
        await asyncio.sleep(3600)
    finally:
        print("cleaned up")

try:
    with asyncio.Runner(loop_factory=QtLoop) as runner:
        runner.run(main())
except KeyboardInterrupt:
    print("interrupted")
""",
        send=signal.SIGINT,
    )
    assert (outcome.code, outcome.out, outcome.err) == (0, "cleaned up\ninterrupted\n", "")


@pytest.mark.parametrize("loop", QT_LOOPS)
def test_ctrl_c_at_any_moment_leaves_by_run_forever(loop: str) -> None:
    """The loop is busy or idle, and the signal comes in Python code or in Qt's: it is one
    exception."""
    outcome = run_on(
        loop,
        """
import os, random, signal, time

def again(loop):
    loop.call_soon(again, loop)

def interrupt(pause):
    time.sleep(pause)
    os.kill(os.getpid(), signal.SIGINT)

interrupts = 0
for number in range(100):
    loop = QtLoop()
    if number % 2:
        loop.call_soon(again, loop)
    thread = threading.Thread(target=interrupt, args=[random.random() * 0.003])
    loop.call_soon(thread.start)
    try:
        loop.run_forever()
    except KeyboardInterrupt:
        interrupts += 1
    thread.join()
    loop.close()
print(interrupts)
""",
    )
    assert (outcome.code, outcome.out, outcome.err) == (0, "100\n", "")


@pytest.mark.parametrize("loop", QT_LOOPS)
def test_a_second_ctrl_c_interrupts_a_callback_that_does_not_end(loop: str) -> None:
    outcome = run_on(
        loop,
        """
import os, signal, time

def interrupt():
    while True:
        os.kill(os.getpid(), signal.SIGINT)
        if is_interrupted.wait(0.05):
            break

def spin():
    threading.Thread(target=interrupt).start()
    try:
        while True:
            pass
    finally:
        is_interrupted.set()

is_interrupted = threading.Event()
loop = QtLoop()
loop.call_soon(spin)
try:
    loop.run_forever()
except KeyboardInterrupt:
    print("interrupted")
loop.close()
""",
    )
    assert (outcome.code, outcome.out, outcome.err) == (0, "interrupted\n", "")


@pytest.mark.parametrize("loop", QT_LOOPS)
def test_ctrl_c_in_a_nested_loop_waits_until_somebody_can_catch_it(loop: str) -> None:
    outcome = run_on(
        loop,
        """
import os, random, signal
from chapter5_qt import QEventLoop, QTimer

def open_dialog():
    dialog = QEventLoop()
    threading.Timer(random.random() * 0.02, os.kill, [os.getpid(), signal.SIGINT]).start()
    QTimer.singleShot(50, dialog.quit)
    dialog.exec()

interrupts = 0
for _ in range(20):
    loop = QtLoop()
    loop.call_soon(open_dialog)
    try:
        loop.run_forever()
    except KeyboardInterrupt:
        interrupts += 1
    loop.close()
print(interrupts)
""",
    )
    assert (outcome.code, outcome.out, outcome.err) == (0, "20\n", "")


@pytest.mark.parametrize("loop", QT_LOOPS)
def test_a_run_loop_that_somebody_else_leaves_ends_the_run(loop: str) -> None:
    """Inside an `app.exec()` a quit ends every QEventLoop at once, and keeps new ones from
    running."""
    outcome = run_on(
        loop,
        """
from chapter5_qt import QTimer

def start():
    loop = QtLoop()
    loop.call_later(0.05, application.quit)
    loop.run_forever()
    print("left")
    loop.close()

QTimer.singleShot(0, start)
application.exec()
""",
    )
    assert (outcome.code, outcome.out, outcome.err) == (0, "left\n", "")


def test_in_a_nested_loop_a_context_on_the_stack_is_waited_for() -> None:
    outcome = run_on(
        "chapter5_qt",
        """
import contextvars
from chapter5_qt import QEventLoop, QTimer

def outer(context):
    loop.call_soon(print, "the same context", context=context)
    loop.call_soon(print, "another context")
    dialog = QEventLoop()
    QTimer.singleShot(100, dialog.quit)
    dialog.exec()
    print("closed")
    loop.call_soon(loop.stop)

loop = QtLoop()
context = contextvars.copy_context()
loop.call_soon(outer, context, context=context)
loop.run_forever()
loop.close()
""",
    )
    said = "another context\nclosed\nthe same context\n"
    assert (outcome.code, outcome.out, outcome.err) == (0, said, "")


@pytest.mark.parametrize("loop", QT_LOOPS)
def test_a_signal_handler_is_a_callback(loop: str) -> None:
    outcome = run_on(
        loop,
        """
import signal
loop = QtLoop()
loop.add_signal_handler(signal.SIGTERM, loop.stop)
loop.call_soon(lambda: print("ready", flush=True))
loop.run_forever()
print(loop.remove_signal_handler(signal.SIGTERM), loop.remove_signal_handler(signal.SIGTERM))
loop.close()
""",
        send=signal.SIGTERM,
    )
    assert (outcome.code, outcome.out, outcome.err) == (0, "True False\n", "")


@pytest.mark.parametrize("loop", QT_LOOPS)
def test_a_loop_runs_in_another_thread(loop: str) -> None:
    outcome = run_on(
        loop,
        """
def run():
    with asyncio.Runner(loop_factory=QtLoop) as runner:
        print(runner.run(asyncio.sleep(0.01, "done")))

thread = threading.Thread(target=run)
thread.start()
thread.join()
""",
    )
    assert (outcome.code, outcome.out, outcome.err) == (0, "done\n", "")


@pytest.mark.parametrize("loop", QT_LOOPS)
def test_an_idle_loop_makes_no_turns(loop: str) -> None:
    outcome = run_on(
        loop,
        """
class Counting(QtLoop):
    turns = 0

    def _turn(self):
        self.turns += 1
        super()._turn()

async def main():
    loop = asyncio.get_running_loop()
    await asyncio.sleep(0.01)
    before = loop.turns
    await asyncio.sleep(0.3)
    return loop.turns - before

with asyncio.Runner(loop_factory=Counting) as runner:
    print(runner.run(main()) <= 4)
""",
    )
    assert (outcome.code, outcome.out, outcome.err) == (0, "True\n", "")


def conformance(loop: str, pattern: str, *options: str) -> subprocess.CompletedProcess[str]:
    tool = [sys.executable, "-m", "qtloop.conformance"]
    return subprocess.run(
        [*tool, loop, *options, "--select", pattern, "--timeout", "60"],
        cwd=child.REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.parametrize(
    "pattern", ["test_sock_lowlevel", "test_streams", "test_timeouts", "test_runners"]
)
@pytest.mark.parametrize("chapter", ["chapter4_qt", "chapter4_notifiers", "chapter5_qt"])
def test_cpythons_tests_pass(chapter: str, pattern: str) -> None:
    module = f"examples.write_your_own.{chapter}"
    clock = "examples.write_your_own.chapter6_clock:JumpingClock"
    options = ("--before", f"{module}:make_application", "--clock", clock)
    finished = conformance(f"{module}:QtLoop", pattern, *options)
    assert finished.returncode == 0, finished.stdout
    assert re.search(r"^100.00%: (\d\d+) of \1 tests passed", finished.stdout, re.MULTILINE)


def method_rows() -> dict[str, str]:
    """What the page of methods says each one is to be built on."""
    rows = re.findall(r"^\| `(\w+)` \|(.*)\|$", (PAGES / "methods.md").read_text(), re.MULTILINE)
    return {name: row.rpartition("|")[2].strip() for name, row in rows if row.count("|") == 3}


def test_the_page_of_methods_has_every_method() -> None:
    methods = {name for name in vars(asyncio.AbstractEventLoop) if not name.startswith("__")}
    assert set(method_rows()) == methods


def test_the_page_of_methods_is_right_about_the_base_classes() -> None:
    for method, build_on in method_rows().items():
        if build_on.startswith("base"):
            assert method in vars(asyncio.BaseEventLoop), method
        elif "selector" in build_on:
            inherited = getattr(asyncio.BaseEventLoop, method)
            assert inherited is getattr(asyncio.AbstractEventLoop, method), method
            assert getattr(asyncio.SelectorEventLoop, method) is not inherited, method


@pytest.mark.parametrize(
    ("page", "program"),
    [
        ("2-simulator.md", "chapter2_simulator.py"),
        ("3-guest.md", "chapter3_qt.py"),
        ("4-file-descriptors.md", "chapter4_qt.py"),
    ],
)
def test_the_code_on_a_page_is_the_programs(page: str, program: str) -> None:
    """All but the heads of functions, whose annotations the pages leave out."""
    lines = {line.strip() for line in (PROGRAMS / program).read_text().splitlines()}
    blocks = re.findall(r"```python\n(.*?)```", (PAGES / page).read_text(), re.DOTALL)
    shown = [line.strip() for block in blocks for line in block.splitlines()]
    shown = [line for line in shown if line and not line.startswith("def ")]
    assert len(shown) > 3
    assert [line for line in shown if line not in lines] == []


def test_links_lead_somewhere() -> None:
    links = 0
    for page in PAGES.glob("*.md"):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
            links += 1
    assert links > 10
