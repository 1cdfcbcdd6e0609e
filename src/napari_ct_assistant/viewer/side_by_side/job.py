"""A draft that is written to be compared: it goes into no transcript and no report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_ct_assistant.assistant.choices.saved_drafts import SavedDraft
from napari_ct_assistant.support.translation import N_
from napari_ct_assistant.viewer.session.jobs import Job, JobResult
from napari_ct_assistant.viewer.session.run_record import RunRecord, TextCallback

if TYPE_CHECKING:
    from napari_ct_assistant.assistant import Reading


@dataclass(frozen=True, eq=False)
class PairDraftJob(Job):
    """Draft a report for a comparison."""

    stage = N_("Drafting a report to compare")

    def run(self, reading: Reading, record: RunRecord, _on_text: TextCallback) -> PairDraftResult:
        """Draft the report, and hash the model's weights and the scan."""
        draft = reading.draft_report(cancel=self.cancel)
        return PairDraftResult(
            record, self, SavedDraft.of(draft, reading.volume.fingerprint), draft.stopped
        )


@dataclass(frozen=True, eq=False)
class PairDraftResult(JobResult):
    """A draft for a comparison."""

    job: PairDraftJob
    draft: SavedDraft
    stopped: bool
