"""The backend of Astra."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import torch

from napari_ct_assistant.backends.astra.image_context import AstraContext
from napari_ct_assistant.backends.astra.prompts import ABDOMEN, CHAIN, CHEST, REGIONS
from napari_ct_assistant.backends.i3resnet.encoder import Encoder
from napari_ct_assistant.backends.i3resnet.grid import FIXED_BOX, input_grid
from napari_ct_assistant.backends.prepared_scan import Capabilities, PreparedScan, Progress, View
from napari_ct_assistant.backends.scan_notes import cut_note
from napari_ct_assistant.backends.volume_language.backend import VolumeLanguageBackend
from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.volume import CTVolume
from napari_ct_assistant.volume.body_region import body_region

if TYPE_CHECKING:
    from napari_ct_assistant.backends.i3resnet.folder import EncoderSettings


class AstraBackend(VolumeLanguageBackend):
    """A `Backend` of Astra; `model` is an `AstraModel`."""

    @property
    def encoder(self) -> Encoder:
        """The image encoder."""
        network: Any = self.model
        settings: EncoderSettings = network.encoder_settings
        return Encoder(network.vision_tower, settings)

    @property
    def capabilities(self) -> Capabilities:
        """Reports by region; its 32 image tokens stand for no places."""
        return Capabilities(
            body_regions=REGIONS, labels=dict.fromkeys(REGIONS, FINDINGS), needs_gpu=True
        )

    def prepare(self, volume: CTVolume, view: View) -> PreparedScan:
        """Make the encoder's input for a region.

        Raises
        ------
        ValueError
            If there is no such region.
        """
        if view.region and view.region not in REGIONS:
            raise ValueError(
                f"{self.info.name}: region is {view.region!r}; give one of {', '.join(REGIONS)}"
            )
        shown, why = body_region(volume)
        region = view.region or (ABDOMEN if shown == ABDOMEN else CHEST)
        made = self.encoder.prepare(volume, CHAIN[region])
        grid = input_grid(made)
        notes = (
            cut_note(volume, grid) if CHAIN[region] == ABDOMEN else "",
            "" if view.centre is None else FIXED_BOX,
        )
        reason = "" if view.region else why or "the region that most of the training shows"
        return PreparedScan(
            volume,
            torch.from_numpy(made.values)[None, None],
            grid,
            region=region,
            default_region=reason,
            notes=tuple(filter(None, notes)),
        )

    def encode(
        self,
        scan: PreparedScan,
        *,
        progress: Progress | None = None,
        cancel: threading.Event | None = None,
    ) -> AstraContext:
        """Run encoder and perceiver over a scan, and fill the prefix cache.

        Raises
        ------
        EncodingStopped
            If `cancel` was set before the end.
        """
        start = time.perf_counter()
        maps = self.encoder.encode(scan.pixel_values, progress=progress, cancel=cancel)
        tokens = maps.layer4.flatten(2).transpose(1, 2)
        with torch.no_grad():
            image = self.model.get_image_features(vision_tokens=tokens)
        encoded = time.perf_counter()
        context = AstraContext(self, scan, tokens, image)
        context.seconds = {"encode": encoded - start, "prefix": time.perf_counter() - encoded}
        return context
