"""Buttons, rows and shortcuts, made in the same way for every part of the panel."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from html import escape
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QIcon, QImage, QKeySequence
from qtpy.QtWidgets import (
    QDialogButtonBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QShortcut,
    QToolButton,
    QWidget,
)
from superqt import QElidingLabel, QFlowLayout

from napari_ct_assistant.support.plain_text import plain
from napari_ct_assistant.support.translation import _

SPACING = 4


class _PlainLabel(QLabel):
    def setText(self, text: str) -> None:  # noqa: N802 - Qt's name
        super().setText(plain(text))


class _PlainElidingLabel(QElidingLabel):
    def setText(self, text: str) -> None:  # noqa: N802 - Qt's name
        super().setText(plain(text))


def label(text: str = "") -> QLabel:
    """Return a label that shows its text as it is, markup included, without control characters.

    Qt renders a text that looks like HTML, and opens the images that it names.
    """
    made = _PlainLabel()
    made.setTextFormat(Qt.TextFormat.PlainText)
    made.setText(text)
    return made


def eliding_label(*, middle: bool = False) -> QElidingLabel:
    """Return such a label that shortens its text to its width.

    With `middle`, beginning and end stay: warnings say at their end what they mean.
    """
    made = _PlainElidingLabel()
    if middle:
        made.setElideMode(Qt.TextElideMode.ElideMiddle)
    made.setTextFormat(Qt.TextFormat.PlainText)
    return made


def tip(text: str) -> str:
    """Return a text from elsewhere as a tooltip that shows it as it is."""
    text = plain(text)
    # What Qt takes for markup has one of these.
    if "<" not in text and "&" not in text:
        return text
    return f"<p>{escape(text).replace(chr(10), '<br>')}</p>"


def no_resource() -> QImage:
    """Return what a text widget gets for every image that its text names: an invalid image.

    For None, Qt would open the file itself.
    """
    return QImage()


def button(
    text: str,
    tooltip: str = "",
    *,
    accessible_name: str = "",
    checkable: bool = False,
    small: bool = False,
    click_focus: bool = True,
) -> QPushButton | QToolButton:
    """Return a button.

    Parameters
    ----------
    text, tooltip : str
    accessible_name : str, optional
        What a screen reader says instead of `text`.
    checkable : bool, optional
        The button stays down until it is pressed again.
    small : bool, optional
        Return a QToolButton, which is no wider than its text, instead of a QPushButton.
    click_focus : bool, optional
        False leaves the keyboard focus where it was when the button is clicked, so that
        single-key shortcuts go on working; the Tab key still reaches the button.
    """
    made = QToolButton() if small else QPushButton()
    made.setText(text)
    made.setToolTip(tooltip)
    if accessible_name:
        made.setAccessibleName(accessible_name)
    made.setCheckable(checkable)
    if not click_focus:
        made.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    return made


def tool_button(text: str, tooltip: str, *, checkable: bool = False) -> QToolButton:
    """Return a button for the tool strip: its name is the tooltip up to a key or a colon.

    A click leaves the keyboard focus where it was.
    """
    made = QToolButton()
    made.setText(text)
    made.setToolTip(tooltip)
    made.setAccessibleName(tooltip.splitlines()[0].partition(":")[0])
    made.setCheckable(checkable)
    made.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    return made


def dialog_buttons(*standard: QDialogButtonBox.StandardButton) -> QDialogButtonBox:
    """Return a box with buttons that Qt provides, labelled in the language of the panel.

    Qt's own translations would change the dialogs of napari, too.
    """
    made = QDialogButtonBox()
    kinds = QDialogButtonBox.StandardButton
    texts = {kinds.Cancel: _("Cancel"), kinds.Close: _("Close"), kinds.Open: _("Open")}
    for kind in standard:
        offered = made.addButton(kind)
        offered.setText(texts[kind])
        # The buttons beside it have none.
        offered.setIcon(QIcon())
    return made


def row(*widgets: QWidget | None) -> QHBoxLayout:
    """Return a layout with widgets side by side; None is a gap that takes the room left over."""
    layout = QHBoxLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(SPACING)
    for widget in widgets:
        if widget is None:
            layout.addStretch(1)
        else:
            layout.addWidget(widget)
    return layout


def flow(*widgets: QWidget) -> QFlowLayout:
    """Return a layout with widgets side by side, in as many rows as the width asks for."""
    layout = QFlowLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(SPACING)
    for widget in widgets:
        layout.addWidget(widget)
    return layout


def add_shortcuts(
    widget: QWidget,
    actions: Iterable[tuple[str, Callable[[], Any]]],
    *,
    whole_window: bool = False,
) -> list[QShortcut]:
    """Give `widget` keyboard shortcuts and return them.

    Parameters
    ----------
    widget : QWidget
    actions : iterable of (str, callable)
        Keys such as "Ctrl+Shift+R", and what they do.
    whole_window : bool, optional
        The keys work wherever the focus is in the widget's window; by default only while the
        focus is in the widget.
    """
    made = []
    for keys, action in actions:
        shortcut = QShortcut(QKeySequence(keys), widget)
        if not whole_window:
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        shortcut.activated.connect(action)
        made.append(shortcut)
    return made


def remove_shortcuts(shortcuts: list[QShortcut]) -> None:
    """Take shortcuts off their widget, and empty the list."""
    for shortcut in shortcuts:
        shortcut.setParent(None)
        shortcut.deleteLater()
    shortcuts.clear()
