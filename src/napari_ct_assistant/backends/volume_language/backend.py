"""The backend of E3D-GPT, ViT3D-LLaMA3 and M3D-LaMed."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import replace

import torch

from napari_ct_assistant.backends.protocol import (
    Capabilities,
    EncodingStopped,
    ImageContext,
    PreparedScan,
    Progress,
    View,
)
from napari_ct_assistant.backends.scan_notes import cut_note
from napari_ct_assistant.backends.settings import GenerationSettings
from napari_ct_assistant.backends.volume_language.image_context import VolumeLanguageContext
from napari_ct_assistant.backends.volume_language.loaded_model import LoadedModel
from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.support.translation import said
from napari_ct_assistant.volume import CTVolume
from napari_ct_assistant.volume.body_region import body_region


class VolumeLanguageBackend(LoadedModel):
    """A `Backend` of this family."""

    @property
    def device(self) -> str:
        """Where the model is, such as "cpu" or "cuda:0"."""
        return str(self.model.device)

    @property
    def capabilities(self) -> Capabilities:
        """What the model can do, by its processor."""
        return Capabilities(
            labels={"": FINDINGS},
            follow_ups=self.processor.follow_up is not None,
            drawn_regions=self.processor.region_form is not None,
            evidence="keys and values",
        )

    def with_settings(self, settings: GenerationSettings) -> VolumeLanguageBackend:
        """Return the same loaded model with other settings."""
        return replace(self, settings=settings)

    def prepare(self, volume: CTVolume, view: View) -> PreparedScan:
        """Make the model's input for the middle of a scan.

        Raises
        ------
        ValueError
            If the view asks for a region of the body or another place: the family reads every
            scan in the same way.
        """
        if view.region or view.centre is not None:
            raise ValueError(
                f"{self.info.name}: reads the middle of every scan; leave out region and crop"
            )
        pixel_values, grid = self.processor.prepare_volume(volume)
        notes = (cut_note(volume, grid), self._region_note(volume))
        return PreparedScan(volume, pixel_values, grid, notes=tuple(filter(None, notes)))

    def _region_note(self, volume: CTVolume) -> str:
        """Say that a model of chest reports reads another part of the body, "" if it does not."""
        asked = " ".join(self.processor.report_questions.values()).lower()
        region, why = body_region(volume) if "chest" in asked else ("", "")
        # A scan without a name and without lungs may be anything: the detector tells.
        if region in ("", "chest", "other"):
            return ""
        return said(
            "This scan is outside the model's training distribution: it shows the {region} "
            "({why}), and the model was trained on chest scans; treat the output as unreliable.",
            region=region,
            why=why,
        )

    def encode(
        self,
        scan: PreparedScan,
        *,
        progress: Progress | None = None,
        cancel: threading.Event | None = None,
    ) -> ImageContext:
        """Encode a scan and fill the prefix cache."""
        tell = progress or (lambda _: None)
        model = self.model
        start = time.perf_counter()
        tell("Encoding the scan")

        def run() -> dict[str, torch.Tensor]:
            vision = model.vision_tower(pixel_values=scan.pixel_values.to(model.device))
            if cancel is not None and cancel.is_set():
                raise EncodingStopped(said("stopped while the scan was encoded"))
            return {"vision_tokens": vision}

        with torch.no_grad():
            found = scan.encoded({"vision_tower": model.vision_tower}, run)
            vision_tokens = found["vision_tokens"].to(model.device)
            image = model.get_image_features(vision_tokens=vision_tokens)
        encoded = time.perf_counter()
        tell("Reading the image tokens")
        notes = self._notes(vision_tokens[0])
        context = self.context(scan, vision_tokens, image, notes)
        context.seconds = {"encode": encoded - start, "prefix": time.perf_counter() - encoded}
        return context

    def context(
        self,
        scan: PreparedScan,
        vision_tokens: torch.Tensor,
        image_tokens: torch.Tensor,
        notes: tuple[str, ...],
    ) -> ImageContext:
        """Return the context of an encoded scan."""
        return VolumeLanguageContext(self, scan, vision_tokens, image_tokens, notes)

    def _notes(self, tokens: torch.Tensor) -> tuple[str, ...]:
        """Say whether a scan is unlike those of the training. tokens: [N, C]."""
        distance = 0.0 if self.ood is None else self.ood.distance(tokens)
        if distance <= 1:
            return ()
        trained = self.info.trained_on or "its training scans"
        return (
            said(
                "This scan is outside the model's training distribution, {trained} "
                "({distance}x the threshold); treat the output as unreliable.",
                trained=trained,
                distance=f"{distance:.1f}",
            ),
        )

    def finding_question(self, finding: str) -> str:
        """Return the question whether a finding is there."""
        return str(self.processor.ask_finding(finding))

    def choices_question(self, question: str, choices: Sequence[str]) -> str:
        """Return a multiple-choice question as one text."""
        return self.processor.choices_question(question, choices)
