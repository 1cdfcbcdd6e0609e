"""Connects the report tab with the model, the journal and the exports."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QCoreApplication, QObject, Signal

from napari_ct_assistant.support.translation import _
from napari_ct_assistant.viewer.report.dialogs import ForgetDialog, SignDialog
from napari_ct_assistant.viewer.report.export.exporter import Exporter
from napari_ct_assistant.viewer.report.journal_keeper import JournalKeeper
from napari_ct_assistant.viewer.report.tab import ReportTab
from napari_ct_assistant.viewer.scan.warning_banner import WarningBanner
from napari_ct_assistant.viewer.session.background import one_line
from napari_ct_assistant.viewer.session.jobs import RewriteJob

if TYPE_CHECKING:
    from napari_ct_assistant.viewer.chat.actions import TranscriptRow
    from napari_ct_assistant.viewer.chat.question_box import QuestionBox
    from napari_ct_assistant.viewer.chat.transcript import Transcript
    from napari_ct_assistant.viewer.layout.text_columns import TextColumns
    from napari_ct_assistant.viewer.measure.measuring import Measurements
    from napari_ct_assistant.viewer.preferences import Preferences
    from napari_ct_assistant.viewer.scan.scan_picker import ScanPicker
    from napari_ct_assistant.viewer.session.conversation import Conversation
    from napari_ct_assistant.viewer.session.jobs import Job
    from napari_ct_assistant.viewer.session.scan_session import ScanSession


class ReportController(QObject):
    """Owns the report tab and the journal.

    Signals
    -------
    asked : str, str
        The reader wants a passage of the report rewritten: the task and the model's prompt.
    status_message : str
        One line for the reader.
    restored : ScanSession
        The journal's page of a scan was read.
    """

    asked = Signal(str, str)
    status_message = Signal(str)
    restored = Signal(object)

    def __init__(
        self,
        scans: ScanPicker,
        conversation: Conversation,
        transcript: Transcript,
        transcript_row: TranscriptRow,
        question: QuestionBox,
        preferences: Preferences,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._scans, self._conversation = scans, conversation
        self.tab = ReportTab(preferences.template, scans.open_scans)
        # In its own window the report has no part of the panel above it.
        self.outside = WarningBanner(self.tab)
        self.tab.layout().insertWidget(0, self.outside)
        self.exporter = Exporter(self.tab, self)
        self._show_report: Callable[[], None] = self.tab.show
        self.keeper: JournalKeeper | None = None
        if preferences.journal:
            self.keeper = JournalKeeper(
                self.tab, transcript, question, conversation.jobs, scans.open_scans, parent=self
            )
            self.keeper.status_message.connect(conversation.add_note)
            self.keeper.restored.connect(self.restored)
            transcript_row.cleared.connect(self.keeper.mark_all_changed)
            QCoreApplication.instance().aboutToQuit.connect(self.keeper.flush)
        self.tab.tools.forget_button.setVisible(self.keeper is not None)
        scans.chosen.connect(self._on_scan)
        scans.closed.connect(self._on_closed)
        conversation.drafted.connect(self.tab.take_result)
        conversation.rewritten.connect(self.tab.passage.finish)
        conversation.jobs.began.connect(self._on_began)
        conversation.jobs.text.connect(self._on_text)
        conversation.jobs.ended.connect(self._on_ended)
        self.tab.passage.asked.connect(self.asked)
        self.tab.status_message.connect(self.status_message)
        self.exporter.status_message.connect(self.status_message)
        self.tab.tools.export_button.clicked.connect(self.exporter.ask)
        self.tab.tools.sign_button.clicked.connect(self.sign)
        self.tab.tools.forget_button.clicked.connect(self.ask_to_forget)
        self.tab.setObjectName("report_window")
        self.tab.template_problem.connect(lambda text: conversation.add_note(text, _("Template")))

    def _on_scan(self, _layer: Any) -> None:
        scan = self._scans.scan
        self.tab.show_scan(scan)
        self.exporter.show_scan()
        if self.keeper is not None:
            self.keeper.show_scan(scan)

    def _on_closed(self, scan: ScanSession) -> None:
        if self.keeper is not None:
            self.keeper.close_scan(scan)
        self.tab.close_scan(scan)

    def join(self, columns: TextColumns, measurements: Measurements) -> None:
        """Move the report between the panel and its window; compare it with what is measured."""
        own_window = self.tab.tools.window_button
        own_window.toggled.connect(columns.set_own_window)
        own_window.toggled.connect(lambda: self.show_outside())
        columns.report_closed.connect(lambda: own_window.setChecked(False))
        self._show_report = columns.show_report
        self.tab.bring_forward.connect(columns.show_report)
        measurements.changed.connect(lambda: self._on_measured(measurements.lengths))

    def show_outside(self) -> None:
        """Show in the report's own window that the scan is outside the model's training."""
        scan = self._scans.scan
        warning = scan.outside if scan is not None and self.tab.isWindow() else ""
        self.outside.show_texts([warning] if warning else [])

    def review(self) -> None:
        """Bring the report to the front and go to the next sentence that is not reviewed."""
        self._show_report()
        self.tab.window().activateWindow()
        self.tab.next_sentence()

    def _on_measured(self, lengths: tuple[str, ...]) -> None:
        scan = self._scans.scan
        if scan is not None and scan.measured != lengths:
            scan.measured = lengths
            self.tab.editor.moved.emit()

    def flush(self) -> None:
        """Write everything to disk now."""
        if self.keeper is not None:
            self.keeper.flush()

    # -- rewriting a passage

    def _on_began(self, job: Job) -> None:
        if isinstance(job, RewriteJob):
            self.tab.passage.begin(job.task, self.tab.editor)

    def _on_text(self, text: str) -> None:
        if isinstance(self._conversation.jobs.job, RewriteJob):
            self.tab.passage.append(text)

    def _on_ended(self, job: Job) -> None:
        if isinstance(job, RewriteJob):
            self.tab.passage.end()

    # -- dialogs

    def sign(self) -> None:
        """Ask who signs off the report."""
        scan = self.tab.scan
        if scan is None:
            return
        text = self.tab.text_of(scan)
        dialog = SignDialog(self.tab.checking.find(), self.tab)
        dialog.checks.jumped.connect(self.tab.editor.go_to_line)
        if dialog.exec():
            try:
                text.set_frame(text.report().sign(dialog.name.text(), dialog.organization.text()))
            except ValueError as error:
                self.status_message.emit(one_line(error).capitalize())

    def ask_to_forget(self) -> None:
        """Ask whether to delete this scan's page of the journal or the whole journal."""
        dialog = ForgetDialog(self.tab)
        if dialog.exec() and self.keeper is not None:
            self.keeper.delete(None if dialog.everything else self.tab.scan)
            self.status_message.emit(
                _("The journal was deleted")
                if dialog.everything
                else _("This scan was deleted from the journal")
            )
