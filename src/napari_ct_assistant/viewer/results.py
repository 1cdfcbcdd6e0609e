"""Shows in the panel what is being done, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from napari_ct_assistant.backends.scan_notes import outside_note
from napari_ct_assistant.support.translation import _
from napari_ct_assistant.viewer.evidence.controller import evidence_summary
from napari_ct_assistant.viewer.session.jobs import AskJob, EvidenceResult, OutsideResult
from napari_ct_assistant.viewer.session.status_line import summary
from napari_ct_assistant.viewer.texts import ASKED_OUTSIDE, READ_FIRST_READY

if TYPE_CHECKING:
    from napari_ct_assistant.viewer.chat.actions import ActionRow, AskRow
    from napari_ct_assistant.viewer.keys import WindowKeys
    from napari_ct_assistant.viewer.models.picker import ModelPicker
    from napari_ct_assistant.viewer.scan.scan_picker import ScanPicker
    from napari_ct_assistant.viewer.session.conversation import Conversation
    from napari_ct_assistant.viewer.session.jobs import Job, JobResult
    from napari_ct_assistant.viewer.session.status_line import StatusLine


class ResultDisplay(QObject):
    """Keeps the buttons and the status line up to date.

    Results belong to a scan: one that comes after another scan was chosen waits for its own.
    """

    def __init__(
        self,
        scans: ScanPicker,
        conversation: Conversation,
        models: ModelPicker,
        rows: tuple[ActionRow, AskRow],
        status: StatusLine,
        show_outside: Callable[[], None],
        keys: WindowKeys,
    ) -> None:
        super().__init__(status)
        self._scans, self._conversation, self._models = scans, conversation, models
        self._actions, self._ask = rows
        self._status, self._show_outside, self._keys = status, show_outside, keys
        scans.loading.connect(self._on_loading)
        models.changed.connect(lambda _model: self._refresh_actions())
        models.usable_changed.connect(self._refresh_actions)
        conversation.busy.connect(self._on_busy)
        conversation.stage.connect(self._on_stage)
        conversation.finished.connect(self._on_finished)
        conversation.refused.connect(self._on_refused)

    def show_scan(self) -> None:
        """Show what is known about the chosen scan."""
        scan = self._scans.scan
        self._show_outside()
        if not self._status.busy:
            self._status.show_text(scan.status if scan is not None and scan.status else _("Ready"))
        self._refresh_actions()

    def _on_loading(self, text: str) -> None:
        busy = bool(text) or self._conversation.jobs.busy
        self._status.show_text(text or _("Ready"), busy=busy)
        self._refresh_actions()

    def _on_busy(self, busy: bool) -> None:
        if busy:
            self._status.show_text(_("Starting"), busy=True)
        elif self._status.busy:
            self._status.show_text(_("Ready"), busy=False)
        self._refresh_actions()

    def _refresh_actions(self) -> None:
        busy, opening = self._conversation.jobs.busy, self._scans.busy
        no_text, scan = self._models.no_text, self._scans.volume is not None
        unusable = self._models.unusable
        self._actions.set_state(busy, opening, scan=scan, no_text=no_text, unusable=unusable)
        self._ask.set_text(unusable or no_text)
        self._keys.set_busy(busy or opening)

    def _on_finished(self, result: JobResult) -> None:
        self._models.show_notice(result.record.info.notice)
        self._ask.show_findings(result.record.labels)
        scan = result.job.scan
        text = evidence_summary(result) if isinstance(result, EvidenceResult) else summary(result)
        scan.outside = outside_note(result.record.warnings)
        self._show_outside()
        if isinstance(result, OutsideResult):
            text = _(ASKED_OUTSIDE)
        elif scan.hidden:
            text = _(READ_FIRST_READY)
        scan.status = f"{scan.name}: {text}"
        shown = self._scans.scan  # may be another by now
        self._status.show_text((shown and shown.status) or _("Ready"), busy=False)

    def _on_stage(self, text: str) -> None:
        job = self._conversation.jobs.job
        self._status.show_text(text if job is None else f"{job.scan.name}: {text}")

    def _on_refused(self, job: Job) -> None:
        if isinstance(job, AskJob):
            self._ask.box.give_back(job.question, job.scan)
