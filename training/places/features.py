"""What a frozen encoder makes of a phantom, with the share of each cell that a finding covers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_ct_assistant.backends.i3resnet.input.chains import (
    CHEST,
    SIZE,
    EncoderInput,
    input_hu,
    make_input,
    on_input_grid,
)
from napari_ct_assistant.backends.i3resnet.network.modeling import I3ResNet
from napari_ct_assistant.backends.i3resnet.places.cells import LAYERS, cell_means
from napari_ct_assistant.backends.i3resnet.places.masks import find_body
from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.support import atomic
from napari_ct_assistant.training.places.patients import Masks
from napari_ct_assistant.volume import CTVolume

Half = NDArray[np.float16]
POOLED = (4, 4, 4)  # voxels of the input for one of the thumbnail


@dataclass(frozen=True, eq=False)
class PlaceFeatures:
    """Maps and truth of one scan, by layer; axes (x, y, z) as the input's.

    Attributes
    ----------
    maps : {layer: float16 [x, y, z, C]}
    body, lung : {layer: float16 [x, y, z]}
        Share of each cell.
    cover : {layer: float16 [findings, x, y, z]}
        Share of each cell that a finding covers, in the order of `FINDINGS`.
    thumbnail : float16 [x, y, z]
        The input itself, coarser: what the probes on raw voxels read.
    """

    maps: dict[str, Half]
    body: dict[str, Half]
    lung: dict[str, Half]
    cover: dict[str, Half]
    thumbnail: Half

    def save(self, file: Path) -> None:
        """Write one file, completely or not at all."""
        arrays: dict[str, Any] = {"thumbnail": self.thumbnail}
        for kind in ("maps", "body", "lung", "cover"):
            arrays |= {f"{kind}.{layer}": one for layer, one in getattr(self, kind).items()}
        with atomic.replacing(file) as part, part.open("wb") as stream:
            np.savez(stream, **arrays)

    @classmethod
    def load(cls, file: Path) -> PlaceFeatures:
        """Read a file of `save`."""
        with np.load(file) as arrays:
            maps, body, lung, cover = (
                {layer: arrays[f"{kind}.{layer}"] for layer in LAYERS}
                for kind in ("maps", "body", "lung", "cover")
            )
            return cls(maps, body, lung, cover, arrays["thumbnail"])


def encode(network: I3ResNet, values: EncoderInput) -> dict[str, NDArray[np.float32]]:
    """Return the maps of an input by layer, [x, y, z, C]."""
    with torch.no_grad():
        maps = network(torch.from_numpy(values.values)[None, None])
    return {
        layer: getattr(maps, layer)[0].permute(2, 3, 1, 0).contiguous().float().numpy()
        for layer in LAYERS
    }


def features_of(network: I3ResNet, volume: CTVolume, masks: Masks) -> PlaceFeatures:
    """Return the features of a scan whose findings have masks [I, P, L]."""
    made = make_input(volume, CHEST)
    maps = encode(network, made)
    body = find_body(input_hu(made.values, CHEST))
    covers = {
        FINDINGS.index(name): on_input_grid(mask, volume, SIZE) for name, mask in masks.items()
    }
    cover = {}
    for layer in LAYERS:
        x, y, z, _ = maps[layer].shape
        cover[layer] = np.zeros((len(FINDINGS), x, y, z), np.float16)
        for number, share in covers.items():
            cover[layer][number] = cell_means(share, layer)
    i, j, k = POOLED
    a, b, c = (n // step for n, step in zip(SIZE, POOLED, strict=True))
    small = made.values.reshape(a, i, b, j, c, k).mean(axis=(1, 3, 5))
    return PlaceFeatures(
        {layer: one.astype(np.float16) for layer, one in maps.items()},
        {layer: cell_means(body.body, layer).astype(np.float16) for layer in LAYERS},
        {layer: cell_means(body.lung, layer).astype(np.float16) for layer in LAYERS},
        cover,
        small.astype(np.float16),
    )
