"""The window: the workers, and a row for each job."""

import asyncio
import itertools
import os
import signal
from collections.abc import Iterable

import qtloop

from ..dashboard.qt import QtWidgets
from .crew import Crew
from .job import Job


class Workers(QtWidgets.QTableWidget):
    """A row for each process: its number, and what it does."""

    def __init__(self) -> None:
        super().__init__(0, 2)
        self._cells: dict[int, QtWidgets.QTableWidgetItem] = {}
        self.setHorizontalHeaderLabels(["worker", "began last"])
        self.horizontalHeader().setStretchLastSection(True)
        self.setSelectionBehavior(self.SelectionBehavior.SelectRows)
        self.setEditTriggers(self.EditTrigger.NoEditTriggers)

    @property
    def pids(self) -> list[int]:
        """Of all workers that were seen, in the order of the rows."""
        return list(self._cells)

    def does(self, pid: int) -> str:
        return self._cells[pid].text()

    def show_pids(self, pids: Iterable[int]) -> None:
        for pid in self._cells.keys() - set(pids):
            self._cells[pid].setText("lost")
        for pid in sorted(set(pids) - self._cells.keys()):
            self._add(pid)

    def show_piece(self, pid: int, piece: str) -> None:
        if pid in self._cells:
            self._cells[pid].setText(piece)

    def _add(self, pid: int) -> None:
        row = self.rowCount()
        self._cells[pid] = QtWidgets.QTableWidgetItem("new")
        self.insertRow(row)
        self.setItem(row, 0, QtWidgets.QTableWidgetItem(str(pid)))
        self.setItem(row, 1, self._cells[pid])

    def kill(self) -> None:
        """Ends the selected worker, as the kernel does when memory is short."""
        row = self.currentRow()
        if row >= 0 and self.does(self.pids[row]) != "lost":
            os.kill(self.pids[row], signal.SIGKILL)


class JobRow(QtWidgets.QWidget):
    """A job, with its progress."""

    task: asyncio.Task[None]

    def __init__(self, job: Job, is_paused: bool) -> None:
        super().__init__()
        self.job = job
        self.bar = QtWidgets.QProgressBar()
        self.bar.setMaximum(job.pieces)
        self.bar.setValue(0)
        self.state = QtWidgets.QLabel("waits")
        self.state.setMinimumWidth(100)
        self.pause_button = QtWidgets.QPushButton("Pause")
        self.pause_button.setCheckable(True)
        self.pause_button.setChecked(is_paused)
        self.cancel_button = QtWidgets.QPushButton("Cancel")
        self.pause_button.toggled.connect(self.pause)
        self.cancel_button.clicked.connect(self.cancel)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(QtWidgets.QLabel(job.name))
        layout.addWidget(self.bar, 1)
        for widget in (self.state, self.pause_button, self.cancel_button):
            layout.addWidget(widget)

    async def run(self) -> None:
        try:
            found = await self.job.run(self.progress, self.pause_button.isChecked())
        except Exception as error:  # A piece raised it, or was lost with worker after worker.
            self.state.setText("failed")
            self.state.setToolTip(str(error))
        else:
            self.state.setText("cancelled" if found is None else f"{found} primes")
        self.pause_button.setEnabled(False)
        self.cancel_button.setEnabled(False)

    def progress(self, done: int) -> None:
        self.bar.setValue(done)
        self.state.setText(f"{done} of {self.job.pieces}")

    @qtloop.slot(reentry="queue")
    async def pause(self, is_paused: bool) -> None:
        await self.job.pause(is_paused)

    @qtloop.slot(reentry="ignore")
    async def cancel(self) -> None:
        await self.job.cancel()


class Window(QtWidgets.QWidget):
    def __init__(self) -> None:
        super().__init__()
        self.setWindowTitle("A cluster")
        self.resize(720, 340)
        self.workers = Workers()
        self.limit, self.pieces = QtWidgets.QSpinBox(), QtWidgets.QSpinBox()
        self.limit.setRange(1, 100_000_000)
        self.limit.setValue(2_000_000)
        self.pieces.setRange(1, 1000)
        self.pieces.setValue(40)
        self.paused = QtWidgets.QCheckBox("paused")
        self.submit_button = QtWidgets.QPushButton("Submit")
        self.kill_button = QtWidgets.QPushButton("Kill the selected worker")
        self.kill_button.clicked.connect(self.workers.kill)
        self.submit_button.setEnabled(False)  # Until there is a cluster.
        self.jobs = QtWidgets.QVBoxLayout()
        self.rows: list[JobRow] = []
        order = QtWidgets.QHBoxLayout()
        for text, box in (("Primes below", self.limit), ("in pieces:", self.pieces)):
            order.addWidget(QtWidgets.QLabel(text))
            order.addWidget(box)
        order.addWidget(self.paused)
        order.addStretch()
        order.addWidget(self.submit_button)
        layout = QtWidgets.QVBoxLayout(self)
        layout.addWidget(self.workers)
        layout.addWidget(self.kill_button)
        layout.addLayout(self.jobs)
        layout.addLayout(order)

    def open(self, crew: Crew, tasks: asyncio.TaskGroup) -> None:
        """Now jobs can be submitted. They are tasks of the group."""
        numbers = itertools.count(1)

        def submit() -> None:
            name = f"job {next(numbers)}"
            job = Job(crew.client, name, self.limit.value(), self.pieces.value())
            row = JobRow(job, self.paused.isChecked())
            self.jobs.addWidget(row)
            row.task = tasks.create_task(row.run())
            self.rows.append(row)

        self.submit_button.clicked.connect(submit)
        self.submit_button.setEnabled(True)
