"""Chapter 5, exceptions: six places where one may be raised, and where each of them arrives.

python examples/write_your_own/chapter5_exceptions.py
"""

import asyncio
import gc
import sys
from typing import Any

import chapter5_qt
from chapter5_qt import QTimer  # of the binding that the chapter took


def fail(where: str) -> None:
    raise ValueError(where)


async def fail_later(where: str) -> None:
    await asyncio.sleep(0)
    fail(where)


async def main() -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(
        lambda _, context: print(f"exception handler: {context['exception']}")
    )

    # 1. In a task that is awaited: where it is awaited.
    try:
        await asyncio.create_task(fail_later("in a task"))
    except ValueError as error:
        print(f"await: {error}")

    # 2. In a task that nobody awaits: in the exception handler, when the task is collected.
    task = asyncio.create_task(fail_later("in a task that nobody awaits"))
    await asyncio.wait([task])
    del task
    gc.collect()

    # 3. In a callback: in the exception handler, and the loop goes on.
    loop.call_soon(fail, "in a callback")
    await asyncio.sleep(0.01)

    # 4. In a slot of your own, which Qt calls: asyncio never sees it. It goes where the binding
    #    sends it: to sys.excepthook. PyQt ends the process if that is Python's own.
    QTimer.singleShot(0, lambda: fail("in a slot"))
    await asyncio.sleep(0.01)


def show(kind: type[BaseException], error: BaseException, _: Any) -> None:
    print(f"sys.excepthook: {error}")


def run_until(what: type[BaseException]) -> None:
    """5, 6. SystemExit and KeyboardInterrupt in a callback: out of run_forever, by way of
    `_error`."""

    def leave() -> None:
        raise what("in a callback")

    loop = chapter5_qt.QtLoop()
    loop.call_soon(leave)
    try:
        loop.run_forever()
    except BaseException as error:
        print(f"run_forever: {type(error).__name__} {error}")
    loop.close()


if __name__ == "__main__":
    application = chapter5_qt.make_application()
    sys.excepthook = show
    with asyncio.Runner(loop_factory=chapter5_qt.QtLoop) as runner:
        runner.run(main())
    run_until(SystemExit)
    run_until(KeyboardInterrupt)
