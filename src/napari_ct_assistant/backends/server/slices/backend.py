"""The backend of a slice model on a server."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Final

from napari_ct_assistant.backends.protocol import (
    Capabilities,
    EncodingStopped,
    PreparedScan,
    Progress,
    View,
)
from napari_ct_assistant.backends.server.slices.context import ServedSlicesContext
from napari_ct_assistant.backends.server.slices.served_model import ServedSliceModel
from napari_ct_assistant.backends.settings import GenerationSettings
from napari_ct_assistant.backends.slice_model.preparation import prepare
from napari_ct_assistant.support.translation import said
from napari_ct_assistant.volume import CTVolume

NO_EVIDENCE: Final = (
    "This model runs on a server, which gives no gradients: its sentences have no links to places "
    "in the scan, and no support."
)


class ServedSlicesBackend(ServedSliceModel):
    """A `Backend`: slices are rendered here, and a server answers."""

    @property
    def model(self) -> None:
        """The network: there is none here."""
        return

    @property
    def processor(self) -> None:
        """The server has it."""
        return

    @property
    def device(self) -> str:
        """Where the model is."""
        return self.client.address.origin

    @property
    def capabilities(self) -> Capabilities:
        """What the model can do."""
        preset = self.preset
        return Capabilities(
            body_regions=preset.regions,
            labels={region: preset.labels(region) for region in preset.regions},
            follow_ups=True,
            drawn_regions=True,
            remote=True,
            slices=True,
        )

    def with_settings(self, settings: GenerationSettings) -> ServedSlicesBackend:
        """Return the same model with other settings."""
        return replace(self, settings=settings)

    def prepare(self, volume: CTVolume, view: View) -> PreparedScan:
        """Choose and render slices, once it is agreed that they may be sent.

        Raises
        ------
        ValueError
            If there is no such region, or the range does not lie within the scan.
        """
        self.check_agreed()
        scan = prepare(volume, self.preset, view)
        return replace(scan, notes=(*scan.notes, NO_EVIDENCE))

    def encode(
        self,
        scan: PreparedScan,
        *,
        progress: Progress | None = None,
        cancel: threading.Event | None = None,
    ) -> ServedSlicesContext:
        """Return the scan as the server gets it; nothing is sent yet."""
        if progress is not None:
            progress("Rendering the slices")
        if cancel is not None and cancel.is_set():
            raise EncodingStopped(said("stopped before the slices were rendered"))
        return ServedSlicesContext(self, scan)

    def finding_question(self, finding: str) -> str:
        """Return the question whether a finding is there."""
        return self.preset.screen_question(finding)

    def close(self) -> None:
        """Close the connection."""
        self.client.close()
