"""Paints a histogram."""

import math
from typing import Any, Final

from .._metrics import Histogram
from ._text import seconds
from ._widgets import contained, core, gui, widgets

#: The buckets whose bounds are written below them: from a microsecond to a second.
_LABELLED: Final = (0, 5, 10, 15, 20)


class HistogramView(widgets.QWidget):  # type: ignore[misc]
    """Bars whose heights are the logarithms of the counts."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title = title
        self._recent: Histogram | None = None
        self.setMinimumSize(240, 140)
        self.setAccessibleName(title)

    def show_counts(self, recent: Histogram) -> None:
        """Shows other counts."""
        if recent != self._recent:
            self._recent = recent
            self.update()

    def paintEvent(self, event: Any) -> None:
        contained(self._paint)

    def sizeHint(self) -> Any:
        return core.QSize(380, 200)

    def _paint(self) -> None:
        painter = gui.QPainter(self)
        try:
            self._paint_with(painter)
        finally:
            painter.end()

    def _paint_with(self, painter: Any) -> None:
        role = gui.QPalette.ColorRole
        palette, line = self.palette(), self.fontMetrics().lineSpacing()
        painter.fillRect(self.rect(), palette.color(role.Base))
        painter.setPen(palette.color(role.Text))
        margin = 8
        width = self.width() - 2 * margin
        for number, text in enumerate((self._title, self._summary())):
            elided = self.fontMetrics().elidedText(text, core.Qt.TextElideMode.ElideRight, width)
            painter.drawText(margin, margin + line * (number + 1) - line // 4, elided)
        top, bottom = margin + 2 * line + 6, self.height() - margin - line
        if self._recent is None or bottom <= top:
            return
        step = width / len(self._recent.counts)
        painter.drawLine(margin, bottom, margin + width, bottom)
        self._paint_labels(painter, margin, step, bottom)
        highest = math.log1p(max(self._recent.counts))
        color = palette.color(role.Highlight)
        for number, count in enumerate(self._recent.counts):
            if count:
                height = max(2, int((bottom - top) * math.log1p(count) / highest))
                left = margin + int(number * step)
                painter.fillRect(left + 1, bottom - height, max(1, int(step) - 1), height, color)

    def _paint_labels(self, painter: Any, margin: int, step: float, bottom: int) -> None:
        assert self._recent is not None
        metrics = self.fontMetrics()
        for number in _LABELLED:
            if number < len(self._recent.bounds):
                text = _rounded(self._recent.bounds[number])
                left = margin + int((number + 1) * step) - metrics.horizontalAdvance(text) // 2
                painter.drawText(max(margin, left), bottom + metrics.lineSpacing(), text)

    def _summary(self) -> str:
        recent = self._recent
        if recent is None or not recent.count:
            return "none in the last minute"
        half, most = seconds(recent.quantile(0.5)), seconds(recent.quantile(0.99))
        longest = seconds(recent.max)
        shares = f"half \u2264 {half}, 99% \u2264 {most}, all \u2264 {longest}"
        return f"{recent.count} in the last minute: {shares}"


def _rounded(value: float) -> str:
    """The bound is a doubling of a microsecond; the power of ten next to it is easier to read."""
    return seconds(float(f"{value:.1g}"))
