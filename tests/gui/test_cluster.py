"""The example that drives a cluster of dask.distributed, with processes as workers."""

import os
import re
import sys
import textwrap

import pytest
from python.support import child
from python.support.loops import qt_core

if sys.version_info >= (3, 14):
    # It is not among the requirements of the newest Pythons.
    pytest.importorskip("distributed")

BINDING = qt_core.__name__.partition(".")[0]

#: Seconds: four Pythons start, and each imports distributed.
PATIENCE = 80

WORKERS = re.compile(r"(?<=worker: |orkers: )[\d ]+$", re.MULTILINE)

STORY = """\
two workers: PID PID
job 1: 2262 primes, the bar went [1, 2, 3, 4, 5, 6, 7, 8]
job 2: cancelled, 0 pieces done
a worker was lost, and another one began its piece
job 3: 2262 primes, 1 piece done
a new worker: PID
the cluster is closed
"""


@pytest.fixture(autouse=True)
def same_binding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QT_API", BINDING.lower())


def run(*arguments: str) -> child.Outcome:
    """Returns when the workers are gone too: they have inherited the output, which is read to its
    end."""
    command = [sys.executable, "-X", "faulthandler", *arguments]
    return child.run_command(command, patience=PATIENCE)


def pids(out: str) -> list[int]:
    """The workers that the program names."""
    return [int(pid) for line in WORKERS.findall(out) for pid in line.split()]


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_jobs_end_and_are_cancelled_and_outlive_their_worker() -> None:
    outcome = run("-m", "examples.cluster", "--auto")
    workers = pids(outcome.out)
    told = WORKERS.sub(lambda line: re.sub(r"\d+", "PID", line[0]), outcome.out)
    assert (outcome.code, told) == (0, STORY), outcome.err
    assert len(set(workers)) == 3
    assert not any(map(is_there, workers))
    assert "Traceback" not in outcome.err and "never" not in outcome.err, outcome.err


def test_closing_the_window_in_the_midst_of_a_job_ends_the_workers() -> None:
    program = """
    import qtloop
    from examples.cluster import __main__ as example
    from examples.cluster.play import submit, that_began, until

    async def play(window):
        row = submit(window, 20_000, pieces=8, paused=True)
        await until(window.workers, lambda: len(that_began(window.workers, row)) == 2)
        print("workers:", *window.workers.pids)

    example.play = play
    app = example.QtWidgets.QApplication([])
    print(qtloop.run(example.main(auto=True)))
    """
    outcome = run("-c", textwrap.dedent(program))
    workers = pids(outcome.out)
    assert (outcome.code, len(workers)) == (0, 2), outcome.err
    assert outcome.out.endswith("None\n")
    assert not any(map(is_there, workers))
    assert "never" not in outcome.err, outcome.err


def test_a_blocking_client_in_a_thread_and_the_windows_client_share_a_cluster() -> None:
    """As docs/how-to/cluster.md advises."""
    program = """
    import asyncio, dask, qtloop
    from distributed import Client
    from examples.cluster.crew import gathered

    def block(address, collection):
        with Client(address, set_as_default=False) as client:
            return client.compute(collection).result()

    async def main():
        collection = dask.delayed(sum)([1, 2])
        async with gathered(1) as crew:
            print(await crew.client.compute(collection))
            print(await asyncio.to_thread(block, crew.client.cluster.scheduler_address, collection))
            try:
                collection.compute()
            except RuntimeError as error:
                print(error)

    qtloop.run(main())
    """
    outcome = run("-c", textwrap.dedent(program))
    assert outcome.code == 0, outcome.err
    three, also_three, error = outcome.out.splitlines()
    assert (three, also_three) == ("3", "3")
    assert "Attempting to use an asynchronous Client in a synchronous context" in error
