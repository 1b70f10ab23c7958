"""Chapter 5, fork: a child process has a copy of the loop, and the same epoll set as its parent.

python examples/write_your_own/chapter5_fork.py
"""

import asyncio
import os
import threading

import chapter4_qt

PATIENCE = 2.0  # seconds


async def main() -> None:
    """Ask a thread for something. Its answer ends Qt's wait, if the self-pipe is still watched."""
    loop = asyncio.get_running_loop()
    answer = loop.create_future()
    threading.Timer(0.05, loop.call_soon_threadsafe, [answer.set_result, None]).start()
    started = loop.time()
    await asyncio.wait([answer], timeout=PATIENCE)
    print("    the thread is", "heard" if loop.time() - started < PATIENCE else "heard too late")


def fork_and_run(child_closes_the_loop: bool) -> None:
    loop = chapter4_qt.QtLoop()
    child = os.fork()
    if child == 0:
        if child_closes_the_loop:
            loop.close()  # takes the self-pipe out of the set, which is the parent's too
        os._exit(0)
    os.waitpid(child, 0)
    loop.run_until_complete(main())
    loop.close()


if __name__ == "__main__":
    application = chapter4_qt.make_application()
    print("the child closes the loop that it was born with:")
    fork_and_run(child_closes_the_loop=True)
    print("the child leaves it alone:")
    fork_and_run(child_closes_the_loop=False)
