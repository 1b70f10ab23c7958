"""`python -m examples.cluster [--auto]`

The processes of the workers do not import this file: `multiprocessing` leaves the `__main__` of a
package alone.
"""

import asyncio
import sys

import qtloop

from ..dashboard.qt import QtWidgets
from .crew import gathered
from .play import play
from .window import Window


async def main(auto: bool) -> None:
    """Runs until the window is closed. That cancels it: first the jobs end, then the workers."""
    window = Window()
    window.show()
    async with gathered(2) as crew, asyncio.TaskGroup() as tasks:
        tasks.create_task(crew.watch(window.workers.show_pids, window.workers.show_piece))
        window.open(crew, tasks)
        if auto:
            await play(window)
            window.close()  # The last window: the application quits.
        await asyncio.Event().wait()


if __name__ == "__main__":
    app = QtWidgets.QApplication(sys.argv[:1])
    qtloop.run(main("--auto" in sys.argv))
    print("the cluster is closed")
