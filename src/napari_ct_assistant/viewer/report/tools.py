"""The rows of buttons around the report: for the report, and for the sentence at the cursor."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QEvent, Signal
from qtpy.QtWidgets import (
    QAbstractButton,
    QComboBox,
    QMenu,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_ct_assistant.support.translation import _
from napari_ct_assistant.viewer.layout.button_row import ButtonRow
from napari_ct_assistant.viewer.layout.icons import set_icons
from napari_ct_assistant.viewer.report.editor import describe
from napari_ct_assistant.viewer.report.report_document import DocumentLine
from napari_ct_assistant.viewer.texts import NEW_DRAFT, REVIEW_KEYS, TAKE_ALONG, TIPS
from napari_ct_assistant.viewer.widgets import button, eliding_label, row
from napari_ct_assistant.viewer.widgets import label as plain_label
from napari_ct_assistant.viewer.widgets import tip as plain_tip


class ReportTools(QWidget):
    """The template, and buttons for undo, comparison, phrases, export, sign-off and the journal.

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
        self.templates.setAccessibleName(_("Template"))
        self.templates.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.templates.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.templates.setMinimumContentsLength(6)
        self.undo_button = button("", TIPS["undo"], accessible_name=_("Undo"), small=True)
        self.redo_button = button("", TIPS["redo"], accessible_name=_("Redo"), small=True)
        self.compare_button = button(_("Compare"), TIPS["compare"], small=True, checkable=True)
        self.checks_button = button(_("Check"), TIPS["checks"], small=True, checkable=True)
        self.phrases_button = button(_("Phrases"), TIPS["phrases"], small=True)
        self.phrases_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.phrases_menu = QMenu(self.phrases_button)
        self.phrases_button.setMenu(self.phrases_menu)
        self.export_button = button(_("Export…"), TIPS["export"], small=True)
        self.sign_button = button(_("Sign off…"), TIPS["sign"], small=True)
        self.forget_button = button(
            "", TIPS["forget"], accessible_name=_("Delete journal…"), small=True
        )
        self.window_button = button(
            "", TIPS["report_window"], accessible_name=_("Window"), small=True, checkable=True
        )
        self.buttons = ButtonRow(
            (
                self.templates,
                self.phrases_button,
                self.undo_button,
                self.redo_button,
                self.compare_button,
                self.checks_button,
                self.export_button,
                self.sign_button,
                self.window_button,
                self.forget_button,
            )
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.buttons)
        self.templates.textActivated.connect(self.template)

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802 - Qt's name
        """Draw the icons in the colour and size of the texts."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.StyleChange:
            set_icons(
                {
                    "undo": self.undo_button,
                    "redo": self.redo_button,
                    "window": self.window_button,
                    "bin": self.forget_button,
                }
            )

    def show_templates(self, names: list[str], chosen: str) -> None:
        """List the templates, and select one."""
        self.templates.clear()
        self.templates.addItems(names)
        self.templates.setCurrentText(chosen)

    def show_phrases(self, phrases: tuple[str, ...]) -> None:
        """Offer the phrases of the section at the cursor."""
        self.phrases_menu.clear()
        for text in phrases:
            self.phrases_menu.addAction(text).triggered.connect(
                lambda _checked=False, text=text: self.phrase.emit(text)
            )
        self.phrases_button.setEnabled(bool(phrases))


class SentenceRow(QWidget):
    """Buttons for the sentence at the cursor, and a line that describes it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.label = eliding_label()
        self.label.setObjectName("quiet")
        self.label.setAccessibleName(_("Sentence"))
        self.accept_button = button(_("Accept"), TIPS["accept"], small=True)
        self.reject_button = button(_("Reject"), TIPS["reject"], small=True)
        self.slice_button = button(_("Image"), TIPS["slice"], small=True)
        self.next_button = button(_("Next"), TIPS["next"], small=True)
        self.explain_button = button(_("Explain"), TIPS["explain"], small=True)
        self.shorten_button = button(_("Shorten"), TIPS["shorten"], small=True)
        self.impression_button = button(_("Sum up"), TIPS["sum_up"], small=True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        self.buttons = ButtonRow(
            (
                self.accept_button,
                self.reject_button,
                self.slice_button,
                self.next_button,
                self.explain_button,
                self.shorten_button,
                self.impression_button,
            )
        )
        layout.addWidget(self.buttons)
        self.line = row(self.label)
        self.line.setStretchFactor(self.label, 2)
        self._about = QWidget()
        self._about.setLayout(self.line)
        layout.addWidget(self._about)

    def set_low(self, low: bool, tools: ButtonRow) -> None:
        """Leave out the line that describes the sentence, and use one row for all buttons."""
        self.buttons.set_low(low, tools)
        self._about.setHidden(low)

    def show_line(
        self,
        line: DocumentLine | None,
        left: int,
        checks: Sequence[str] = (),
        *,
        reviewing: bool = False,
    ) -> None:
        """Show the line at the cursor, and how many sentences are not reviewed yet (`left`).

        `checks` is what there is to check in the line.
        """
        sentence = None if line is None else line.sentence
        where = None if sentence is None else sentence.slice
        if line is not None and line.measurement is not None:
            where = line.measurement.slice
        rejected = line is not None and line.state == "rejected"
        self.accept_button.setEnabled(sentence is not None)
        self.reject_button.setEnabled(line is not None)
        self.reject_button.setText(_("Restore") if rejected else _("Reject"))
        self.slice_button.setEnabled(where is not None)
        self.slice_button.setText(
            _("Image") if where is None else _("Image {number}").format(number=where + 1)
        )
        self.next_button.setEnabled(left > 0)
        self.next_button.setText(_("Next ({n})").format(n=left) if left else _("Next"))
        about = "" if line is None else describe(line, checks)
        keys = _(REVIEW_KEYS) if reviewing else ""
        self.label.setText("  ·  ".join(filter(None, (about, keys))))
        self.label.setToolTip(plain_tip(self.label.text()))


class TakeAlongRow(QWidget):
    """Offers to reject the line of the impression that sums up a rejected finding.

    Signals
    -------
    taken
    """

    taken = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.lines: tuple[str, ...] = ()
        self.label = eliding_label()
        self.label.setObjectName("notice")
        self.label.setAccessibleName(_("Line of the impression"))
        self.take_button = button(_("Reject it too"), TIPS["take_along"], small=True)
        self.keep_button = button(_("Keep it"), small=True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.label)
        layout.addLayout(row(self.take_button, self.keep_button, None))
        self.take_button.clicked.connect(lambda: self.taken.emit())
        self.keep_button.clicked.connect(lambda: self.offer(()))
        self.hide()

    def offer(self, lines: tuple[str, ...]) -> None:
        """Offer to reject these lines; none hides the row."""
        self.lines = lines
        self.label.setText(_(TAKE_ALONG).format(text=" ".join(lines)))
        self.setVisible(bool(lines))


class NewDraftRow(QWidget):
    """Asks what to do with a new draft when the reader has edited the report.

    Signals
    -------
    taken, added, dismissed
    """

    taken = Signal()
    added = Signal()
    dismissed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.label = plain_label(_(NEW_DRAFT))
        self.label.setObjectName("notice")
        self.label.setWordWrap(True)
        self.replace_button = button(_("Replace mine"), TIPS["take_draft"])
        self.add_button = button(_("Add after mine"), TIPS["add_draft"])
        self.dismiss_button = button(_("Not now"))
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
