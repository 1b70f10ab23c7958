"""The window: where each widget sits."""

from ..meters import Counter
from ..qt import QtCore, QtWidgets
from .card import Card, Frame, JobCard, label, row
from .plot import Plot
from .theme import STYLE

MOST_CLIENTS = 64


class Window(QtWidgets.QWidget):
    def __init__(self, frames: Counter) -> None:
        super().__init__()
        self.setObjectName("window")
        self.setWindowTitle("qtloop dashboard")
        self.setStyleSheet(STYLE)
        self.resize(1240, 760)
        self._make_cards()
        self._make_plots(frames)
        self._make_log()
        self._make_header()
        self._make_footer()
        self._arrange()

    def _make_cards(self) -> None:
        self.echo = JobCard("TCP echo", "round trips / s", "teal")
        self.tls = JobCard("TLS", "handshakes / s", "violet")
        self.subprocess = JobCard("Subprocess", "lines", "amber")
        self.frames = Card("Qt frames", "frames / s", "rose")

    def _make_plots(self, frames: Counter) -> None:
        self.traffic = Plot("Round trips", "per second", "teal", 1000, frames)
        self.lateness = Plot("Frame lateness", "worst of each 100 ms, in ms", "rose", 8, Counter())

    def _make_log(self) -> None:
        self._log = QtWidgets.QPlainTextEdit()
        self._log.setReadOnly(True)
        self._log.document().setDocumentMargin(0)
        self._log.setMaximumBlockCount(500)
        self._log.setLineWrapMode(QtWidgets.QPlainTextEdit.LineWrapMode.WidgetWidth)
        self._log.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def _make_header(self) -> None:
        self.versions = label("", "versions")
        self.clock = label("", "clock")

    def _make_footer(self) -> None:
        self.clients = QtWidgets.QSlider(QtCore.Qt.Orientation.Horizontal)
        self.clients.setRange(1, MOST_CLIENTS)
        self.clients.setFixedWidth(220)
        self.note = label("", "caption")
        self.tasks = label("", "caption")
        self.everything = QtWidgets.QPushButton("Cancel all")
        self.everything.setObjectName("primary")
        self.everything.setFixedWidth(130)  # both of its texts fit

    def _arrange(self) -> None:
        grid = QtWidgets.QGridLayout(self)
        grid.setContentsMargins(24, 20, 24, 20)
        grid.setSpacing(14)
        subtitle = label("asyncio inside Qt's event loop", "subtitle")
        header = row(label("qtloop", "title"), subtitle, None, self.versions, self.clock)
        header.setSpacing(16)
        grid.addLayout(header, 0, 0, 1, 4)
        for column, card in enumerate((self.echo, self.tls, self.subprocess, self.frames)):
            grid.addWidget(card, 1, column)
            grid.setColumnStretch(column, 1)
        grid.addWidget(self._framed(self.traffic), 2, 0, 1, 3)
        grid.addWidget(self._framed(self.lateness), 3, 0, 1, 3)
        grid.addWidget(self._log_frame(), 2, 3, 2, 1)
        footer = row(
            label("Echo clients"), self.clients, self.tasks, None, self.note, self.everything
        )
        footer.setSpacing(14)
        grid.addLayout(footer, 4, 0, 1, 4)
        grid.setRowStretch(2, 3)
        grid.setRowStretch(3, 2)

    def _framed(self, plot: Plot) -> Frame:
        frame = Frame()
        frame.column.setContentsMargins(0, 4, 0, 4)
        frame.column.addWidget(plot)
        return frame

    def _log_frame(self) -> Frame:
        frame = Frame()
        frame.column.addWidget(label("Subprocess output", "heading"))
        frame.column.addWidget(self._log)
        return frame

    def log(self, line: str) -> None:
        self._log.appendPlainText(line)

    def next_frame(self) -> None:
        for plot in self.traffic, self.lateness:
            plot.update()
