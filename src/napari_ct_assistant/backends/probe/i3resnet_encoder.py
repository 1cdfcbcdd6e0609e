"""The encoder of Merlin and Astra under heads."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from napari_ct_assistant.backends.i3resnet.backend import I3ResNetBackend, load
from napari_ct_assistant.backends.i3resnet.input.chains import CHAINS
from napari_ct_assistant.backends.i3resnet.network.sizes import CLASSIFIER, CONTRASTIVE, is_counter
from napari_ct_assistant.backends.i3resnet.places.cells import cell_affine, cell_counts
from napari_ct_assistant.backends.i3resnet.places.heat import along_the_volume
from napari_ct_assistant.backends.prepared_scan import PreparedScan, Progress, View
from napari_ct_assistant.backends.probe.scan_encoder import Affine, ScanEncoder
from napari_ct_assistant.model.folder import write_hashes
from napari_ct_assistant.volume import CTVolume

LAYER: Final = "layer4"  # whose mean the published heads read


class I3ResNetEncoder(ScanEncoder):
    """The places of the last layer's map, x fastest but for y."""

    regions = CHAINS

    def __init__(self, backend: I3ResNetBackend):
        self._backend = backend
        self.name = backend.info.name
        self.network = backend.encoder.network
        self.trained_on = backend.info.trained_on

    def prepare(self, volume: CTVolume, view: View) -> PreparedScan:
        """Make the input of a scan by the chain of a region."""
        return self._backend.prepare(volume, view)

    def tokens(
        self,
        pixel_values: Tensor,
        progress: Progress | None = None,
        cancel: threading.Event | None = None,
    ) -> Tensor:
        """Return the vectors of the last map, in the order (z, x, y). [N, C]."""
        maps = self._backend.encoder.encode(pixel_values, progress=progress, cancel=cancel)
        return maps.layer4[0].flatten(1).T.float()

    def air(self) -> Tensor:
        """Return a box of air."""
        return torch.zeros(1, 1, *self._backend.encoder.settings.size)

    def on_scan(self, values: NDArray[Any], scan: PreparedScan) -> tuple[NDArray[Any], Affine]:
        """Turn the map's axes into the volume's."""
        x, y, z = cell_counts(self._backend.encoder.settings.size, LAYER)
        cells = values.reshape(z, x, y).transpose(1, 2, 0)
        return along_the_volume(cells, cell_affine(scan.details["input_affine"], LAYER))

    def save(self, folder: Path) -> None:
        """Write the network as it was published, without its own heads."""
        folder.mkdir(parents=True)
        content = json.dumps(self._backend.encoder.settings.to_json(), indent=2) + "\n"
        (folder / "config.json").write_text(content, encoding="utf-8")
        # In memory the batch norms are folded into the convolutions; the files have both.
        tensors = dict(self._stored())
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        write_hashes(folder)

    def _stored(self) -> Iterator[tuple[str, Tensor]]:
        for file in self._backend.info.files:
            with safe_open(file, framework="pt") as stream:
                for key in stream.keys():  # noqa: SIM118  it is no mapping
                    if key.split(".")[0] not in (CLASSIFIER, CONTRASTIVE) and not is_counter(key):
                        yield key, stream.get_tensor(key)


def load_i3resnet_encoder(
    folder: Path, name: str, *, device: str | None = None, dtype: str | None = None
) -> I3ResNetEncoder:
    """Load the encoder of an imported folder of Merlin or Astra's backbone."""
    return I3ResNetEncoder(load(folder, name, device=device, dtype=dtype))
