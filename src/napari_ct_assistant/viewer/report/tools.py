"""The rows of buttons around the report: what is done to it, and to the sentence at the cursor."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QAbstractButton,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)
from superqt import QElidingLabel

from napari_ct_assistant.viewer.report.editor import describe
from napari_ct_assistant.viewer.report.text import Place
from napari_ct_assistant.viewer.texts import NEW_DRAFT, TIPS


def button(text: str, tip: str, *, checkable: bool = False) -> QToolButton:
    """Return a small button with a tooltip from the tips' file."""
    made = QToolButton()
    made.setText(text)
    made.setToolTip(TIPS[tip])
    made.setAccessibleName(text)
    made.setCheckable(checkable)
    made.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextOnly)
    return made


def row(*widgets: QWidget | None) -> QHBoxLayout:
    """Return widgets side by side; None is a gap that takes what is left."""
    layout = QHBoxLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(4)
    for widget in widgets:
        if widget is None:
            layout.addStretch(1)
        else:
            layout.addWidget(widget)
    return layout


class ReportTools(QWidget):
    """Template, undo, redo, compare, phrases, export, sign off, delete the journal.

    Signals
    -------
    phrase : str
        A standard phrase was chosen.
    template : str
        Another template was chosen.
    """

    phrase = Signal(str)
    template = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.templates = QComboBox()
        self.templates.setToolTip(TIPS["template"])
        self.templates.setAccessibleName("Template")
        self.templates.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.templates.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.templates.setMinimumContentsLength(8)
        self.undo_button = button("Undo", "undo")
        self.redo_button = button("Redo", "redo")
        self.compare_button = button("Compare", "compare", checkable=True)
        self.phrases_button = button("Phrases", "phrases")
        self.phrases_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.phrases_menu = QMenu(self.phrases_button)
        self.phrases_button.setMenu(self.phrases_menu)
        self.export_button = button("Export…", "export")
        self.sign_button = button("Sign off…", "sign")
        self.forget_button = button("Delete journal…", "forget")
        self.window_button = button("Window", "report_window", checkable=True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 2, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(
            row(self.templates, self.phrases_button, self.undo_button, self.redo_button)
        )
        layout.addLayout(
            row(
                self.compare_button,
                self.export_button,
                self.sign_button,
                self.window_button,
                None,
                self.forget_button,
            )
        )
        self.templates.textActivated.connect(self.template)

    def show_templates(self, names: list[str], chosen: str) -> None:
        """List the templates."""
        self.templates.clear()
        self.templates.addItems(names)
        self.templates.setCurrentText(chosen)

    def show_phrases(self, phrases: tuple[str, ...]) -> None:
        """Offer the phrases of the section that the cursor is in."""
        self.phrases_menu.clear()
        for text in phrases:
            self.phrases_menu.addAction(text).triggered.connect(
                lambda _checked=False, text=text: self.phrase.emit(text)
            )
        self.phrases_button.setEnabled(bool(phrases))


class SentenceRow(QWidget):
    """The sentence at the cursor: what it is, accept, reject, its slice, the next one."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.label = QElidingLabel()
        self.label.setObjectName("quiet")
        self.label.setAccessibleName("Sentence")
        self.accept_button = button("Accept", "accept")
        self.reject_button = button("Reject", "reject")
        self.slice_button = button("Slice", "slice")
        self.next_button = button("Next", "next")
        self.explain_button = button("Explain", "explain")
        self.shorten_button = button("Shorten", "shorten")
        self.impression_button = button("Sum up", "sum_up")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(
            row(
                self.accept_button,
                self.reject_button,
                self.slice_button,
                self.next_button,
                None,
                self.explain_button,
                self.shorten_button,
                self.impression_button,
            )
        )
        layout.addWidget(self.label)

    def show_place(self, place: Place | None, left: int) -> None:
        """Show the line at the cursor; `left` sentences are not reviewed yet."""
        sentence = None if place is None else place.sentence
        where = None if sentence is None else sentence.slice
        rejected = place is not None and place.state == "rejected"
        self.accept_button.setEnabled(sentence is not None)
        self.reject_button.setEnabled(place is not None)
        self.reject_button.setText("Restore" if rejected else "Reject")
        self.slice_button.setEnabled(where is not None)
        self.slice_button.setText("Slice" if where is None else f"Slice {where}")
        self.next_button.setEnabled(left > 0)
        self.next_button.setText(f"Next ({left})" if left else "Next")
        self.label.setText("" if place is None else describe(place))
        self.label.setToolTip(self.label.text())


class NewDraftRow(QWidget):
    """Asks what to do with a new draft while the reader's own text stands.

    Signals
    -------
    taken, added, dismissed
    """

    taken = Signal()
    added = Signal()
    dismissed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.label = QLabel(NEW_DRAFT)
        self.label.setObjectName("notice")
        self.label.setWordWrap(True)
        self.replace_button = QPushButton("Replace mine")
        self.replace_button.setToolTip(TIPS["take_draft"])
        self.add_button = QPushButton("Add after mine")
        self.add_button.setToolTip(TIPS["add_draft"])
        self.dismiss_button = QPushButton("Not now")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 2, 0, 2)
        layout.setSpacing(4)
        layout.addWidget(self.label)
        layout.addLayout(row(self.add_button, self.replace_button, self.dismiss_button))
        buttons: list[tuple[QAbstractButton, Signal]] = [
            (self.replace_button, self.taken),
            (self.add_button, self.added),
            (self.dismiss_button, self.dismissed),
        ]
        for widget, signal in buttons:
            widget.clicked.connect(lambda _checked=False, signal=signal: signal.emit())
        self.hide()
