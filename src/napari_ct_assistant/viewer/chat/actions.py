"""The rows of buttons for the model, the question box and the transcript."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QMenu, QToolButton, QWidget

from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.report_text.questions import FINDING_QUESTION
from napari_ct_assistant.support.translation import _
from napari_ct_assistant.viewer.chat.question_box import QuestionBox
from napari_ct_assistant.viewer.texts import TIPS
from napari_ct_assistant.viewer.widgets import button, label, row
from napari_ct_assistant.viewer.widgets import tip as plain_tip


class ActionRow(QWidget):
    """The buttons Draft report, Findings and Stop.

    Signals
    -------
    drafted, screened, stopped
    """

    drafted = Signal()
    screened = Signal()
    stopped = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.draft_button = button(_("Draft report"), TIPS["draft"])
        self.draft_button.setObjectName("main_button")
        self.findings_button = button(_("Findings"), TIPS["findings"])
        self.stop_button = button(_("Stop"), TIPS["stop"])
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.draft_button, 2)
        layout.addWidget(self.findings_button, 1)
        layout.addWidget(self.stop_button, 1)
        self.draft_button.clicked.connect(lambda: self.drafted.emit())
        self.findings_button.clicked.connect(lambda: self.screened.emit())
        self.stop_button.clicked.connect(lambda: self.stopped.emit())

    def set_state(
        self, busy: bool, opening: bool, *, scan: bool, no_text: str = "", unusable: str = ""
    ) -> None:
        """Enable the buttons that can be used now.

        busy: a job runs. opening: a scan is being opened. scan: one is chosen. no_text: why the
        chosen model writes no report, "" if it does. unusable: why it cannot be used at all.
        """
        ready, why = scan and not busy and not unusable, unusable or no_text
        self.draft_button.setEnabled(ready and not no_text)
        self.draft_button.setToolTip(plain_tip(why) if why else TIPS["draft"])
        self.findings_button.setEnabled(ready)
        self.findings_button.setToolTip(plain_tip(unusable) if unusable else TIPS["findings"])
        self.stop_button.setEnabled(busy or opening)


class AskRow(QWidget):
    """The question box and its buttons.

    Signals
    -------
    asked : str
    available : bool
        Whether the chosen model answers questions.
    """

    asked = Signal(str)
    available = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.box = QuestionBox()
        self.ask_button = button(_("Ask"), TIPS["ask"])
        self.examples_button = button(_("Examples"), TIPS["examples"], small=True)
        self.examples_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.examples_button.setMenu(QMenu(self.examples_button))
        self.show_findings(FINDINGS)
        self.choices_button = button(_("Choices…"), TIPS["choices"], small=True)
        # In place of the box, whose placeholder would be cut off where the column is narrow.
        self.why = label()
        self.why.setWordWrap(True)
        self.why.setObjectName("quiet")
        self.why.hide()
        line = row(self.why, self.box, self.ask_button, self.examples_button, self.choices_button)
        line.setStretchFactor(self.why, 1)
        line.setStretchFactor(self.box, 1)
        for one in (self.ask_button, self.examples_button, self.choices_button):
            line.setAlignment(one, Qt.AlignmentFlag.AlignBottom)
        self.setLayout(line)
        self.box.submitted.connect(self.asked)
        self.ask_button.clicked.connect(self.box.submit)

    def set_text(self, no_text: str) -> None:
        """Say in place of the row why the chosen model answers no questions; "" if it does."""
        self.why.setText(no_text)
        self.why.setVisible(bool(no_text))
        for one in (self.box, self.ask_button, self.examples_button, self.choices_button):
            one.setVisible(not no_text)
            one.setEnabled(not no_text)
        self.available.emit(not no_text)

    def show_findings(self, findings: Sequence[str]) -> None:
        """Offer a question for each of a model's findings, CT-RATE's 18 without any."""
        menu = self.examples_button.menu()
        menu.clear()
        for finding in findings or FINDINGS:
            question = finding_question(finding)
            menu.addAction(finding).triggered.connect(partial(self._put, question))

    def _put(self, question: str, _checked: bool = False) -> None:
        """Put a question into the box, for the reader to send."""
        self.box.replace(question)
        self.box.setFocus(Qt.FocusReason.OtherFocusReason)


def finding_question(finding: str) -> str:
    """Return the question about one finding, as E3D-GPT words it."""
    return FINDING_QUESTION.format(finding=finding.lower())


class TranscriptRow(QWidget):
    """The buttons Copy and Clear, in the corner of the transcript.

    Signals
    -------
    copied, cleared
    """

    copied = Signal()
    cleared = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.copy_button = button(_("Copy"), TIPS["copy"], small=True)
        self.clear_button = button(_("Clear"), TIPS["clear"], small=True)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 2)
        layout.setSpacing(4)
        layout.addWidget(self.copy_button)
        layout.addWidget(self.clear_button)
        self.copy_button.clicked.connect(lambda: self.copied.emit())
        self.clear_button.clicked.connect(lambda: self.cleared.emit())
