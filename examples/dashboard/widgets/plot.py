"""A plot of the last seconds that moves on with each frame, drawn with QPainter."""

from collections import deque
from collections.abc import Iterator
from math import ceil, floor, log10
from time import perf_counter

from ..meters import Counter
from ..qt import QtCore, QtGui, QtWidgets
from .theme import COLOURS

SPAN = 15.0  # seconds from edge to edge
# the newest point is about a sample old: drawn so much in arrears, the line reaches the edge
LAG = 0.15
LEFT, TOP, RIGHT, BOTTOM = 66, 40, 26, 28

Align = QtCore.Qt.AlignmentFlag
QPointF = QtCore.QPointF
QRectF = QtCore.QRectF


def nice_step(rough: float) -> float:
    """The next of 1, 2, 5, 10, 20, 50, ... at or above `rough`."""
    unit = 10.0 ** floor(log10(rough))
    return next(step * unit for step in (1, 2, 5, 10) if step * unit >= rough * 0.999)


class Plot(QtWidgets.QWidget):
    def __init__(
        self, title: str, unit: str, colour: str, floor_of_top: float, frames: Counter
    ) -> None:
        super().__init__()
        self.setMinimumHeight(150)
        self._title, self._unit = title, unit
        self._colour = QtGui.QColor(COLOURS[colour])
        self._floor_of_top = floor_of_top  # the scale never gets finer, lest noise look like news
        self._top = floor_of_top
        self._points: deque[tuple[float, float]] = deque()
        self._frames = frames

    def append(self, moment: float, value: float) -> None:
        self._points.append((moment, value))
        while self._points[0][0] < moment - SPAN - 1:
            self._points.popleft()

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:
        self._frames.total += 1
        self._ease_scale()
        area = QRectF(self.rect()).adjusted(LEFT, TOP, -RIGHT, -BOTTOM)
        painter = QtGui.QPainter(self)
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
        painter.setFont(self._font(12))
        self._paint_title(painter)
        painter.setFont(self._font(11))
        self._paint_grid(painter, area)
        if len(self._points) > 1:
            self._paint_line(painter, area)
        painter.end()  # not left to the garbage collector: Qt wants it over when paintEvent returns

    def _ease_scale(self) -> None:
        """Glide to a scale that fits, a bit each frame."""
        wanted = max([self._floor_of_top, *(value * 1.15 for _, value in self._points)])
        self._top += (wanted - self._top) * 0.12

    def _font(self, pixels: int, bold: bool = False) -> QtGui.QFont:
        font = QtGui.QFont(self.font())
        font.setPixelSize(pixels)
        font.setBold(bold)
        return font

    def _paint_title(self, painter: QtGui.QPainter) -> None:
        band = QRectF(18, 8, self.width() - 18 - RIGHT, 22)
        painter.setPen(QtGui.QColor(COLOURS["muted"]))
        painter.drawText(band, Align.AlignRight | Align.AlignVCenter, self._unit)
        painter.setPen(QtGui.QColor(COLOURS["text"]))
        painter.setFont(self._font(13, bold=True))
        painter.drawText(band, Align.AlignLeft | Align.AlignVCenter, self._title)

    def _paint_grid(self, painter: QtGui.QPainter, area: QRectF) -> None:
        text, line = QtGui.QColor(COLOURS["muted"]), QtGui.QColor(COLOURS["edge"])
        for value in self._ticks():
            y = area.bottom() - area.height() * value / self._top
            painter.setPen(line)
            painter.drawLine(QPointF(area.left(), y), QPointF(area.right(), y))
            painter.setPen(text)
            box = QRectF(0, y - 10, LEFT - 10, 20)
            painter.drawText(box, Align.AlignRight | Align.AlignVCenter, f"{value:,.0f}")
        for ago in range(0, round(SPAN) + 1, 5):
            x = area.right() - area.width() * ago / SPAN
            box = QRectF(x - 30, area.bottom() + 4, 60, 20)
            painter.drawText(box, Align.AlignCenter, f"-{ago} s" if ago else "now")

    def _ticks(self) -> Iterator[float]:
        step = nice_step(self._top / 4)
        for count in range(ceil(self._top / step)):
            yield count * step

    def _paint_line(self, painter: QtGui.QPainter, area: QRectF) -> None:
        now = perf_counter() - LAG
        line = [
            QPointF(
                area.right() + area.width() * (moment - now) / SPAN,
                area.bottom() - area.height() * value / self._top,
            )
            for moment, value in self._points
        ]
        below = [*line, QPointF(line[-1].x(), area.bottom()), QPointF(line[0].x(), area.bottom())]
        painter.setClipRect(area.adjusted(0, -2, 0, 2))
        painter.setPen(QtCore.Qt.PenStyle.NoPen)
        painter.setBrush(self._fade(area))
        painter.drawPolygon(QtGui.QPolygonF(below))
        painter.setPen(QtGui.QPen(self._colour, 1.8))
        painter.drawPolyline(QtGui.QPolygonF(line))

    def _fade(self, area: QRectF) -> QtGui.QLinearGradient:
        fade = QtGui.QLinearGradient(area.topLeft(), area.bottomLeft())
        for place, alpha in (0.0, 110), (1.0, 8):
            shade = QtGui.QColor(self._colour)
            shade.setAlpha(alpha)
            fade.setColorAt(place, shade)
        return fade
