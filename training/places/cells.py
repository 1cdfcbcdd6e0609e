"""Cells of cached maps as rows: features, and whether a finding is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.backends.i3resnet.places.heat import IN_BODY
from napari_ct_assistant.training.places.features import PlaceFeatures

Floats = NDArray[np.float32]
Source = Literal["layer3", "layer4", "voxels"]

PRESENT: Final = 0.3  # share of a cell from which on a finding is there; of small findings, half
LEAST: Final = 0.002  # share of the fullest cell below which a finding is left out
KEPT: Final = 3  # one of so many cells without any finding is trained on
AROUND: Final = (12, 12, 6)  # voxels of the thumbnail about a cell: three cells each way


@dataclass(frozen=True, eq=False)
class Cells:
    """Rows for training.

    Attributes
    ----------
    features : float32 [rows, C]
    present : int8 [rows, findings]
        1 where a finding is, 0 where it is not, -1 at its edge.
    scan : int [rows]
        Number of the scan.
    """

    features: Floats
    present: NDArray[np.int8]
    scan: NDArray[np.intp]


def layer_of(source: Source) -> str:
    """Return the layer whose cells a source describes."""
    return "layer4" if source == "layer4" else "layer3"


def feature_map(scan: PlaceFeatures, source: Source) -> Floats:
    """Return the features of all cells. [x, y, z, C]; `voxels`: the input about each cell."""
    if source != "voxels":
        return scan.maps[source].astype(np.float32)
    counts = scan.body["layer3"].shape
    steps = [n // c for n, c in zip(scan.thumbnail.shape, counts, strict=True)]
    # A cell is centred on its multiple of the stride.
    pad = [(n // 2, n) for n in AROUND]
    padded = np.pad(scan.thumbnail.astype(np.float32), pad)
    windows = np.lib.stride_tricks.sliding_window_view(padded, AROUND)
    picked = windows[:: steps[0], :: steps[1], :: steps[2]]
    picked = picked[: counts[0], : counts[1], : counts[2]]
    return np.ascontiguousarray(picked).reshape(*counts, -1)


def presence(scan: PlaceFeatures, layer: str) -> NDArray[np.int8]:
    """Return for each cell whether a finding is there. [findings, x, y, z]."""
    cover = scan.cover[layer].astype(np.float32)
    most = cover.max(axis=(1, 2, 3), keepdims=True)
    there = (cover >= np.minimum(PRESENT, most / 2)) & (most > LEAST)
    return np.where(there, 1, np.where(cover > 0, -1, 0)).astype(np.int8)


def in_body(scan: PlaceFeatures, layer: str) -> NDArray[np.bool_]:
    """Return which cells lie in the body."""
    inside: NDArray[np.bool_] = scan.body[layer].astype(np.float32) >= IN_BODY
    return inside


def rows_of(files: Sequence[Path], source: Source, *, seed: int = 0) -> Cells:
    """Return the cells of several scans: all with a finding, and a share of the others."""
    rng = np.random.default_rng(seed)
    layer = layer_of(source)
    features, present, scans = [], [], []
    for number, file in enumerate(files):
        scan = PlaceFeatures.load(file)
        there = presence(scan, layer)
        keep = in_body(scan, layer)
        keep &= (rng.random(keep.shape) < 1 / KEPT) | (there == 1).any(axis=0)
        features.append(feature_map(scan, source)[keep])
        present.append(there[:, keep].T)
        scans.append(np.full(int(keep.sum()), number))
    return Cells(np.concatenate(features), np.concatenate(present), np.concatenate(scans))
