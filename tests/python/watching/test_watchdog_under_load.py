"""Debug mode's watchdog on a machine that has no time for the loop's thread."""

import textwrap

from qtloop import EventLoop

from ..support import child
from ..support.loops import run_briefly
from .test_watchdog import Reports, reports, watched  # noqa: F401

#: The loop's thread runs when nothing else wants to, on a processor that another process keeps
#: busy.
STARVED = '''
import logging, subprocess, time
logging.basicConfig(format="%(name)s: %(message)s", level=logging.WARNING)
me, cpus = threading.get_native_id(), os.sched_getaffinity(0)
cpu = min(cpus)
busy = """if True:
    import time
    print(flush=True)
    input()
    end = time.monotonic() + 1
    while time.monotonic() < end:
        pass
"""
hog = subprocess.Popen([sys.executable, "-c", busy], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
hog.stdout.readline()

def spin():
    os.sched_setaffinity(hog.pid, [cpu])
    os.sched_setaffinity(me, [cpu])
    hog.stdin.write(b"\\n")
    hog.stdin.flush()
    before, ran = time.monotonic(), time.thread_time()
    os.sched_setscheduler(me, os.SCHED_IDLE, os.sched_param(0))
    while time.monotonic() < before + 0.6:
        pass
    os.sched_setscheduler(me, os.SCHED_OTHER, os.sched_param(0))
    os.sched_setaffinity(me, cpus)
    print("ran for a part only", time.thread_time() - ran < 0.3)
'''


def test_a_callback_that_computes_is_reported(watched: EventLoop, reports: Reports) -> None:  # noqa: F811
    def compute() -> None:
        while not any("compute" in message for message in reports.messages):
            pass

    watched.call_soon(compute)
    run_briefly(watched)
    assert any("so far by callback" in message for message in reports.messages)


def test_a_thread_that_was_not_let_run_is_not_reported(name: str) -> None:
    program = """
        async def main():
            loop = asyncio.get_running_loop()
            loop.slow_callback_duration = 0.3
            await asyncio.sleep(0.01)
            loop.call_soon(spin)
            await asyncio.sleep(0.01)
        qtloop.run(main(), debug=True)
        hog.communicate()
    """
    outcome = child.run_bare(child.PREAMBLE + STARVED + textwrap.dedent(program), name)
    assert (outcome.code, outcome.out) == (0, "ran for a part only True\n"), outcome.err
    assert " blocked for " not in outcome.err
