"""The backend of slice models."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from napari_ct_assistant.backends.loading.sizes import QUESTION_TOKENS
from napari_ct_assistant.backends.protocol import Capabilities, PreparedScan, Progress, View
from napari_ct_assistant.backends.settings import GenerationSettings
from napari_ct_assistant.backends.slice_model.conversation import Renderer
from napari_ct_assistant.backends.slice_model.image_context import (
    SliceModelContext,
    choices_question,
)
from napari_ct_assistant.backends.slice_model.loaded_model import LoadedModel
from napari_ct_assistant.backends.slice_model.preparation import prepare
from napari_ct_assistant.backends.slices import RGB, find_preset
from napari_ct_assistant.support.errors import CTAssistantError
from napari_ct_assistant.support.translation import said
from napari_ct_assistant.volume import CTVolume

_UNKNOWN_WINDOW: Final = 1 << 20


class TooManySlicesError(CTAssistantError, ValueError):
    """More slices than the model's context holds."""


class SliceModelBackend(LoadedModel):
    """A `Backend` of a stock image-text model that looks at slices."""

    @property
    def device(self) -> str:
        """Where the model is, such as "cpu" or "cuda:0"."""
        return str(self.model.device)

    @property
    def capabilities(self) -> Capabilities:
        """What the model can do."""
        preset = self.processor.preset
        return Capabilities(
            body_regions=preset.regions,
            labels={region: preset.labels(region) for region in preset.regions},
            follow_ups=True,
            drawn_regions=True,
            reasoning=bool(self.processor.special.thinking),
            evidence="share of each slice",
            needs_gpu=True,
            slices=True,
        )

    def with_settings(self, settings: GenerationSettings) -> SliceModelBackend:
        """Return the same loaded model with other settings."""
        return replace(self, settings=settings)

    def with_preset(self, preset: str | None) -> SliceModelBackend:
        """Return the same loaded model that is shown scans by another preset.

        Parameters
        ----------
        preset
            Its name or file; None for the model's own.

        Raises
        ------
        PresetError
            If there is none, or the file is invalid.
        """
        chosen = self.processor.with_preset(None if preset is None else find_preset(preset))
        labels = chosen.preset.labels(chosen.preset.regions[0])
        return replace(self, processor=chosen, info=replace(self.info, findings=labels))

    @property
    def window(self) -> int:
        """The most tokens that the model can hold."""
        text = self.model.config.get_text_config()
        return int(getattr(text, "max_position_embeddings", None) or _UNKNOWN_WINDOW)

    def prepare(self, volume: CTVolume, view: View) -> PreparedScan:
        """Choose and render the slices of a scan.

        Raises
        ------
        ValueError
            If there is no such region, or the range does not lie within the scan.
        TooManySlicesError
            If they do not fit the model's context.
        """
        scan = prepare(volume, self.processor.preset, view)
        self._renderer(scan)
        return scan

    def encode(
        self,
        scan: PreparedScan,
        *,
        progress: Progress | None = None,
        cancel: threading.Event | None = None,
    ) -> SliceModelContext:
        """Run vision tower and language model over the slices.

        Raises
        ------
        EncodingStopped
            If `cancel` was set before the end.
        """
        renderer = self._renderer(scan)
        prefix, _, _ = renderer.render(self.processor.preset.report(scan.region))
        encoded = self.encode_images(scan.pixel_values, prefix, progress, cancel)
        return SliceModelContext(self, scan, renderer, encoded)

    def finding_question(self, finding: str) -> str:
        """Return the question whether a finding is there."""
        return self.processor.preset.screen_question(finding)

    def choices_question(self, question: str, choices: Sequence[str]) -> str:
        """Return a multiple-choice question as one text."""
        return choices_question(question, choices)

    def _renderer(self, scan: PreparedScan) -> Renderer:
        """Return what renders conversations about a scan, if its slices fit the context."""
        images: list[RGB] = scan.pixel_values
        sizes = [image.shape[:2] for image in images]
        blank = {size: np.zeros((*size, 3), np.uint8) for size in sizes}
        one = {
            size: self.processor.tokens_of(self.processor.pixels([image]))[0]
            for size, image in blank.items()
        }
        tokens = tuple(one[size] for size in sizes)
        whole = Renderer(self.processor, scan.region, tokens, self.window)
        if _fits(whole):
            return whole
        least, most = 0, len(tokens) - 1  # slices that fit
        while least < most:
            middle = (least + most + 1) // 2
            if _fits(replace(whole, tokens=tokens[:middle])):
                least = middle
            else:
                most = middle - 1
        way_out = (
            f"show it at most {least} (--slice-count {least}, or Slices in the panel)"
            if least
            else "use a model with a longer context"
        )
        raise TooManySlicesError(
            said(
                "{name}: {count} slices are {count2} tokens and their labels, and the model's "
                "context holds {window}; {way_out}",
                name=self.info.name,
                count=len(tokens),
                count2=f"{sum(tokens):,}",
                window=f"{self.window:,}",
                way_out=way_out,
            )
        )


def _fits(renderer: Renderer) -> bool:
    """Return whether the slices, the report's question and a short answer fit the context."""
    prefix, rest, _ = renderer.render(renderer.preset.report(renderer.region))
    return len(prefix) + len(rest) + QUESTION_TOKENS <= renderer.window
