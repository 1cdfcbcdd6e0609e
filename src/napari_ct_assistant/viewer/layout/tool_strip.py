"""The slim strip of view tools beside the canvas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from qtpy.QtCore import QEvent, QSize
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QSizePolicy, QToolButton, QVBoxLayout, QWidget

from napari_ct_assistant.viewer.layout.button_column import GAP, GROUP_GAP, ButtonColumn
from napari_ct_assistant.viewer.layout.icons import set_icons

MOST_COLUMNS: Final = 4
# Another width can bring another height, and that another width.
MOST_FITS: Final = 3
EDGE: Final = 3


class ToolStrip(QWidget):
    """The bars of view tools, one below the other, as narrow as its texts and icons allow.

    Where the window is too low for one column of buttons, it has two or more.

    Parameters
    ----------
    bars : sequence of QWidget
        What it shows, from top to bottom.
    columns : sequence of ButtonColumn
        The buttons in them.
    icons : mapping of str to QToolButton
        The buttons with an icon, by the icon's name.
    """

    def __init__(
        self,
        bars: Sequence[QWidget],
        columns: Sequence[ButtonColumn],
        icons: Mapping[str, QToolButton],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setObjectName("tool_strip")
        self._columns, self._icons = list(columns), dict(icons)
        self._drawn: tuple[object, ...] = ()
        self._each = QSize(1, 1)
        self._fitting = self._fit_again = False
        layout = QVBoxLayout(self)
        layout.setContentsMargins(EDGE, EDGE, EDGE, EDGE)
        layout.setSpacing(GROUP_GAP)
        for bar in bars:
            layout.addWidget(bar)
            bar.show()
        layout.addStretch(1)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Ignored)
        self.hide()

    @property
    def buttons(self) -> list[QToolButton]:
        """Every button, from top to bottom."""
        return [button for column in self._columns for button in column.buttons]

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return no height: the strip never makes the window higher."""
        return QSize(self.width(), 0)

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802 - Qt's name
        """Follow the font and the colours."""
        super().changeEvent(event)
        if event.type() in (
            QEvent.Type.FontChange,
            QEvent.Type.StyleChange,
            QEvent.Type.PaletteChange,
        ):
            self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """Use as many columns as the height asks for."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        """Fit the buttons into the strip.

        A new width can resize the strip before `setFixedWidth` returns. Fitted inside that call,
        its smallest width would be the new one, and its largest the old one.
        """
        self._fit_again = True
        if self._fitting:
            return
        self._fitting = True
        try:
            for _fit in range(MOST_FITS):
                self._fit_again = False
                self._fit_once()
                if not self._fit_again:
                    break
        finally:
            self._fitting = False

    def _fit_once(self) -> None:
        """Draw the icons, give the buttons one size, and choose the number of columns."""
        first = self.buttons[0]
        first.ensurePolished()
        metrics, colour = first.fontMetrics(), first.palette().buttonText().color()
        side = metrics.height() + 2
        ratio = self.devicePixelRatioF()
        drawn = (colour.name(), side, ratio)
        if drawn != self._drawn:
            self._drawn = drawn
            set_icons(self._icons)
            texts = [one.text() for one in self.buttons if one.icon().isNull()]
            width = max(metrics.horizontalAdvance(text) for text in texts) + 10
            self._each = QSize(max(width, side + 8), metrics.height() + 9)
            for button in self.buttons:
                button.setFixedSize(self._each)
        count = next(
            (
                number
                for number in range(1, MOST_COLUMNS)
                if self._height_for(number) <= self.height()
            ),
            MOST_COLUMNS,
        )
        for column in self._columns:
            column.set_columns(count)
            # Without this, the bar around it keeps the height of the other number of columns.
            above: QWidget | None = column
            while above is not None and above is not self:
                above.updateGeometry()
                above = above.parentWidget()
        self.setFixedWidth(count * (self._each.width() + GAP) - GAP + 2 * EDGE)

    def _height_for(self, count: int) -> int:
        heights = [column.height_for(count, self._each.height()) for column in self._columns]
        return sum(heights) + GROUP_GAP * (len(heights) - 1) + 2 * EDGE
