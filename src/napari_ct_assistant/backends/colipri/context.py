"""One scan read by COLIPRI: its findings as ranks, their places, and the test of its sides."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from napari_ct_assistant.backends.colipri.loaded_model import LoadedColipri
from napari_ct_assistant.backends.colipri.preparation import left_right_axis, to_ipl
from napari_ct_assistant.backends.colipri.prompts import SIDES, pair
from napari_ct_assistant.backends.heat_map import Evidence, HeatMap
from napari_ct_assistant.backends.prepared_scan import EncodingStopped, PreparedScan
from napari_ct_assistant.backends.screening import FindingScore, ScreeningContext
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.support.translation import said

# Of the pairs of sides, this share must swap in the mirrored scan.
SWAPS_NEEDED: Final = 0.75


class ColipriContext(ScreeningContext):
    """A `ScreeningContext` of COLIPRI.

    Parameters
    ----------
    backend : LoadedColipri
    scan : PreparedScan
    tokens : Tensor [1, N, embed_dim]
    seconds : dict
    """

    def __init__(
        self,
        backend: LoadedColipri,
        scan: PreparedScan,
        tokens: Tensor,
        seconds: dict[str, float],
    ):
        self._backend = backend
        self.scan = scan
        self.vision_tokens = tokens
        self.seconds = seconds
        self.notes: tuple[str, ...] = ()
        self._swaps: tuple[int, int] | None = None

    @cached_property
    def embedding(self) -> Tensor:
        """The scan as one vector of length 1, in float32. [C]."""
        return self._pooled(self.vision_tokens)

    def scores(
        self, findings: Sequence[str] = (), *, cancel: threading.Event | None = None
    ) -> list[FindingScore]:
        """Compare the scan with the pair of texts of each finding.

        The margin is the cosine with the text that affirms the finding minus the cosine with the
        one that denies it.

        Raises
        ------
        ModelLoadError
            If the folder has no words to compare with.
        """
        self._need_words()
        rows = []
        blind = self._pooled(self._backend.air())
        for name in findings or FINDINGS:
            if cancel is not None and cancel.is_set():
                break
            no, yes = self._backend.text(pair(name))
            rows.append(
                FindingScore(
                    name,
                    margin=float(self.embedding @ (yes - no)),
                    baseline=float(blind @ (yes - no)),
                )
            )
        return rows

    def locate(self, finding: str) -> Evidence:
        """Return where the pair's margin is above its mean over the scan."""
        self._need_words()
        no, yes = self._backend.text(pair(finding))
        with torch.no_grad():
            image = self._backend.model.image_encoder
            dense = image.pooler.dense(image.project(self.vision_tokens))[0].float()
        margins = functional.normalize(dense, dim=-1) @ (yes - no)
        sizes, how = self._backend.processor.sizes, self._backend.processor.preparation
        above = (margins - margins.mean()).reshape((sizes.grid,) * 3).cpu().numpy()
        values = to_ipl(above, how.orientation)
        heat = HeatMap.from_attributions(values, self.scan.grid.token_affine)
        return Evidence.of(None, heat, self.scan.volume)

    def without_image(self) -> ColipriContext:
        """Return the context of a volume of air."""
        return ColipriContext(self._backend, self.scan, self._backend.air(), self.seconds)

    def checks(self, *, cancel: threading.Event | None = None) -> tuple[str, ...]:
        """Mirror the scan and see whether left and right swap, once for each scan.

        A folder whose `orientation` is not that of its weights fails here: the model then takes
        another axis for right and left.
        """
        if self._backend.processor.words is None:
            return ()
        try:
            swapped, asked = self.side_swaps(cancel)
        except EncodingStopped:
            return ()
        orientation = self._backend.processor.preparation.orientation
        line = f"Sides: with the scan mirrored, {swapped} of {asked} left/right texts swap."
        if swapped >= SWAPS_NEEDED * asked:
            return (f"{line} The model tells left from right here.",)
        return (
            f"{line} Do not trust a side: the model cannot tell them here, or the folder's "
            f"orientation {orientation} is not that of its weights.",
        )

    def side_swaps(self, cancel: threading.Event | None = None) -> tuple[int, int]:
        """Return how many pairs of left and right change sides with the mirrored scan, of all.

        Raises
        ------
        EncodingStopped
            If `cancel` was set before the end.
        """
        if self._swaps is None:
            axis = left_right_axis(self._backend.processor.preparation.orientation)
            mirrored = replace(self.scan, pixel_values=self.scan.pixel_values.flip(2 + axis))
            turned = self._pooled(self._backend.tokens_of(mirrored, cancel=cancel))
            swapped = 0
            for left, right in SIDES:
                a, b = self._backend.text((left, right))
                here, there = float(self.embedding @ (a - b)), float(turned @ (a - b))
                swapped += here * there < 0
            self._swaps = swapped, len(SIDES)
        return self._swaps

    def _pooled(self, tokens: Tensor) -> Tensor:
        with torch.no_grad():
            image = self._backend.model.image_encoder
            pooled = image.pooler(image.project(tokens))[0].float()
        return functional.normalize(pooled, dim=0)

    def _need_words(self) -> None:
        if self._backend.processor.words is None:
            raise ModelLoadError(
                said(
                    "{name}: the folder has no vocab.txt, so findings cannot be compared with "
                    "words; copy it from BiomedVLP-CXR-BERT-specialized, or train heads with "
                    "the stage probe",
                    name=self._backend.info.name,
                )
            )
