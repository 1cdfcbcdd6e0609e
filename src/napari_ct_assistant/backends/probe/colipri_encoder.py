"""COLIPRI's image encoder under heads."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from napari_ct_assistant.backends.colipri.backend import ColipriBackend
from napari_ct_assistant.backends.colipri.configuration import IMAGE, MODEL_TYPE, TEMPERATURE
from napari_ct_assistant.backends.colipri.loading import load
from napari_ct_assistant.backends.colipri.preparation import AIR, to_ipl
from napari_ct_assistant.backends.prepared_scan import PreparedScan, Progress, View
from napari_ct_assistant.backends.probe.scan_encoder import Affine, ScanEncoder
from napari_ct_assistant.model.folder import write_hashes
from napari_ct_assistant.volume import CTVolume


class ColipriEncoder(ScanEncoder):
    """The trunk's tokens, before the projection to text."""

    def __init__(self, backend: ColipriBackend):
        self._backend = backend
        self.name = backend.info.name
        self.network = backend.model.image_encoder
        self.trained_on = backend.info.trained_on

    def prepare(self, volume: CTVolume, view: View) -> PreparedScan:
        """Make the input of a scan."""
        return self._backend.prepare(volume, view)

    def tokens(
        self,
        pixel_values: Tensor,
        progress: Progress | None = None,
        cancel: threading.Event | None = None,
    ) -> Tensor:
        """Return the trunk's tokens. [N, C]."""
        return self._backend.tokens(pixel_values, progress, cancel)[0].float()

    def air(self) -> Tensor:
        """Return a cube of air."""
        return torch.full((1, 1, *[self._backend.processor.sizes.input_size] * 3), AIR)

    def on_scan(self, values: NDArray[Any], scan: PreparedScan) -> tuple[NDArray[Any], Affine]:
        """Turn the cube's axes into the volume's."""
        sizes, how = self._backend.processor.sizes, self._backend.processor.preparation
        cube = values.reshape((sizes.grid,) * 3)
        return to_ipl(cube, how.orientation), scan.grid.token_affine

    def save(self, folder: Path) -> None:
        """Write the image side, which loads as a COLIPRI without words."""
        folder.mkdir(parents=True)
        sizes, how = self._backend.processor.sizes, self._backend.processor.preparation
        config = {
            "model_type": MODEL_TYPE,
            "image_encoder": {"num_heads": sizes.num_heads, "pooler_heads": sizes.pooler_heads},
            "preprocessing": {
                "orientation": how.orientation,
                "spacing": how.spacing,
                "input_size": how.input_size,
            },
        }
        (folder / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
        tensors = {
            key: tensor.contiguous().cpu()
            for key, tensor in self._backend.model.state_dict().items()
            if key.startswith(IMAGE) or key == TEMPERATURE
        }
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        write_hashes(folder)


def load_colipri_encoder(
    folder: Path, name: str, *, device: str | None = None, dtype: str | None = None
) -> ColipriEncoder:
    """Load the encoder of a COLIPRI folder."""
    return ColipriEncoder(load(folder, name, device=device, dtype=dtype))
