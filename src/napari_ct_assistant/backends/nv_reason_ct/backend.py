"""The backend of NV-Reason-CT."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

from napari_ct_assistant.backends.nv_reason_ct.conversation.labels import LABELS, finding_question
from napari_ct_assistant.backends.nv_reason_ct.image_context import (
    NVReasonCTContext,
    choices_question,
)
from napari_ct_assistant.backends.nv_reason_ct.input.preparation import REGIONS
from napari_ct_assistant.backends.nv_reason_ct.loaded_model import LoadedModel
from napari_ct_assistant.backends.protocol import Capabilities, PreparedScan, Progress, View
from napari_ct_assistant.backends.settings import GenerationSettings
from napari_ct_assistant.volume import CTVolume


class NVReasonCTBackend(LoadedModel):
    """A `Backend` of NV-Reason-CT."""

    @property
    def device(self) -> str:
        """Where the model is, such as "cpu" or "cuda:0"."""
        return str(self.model.device)

    @property
    def capabilities(self) -> Capabilities:
        """What the model can do."""
        return Capabilities(
            body_regions=REGIONS,
            labels=LABELS,
            follow_ups=True,
            reasoning=True,
            evidence="merger gradient",
            needs_gpu=True,
        )

    def with_settings(self, settings: GenerationSettings) -> NVReasonCTBackend:
        """Return the same loaded model with other settings."""
        return replace(self, settings=settings)

    def prepare(self, volume: CTVolume, view: View) -> PreparedScan:
        """Make the model's input for a region of a scan.

        Raises
        ------
        ValueError
            If the model has no such region.
        """
        if view.region and view.region not in REGIONS:
            raise ValueError(
                f"{self.info.name}: region is {view.region!r}; give one of {', '.join(REGIONS)}"
            )
        return self.processor.prepare(volume, region=view.region, centre=view.centre)

    def encode(
        self,
        scan: PreparedScan,
        *,
        progress: Progress | None = None,
        cancel: threading.Event | None = None,
    ) -> NVReasonCTContext:
        """Run encoder and language model over a scan.

        Raises
        ------
        EncodingStopped
            If `cancel` was set before the end.
        """
        return NVReasonCTContext(
            self, scan, self.encode_volume(scan.pixel_values, progress, cancel, scan)
        )

    def finding_question(self, finding: str) -> str:
        """Return the question whether a finding is there."""
        return finding_question(finding)

    def choices_question(self, question: str, choices: Sequence[str]) -> str:
        """Return a multiple-choice question as one text."""
        return choices_question(question, choices)
