"""Chapter 5, garbage: who keeps a task, a callback and a loop alive?

python examples/write_your_own/chapter5_garbage.py
"""

import asyncio
import gc
import weakref

import chapter5_qt

KEPT: set[asyncio.Task[None]] = set()


async def wait_forever() -> None:
    """Wait for a future that only this coroutine knows."""
    await asyncio.get_running_loop().create_future()


async def main() -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(
        lambda _, context: print(f"    exception handler: {context['message']}")
    )

    print("a task that nobody keeps, waiting for a future that nobody keeps:")
    asyncio.create_task(wait_forever())  # noqa: RUF006
    await asyncio.sleep(0)
    gc.collect()

    print("a task that is kept until it is done:")
    task = asyncio.create_task(wait_forever())
    KEPT.add(task)
    task.add_done_callback(KEPT.discard)
    await asyncio.sleep(0)
    gc.collect()
    print(f"    {len(KEPT)} is waiting")
    task.cancel()

    print(
        "a task that waits for a timer: the loop keeps the timer, the timer the future, and so on:"
    )
    asyncio.create_task(asyncio.sleep(0.02)).add_done_callback(lambda _: print("    done"))
    gc.collect()
    await asyncio.sleep(0.1)


def forget_a_loop() -> None:
    """A loop, its callbacks and Qt's timer form a circle. The collector has to see all of it."""
    loop = chapter5_qt.QtLoop()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    forgotten = weakref.ref(loop)
    del loop
    gc.collect()
    print("a closed loop that nobody keeps", "stays" if forgotten() else "is gone")


if __name__ == "__main__":
    application = chapter5_qt.make_application()
    with asyncio.Runner(loop_factory=chapter5_qt.QtLoop) as runner:
        runner.run(main())
    forget_a_loop()
