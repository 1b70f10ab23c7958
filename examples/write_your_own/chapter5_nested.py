"""Chapter 5, nested loops: a task opens a dialog, whose exec() runs Qt's loop inside the task's
step.

python examples/write_your_own/chapter5_nested.py
"""

import asyncio

import chapter4_qt
import chapter5_qt
from chapter5_qt import QEventLoop, QTimer  # of the binding that the chapter took


async def tick(ticks: list[asyncio.Task[None] | None]) -> None:
    while True:
        await asyncio.sleep(0.01)
        ticks.append(asyncio.current_task())


async def main() -> None:
    task = asyncio.current_task()
    ticks: list[asyncio.Task[None] | None] = []
    ticking = asyncio.create_task(tick(ticks))
    dialog = QEventLoop()  # QDialog.exec() is this, and a window
    QTimer.singleShot(200, dialog.quit)
    dialog.exec()
    print("    another task", "went on" if ticks else "stood still", "while the dialog was open")
    if set(ticks) == {ticking}:
        print("    and was the current task then")
    assert asyncio.current_task() is task
    ticks.clear()
    await asyncio.sleep(0.05)
    print("    afterwards both", "go on" if ticks else "stand still")
    ticking.cancel()


if __name__ == "__main__":
    application = chapter5_qt.make_application()
    for chapter in (chapter4_qt, chapter5_qt):
        print(f"{chapter.__name__}:")
        with asyncio.Runner(loop_factory=chapter.QtLoop) as runner:
            runner.run(main())
