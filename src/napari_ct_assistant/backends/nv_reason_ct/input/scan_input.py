"""What makes the encoder's input of a scan; it needs no text."""

from __future__ import annotations

import weakref

import torch
from torch import Tensor

from napari_ct_assistant.backends.heat_map import PointRAS
from napari_ct_assistant.backends.nv_reason_ct.input import preparation
from napari_ct_assistant.backends.nv_reason_ct.input.region_choice import (
    chosen_region,
    region_notes,
)
from napari_ct_assistant.backends.nv_reason_ct.network.configuration import EncoderSizes
from napari_ct_assistant.backends.prepared_scan import PreparedScan
from napari_ct_assistant.volume import CTVolume, ModelGrid


class ScanInput:
    """Prepares scans for an encoder.

    Parameters
    ----------
    sizes : EncoderSizes
    pixdim : three floats, mm
        Spacing (x, y, z) of the model's grid.
    """

    def __init__(self, sizes: EncoderSizes, pixdim: tuple[float, float, float]):
        self.sizes = sizes
        self.pixdim = pixdim
        self._kept: tuple[weakref.ref[CTVolume], preparation.GridScan] | None = None

    @property
    def num_image_tokens(self) -> int:
        """Tokens of one volume."""
        return self.sizes.num_tokens

    def prepare(
        self, volume: CTVolume, *, region: str = "", centre: PointRAS | None = None
    ) -> PreparedScan:
        """Return the model's input for a scan, where it lies, and what is to be known about it.

        Parameters
        ----------
        volume : CTVolume
        region : {"", "chest", "abdomen", "none"}
            "none" takes the middle of the scan; "" chooses by the scan's description or the lungs.
        centre : (x, y, z), optional
            RAS mm of the input's centre, instead of where the region puts it.
        """
        x, y, z = self.sizes.input_shape[::-1]
        scan = self._on_grid(volume, (x, y, z))
        chosen, reason = (region, "") if region else chosen_region(volume, scan.lungs)
        if centre is None:
            start, missed = preparation.crop_start(scan, (x, y, z), chosen)
        else:
            start, missed = preparation.crop_start_at(scan, (x, y, z), centre), False
        values = preparation.model_input(scan, start, (x, y, z))
        grid = ModelGrid(
            self.sizes.input_shape, self.sizes.patch_size, preparation.crop_affine(scan, start)
        )
        return PreparedScan(
            volume,
            torch.from_numpy(values)[None, None],
            grid,
            region=chosen,
            default_region=reason,
            notes=region_notes(scan, start, (x, y, z), chosen, reason, missed=missed),
            details={
                "padded_shape_xyz": tuple(scan.hu.shape),
                "crop_start_xyz": start,
                "body_z_min": scan.lungs.body_z_min,
                "lung_z_min": scan.lungs.lung_z_min,
                "lung_z_max": scan.lungs.lung_z_max,
                "lungs_missed": missed,
            },
        )

    def _on_grid(self, volume: CTVolume, size: tuple[int, int, int]) -> preparation.GridScan:
        """Return a scan on the grid; kept for the volume used last, whose box may be moved."""
        kept = self._kept
        if kept is None or kept[0]() is not volume:
            kept = (weakref.ref(volume), preparation.on_grid(volume, self.pixdim, size))
            self._kept = kept
        return kept[1]

    def prepare_volume(
        self, volume: CTVolume, *, region: str = "", centre: PointRAS | None = None
    ) -> tuple[Tensor, ModelGrid]:
        """Return the model's input [1, 1, T, H, W] for a scan, and where it lies."""
        prepared = self.prepare(volume, region=region, centre=centre)
        return prepared.pixel_values, prepared.grid
