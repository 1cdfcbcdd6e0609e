"""What the reader asks of the model about the chosen scan: checked, then started as a job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_ct_assistant.support.translation import _, shown
from napari_ct_assistant.viewer.session.jobs import (
    AskJob,
    EvidenceJob,
    Job,
    ReportJob,
    RewriteJob,
    ScreenJob,
)
from napari_ct_assistant.viewer.texts import (
    BUSY,
    NO_QUESTION,
    NO_SCAN,
    READ_FIRST_ASK,
    TOO_SHORT,
)

if TYPE_CHECKING:
    from napari_ct_assistant.assistant.reading.rewriting import Rewriting
    from napari_ct_assistant.viewer.models.picker import ModelPicker
    from napari_ct_assistant.viewer.scan.scan_picker import ScanPicker
    from napari_ct_assistant.viewer.session.conversation import Conversation
    from napari_ct_assistant.viewer.session.scan_session import ScanSession


class Requests(QObject):
    """Starts jobs about the chosen scan with the chosen model.

    Each method returns whether the job was started.

    Signals
    -------
    status_message : str
        Why a request cannot start.
    """

    status_message = Signal(str)

    def __init__(
        self,
        scans: ScanPicker,
        models: ModelPicker,
        conversation: Conversation,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._scans, self._models, self._conversation = scans, models, conversation
        self._short_scan: ScanSession | None = None

    def draft_report(self) -> bool:
        """Draft the report; from a short scan only when it is asked for a second time."""
        scan, models = self._scan_to_read(text=True), self._models
        if scan is None:
            return False
        if scan.volume.too_short and scan is not self._short_scan:
            self._short_scan = scan
            self.status_message.emit(_(TOO_SHORT).format(problem=shown(scan.volume.too_short)))
            return False
        return self._start(ReportJob(scan, models.model, options=models.options))

    def screen(self, words: tuple[str, ...] = ()) -> bool:
        """Screen the scan for the model's findings, or for those that the reader words."""
        scan, models = self._scan_to_read(), self._models
        if scan is None:
            return False
        return self._start(ScreenJob(scan, models.model, words, options=models.options))

    def show_finding(self, finding: str) -> bool:
        """Show where in the scan a finding comes from."""
        scan, models = self._scan_to_read(shown=True), self._models
        if scan is None:
            return False
        return self._start(EvidenceJob(scan, models.model, finding, options=models.options))

    def rewrite(self, task: Rewriting, prompt: str) -> bool:
        """Have a passage of the report explained, shortened or summed up."""
        scan, models = self._scan_to_read(text=True, shown=True), self._models
        if scan is None:
            return False
        return self._start(RewriteJob(scan, models.model, task, prompt, options=models.options))

    def ask(self, question: str, choices: tuple[str, ...] = (), region: str = "") -> bool:
        """Ask a question, about a region that was drawn if `region` describes one."""
        if not question:
            self.status_message.emit(_(NO_QUESTION))
            return False
        scan, models = self._scan_to_read(text=True, shown=True), self._models
        if scan is None:
            return False
        job = AskJob(scan, models.model, question, choices, options=models.options, region=region)
        return self._start(job)

    def _scan_to_read(self, *, text: bool = False, shown: bool = False) -> ScanSession | None:
        """Return the chosen scan; if no job can start, say why and return None.

        text: the job writes text. shown: its result cannot wait until the reader's own read is
        done.
        """
        scan = self._scans.scan
        unusable = self._models.unusable
        if unusable:
            self.status_message.emit(unusable)
            return None
        if text and self._models.no_text:
            self.status_message.emit(self._models.no_text)
            return None
        if scan is None:
            self.status_message.emit(_(NO_SCAN))
        elif self._conversation.jobs.busy:
            self.status_message.emit(_(BUSY))
            return None
        elif shown and scan.hidden:
            self.status_message.emit(_(READ_FIRST_ASK))
            return None
        return scan

    def _start(self, job: Job) -> bool:
        layer = self._scans.layer
        return self._conversation.start(job, "" if layer is None else layer.name)
