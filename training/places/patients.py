"""Phantoms as real scans frame them: more field around the body, fewer slices.

A phantom always fills the same field of view. The input of the chain "chest" is stretched from
what is above -1000 HU, so its scale depends on the field of a scan.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.phantoms.phantom import make_phantom
from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.volume import CTVolume

TRAINING_SEEDS: Final = range(1_900_000, 2_000_000)
UNSEEN_SEEDS: Final = range(400_000, 500_000)
SHARE: Final = 0.35  # of phantoms that show a finding, each independently
WIDEST: Final = 1.3  # of the phantom's field
SHORTEST: Final = 0.8  # of its slices

Masks = dict[str, NDArray[np.bool_]]


def framed_phantom(seed: int) -> tuple[CTVolume, Masks]:
    """Return a phantom's scan and the mask of each finding that it shows.

    The seed decides the patient, the findings, and the frame.
    """
    rng = np.random.default_rng([seed, 0x70_6C_61])
    shown = [name for name in FINDINGS if rng.random() < SHARE]
    phantom = make_phantom(seed, findings=shown, resolution="reading")
    depth, height, width = phantom.volume.shape
    kept = round(depth * rng.uniform(SHORTEST, 1.0))
    first = int(rng.integers(0, depth - kept + 1))
    slices = slice(first, first + kept)
    wide = rng.uniform(1.0, WIDEST)
    sides = [round(n * (wide - 1)) for n in (height, width)]
    before = [int(rng.integers(0, n + 1)) for n in sides]
    pad = [(0, 0), *((b, n - b) for b, n in zip(before, sides, strict=True))]
    hu = np.pad(phantom.volume.hu[slices], pad, constant_values=np.int16(0))
    inner = (slice(None), *(slice(b, b + n) for b, n in zip(before, (height, width), strict=True)))
    outside = np.ones(hu.shape, dtype=bool)
    outside[inner] = False
    # The air of the phantom's own corner: its noise goes on.
    air = phantom.volume.hu[slices, :20, :20].ravel()
    hu[outside] = rng.choice(air, int(outside.sum()))
    affine = phantom.volume.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ np.array([first, -before[0], -before[1]], dtype=np.float64)
    masks = {name: np.pad(mask[slices], pad) for name, mask in phantom.masks.items()}
    volume = CTVolume(hu=hu, affine=affine, series=phantom.volume.series)
    return volume, {name: mask for name, mask in masks.items() if mask.any()}
