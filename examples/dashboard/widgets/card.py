"""A card: heading, one big number, a caption; for a job also its status and a button."""

from collections.abc import Callable

from ..qt import QtWidgets
from .theme import COLOURS


def label(text: str = "", name: str = "", colour: str = "") -> QtWidgets.QLabel:
    made = QtWidgets.QLabel(text)
    made.setObjectName(name)
    if colour:
        made.setStyleSheet(f"color: {COLOURS[colour]}")
    return made


def row(*items: QtWidgets.QWidget | None) -> QtWidgets.QHBoxLayout:
    """Widgets side by side; None stretches."""
    layout = QtWidgets.QHBoxLayout()
    for item in items:
        layout.addWidget(item) if item else layout.addStretch(1)
    return layout


class Frame(QtWidgets.QFrame):
    """The rounded background that everything sits on."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("card")
        self.column = QtWidgets.QVBoxLayout(self)
        self.column.setContentsMargins(18, 14, 18, 14)
        self.column.setSpacing(6)


class Card(Frame):
    def __init__(self, heading: str, unit: str, colour: str) -> None:
        super().__init__()
        self.status = label("", "status")
        self._number = label("0", "number", colour)
        self._caption = label("", "caption")
        # Captions come in all lengths; the columns are to stay of one width.
        self._caption.setSizePolicy(
            QtWidgets.QSizePolicy.Policy.Ignored, QtWidgets.QSizePolicy.Policy.Fixed
        )
        # What is too long for one line gets a second; all cards have room for it, and so are level.
        self._caption.setWordWrap(True)
        self._caption.ensurePolished()  # the style sheet decides on the font
        two_lines = 2 * self._caption.fontMetrics().lineSpacing()
        self._caption.setMinimumHeight(max(two_lines, 26))  # of a button
        self._footer = row(self._caption)
        self._footer.setStretch(0, 1)
        unit_label = label(unit, "unit")
        # A baseline for both: the unit's box ends lower than its letters do, the bigger number's
        # more so.
        unit_label.setContentsMargins(2, 10, 0, 0)
        self.column.addLayout(row(label(heading, "heading"), None, self.status))
        self.column.addLayout(row(self._number, unit_label, None))
        self.column.addLayout(self._footer)

    def show_number(self, number: str, caption: str) -> None:
        self._number.setText(number)
        self._caption.setText(caption)


class JobCard(Card):
    def __init__(self, heading: str, unit: str, colour: str) -> None:
        super().__init__(heading, unit, colour)
        self._button = QtWidgets.QPushButton("Start")
        self._footer.addWidget(self._button)

    def on_click(self, slot: Callable[[], None]) -> None:
        # clicked carries a flag that the slot has no use for.
        self._button.clicked.connect(lambda checked=False: slot())

    def show_status(self, status: str) -> None:
        self.status.setText(f"● {status}")
        self.status.setProperty("status", status)
        # A style sheet does not notice a property's change by itself.
        self.status.style().polish(self.status)
        self._button.setText("Cancel" if status == "running" else "Start")
