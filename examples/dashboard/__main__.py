"""`python -m examples.dashboard [--seconds N] [--screenshot FILE]`"""

import asyncio
import platform
import sys
from contextlib import suppress
from typing import Any

import qtloop

from .desk import Desk
from .frames import FrameClock
from .launch import Options, parse
from .qt import QtWidgets, versions
from .report import Report
from .widgets.window import Window


async def main(options: Options, report: Report) -> None:
    """Runs until the window is closed, Ctrl-C, or the time is up; all three come as a
    cancellation."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, qtloop.EventLoop)
    loop.set_exception_handler(lambda loop, context: note_failure(report, context))
    report.loop = f"{type(loop).__name__} on host {loop.host}"
    report.versions = f"{versions()}, Python {platform.python_version()}"
    window = Window(report.meters.frames)
    window.versions.setText(f"{report.loop}, {report.versions}")
    window.show()
    frame_clock = FrameClock(report.meters.lateness, window.next_frame)
    with suppress(TimeoutError):
        async with asyncio.timeout(options.seconds), asyncio.TaskGroup() as group:
            desk = Desk(window, report.meters, group)
            desk.start()
            frame_clock.start()
            try:
                await asyncio.Event().wait()
            finally:
                # The jobs are still at it: the group cancels them when its body has ended.
                frame_clock.stop()
                finish(options, report, window, desk)


def note_failure(report: Report, context: dict[str, Any]) -> None:
    report.failures.append(f"{context['message']}: {context.get('exception')!r}")


def finish(options: Options, report: Report, window: Window, desk: Desk) -> None:
    report.failures += [f"{job.name}: {job.failure!r}" for job in desk.jobs if job.failure]
    if options.screenshot and window.grab().save(str(options.screenshot)):
        report.screenshot = options.screenshot
    elif options.screenshot:
        report.failures.append(f"cannot save {options.screenshot}")


def run() -> int:
    options, report = parse(), Report()
    app = QtWidgets.QApplication(sys.argv[:1])
    app.setApplicationName("qtloop dashboard")
    # A closed window and Ctrl-C are ways to end this program, not errors.
    with suppress(asyncio.CancelledError, KeyboardInterrupt):
        qtloop.run(main(options, report))
    report.require_activity()
    print(*report.lines(), sep="\n")
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(run())
