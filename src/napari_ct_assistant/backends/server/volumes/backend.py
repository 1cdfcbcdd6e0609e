"""The backend of a volume model whose language model is on a server."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from napari_ct_assistant.backends.protocol import Capabilities, ImageContext, PreparedScan, View
from napari_ct_assistant.backends.server.volumes.context import ServedVolumeContext
from napari_ct_assistant.backends.server.volumes.served_model import ServedVolumeModel
from napari_ct_assistant.backends.volume_language.backend import VolumeLanguageBackend
from napari_ct_assistant.volume import CTVolume

NO_EVIDENCE = (
    "This model runs on a server, which gives no gradients: its sentences have no links to places "
    "in the scan, and no support."
)


class ServedVolumeBackend(VolumeLanguageBackend, ServedVolumeModel):
    """A `Backend`: the scan is encoded here, and a server answers."""

    @property
    def device(self) -> str:
        """Where the two halves are."""
        return f"{self.client.address.origin}, encoder on {self.model.device}"

    @property
    def capabilities(self) -> Capabilities:
        """What the model can do."""
        return replace(super().capabilities, evidence="", remote=True)

    def prepare(self, volume: CTVolume, view: View) -> PreparedScan:
        """Make the model's input, once it is agreed that it may be sent."""
        self.check_agreed()
        return super().prepare(volume, view)

    def context(
        self,
        scan: PreparedScan,
        vision_tokens: Tensor,
        image_tokens: Tensor,
        notes: tuple[str, ...],
    ) -> ImageContext:
        """Return the context of an encoded scan."""
        return ServedVolumeContext(self, scan, vision_tokens, image_tokens, (*notes, NO_EVIDENCE))

    def close(self) -> None:
        """Close the connection."""
        self.client.close()
