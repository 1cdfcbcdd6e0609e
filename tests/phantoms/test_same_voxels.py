"""The renderer draws what it drew when the demonstration model was trained, on any threads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from napari_ct_assistant.phantoms import make_phantom

# Every 16th voxel along each axis of phantoms that were drawn before slices went to threads.
SAMPLED = Path(__file__).parent / "sampled_voxels.npz"
MANY = [
    "Pleural effusion", "Interlobular septal thickening", "Peribronchial thickening",
    "Bronchiectasis", "Cardiomegaly", "Lung nodule", "Emphysema", "Consolidation",
]  # fmt: skip


@pytest.mark.parametrize(("seed", "findings"), [(0, None), (34, None), (5, MANY)])
def test_voxels_are_those_of_the_training_phantoms(seed: int, findings: list[str] | None) -> None:
    """Another processor rounds otherwise: a few voxels may differ by 1 HU."""
    with np.load(SAMPLED) as kept:
        before = kept[f"{seed} many" if findings else str(seed)].astype(int)
    hu = make_phantom(seed, findings=findings).volume.hu[::16, ::16, ::16]
    off = np.abs(hu - before)
    assert off.max() <= 1
    assert (off > 0).mean() < 0.01


def test_one_thread_and_several_draw_the_same() -> None:
    several = make_phantom(34)
    with threadpool_limits(1, user_api="blas"):
        one = make_phantom(34)
    assert np.array_equal(several.volume.hu, one.volume.hu)
    assert several.findings == one.findings
    for name, mask in several.masks.items():
        assert np.array_equal(mask, one.masks[name])
