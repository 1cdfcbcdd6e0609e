"""The two chains from a scan to the encoder's input."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_ct_assistant import CTVolume
from napari_ct_assistant.backends.i3resnet.input.chains import make_input, on_input_grid


def random_volume(shape: tuple[int, int, int], spacing: tuple[float, ...]) -> CTVolume:
    rng = np.random.default_rng(0)
    hu = rng.integers(-900, 900, shape).astype(np.int16)
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2] = -spacing[0], -spacing[1], -spacing[2]
    affine[3, 3] = 1.0
    return CTVolume(hu=hu, affine=affine)


def test_chest_is_cropped_averaged_and_scaled_in_ras_axes() -> None:
    volume = random_volume((31, 40, 37), (2.0, 1.0, 1.0))
    volume.hu[:3] = -1000  # an empty upper end, and an empty left edge
    volume.hu[:, :, -5:] = -1024
    made = make_input(volume, "chest", size=(16, 48, 20))
    part = volume.hu[3:, :, :-5].transpose(2, 1, 0)[::-1, ::-1, ::-1].astype(np.float32)
    area = torch.nn.functional.adaptive_avg_pool3d(
        torch.from_numpy(part.copy())[None], (16, 48, 20)
    )
    expected = ((area[0] + 1000) / 1200).clamp(0, 1).numpy()
    np.testing.assert_allclose(made.values, expected, atol=1e-5)
    # The outer corners of the input are those of the box.
    first, last = ((made.affine @ [*at, 1])[:3] for at in ((-0.5,) * 3, (15.5, 47.5, 19.5)))
    box = [(volume.affine @ [*at, 1])[:3] for at in ((30.5, 39.5, 31.5), (2.5, -0.5, -0.5))]
    np.testing.assert_allclose([first, last], box, atol=1e-9)


def test_a_mask_lies_where_the_scan_lies() -> None:
    volume = random_volume((31, 40, 37), (2.0, 1.0, 1.0))
    volume.hu[:] = -800
    volume.hu[8:14, 5:9, 20:30] = 2000
    made = make_input(volume, "chest", size=(24, 20, 16))
    share = on_input_grid(volume.hu > 0, volume, (24, 20, 16))
    assert share.max() == pytest.approx(1, abs=1e-6)
    np.testing.assert_array_equal(made.values > 0.17, share > 0.001)


@pytest.mark.parametrize(("n", "want"), [(41, 30), (40, 31), (17, 30), (18, 31), (30, 30)])
def test_abdomen_is_cropped_and_padded_at_the_centre(n: int, want: int) -> None:
    """MONAI pads the odd voxel behind, and crops from n // 2 - want // 2."""
    volume = random_volume((n, n, n), (3.0, 1.5, 1.5))
    made = make_input(volume, "abdomen", size=(want,) * 3)
    turned = volume.hu.transpose(2, 1, 0)[::-1, ::-1, ::-1].astype(np.float32)
    scaled = np.clip((turned + 1000) / 2000, 0, 1)
    before = max(0, want - n) // 2
    padded = np.pad(scaled, [(before, max(0, want - n) - before)] * 3)
    start = len(padded) // 2 - want // 2
    expected = padded[(slice(start, start + want),) * 3]
    np.testing.assert_allclose(made.values, expected, atol=1e-6)
    at = np.argwhere(made.values == made.values.max())[0]
    index = np.linalg.inv(volume.affine) @ made.affine @ [*at, 1]
    value = volume.hu[tuple(np.round(index[:3]).astype(int))]
    assert made.values[tuple(at)] == pytest.approx((value + 1000) / 2000, abs=1e-6)


def test_an_empty_scan_is_kept_whole() -> None:
    volume = CTVolume(np.full((8, 8, 8), -1024, np.int16), np.diag([-1.0, -1, -1, 1])[[2, 1, 0, 3]])
    assert make_input(volume, "chest", size=(4, 4, 4)).values.max() == 0


def test_an_unknown_chain() -> None:
    with pytest.raises(ValueError, match="chain is 'head'; give one of chest, abdomen"):
        make_input(random_volume((4, 4, 4), (1.0, 1.0, 1.0)), "head")
