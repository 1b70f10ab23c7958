"""The QCoreApplication that qtloop makes: it goes with the last loop that ran with it, unless it is
used."""

import pytest

from ..support import child

PROGRAM = """
import importlib

def exists():
    return qt_core.QCoreApplication.instance() is not None

async def give(make=lambda: None):
    return make()
"""


def lines(name: str, program: str) -> list[str]:
    outcome = child.run_bare(child.PREAMBLE + PROGRAM + program, name)
    assert (outcome.code, outcome.err.replace(RUNTIME_DIR, "")) == (0, "")
    return outcome.out.splitlines()


#: What Qt 5 says where no session runs.
RUNTIME_DIR = "QStandardPaths: XDG_RUNTIME_DIR not set, defaulting to '/tmp/runtime-root'\n"


def test_another_application_can_be_made_after_a_run(name: str) -> None:
    program = """
print(qtloop.run(asyncio.sleep(0.001, "ran")))
widgets = importlib.import_module(_qt.binding() + ".QtWidgets")
app = widgets.QApplication(["tests"])
label = widgets.QLabel("label")
label.show()
async def main():
    await asyncio.sleep(0.01)
    return label.isVisible(), qt_core.QCoreApplication.instance() is app
print(*qtloop.run(main()))
print(*qtloop.run(main()))
"""
    assert lines(name, program) == ["ran", "True True", "True True"]


def test_it_is_made_again_and_again(name: str) -> None:
    program = """
for n in range(5):
    assert qtloop.run(asyncio.to_thread(exists))
    assert not exists()
loop = qtloop.new_event_loop()
loop.run_until_complete(give())
loop.close()
print(exists())
loop.close()
with asyncio.Runner(loop_factory=qtloop.new_event_loop) as runner:
    runner.run(give())
    qtloop.run(give())
    assert exists()
    runner.run(asyncio.sleep(0.001))
print(exists())
"""
    assert lines(name, program) == ["False", "False"]


USES = {
    "its Python object": ("qt_core.QCoreApplication.instance", "False"),
    "a QObject": ("qt_core.QObject", "False"),
    # Which goes only with its parent.
    "a child of it": ("lambda: qt_core.QObject(qt_core.QCoreApplication.instance())", "True"),
}


@pytest.mark.parametrize("use", USES)
def test_it_stays_while_it_is_used(name: str, use: str) -> None:
    make, stays = USES[use]
    program = f"""
kept = qtloop.run(give({make}))
print(exists())
kept = None
qtloop.run(give())
print(exists())
"""
    assert lines(name, program) == ["True", stays]


def test_a_timer_goes_on_from_one_run_to_the_next(name: str) -> None:
    program = """
fired = []
def start():
    timer = qt_core.QTimer()
    timer.timeout.connect(lambda: fired.append(1))
    timer.start(1)
    return timer
timer = qtloop.run(give(start))
async def wait():
    while len(fired) < 3:
        await asyncio.sleep(0.001)
qtloop.run(wait())
timer = None
qtloop.run(give())
print(exists())
"""
    assert lines(name, program) == ["False"]


def test_it_stays_while_another_loop_runs_in_a_thread(name: str) -> None:
    program = """
running, done = threading.Event(), threading.Event()
async def wait():
    running.set()
    await asyncio.to_thread(done.wait)
    await asyncio.sleep(0.001)
with asyncio.Runner(loop_factory=qtloop.new_event_loop) as runner:
    runner.run(give())
    thread = threading.Thread(target=lambda: print(qtloop.run(wait())))
    thread.start()
    running.wait()
print(exists())
done.set()
thread.join()
print(exists())
qtloop.run(give())
print(exists())
"""
    assert lines(name, program) == ["True", "None", "True", "False"]


def test_one_of_the_programs_is_never_touched(name: str) -> None:
    program = """
app = qt_core.QCoreApplication(["tests"])
qtloop.run(give())
print(qt_core.QCoreApplication.instance() is app)
"""
    assert lines(name, program) == ["True"]
