"""Shows the findings of the chosen scan, and keeps those of the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_ct_assistant.viewer.evidence.findings_tab import FindingsTab

if TYPE_CHECKING:
    from napari_ct_assistant.viewer.models.picker import ModelPicker
    from napari_ct_assistant.viewer.scan.scan_picker import ScanPicker
    from napari_ct_assistant.viewer.session.conversation import Conversation
    from napari_ct_assistant.viewer.session.jobs import EvidenceResult, JobResult, ScreenResult


class FindingsController(QObject):
    """Owns the Findings tab.

    Signals
    -------
    arrived
        The findings of the scan on screen have arrived.
    """

    arrived = Signal()

    def __init__(
        self,
        scans: ScanPicker,
        conversation: Conversation,
        models: ModelPicker,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._scans = scans
        self.tab = FindingsTab()
        scans.chosen.connect(lambda _layer: self.show_scan())
        conversation.screened.connect(self._on_screened)
        conversation.finished.connect(self._on_finished)
        conversation.located.connect(self._on_located)
        models.changed.connect(lambda _model: self.tab.offer_words(False))

    def show_scan(self) -> None:
        """Show the findings of the chosen scan."""
        scan = self._scans.scan
        if scan is None:
            self.tab.show_findings(())
        else:
            checks = () if scan.hidden else scan.checks
            self.tab.show_findings(scan.shown_findings, scan.name, checks)

    def _on_located(self, result: EvidenceResult) -> None:
        """List the places of a finding, if its scan is still on screen."""
        if result.job.scan is self._scans.scan:
            self.tab.places.show_places(result.job.finding, result.evidence, result.job.scan.volume)

    def _on_screened(self, result: ScreenResult) -> None:
        scan = result.job.scan
        scan.findings, scan.checks = result.findings, result.checks
        if scan is self._scans.scan:
            self.show_scan()
            if not scan.hidden:
                self.arrived.emit()

    def _on_finished(self, result: JobResult) -> None:
        self.tab.offer_words(result.record.free_findings)
