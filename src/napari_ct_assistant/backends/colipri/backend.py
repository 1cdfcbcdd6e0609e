"""The backend of COLIPRI."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from napari_ct_assistant.backends.colipri.context import ColipriContext
from napari_ct_assistant.backends.colipri.loaded_model import LoadedColipri
from napari_ct_assistant.backends.prepared_scan import (
    Capabilities,
    PreparedScan,
    Progress,
    View,
)
from napari_ct_assistant.backends.scan_notes import cut_note
from napari_ct_assistant.backends.screening import ScreeningBackend
from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.volume import CTVolume


@dataclass(frozen=True, eq=False)
class ColipriBackend(LoadedColipri, ScreeningBackend):
    """A `Backend` of COLIPRI."""

    @property
    def device(self) -> str:
        """Where the model is, such as "cpu" or "cuda:0"."""
        return str(self.model.device)

    @property
    def capabilities(self) -> Capabilities:
        """What the model can do; without words it can only encode."""
        speaks = self.processor.words is not None
        return Capabilities(
            labels={"": FINDINGS if speaks else ()},
            evidence="cosine of each place with the pair of texts" if speaks else "",
            needs_gpu=True,
            text=False,
            free_findings=speaks,
        )

    def prepare(self, volume: CTVolume, view: View) -> PreparedScan:
        """Make the model's input for a scan.

        Raises
        ------
        ValueError
            If a region of the body is asked for: every scan is read in the same way.
        """
        if view.region:
            raise ValueError(
                f"{self.info.name}: region is {view.region!r}; this model has no regions"
            )
        values, grid = self.processor.prepare_volume(volume, centre=view.centre)
        note = cut_note(volume, grid)
        return PreparedScan(volume, values, grid, notes=(note,) if note else ())

    def encode(
        self,
        scan: PreparedScan,
        *,
        progress: Progress | None = None,
        cancel: threading.Event | None = None,
    ) -> ColipriContext:
        """Run the image encoder over a scan.

        Raises
        ------
        EncodingStopped
            If `cancel` was set before the end.
        """
        start = time.perf_counter()
        tokens = self.tokens_of(scan, progress, cancel)
        return ColipriContext(self, scan, tokens, {"encode": time.perf_counter() - start})
