"""Chapter 5, the end of the interpreter: a loop runs in a daemon thread when the program ends.

    python examples/write_your_own/chapter5_end.py [--careless]

With `--careless` nobody ends the loop. Python then ends the thread, or stops it for good, in the
middle of Qt's C++ code, as soon as it wants to run Python code again. That may crash the process.
"""

import asyncio
import atexit
import sys
import threading

import chapter5_qt


async def tick() -> None:
    while True:
        await asyncio.sleep(0.001)


def run(loop: asyncio.AbstractEventLoop, started: threading.Event) -> None:
    loop.call_soon(started.set)
    try:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(tick())
    except asyncio.CancelledError:
        print("the loop was told to end, and is closed:", loop.is_closed())


def end(loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    """Cancel what the loop runs, and wait for it. Called in another thread."""
    print("atexit: the interpreter is still whole")
    loop.call_soon_threadsafe(lambda: [task.cancel() for task in asyncio.all_tasks(loop)])
    thread.join()


if __name__ == "__main__":
    application = chapter5_qt.make_application()
    loop = chapter5_qt.QtLoop()
    started = threading.Event()
    thread = threading.Thread(target=run, args=(loop, started), daemon=True)
    thread.start()
    started.wait()
    if "--careless" not in sys.argv:
        atexit.register(end, loop, thread)
    print("the main thread is done")
