"""Chapter 5, re-entry: what runs again before it has returned.

python examples/write_your_own/chapter5_reentry.py
"""

import asyncio

import chapter5_qt
from chapter5_qt import QCoreApplication  # of the binding that the chapter took


async def two() -> int:
    return 2


async def main() -> None:
    loop = asyncio.get_running_loop()

    # 1. The loop itself refuses: a callback cannot wait for a coroutine by running the loop.
    coroutine = two()
    try:
        loop.run_until_complete(coroutine)
    except RuntimeError as error:
        print(f"run_until_complete in a task: {error}")
        coroutine.close()

    # 2. A callback that lets Qt turn is called again in the middle, if it is due again.
    depth = 0

    def progress(left: int) -> None:
        nonlocal depth
        depth += 1
        print(f"progress {left} begins, {depth} deep")
        if left:
            loop.call_soon(progress, left - 1)
            QCoreApplication.processEvents()
        print(f"progress {left} ends")
        depth -= 1

    loop.call_soon(progress, 2)
    await asyncio.sleep(0.05)

    # 3. The cure: between two awaits nothing else runs, unless it lets Qt turn. So do not; await.
    for left in (2, 1, 0):
        print(f"step {left} begins and ends")
        await asyncio.sleep(0)  # Qt turns here, and nothing is half done


if __name__ == "__main__":
    application = chapter5_qt.make_application()
    with asyncio.Runner(loop_factory=chapter5_qt.QtLoop) as runner:
        runner.run(main())
