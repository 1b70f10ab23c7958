"""What a user would do, for those who test this program."""

from collections.abc import Callable

import qtloop

from .window import JobRow, Window, Workers


async def play(window: Window) -> None:
    workers = window.workers
    await until(workers, lambda: len(workers.pids) == 2)
    print("two workers:", *workers.pids, flush=True)
    await end_a_job(window)
    await cancel_a_job(window)
    await kill_a_worker(window)


async def end_a_job(window: Window) -> None:
    row = submit(window, 20_000, pieces=8)
    shown: list[int] = []
    row.bar.valueChanged.connect(shown.append)
    await row.task
    tell(row, f"the bar went {shown}")


async def cancel_a_job(window: Window) -> None:
    row = submit(window, 20_000, pieces=8, paused=True)
    await until(window.workers, lambda: that_began(window.workers, row) != [])
    row.cancel_button.click()
    await row.task
    tell(row, f"{row.bar.value()} pieces done")


async def kill_a_worker(window: Window) -> None:
    """The job has one piece, and its gate is closed, so the worker that began it is killed while
    it does it."""
    workers = window.workers
    row = submit(window, 20_000, pieces=1, paused=True)
    await until(workers, lambda: len(that_began(workers, row)) == 1)
    [first] = that_began(workers, row)
    workers.selectRow(workers.pids.index(first))
    window.kill_button.click()
    await until(workers, lambda: workers.does(first) == "lost")
    await until(workers, lambda: len(that_began(workers, row)) == 1)
    print("a worker was lost, and another one began its piece")
    row.pause_button.click()
    await row.task
    tell(row, f"{row.bar.value()} piece done")
    await until(workers, lambda: len(workers.pids) == 3)
    print("a new worker:", workers.pids[2], flush=True)


def submit(window: Window, limit: int, pieces: int, paused: bool = False) -> JobRow:
    window.limit.setValue(limit)
    window.pieces.setValue(pieces)
    window.paused.setChecked(paused)
    window.submit_button.click()
    return window.rows[-1]


def that_began(workers: Workers, row: JobRow) -> list[int]:
    """The workers whose last piece is the job's."""
    return [pid for pid in workers.pids if workers.does(pid).startswith(f"{row.job.name},")]


async def until(workers: Workers, is_so: Callable[[], bool]) -> None:
    """Waits for changes in the table until it is so."""
    async with qtloop.emissions(workers.itemChanged) as news:
        while not is_so():
            await anext(news)


def tell(row: JobRow, more: str) -> None:
    print(f"{row.job.name}: {row.state.text()}, {more}", flush=True)
