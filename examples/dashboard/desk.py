"""Where the two sides meet: coroutines carry what is measured into the widgets, slots steer the
jobs."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from time import perf_counter

from .meters import Meters
from .widgets.card import JobCard
from .widgets.window import Window
from .work.echo import EchoTraffic
from .work.job import Job
from .work.lines import read_forever
from .work.tls import exchange_forever

SAMPLE = 0.1
CLIENTS = 10


class Desk:
    def __init__(self, window: Window, meters: Meters, group: asyncio.TaskGroup) -> None:
        self._window, self._meters, self._group = window, meters, group
        self._protocol = "no answer yet"
        self._note_timer: asyncio.TimerHandle | None = None
        self._traffic = EchoTraffic(meters.round_trips, CLIENTS)
        self.jobs = [
            self._job("TCP echo", self._traffic.run, window.echo),
            self._job(
                "TLS", lambda: exchange_forever(meters.handshakes, self._set_protocol), window.tls
            ),
            self._job(
                "Subprocess", lambda: read_forever(meters.lines, window.log), window.subprocess
            ),
        ]
        window.clients.setValue(CLIENTS)
        window.clients.valueChanged.connect(self._traffic.set_clients)
        window.everything.clicked.connect(self._toggle_everything)

    def start(self) -> None:
        self._group.create_task(self._tick(), name="clock")
        self._group.create_task(self._sample(), name="sampler")
        for job in self.jobs:
            job.start()

    def _job(self, name: str, work: Callable[[], Awaitable[None]], card: JobCard) -> Job:
        def show(job: Job) -> None:
            card.show_status(job.status)
            self._note(
                f"{name} failed: {job.failure!r}" if job.failure else f"{name}: {job.status}"
            )
            self._window.everything.setText("Cancel all" if self._any_running() else "Start all")

        job = Job(name, work, self._group, show)
        card.on_click(job.toggle)
        return job

    def _any_running(self) -> bool:
        return any(job.status == "running" for job in self.jobs)

    def _toggle_everything(self) -> None:
        running = self._any_running()
        for job in self.jobs:
            job.cancel() if running else job.start()

    def _set_protocol(self, protocol: str) -> None:
        self._protocol = protocol

    def _note(self, text: str) -> None:
        """Show a message for a few seconds."""
        if self._note_timer:
            self._note_timer.cancel()
        self._window.note.setText(text)
        self._note_timer = asyncio.get_running_loop().call_later(4, self._window.note.clear)

    async def _tick(self) -> None:
        while True:
            now = datetime.now()
            self._window.clock.setText(f"{now:%H:%M:%S}")
            await asyncio.sleep(1 - now.microsecond / 1e6)

    async def _sample(self) -> None:
        meters = self._meters
        while True:
            await asyncio.sleep(SAMPLE)
            now = perf_counter()
            self._window.traffic.append(now, meters.round_trips.sample(now))
            self._window.lateness.append(now, meters.lateness.take_worst())
            for counter in meters.handshakes, meters.lines, meters.frames:
                counter.sample(now)
            self._show_numbers()

    def _show_numbers(self) -> None:
        meters, window = self._meters, self._window
        late = meters.lateness.spread()
        echo, tls, lines, frames = (
            meters.round_trips,
            meters.handshakes,
            meters.lines,
            meters.frames,
        )
        window.echo.show_number(f"{echo.rate():,.0f}", f"{echo.total:,} echoes of 1 KiB")
        window.tls.show_number(f"{tls.rate():.1f}", f"{tls.total:,} in all, {self._protocol}")
        window.subprocess.show_number(f"{lines.total:,}", f"{lines.rate():.1f} a second")
        window.frames.show_number(
            f"{frames.rate():.0f}",
            f"late by p50 {late.p50:.1f}, p99 {late.p99:.1f}, max {late.max:.1f} ms",
        )
        clients, tasks = self._traffic.clients, len(asyncio.all_tasks())
        window.tasks.setText(f"{clients} client{'s' if clients > 1 else ''}, {tasks} tasks alive")
