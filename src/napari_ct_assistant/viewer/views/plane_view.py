"""One plane of the scan as a Qt widget, with letters and a crosshair."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from qtpy.QtCore import QEvent, QPointF, QRectF, Qt, Signal
from qtpy.QtGui import (
    QColor,
    QFont,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPolygonF,
    QWheelEvent,
)
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_ct_assistant.support.translation import _
from napari_ct_assistant.viewer.texts import TIPS
from napari_ct_assistant.viewer.views.letters import edge_letters
from napari_ct_assistant.viewer.views.planes import PLANE_NAMES, PLANES
from napari_ct_assistant.viewer.views.slice_images import Outline, Picture

CROSSHAIR: Final = QColor("#4fd1ff")
# The lines leave a gap around the crossing, so that they do not cover what they point at.
GAP: Final = 9.0
ZOOM_STEP: Final = 1.15
_SHADE: Final = QColor(0, 0, 0, 128)
_LEFT, _RIGHT = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton
_MIDDLE = Qt.MouseButton.MiddleButton
_KEYS: Final = {
    Qt.Key.Key_Up: (-1, 0),
    Qt.Key.Key_Down: (1, 0),
    Qt.Key.Key_Left: (0, -1),
    Qt.Key.Key_Right: (0, 1),
}


class PlaneView(QWidget):
    """A radiological view of one plane.

    A click or a drag moves the crosshair, the wheel scrolls; see also `keyPressEvent`.

    Parameters
    ----------
    plane : str
        "axial", "coronal" or "sagittal".

    Signals
    -------
    pointed : int, float, float
        A position was clicked or dragged to: the view's axis, and world mm along rows and columns.
    hovered : int, float, float
        The position under the pointer, in the same form.
    stepped : int, int, int
        The view's axis, and the number of voxels to move along its rows and columns.
    scrolled : int, int
        The view's axis, and the number of slices to move.
    windowed : int, int
        The right-drag so far, in pixels to the right and down; (0, 0) when it starts.
    promoted : str
        The plane to show in the large view.
    """

    pointed = Signal(int, float, float)
    hovered = Signal(int, float, float)
    stepped = Signal(int, int, int)
    scrolled = Signal(int, int)
    windowed = Signal(int, int)
    promoted = Signal(str)

    def __init__(self, plane: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.plane = plane
        self.axis = PLANES[plane][0]
        rows, columns = PLANES[plane][1:]
        self.letters = edge_letters((rows, columns))
        self._bounds = QRectF(0, 0, 1, 1)
        self.pictures: Sequence[Picture] = ()
        self.outlines: Sequence[Outline] = ()
        self.cross = QPointF()
        self.caption = ""
        self._zoom = 1.0
        self._shift = QPointF()
        self._wheel = 0
        self._press = QPointF()
        self.setAccessibleName(_("{plane} view").format(plane=PLANE_NAMES[plane]))
        self.setToolTip(TIPS["plane_view"].format(plane=PLANE_NAMES[plane]))
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setCursor(Qt.CursorShape.CrossCursor)
        self.setMinimumSize(140, 110)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)

    # -- what is shown

    def set_bounds(self, bounds: QRectF) -> None:
        """Set the scan's extent in this plane (world mm), and fit it into the widget."""
        if bounds != self._bounds:
            self._bounds = bounds
            self.fit()

    def show_pictures(self, pictures: Sequence[Picture], outlines: Sequence[Outline]) -> None:
        """Show the images of layers, the lowest first, with shapes over them."""
        self.pictures, self.outlines = pictures, outlines
        self.update()

    def show_cross(self, row: float, column: float, caption: str) -> None:
        """Move the crosshair to a position in world mm."""
        self.cross, self.caption = QPointF(column, row), caption
        self.update()

    def fit(self) -> None:
        """Show the whole plane."""
        self._zoom, self._shift = 1.0, QPointF()
        self.update()

    @property
    def aspect_ratio(self) -> float:
        """Height of the plane divided by its width."""
        return self._bounds.height() / self._bounds.width()

    # -- between the screen and the world

    @property
    def _scale(self) -> float:
        """Pixels per mm."""
        bounds = self._bounds
        return self._zoom * min(self.width() / bounds.width(), self.height() / bounds.height())

    def to_screen(self, world: QPointF) -> QPointF:
        """Return the pixel of a world point (x along columns, y along rows)."""
        middle = QRectF(self.rect()).center() + self._shift
        return middle + (world - self._bounds.center()) * self._scale

    def to_world(self, pixel: QPointF) -> QPointF:
        """Return the world point under a pixel."""
        middle = QRectF(self.rect()).center() + self._shift
        return self._bounds.center() + (pixel - middle) / self._scale

    def _zoom_by(self, factor: float, at: QPointF) -> None:
        """Zoom about a pixel."""
        held = self.to_world(at)
        self._zoom = min(20.0, max(0.5, self._zoom * factor))
        self._shift += at - self.to_screen(held)
        self.update()

    # -- painting

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Paint layers, shapes, crosshair and letters."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor("black"))
        for picture in self.pictures:
            painter.setOpacity(picture.opacity)
            painter.setCompositionMode(picture.mode)
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, picture.smooth)
            place = QRectF(
                self.to_screen(picture.rect.topLeft()), self.to_screen(picture.rect.bottomRight())
            )
            painter.drawImage(place, picture.image)
        painter.setOpacity(1)
        painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_SourceOver)
        self._paint_outlines(painter)
        if self.pictures:
            paint_crosshair(painter, self.to_screen(self.cross), QRectF(self.rect()))
            self._paint_texts(painter)
        if self.hasFocus():
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(CROSSHAIR, 2))
            painter.drawRect(self.rect().adjusted(1, 1, -1, -1))
        painter.end()

    def _paint_outlines(self, painter: QPainter) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for outline in self.outlines:
            painter.setPen(QPen(QColor.fromRgbF(*outline.colour), 1.5))
            points = QPolygonF([self.to_screen(point) for point in outline.points])
            if outline.closed:
                painter.drawPolygon(points)
            else:
                painter.drawPolyline(points)
            if outline.text:
                corner = points.boundingRect().topRight() + QPointF(5, 0)
                box = QRectF(corner, self.rect().bottomRight().toPointF())
                painter.drawText(box, Qt.AlignmentFlag.AlignLeft, outline.text)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)

    def _paint_texts(self, painter: QPainter) -> None:
        font = QFont(self.font())
        font.setPointSizeF(font.pointSizeF() * 1.2)
        painter.setFont(font)
        flag = Qt.AlignmentFlag
        middle = {
            "top": flag.AlignTop | flag.AlignHCenter,
            "bottom": flag.AlignBottom | flag.AlignHCenter,
            "left": flag.AlignLeft | flag.AlignVCenter,
            "right": flag.AlignRight | flag.AlignVCenter,
        }
        inside = self.rect().adjusted(6, 4, -6, -4)
        for edge, at in (*middle.items(), ("caption", flag.AlignTop | flag.AlignLeft)):
            text = self.letters.get(edge, self.caption)
            if edge == "caption":
                painter.setFont(self.font())
            box = painter.boundingRect(inside, at, text)
            painter.fillRect(box.adjusted(-3, 0, 3, 0), _SHADE)
            painter.setPen(QColor("white"))
            painter.drawText(box, at, text)

    # -- mouse and keys

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Point with the left button, start a window drag with the right one."""
        self._press = event.position()
        if event.button() == _LEFT:
            self._point(event.position())
        elif event.button() == _RIGHT:
            self.windowed.emit(0, 0)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Drag the crosshair (left button), the window (right) or the image (middle)."""
        at = event.position()
        if event.buttons() & _LEFT:
            self._point(at)
        elif event.buttons() & _RIGHT:
            moved = at - self._press
            self.windowed.emit(round(moved.x()), round(moved.y()))
        elif event.buttons() & _MIDDLE:
            self._shift += at - self._press
            self._press = at
            self.update()
        world = self.to_world(at)
        self.hovered.emit(self.axis, world.y(), world.x())

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Show this plane in the large view."""
        if event.button() == _LEFT:
            self.promoted.emit(self.plane)

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802 - Qt's name
        """Scroll through slices; zoom with Ctrl."""
        event.accept()
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self._zoom_by(ZOOM_STEP ** (event.angleDelta().y() / 120), event.position())
            return
        # A touch pad sends the 120 units of one notch in small steps.
        self._wheel += event.angleDelta().y()
        notches = int(self._wheel / 120)
        if notches:
            self._wheel -= 120 * notches
            self.scrolled.emit(self.axis, -notches)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Move the crosshair (arrows), scroll (Page Up/Down), zoom (+ - 0) or enlarge (Enter)."""
        key, middle = event.key(), QRectF(self.rect()).center()
        if key in _KEYS:
            self.stepped.emit(self.axis, *_KEYS[key])
        elif key in (Qt.Key.Key_PageUp, Qt.Key.Key_PageDown):
            self.scrolled.emit(self.axis, -1 if key == Qt.Key.Key_PageUp else 1)
        elif key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal):
            self._zoom_by(ZOOM_STEP, middle)
        elif key == Qt.Key.Key_Minus:
            self._zoom_by(1 / ZOOM_STEP, middle)
        elif key == Qt.Key.Key_0:
            self.fit()
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.promoted.emit(self.plane)
        else:
            super().keyPressEvent(event)

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802 - Qt's name
        """Repaint when the font or the style has changed."""
        super().changeEvent(event)
        self.update()

    def _point(self, pixel: QPointF) -> None:
        world = self.to_world(pixel)
        self.pointed.emit(self.axis, world.y(), world.x())


def paint_crosshair(painter: QPainter, at: QPointF, frame: QRectF) -> None:
    """Draw lines across `frame` that cross at `at`, with a gap around the crossing."""
    painter.setPen(QPen(CROSSHAIR, 1))
    for start, end in (
        (QPointF(frame.left(), at.y()), QPointF(at.x() - GAP, at.y())),
        (QPointF(at.x() + GAP, at.y()), QPointF(frame.right(), at.y())),
        (QPointF(at.x(), frame.top()), QPointF(at.x(), at.y() - GAP)),
        (QPointF(at.x(), at.y() + GAP), QPointF(at.x(), frame.bottom())),
    ):
        painter.drawLine(start, end)
