"""The warning about a scan that is unlike the model's training, and the question before a draft."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import QApplication, QLineEdit, QPlainTextEdit, QTextEdit, QVBoxLayout, QWidget

from napari_ct_assistant.support.translation import _, shown
from napari_ct_assistant.viewer.scan.warning_banner import WarningBanner
from napari_ct_assistant.viewer.texts import DRAFT_ANYWAY, TIPS
from napari_ct_assistant.viewer.widgets import add_shortcuts, button, row
from napari_ct_assistant.viewer.widgets import label as plain_label

if TYPE_CHECKING:
    from napari_ct_assistant.viewer.session.scan_session import OutsideDraft, ScanSession


class OutsideQuestion(QWidget):
    """Asks whether to draft from a scan that is outside the model's training distribution.

    Y and N answer while the question has the keyboard focus, Alt+Y and Alt+N anywhere in the
    window. The question takes the focus only from what is no text, so that a letter meant for a
    text never answers it.

    Signals
    -------
    answered : bool
    """

    answered = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.label = plain_label()
        self.label.setObjectName("notice")
        self.label.setWordWrap(True)
        self.label.setAccessibleName(_("Question before drafting"))
        self.no_button = button(_("Do not draft"), TIPS["outside_no"])
        self.yes_button = button(_("Draft all the same"), TIPS["outside_yes"])
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 2, 0, 2)
        layout.setSpacing(4)
        layout.addWidget(self.label)
        layout.addLayout(row(self.no_button, self.yes_button, None))
        self.no_button.clicked.connect(lambda: self.answered.emit(False))
        self.yes_button.clicked.connect(lambda: self.answered.emit(True))
        # They are dead while the question is hidden.
        keys = (("Alt+Y", self.yes_button.click), ("Alt+N", self.no_button.click))
        add_shortcuts(self, keys, whole_window=True)
        self.hide()

    def ask(self, text: str) -> None:
        """Show a question, or hide it with ""."""
        new = bool(text) and self.isHidden()
        self.label.setText(text)
        self.setVisible(bool(text))
        writing = isinstance(QApplication.focusWidget(), (QLineEdit, QPlainTextEdit, QTextEdit))
        if new and not writing:
            self.setFocus(Qt.FocusReason.OtherFocusReason)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Answer with a single key."""
        if event.modifiers() == Qt.KeyboardModifier.NoModifier:
            if event.key() == Qt.Key.Key_Y:
                self.yes_button.click()
                return
            if event.key() in (Qt.Key.Key_N, Qt.Key.Key_Escape):
                self.no_button.click()
                return
        super().keyPressEvent(event)


class OutsideBanner(QWidget):
    """Above draft, report and findings for as long as the scan is chosen.

    Signals
    -------
    drafted
        The reader wants a draft all the same.
    status_message : str
        That none is drafted, if the reader wants none.
    """

    drafted = Signal()
    status_message = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._scan: ScanSession | None = None
        self.banner = WarningBanner()
        self.banner.label.setAccessibleName(_("Warning about the model on this scan"))
        self.question = OutsideQuestion()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.banner)
        layout.addWidget(self.question)
        self.question.answered.connect(self._on_answered)
        self.hide()

    def show_scan(self, scan: ScanSession | None) -> None:
        """Show the warning about a scan, and the question that waits for an answer."""
        self._scan = scan
        asked = None if scan is None else scan.asked_outside
        # The question repeats the warning.
        warning = scan.outside if scan is not None and asked is None else ""
        self.banner.show_texts([warning] if warning else [])
        self.setVisible(bool(warning or asked))
        self.question.ask("" if asked is None else question(asked))

    def _on_answered(self, yes: bool) -> None:
        scan = self._scan
        if scan is None or scan.asked_outside is None:
            return
        model, scan.asked_outside = scan.asked_outside.model, None
        if yes:
            scan.drafted_outside.add(model)
        self.show_scan(scan)
        if yes:
            self.drafted.emit()
        else:
            name = scan.name
            self.status_message.emit(_("{scan}: no report drafted").format(scan=name))


def question(draft: OutsideDraft) -> str:
    """Return the question before a draft from a scan unlike those that a model learnt from."""
    info = draft.info
    trained = _(info.trained_on) if info.trained_on else _("data that it does not name")
    return _(DRAFT_ANYWAY).format(model=info.name, trained=trained, note=shown(draft.note))
