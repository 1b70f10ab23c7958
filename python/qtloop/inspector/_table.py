"""The lists in the window. Their rows change in place, so that the selection stays."""

from collections.abc import Sequence
from typing import Any

from ._widgets import core, widgets


class Table(widgets.QTreeWidget):  # type: ignore[misc]
    """Rows of texts."""

    def __init__(self, name: str, columns: Sequence[str], widths: Sequence[int]) -> None:
        super().__init__()
        self._shown: list[list[str]] = []
        self.setAccessibleName(name)
        self.setHeaderLabels(list(columns))
        self.setRootIsDecorated(False)
        self.setUniformRowHeights(True)
        self.setTextElideMode(core.Qt.TextElideMode.ElideMiddle)
        for number, width in enumerate(widths):
            self.setColumnWidth(number, width)

    def show_rows(self, rows: Sequence[Sequence[str]]) -> None:
        """Shows other rows."""
        for number, row in enumerate(rows):
            if number < len(self._shown):
                set_texts(self.topLevelItem(number), self._shown[number], row)
            else:
                self.addTopLevelItem(widgets.QTreeWidgetItem(list(row)))
        for number in reversed(range(len(rows), len(self._shown))):
            self.takeTopLevelItem(number)
        self._shown = [list(row) for row in rows]

    def selected(self) -> int | None:
        """The number of the selected row."""
        chosen = self.selectedItems()
        return self.indexOfTopLevelItem(chosen[0]) if chosen else None


def set_texts(item: Any, before: Sequence[str], now: Sequence[str]) -> None:
    """Sets the texts of a row where they differ. Each change is painted, and to ask the item for
    its text takes longer than to remember it."""
    if before == now:
        return
    for column in range(max(len(before), len(now))):
        text = now[column] if column < len(now) else ""
        if column >= len(before) or before[column] != text:
            item.setText(column, text)


def text_view(name: str) -> Any:
    """A place for a stack."""
    view = widgets.QPlainTextEdit()
    view.setAccessibleName(name)
    view.setReadOnly(True)
    return view


def set_text(view: Any, text: str) -> None:
    """Shows another text. If it is the same text, nothing changes and the selection stays."""
    if view.toPlainText() != text:
        view.setPlainText(text)
