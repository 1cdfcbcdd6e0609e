"""Buttons side by side: in as many rows as they need, or in one row and a menu on a low screen."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QEvent
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QAbstractButton, QComboBox, QMenu, QToolButton, QWidget

from napari_ct_assistant.support.translation import _
from napari_ct_assistant.viewer.texts import TIPS
from napari_ct_assistant.viewer.widgets import SPACING, button, flow


class ButtonRow(QWidget):
    """Buttons that flow into further rows; or one row, the rest of which is in a menu.

    Parameters
    ----------
    widgets : sequence of QWidget
        Buttons, and boxes to choose from; the most important first.
    """

    def __init__(self, widgets: Sequence[QWidget], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._widgets = list(widgets)
        self._low = False
        self._others: ButtonRow | None = None
        self.more_button = button("…", TIPS["more"], accessible_name=_("More"), small=True)
        self.more_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.more_menu = QMenu(self.more_button)
        self.more_menu.aboutToShow.connect(self._fill)
        self.more_button.setMenu(self.more_menu)
        self.setLayout(flow(*self._widgets, self.more_button))
        self.more_button.hide()

    @property
    def folded(self) -> list[QWidget]:
        """What is in the menu."""
        others = [] if self._others is None else self._others._widgets
        return [*(one for one in self._widgets if one.isHidden()), *others]

    def set_low(self, low: bool, others: ButtonRow) -> None:
        """Use one row only, for another row, too, which is hidden; or as many as are needed."""
        self._low, self._others = low, others if low else None
        others.setHidden(low)
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """Put into the menu what no longer fits."""
        super().resizeEvent(event)
        if self._low:
            self._fit()

    def event(self, event: QEvent) -> bool:
        """Do so, too, when a button has another text or font."""
        done = bool(super().event(event))
        if self._low and event.type() == QEvent.Type.LayoutRequest:
            self._fit()
        return done

    def _fit(self) -> None:
        widths = [one.sizeHint().width() + SPACING for one in self._widgets]
        # The layout leaves room between hidden widgets, too.
        room = self.width() - self.more_button.sizeHint().width() - SPACING * len(widths)
        used = 0
        for one, width in zip(self._widgets, widths, strict=True):
            used += width
            one.setVisible(not self._low or used <= room)
        self.more_button.setVisible(self._low)

    def _fill(self) -> None:
        """List what is hidden, as it is now."""
        self.more_menu.clear()
        for one in self.folded:
            if isinstance(one, QComboBox):
                self._add_box(one)
            elif isinstance(one, QAbstractButton):
                self._add_button(one)

    def _add_button(self, one: QAbstractButton) -> None:
        name = one.text() or one.accessibleName()
        menu = one.menu() if isinstance(one, QToolButton) else None
        if menu is not None:
            entry = menu.menuAction()
            entry.setText(name)
            self.more_menu.addMenu(menu)
        else:
            entry = self.more_menu.addAction(name)
            entry.setCheckable(one.isCheckable())
            entry.setChecked(one.isChecked())
            entry.triggered.connect(lambda _checked=False: one.click())
        entry.setEnabled(one.isEnabled())

    def _add_box(self, box: QComboBox) -> None:
        menu = self.more_menu.addMenu(box.accessibleName())
        for number in range(box.count()):
            entry = menu.addAction(box.itemText(number))
            entry.setCheckable(True)
            entry.setChecked(number == box.currentIndex())
            entry.triggered.connect(lambda _checked=False, number=number: _choose(box, number))


def _choose(box: QComboBox, number: int) -> None:
    """Choose an entry as the reader would in the box itself."""
    box.setCurrentIndex(number)
    box.textActivated.emit(box.itemText(number))
