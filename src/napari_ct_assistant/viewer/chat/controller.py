"""The chat: suggestions, multiple choice, regions, and messages that are repeated or edited."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.compat import isalive
from qtpy.QtCore import QObject, Qt, Signal

from napari_ct_assistant.report_text.finding_mentions import affirmed_findings
from napari_ct_assistant.report_text.yes_no import yes_or_no
from napari_ct_assistant.support.translation import _
from napari_ct_assistant.viewer.chat.chips import Chips
from napari_ct_assistant.viewer.chat.choices_dialog import ChoicesDialog
from napari_ct_assistant.viewer.chat.suggestions import about_region, suggest
from napari_ct_assistant.viewer.measure.regions import selected_region
from napari_ct_assistant.viewer.session.jobs import AskJob
from napari_ct_assistant.viewer.texts import BUSY, NO_REGION

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_ct_assistant.viewer.chat.message import Message
    from napari_ct_assistant.viewer.chat.question_box import QuestionBox
    from napari_ct_assistant.viewer.scan.scan_picker import ScanPicker
    from napari_ct_assistant.viewer.session.conversation import Conversation
    from napari_ct_assistant.viewer.session.jobs import AskResult, JobResult, ReportResult
    from napari_ct_assistant.viewer.session.scan_session import ScanSession


class ChatController(QObject):
    """Owns the suggested questions and the multiple-choice form; repeats and edits messages.

    Parameters
    ----------
    ask : callable
        Called as ``ask(question, choices)``; returns True if the question was accepted.

    Signals
    -------
    status_message : str
        One line for the reader.
    """

    status_message = Signal(str)

    def __init__(
        self,
        viewer: Viewer,
        scans: ScanPicker,
        conversation: Conversation,
        box: QuestionBox,
        ask: Callable[[str, tuple[str, ...]], bool],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._scans, self._conversation, self._box, self._ask = (
            viewer,
            scans,
            conversation,
            box,
            ask,
        )
        self.chips = Chips()
        self._scan: ScanSession | None = None
        self.choices_dialog: ChoicesDialog | None = None
        self.chips.chosen.connect(lambda question: ask(question, ()))
        conversation.busy.connect(self._on_busy)
        conversation.drafted.connect(self._on_drafted)
        conversation.answered.connect(self._on_answered)
        conversation.finished.connect(self._on_finished)
        scans.chosen.connect(self._on_scan)
        viewer.layers.selection.events.active.connect(self._on_layer)

    def region_for(self, question: str) -> str:
        """Return the measurement of the region that a question is about, "" if there is none."""
        layer = self._scans.layer
        if layer is None or not about_region(question):
            return ""
        region = selected_region(self._viewer, layer)
        if region is None:
            self.status_message.emit(_(NO_REGION))
            return ""
        return region.text

    def again(self, message: Message | None = None) -> None:
        """Let the model write a message again, by default the last one."""
        wanted = message or self._conversation.last
        if wanted is not None and not self._conversation.again(wanted):
            self.status_message.emit(_(BUSY))

    def edit(self, message: Message) -> None:
        """Put a question back into the box; it and later turns leave the model's context."""
        job = message.job
        if not isinstance(job, AskJob):
            return
        job.scan.history.cut(job)
        if job.choices:
            self.open_choices(job.question, job.choices)
            return
        self._box.replace(job.question)
        self._box.setFocus(Qt.FocusReason.OtherFocusReason)

    def open_choices(self, question: str = "", choices: tuple[str, ...] = ()) -> None:
        """Open the multiple-choice form."""
        if self.choices_dialog is None:
            self.choices_dialog = ChoicesDialog(self._box.window())
            self.choices_dialog.asked.connect(self._on_choices)
            self._fill_choices()
        dialog = self.choices_dialog
        if question:
            dialog.fill((question, *choices), "" if self._scan is None else self._scan.name)
        dialog.show()
        dialog.raise_()

    def _on_choices(self, question: str, choices: tuple[str, ...]) -> None:
        if self._ask(question, choices) and self.choices_dialog is not None:
            self.choices_dialog.hide()

    def _on_scan(self, _layer: Any) -> None:
        """Keep what stands in the form for the scan that is left, and show the new scan's."""
        before, self._scan = self._scan, self._scans.scan
        if self.choices_dialog is not None and before is not self._scan:
            if before is not None and before.is_open:
                before.choices_form = self.choices_dialog.form
            self._fill_choices()
        self.refresh()

    def _fill_choices(self) -> None:
        if self.choices_dialog is not None:
            scan = self._scan
            self.choices_dialog.fill(
                () if scan is None else scan.choices_form, "" if scan is None else scan.name
            )

    # -- suggestions

    def _on_drafted(self, result: ReportResult) -> None:
        result.job.scan.last_text = (result.draft.text, result.record.info.unreliable_findings)

    def _on_answered(self, result: AskResult) -> None:
        said = result.answer.text
        if yes_or_no(said) and not affirmed_findings(said):
            # "Yes." alone names no finding; the question does.
            said = f"{said} {result.job.question}"
        result.job.scan.last_text = (said, result.record.info.unreliable_findings)

    def _on_finished(self, _result: JobResult) -> None:
        self.refresh()

    def _on_layer(self, event: Any = None) -> None:  # noqa: ARG002 - napari passes the event
        # The layer list lives longer than the panel.
        if isalive(self.chips):
            self.refresh()

    def _on_busy(self, busy: bool) -> None:
        self.chips.setEnabled(not busy)

    def refresh(self) -> None:
        """Suggest the questions that follow from the model's last text about the chosen scan."""
        scan, layer = self._scans.scan, self._scans.layer
        if scan is None or layer is None or scan.hidden:
            self.chips.offer([])
            return
        said, unreliable_findings = scan.last_text
        active = self._viewer.layers.selection.active
        drawn = type(active).__name__ in ("Shapes", "Labels")
        region = drawn and selected_region(self._viewer, layer) is not None
        asked = scan.history.questions()
        self.chips.offer(
            suggest(
                said,
                asked=asked,
                unreliable_findings=unreliable_findings,
                findings=scan.finding_names,
                region=region,
            )
        )
