"""Chapter 5, starvation: a thousand callbacks are ready at once. When does Qt get its turn?

python examples/write_your_own/chapter5_starvation.py
"""

import asyncio
import time

import chapter4_qt
import chapter5_qt
from chapter5_qt import QTimer  # of the binding that the chapter took


def work() -> None:
    """A callback of 0.2 ms."""
    end = time.perf_counter() + 0.0002
    while time.perf_counter() < end:
        pass


async def main() -> int:
    """Count how often Qt's timer ticks between the first of them and the last."""
    ticks: list[float] = []
    timer = QTimer(interval=10)
    timer.timeout.connect(lambda: ticks.append(time.monotonic()))
    timer.start()
    loop = asyncio.get_running_loop()
    loop.call_soon(ticks.clear)
    for _ in range(1000):
        loop.call_soon(work)
    done: asyncio.Future[int] = loop.create_future()
    loop.call_soon(lambda: done.set_result(len(ticks)))
    return await done


if __name__ == "__main__":
    application = chapter5_qt.make_application()
    for chapter in (chapter4_qt, chapter5_qt):
        with asyncio.Runner(loop_factory=chapter.QtLoop) as runner:
            ticks = runner.run(main())
        print(f"{chapter.__name__}: Qt's timer {'ticked meanwhile' if ticks else 'stood still'}")
