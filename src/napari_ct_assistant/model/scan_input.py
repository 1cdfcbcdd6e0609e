"""From a scan to the input box of a vision transformer."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from napari_ct_assistant.volume import CTVolume, ModelGrid, prepare, prepare_minmax

Triple = tuple[int, int, int]


class ScanPreparation(Protocol):
    """How scans are prepared; `VolumeLanguageProcessor` describes the attributes."""

    @property
    def image_size(self) -> Triple: ...  # noqa: D102
    @property
    def patch_size(self) -> Triple: ...  # noqa: D102
    @property
    def preparation(self) -> str: ...  # noqa: D102
    @property
    def spacing(self) -> tuple[float, ...]: ...  # noqa: D102
    @property
    def hu_range(self) -> tuple[float, float]: ...  # noqa: D102
    @property
    def value_range(self) -> tuple[float, float]: ...  # noqa: D102
    @property
    def antialias(self) -> bool: ...  # noqa: D102


def prepare_volume(volume: CTVolume, how: ScanPreparation) -> tuple[Tensor, ModelGrid]:
    """Return the input of a scan.

    Returns
    -------
    pixel_values : Tensor [1, 1, D, H, W]
    grid : ModelGrid
        Where the input lies in the scan.
    """
    if how.preparation == "minmax":
        values, grid = prepare_minmax(volume, shape=how.image_size, patch=how.patch_size)
    else:
        grid = ModelGrid.centred(
            volume, shape=how.image_size, spacing=how.spacing, patch=how.patch_size
        )
        values = prepare(
            volume,
            grid,
            hu_range=how.hu_range,
            out_range=how.value_range,
            antialias=how.antialias,
        )
    return torch.from_numpy(np.ascontiguousarray(values))[None, None], grid
