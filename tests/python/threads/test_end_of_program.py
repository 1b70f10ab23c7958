"""Loops in threads while the program ends: they live until its own exit functions have run."""

import gc
import threading

import pytest

from ..support import child
from ..support.loops import OURS, opened, qt_core

#: Imports of the binding and of qtloop, and the registration of the program's exit function.
ORDERS = [
    "qtloop binding program",
    "binding qtloop program",
    "qtloop program binding",
    "binding program qtloop",
    "program qtloop binding",
    "program binding qtloop",
]
BINDING = qt_core.__name__.partition(".")[0]
STEPS = {
    "qtloop": "import qtloop",
    "binding": f"from {BINDING} import QtCore as qt_core",
    "program": "atexit.register(at_exit)",
}


def in_order(order: str, at_exit: str, program: str) -> str:
    steps = "\n".join(STEPS[step] for step in order.split())
    return f"""
import asyncio, atexit, sys, threading
{at_exit}
{steps}
app = qt_core.QCoreApplication(["program"])
{program}
"""


@pytest.mark.parametrize("order", ORDERS)
def test_an_exit_function_may_stop_a_loop_and_join_its_thread(name: str, order: str) -> None:
    at_exit = """
def at_exit():
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    print("joined")
"""
    program = """
started = threading.Event()
loop = qtloop.new_event_loop()
def tick():
    loop.call_later(0.0005, tick)
loop.call_soon(tick)
loop.call_soon(started.set)
thread = threading.Thread(target=loop.run_forever, daemon=True)
thread.start()
started.wait()
"""
    outcome = child.run_bare(in_order(order, at_exit, program), name)
    assert (outcome.out, outcome.err, outcome.code) == ("joined\n", "", 0)


@pytest.mark.parametrize("order", ORDERS)
def test_an_exit_function_may_talk_to_a_loop(name: str, order: str) -> None:
    """As a client that blocks: it is served, and what it stops may clean up."""
    at_exit = """
async def serve(connected):
    async def echo(reader, writer):
        writer.write(await reader.readline())
        await asyncio.sleep(0.001)
        writer.close()
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    connected(server.sockets[0].getsockname())
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0.001)
        server.close()
        print("cleaned up")

async def ask(address):
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"hello\\n")
    answer = await reader.readline()
    writer.close()
    return answer

def at_exit():
    print(asyncio.run_coroutine_threadsafe(ask(address), loop).result())
    loop.call_soon_threadsafe(task.cancel)
    thread.join()
    print("joined")
"""
    program = """
started = threading.Event()
def connected(where):
    global address
    address = where
    started.set()
def run():
    global loop, task
    with asyncio.Runner(loop_factory=qtloop.new_event_loop) as runner:
        loop = runner.get_loop()
        task = loop.create_task(serve(connected))
        loop.run_until_complete(asyncio.wait([task]))
thread = threading.Thread(target=run, daemon=True)
thread.start()
started.wait()
"""
    outcome = child.run_bare(in_order(order, at_exit, program), name)
    assert (outcome.out, outcome.err, outcome.code) == ("b'hello\\n'\ncleaned up\njoined\n", "", 0)


@pytest.mark.parametrize("order", ORDERS[:2])
def test_an_exit_function_may_wait_for_a_qthread(name: str, order: str) -> None:
    at_exit = """
def at_exit():
    thread.quit()
    print(thread.wait(10_000))
"""
    program = """
started = threading.Event()
async def main():
    started.set()
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0.001)
        print("cleaned up")
class Thread(qt_core.QThread):
    def run(self):
        qtloop.run(main())
thread = Thread()
thread.start()
started.wait()
"""
    outcome = child.run_bare(in_order(order, at_exit, program), name)
    assert (outcome.out, outcome.err, outcome.code) == ("cleaned up\nTrue\n", "", 0)


@pytest.mark.parametrize("order", ORDERS)
def test_a_loop_that_nobody_stops_does_not_crash(name: str, order: str) -> None:
    program = """
started = threading.Event()
loop = qtloop.new_event_loop()
def tick():
    loop.call_later(0.0005, tick)
loop.call_soon(tick)
loop.call_soon(started.set)
threading.Thread(target=loop.run_forever, daemon=True).start()
started.wait()
"""
    outcome = child.run_bare(in_order(order, "def at_exit(): print('ended')", program), name)
    assert (outcome.out, outcome.err, outcome.code) == ("ended\n", "", 0)


def test_a_thread_that_is_not_a_daemon_is_joined_before(name: str) -> None:
    outcome = child.run(
        """
        import atexit
        app = qt_core.QCoreApplication(["program"])
        atexit.register(print, "exit function")

        async def main():
            await asyncio.sleep(0.01)
            print("ran")

        threading.Thread(target=lambda: qtloop.run(main())).start()
        """,
        name,
    )
    assert (outcome.out, outcome.err, outcome.code) == ("ran\nexit function\n", "", 0)


def test_nothing_of_a_closed_loop_waits_for_the_end_of_its_thread() -> None:
    """What a binding deletes then takes the GIL, and the interpreter may be ending."""
    left: list[object] = []

    def run() -> None:
        with opened(OURS["binding-epoll"]) as loop:
            loop.call_soon(loop.stop)
            loop.run_forever()
        del loop
        left.extend(found for found in gc.get_objects() if type(found).__name__ == "Slot")

    gc.collect()
    before = [found for found in gc.get_objects() if type(found).__name__ == "Slot"]
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert [found for found in left if not any(found is one for one in before)] == []
