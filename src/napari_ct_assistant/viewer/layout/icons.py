"""Icons, drawn in the colour of the theme's text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QIcon, QPainter, QPalette, QPen, QPixmap, QPolygonF
from qtpy.QtWidgets import QAbstractButton

# Icons are drawn on a square of this side, and scaled to the size of the text.
SIDE: Final = 20.0


def _ruler(painter: QPainter) -> None:
    painter.drawLine(QPointF(3, 17), QPointF(17, 3))
    for end in (QPointF(3, 17), QPointF(17, 3)):
        painter.drawLine(end - QPointF(2.5, 2.5), end + QPointF(2.5, 2.5))


def _rectangle(painter: QPainter) -> None:
    painter.drawRect(QRectF(3, 5, 14, 10))


def _ellipse(painter: QPainter) -> None:
    painter.drawEllipse(QRectF(2.5, 4.5, 15, 11))


def _polygon(painter: QPainter) -> None:
    corners = ((4, 16), (3, 7), (10, 3), (17, 9), (14, 16))
    painter.drawPolygon(QPolygonF([QPointF(x, y) for x, y in corners]))


def _select(painter: QPainter) -> None:
    arrow = ((5, 3), (5, 15), (8.2, 12), (10.4, 17), (12.6, 16), (10.4, 11.2), (15, 11.2))
    painter.setBrush(painter.pen().color())
    painter.drawPolygon(QPolygonF([QPointF(x, y) for x, y in arrow]))


def _linked(painter: QPainter) -> None:
    painter.drawRect(QRectF(2.5, 3, 15, 14))
    painter.drawLine(QPointF(11, 3), QPointF(11, 17))
    painter.drawLine(QPointF(11, 10), QPointF(17.5, 10))


def _slab(painter: QPainter) -> None:
    for down in (0, 4, 8):
        corners = ((3, 6 + down), (10, 3 + down), (17, 6 + down), (10, 9 + down))
        painter.drawPolyline(QPolygonF([QPointF(x, y) for x, y in (corners[0], *corners[2:])]))
        if down == 0:
            painter.drawPolyline(QPolygonF([QPointF(x, y) for x, y in corners[:3]]))
            continue
        painter.drawLine(QPointF(*corners[0]), QPointF(*corners[3]))


def _details(painter: QPainter) -> None:
    painter.drawEllipse(QRectF(2.5, 2.5, 15, 15))
    painter.drawLine(QPointF(10, 9), QPointF(10, 14.5))
    painter.drawLine(QPointF(10, 5.8), QPointF(10, 6.2))


def _layout(painter: QPainter) -> None:
    painter.drawRect(QRectF(2.5, 3, 15, 14))
    painter.fillRect(QRectF(11.5, 3, 6, 14), painter.pen().color())


def _undo(painter: QPainter) -> None:
    painter.drawArc(QRectF(4, 6, 12, 11), -60 * 16, 240 * 16)
    painter.drawPolyline(QPolygonF([QPointF(1.5, 8), QPointF(4.4, 12), QPointF(8, 8.6)]))


def _redo(painter: QPainter) -> None:
    painter.translate(SIDE, 0)
    painter.scale(-1, 1)
    _undo(painter)


def _window(painter: QPainter) -> None:
    painter.drawRect(QRectF(2.5, 7, 10, 10))
    corners = ((7.5, 7), (7.5, 3), (17.5, 3), (17.5, 13), (12.5, 13))
    painter.drawPolyline(QPolygonF([QPointF(x, y) for x, y in corners]))


def _bin(painter: QPainter) -> None:
    painter.drawLine(QPointF(3, 5), QPointF(17, 5))
    painter.drawLine(QPointF(8, 3), QPointF(12, 3))
    corners = ((4.5, 5), (5.5, 17.5), (14.5, 17.5), (15.5, 5))
    painter.drawPolyline(QPolygonF([QPointF(x, y) for x, y in corners]))


DRAWINGS: Final[dict[str, Callable[[QPainter], None]]] = {
    "line": _ruler,
    "rectangle": _rectangle,
    "ellipse": _ellipse,
    "polygon": _polygon,
    "select": _select,
    "linked": _linked,
    "slab": _slab,
    "details": _details,
    "layout": _layout,
    "undo": _undo,
    "redo": _redo,
    "window": _window,
    "bin": _bin,
}


def icon(name: str, colour: QColor, size: QSize, ratio: float = 1.0) -> QIcon:
    """Return an icon.

    Parameters
    ----------
    name : str
        One of `DRAWINGS`.
    colour : QColor
        The colour of its lines; disabled, they are fainter.
    size : QSize
        In device-independent pixels.
    ratio : float, optional
        Device pixels for each of them.
    """
    made = QIcon()
    for mode, alpha in ((QIcon.Mode.Normal, 255), (QIcon.Mode.Disabled, 90)):
        pixmap = QPixmap(size * ratio)
        pixmap.setDevicePixelRatio(ratio)
        pixmap.fill(Qt.GlobalColor.transparent)
        painter = QPainter(pixmap)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.scale(size.width() / SIDE, size.height() / SIDE)
        shade = QColor(colour)
        shade.setAlpha(alpha)
        pen = QPen(shade, 1.6)
        pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
        painter.setPen(pen)
        DRAWINGS[name](painter)
        painter.end()
        made.addPixmap(pixmap, mode)
    return made


def set_icons(buttons: Mapping[str, QAbstractButton]) -> None:
    """Give buttons their icons, in the colour of their text and as high as it."""
    for name, button in buttons.items():
        button.ensurePolished()
        side = button.fontMetrics().height() + 2
        # The button may be disabled just now; its icon for that is fainter by itself.
        colour = button.palette().color(QPalette.ColorGroup.Active, QPalette.ColorRole.ButtonText)
        size = QSize(side, side)
        button.setIcon(icon(name, colour, size, button.devicePixelRatioF()))
        button.setIconSize(size)
