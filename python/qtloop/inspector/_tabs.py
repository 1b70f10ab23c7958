"""The window's tabs below the tasks. Only the visible one looks at the loop."""

import time
from typing import TYPE_CHECKING, Any, Protocol

from .. import _metrics
from . import _fds, _timers, _transports
from ._histogram import HistogramView
from ._model import Blocker
from ._recent import Recent
from ._snapshot import blockers
from ._table import Table, set_text, text_view
from ._text import seconds
from ._widgets import entrance, widgets

if TYPE_CHECKING:
    from .._loop import EventLoop


class Tab(Protocol):
    """A tab: a widget with a title."""

    title: str

    def refresh(self, loop: "EventLoop", limit: int) -> None:
        """Looks at the loop."""


class Timers(Table):
    title = "T&imers"

    def __init__(self) -> None:
        super().__init__("Timers", ["Due in", "Callback", "Task"], [110, 420])

    def refresh(self, loop: "EventLoop", limit: int) -> None:
        found, more = _timers.collect(loop, limit)
        rows = [(seconds(it.due_in), it.callback, it.task) for it in found]
        self.show_rows([*rows, *_left_out(more)])


class Fds(Table):
    title = "&Files"

    def __init__(self) -> None:
        super().__init__("Files", ["Fd", "Kind", "Read by", "Written by"], [60, 130, 320])

    def refresh(self, loop: "EventLoop", limit: int) -> None:
        found, more = _fds.collect(loop, limit)
        rows = [(str(it.fd), it.kind, it.reader or "", it.writer or "") for it in found]
        self.show_rows([*rows, *_left_out(more)])


class Transports(Table):
    title = "T&ransports"

    def __init__(self) -> None:
        columns = ["Kind", "Fd", "Local", "Peer", "Protocol", "To write", "State"]
        super().__init__("Transports", columns, [90, 50, 170, 170, 190, 90])

    def refresh(self, loop: "EventLoop", limit: int) -> None:
        found, more = _transports.collect(loop, limit)
        rows = []
        for it in found:
            marks = [
                text
                for text, holds in (("reading paused", it.reading_paused), ("closing", it.closing))
                if holds
            ]
            size = f"{it.buffered} B"
            row = (it.kind, str(it.fd), it.local, it.peer, it.protocol, size, ", ".join(marks))
            rows.append(row)
        self.show_rows([*rows, *_left_out(more)])


class Punctuality(widgets.QWidget):  # type: ignore[misc]
    title = "&Punctuality"

    def __init__(self) -> None:
        super().__init__()
        self._views = {
            "lateness": HistogramView("How late timers were"),
            "turn_lengths": HistogramView("How long Qt was kept waiting"),
        }
        self._recent = {name: Recent() for name in self._views}
        # Not a label: a new text in a label lays out the whole window again.
        self._counters = widgets.QLineEdit()
        self._counters.setReadOnly(True)
        self._counters.setFrame(False)
        self._counters.setAccessibleName("Counters")
        row = widgets.QHBoxLayout()
        for view in self._views.values():
            row.addWidget(view, 1)
        layout = widgets.QVBoxLayout(self)
        layout.addLayout(row, 1)
        layout.addWidget(self._counters)

    def note(self, metrics: _metrics.Metrics) -> None:
        """Remembers the counts of this moment, also while another tab is visible."""
        now = time.monotonic()
        for name, view in self._views.items():
            view.show_counts(self._recent[name].add(now, getattr(metrics, name)))

    def refresh(self, loop: "EventLoop", limit: int) -> None:
        it = loop.metrics()
        self._counters.setText(
            f"{it.turns} turns, {it.overruns} of them cut short, {it.callbacks} callbacks; now "
            f"{it.ready} ready, {it.timers} timers, {it.fds} files"
        )


class Blockers(widgets.QWidget):  # type: ignore[misc]
    title = "&Blockers"

    def __init__(self) -> None:
        super().__init__()
        self._found: tuple[Blocker, ...] = ()
        self._table = Table("Blockers", ["At worst", "Times", "Last", "Who"], [90, 60, 110])
        self._stack = text_view("Stack of the blocker")
        self._stack.setPlaceholderText("Select one to see where it stood.")
        self._table.itemSelectionChanged.connect(entrance(self._follow_selection))
        split = widgets.QSplitter()
        split.addWidget(self._table)
        split.addWidget(self._stack)
        split.setSizes([600, 340])
        layout = widgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(split)

    def refresh(self, loop: "EventLoop", limit: int) -> None:
        self._found = blockers(loop)
        rows = [
            (seconds(it.seconds), str(it.times), _clock(it.last), it.culprit) for it in self._found
        ]
        self._table.show_rows(rows)
        self._follow_selection()

    def _follow_selection(self) -> None:
        row = self._table.selected()
        chosen = self._found[row : row + 1] if row is not None else ()
        set_text(self._stack, chosen[0].stack.strip() if chosen else "")


def all_tabs() -> list[Any]:
    """One of each, in order."""
    return [Timers(), Fds(), Transports(), Punctuality(), Blockers()]


def _clock(moment: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(moment))


def _left_out(more: int) -> list[tuple[str, ...]]:
    return [(f"and {more} more",)] if more else []
