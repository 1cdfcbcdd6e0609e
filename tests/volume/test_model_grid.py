"""The model's box: the same tensor however a patient is stored, and back again."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_ct_assistant.volume import CTVolume, ModelGrid, open_ct, prepare, prepare_minmax

BOX = {"shape": (16, 24, 24), "patch": (4, 8, 8)}


def make_volume(shape: tuple[int, int, int], turn: float = 0.0) -> CTVolume:
    rng = np.random.default_rng(1)
    hu = rng.integers(-1000, 1000, shape).astype(np.int16)
    c, s = np.cos(turn), np.sin(turn)
    spin = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.array(
        [[1, 0, 0], [0, c, -s], [0, s, c]]
    )
    affine = np.eye(4)
    affine[:3, :3] = spin @ np.array([[0, 0, -0.7], [0, -0.8, 0], [-2.5, 0, 0]])
    affine[:3, 3] = (31, -17, 250)
    return CTVolume(hu, affine)


@pytest.mark.parametrize("turn", [0.0, 0.3])
def test_same_tensor_in_any_storage_orientation(tmp_path: Path, turn: float) -> None:
    volume = make_volume((20, 30, 28), turn)
    tensors = []
    for codes in ("RAS", "LPS", "IPL", "SAR", "PIR", "LIA"):
        image = nib.Nifti2Image(volume.hu, volume.affine).as_reoriented(
            nib.orientations.ornt_transform(
                nib.io_orientation(volume.affine), nib.orientations.axcodes2ornt(codes)
            )
        )
        nib.save(image, tmp_path / f"{codes}.nii")
        stored = open_ct(tmp_path / f"{codes}.nii")
        assert stored.orientation == codes
        grid = ModelGrid.centred(stored, spacing=(3, 1.5, 1.5), **BOX)
        tensors.append(prepare(stored, grid))
        if len(tensors) == 1:
            centres = grid.token_centres_ras()
        np.testing.assert_allclose(grid.token_centres_ras(), centres, atol=1e-9)
    for tensor in tensors[1:]:
        np.testing.assert_allclose(tensor, tensors[0], atol=1e-6)
    assert np.ptp(tensors[0]) > 0.5


def reference(volume: CTVolume, grid: ModelGrid) -> NDArray[np.float64]:
    """Trilinear interpolation written out, one voxel at a time."""
    from scipy.ndimage import map_coordinates

    index = np.indices(grid.shape).reshape(3, -1).T
    ras = index @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    where = volume.ras_to_index(ras)
    size = np.array(volume.shape)
    inside = ((where >= -0.5 - 1e-6) & (where <= size - 0.5 + 1e-6)).all(axis=1)
    values = map_coordinates(
        volume.hu.astype(float), np.clip(where, 0, size - 1).T, order=1, mode="nearest"
    )
    return np.where(inside, (np.clip(values, -1000, 1000) + 1000) / 2000, 0).reshape(grid.shape)


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(*(st.integers(1, 26) for _ in range(3))),
    spacing=st.tuples(*(st.floats(0.3, 6) for _ in range(3))),
    turn=st.floats(-0.6, 0.6),
)
def test_prepare_is_trilinear(
    shape: tuple[int, int, int], spacing: tuple[float, float, float], turn: float
) -> None:
    volume = make_volume(shape, turn)
    for grid in (
        ModelGrid.centred(volume, spacing=spacing, **BOX),
        ModelGrid.stretched(volume, **BOX),
    ):
        np.testing.assert_allclose(prepare(volume, grid), reference(volume, grid), atol=2e-6)


def test_identity_is_exact() -> None:
    volume = make_volume((16, 24, 24))
    grid = ModelGrid.centred(volume, spacing=volume.spacing, **BOX)
    np.testing.assert_allclose(
        prepare(volume, grid, out_range=(-1000, 1000)), volume.hu, atol=1e-3, rtol=0
    )
    np.testing.assert_allclose(grid.affine, volume.affine, atol=1e-9)


def test_ranges_and_padding() -> None:
    volume = make_volume((4, 4, 4))
    grid = ModelGrid.centred(volume, spacing=(2.5, 0.8, 0.7), **BOX)
    tensor = prepare(volume, grid, hu_range=(-100, 300), out_range=(-1, 1))
    assert tensor.dtype == np.float32
    assert tensor.shape == BOX["shape"]
    assert tensor[0, 0, 0] == -1
    inner = tensor[6:10, 10:14, 10:14]
    want = (np.clip(volume.hu.astype(float), -100, 300) + 100) / 200 - 1
    np.testing.assert_allclose(inner, want, atol=1e-5)
    assert np.count_nonzero(tensor != -1) == np.count_nonzero(want > -1)


def test_far_away_box_is_padding() -> None:
    volume = make_volume((4, 4, 4))
    grid = ModelGrid.centred(volume, spacing=(2, 2, 2), **BOX)
    away = grid.affine.copy()
    away[2, 3] += 1000
    assert not prepare(volume, ModelGrid(grid.shape, grid.patch, away)).any()


def test_antialias_equals_torch() -> None:
    torch = pytest.importorskip("torch")
    volume = make_volume((16, 60, 53))
    grid = ModelGrid.stretched(volume, shape=(16, 24, 16), patch=(4, 8, 8))
    tensor = prepare(volume, grid, antialias=True)
    want = torch.nn.functional.interpolate(
        torch.from_numpy(volume.hu.astype(np.float32))[None],
        size=(24, 16),
        mode="bilinear",
        antialias=True,
        align_corners=False,
    )[0].numpy()
    np.testing.assert_allclose(tensor, (want + 1000) / 2000, atol=2e-6)


def test_minmax_equals_torch() -> None:
    torch = pytest.importorskip("torch")
    volume = make_volume((20, 30, 28))
    volume.hu[:3], volume.hu[:, :, 25:], volume.hu[:, -2:] = -1024, -1024, -1024
    tensor, grid = prepare_minmax(volume, shape=(8, 32, 32), patch=(4, 16, 16))
    part = volume.hu[3:, :28, :25].astype(np.float32)
    low, high = volume.hu.min(), volume.hu.max()
    want = torch.nn.functional.interpolate(
        torch.from_numpy((part - low) / (high - low))[None, None],
        size=(8, 32, 32),
        mode="trilinear",
        align_corners=False,
    )[0, 0].numpy()
    np.testing.assert_allclose(tensor, want, atol=2e-6)
    # Edges of the box lie on edges of the crop.
    edge = volume.ras_to_index(grid.affine[:3, :3] @ ([-0.5] * 3) + grid.affine[:3, 3])
    np.testing.assert_allclose(edge, [2.5, -0.5, -0.5], atol=1e-9)


def test_minmax_of_an_empty_scan() -> None:
    volume = make_volume((5, 5, 5))
    volume.hu[...] = -1024
    tensor, grid = prepare_minmax(volume, shape=(8, 8, 8), patch=(4, 4, 4))
    assert not tensor.any()
    assert grid.tokens == (2, 2, 2)


@pytest.mark.parametrize("turn", [0.0, 0.4])
def test_tokens_go_to_the_scan_and_back(turn: float) -> None:
    volume = make_volume((40, 60, 50), turn)
    for grid in (
        ModelGrid.centred(volume, spacing=(3, 1.5, 1.5), **BOX),
        ModelGrid.stretched(volume, box=((3, 5, 7), (33, 44, 49)), **BOX),
    ):
        centres = grid.token_centres_ras()
        assert len(centres) == 4 * 3 * 3
        order = [tuple(int(v) for v in t) for t in np.ndindex(grid.tokens)]
        assert [grid.ras_to_token(c) for c in centres] == order
        # Half a patch, less a hair, stays in the token; a hair more leaves it.
        half = np.array(grid.patch) / 2
        for sign in (-1, 1):
            step = grid.affine[:3, :3] @ (sign * half * 0.999)
            assert grid.ras_to_token(centres[13] + step) == order[13]
            step = grid.affine[:3, :3] @ (sign * half * [1.001, 0, 0])
            assert grid.ras_to_token(centres[13] + step) != order[13]
        far = grid.affine[:3, :3] @ [-0.51, 0, 0] + grid.affine[:3, 3]
        assert grid.ras_to_token(far) is None
        mean = grid.affine @ [*((np.array(grid.shape) - 1) / 2), 1]
        np.testing.assert_allclose(centres.mean(axis=0), mean[:3], atol=1e-9)


def test_a_bright_voxel_lights_its_token() -> None:
    volume = make_volume((40, 60, 50), 0.2)
    volume.hu[...] = -1000
    volume.hu[11:14, 33:37, 20:24] = 1000
    grid = ModelGrid.centred(volume, spacing=(3, 1.5, 1.5), **BOX)
    tensor = prepare(volume, grid)
    d, h, w = np.unravel_index(int(tensor.argmax()), tensor.shape)
    token = grid.ras_to_token(volume.index_to_ras([12, 34.5, 21.5]))
    assert token == (d // 4, h // 8, w // 8)


def test_bad_grids_are_named() -> None:
    volume = make_volume((5, 5, 5))
    with pytest.raises(ValueError, match=r"patch \(5, 8, 8\) must divide shape \(16, 24, 24\)"):
        ModelGrid.stretched(volume, shape=(16, 24, 24), patch=(5, 8, 8))
    with pytest.raises(ValueError, match="must hold a voxel"):
        ModelGrid.stretched(volume, box=((0, 0, 0), (9, 9, 9)), **BOX)
    with pytest.raises(ValueError, match="three positive mm"):
        ModelGrid.centred(volume, spacing=(1, 0, 1), **BOX)
    turned = make_volume((5, 5, 5), 0.2)
    with pytest.raises(ValueError, match="must run along"):
        prepare(volume, ModelGrid.stretched(turned, **BOX))
    with pytest.raises(ValueError, match="must rise"):
        prepare(volume, ModelGrid.stretched(volume, **BOX), hu_range=(1, 1))
    with pytest.raises(ValueError, match="must be int16"):
        CTVolume(volume.hu.astype(float), volume.affine)
    with pytest.raises(ValueError, match="must have axes IPL, not RAS"):
        CTVolume(volume.hu, np.eye(4))


def test_fingerprint_tells_scans_apart() -> None:
    a, b = make_volume((5, 6, 7)), make_volume((5, 6, 7))
    assert a.fingerprint == b.fingerprint
    c = CTVolume(np.asfortranarray(a.hu), a.affine, "another")
    assert c.fingerprint == a.fingerprint
    b.hu[2, 3, 4] += 1
    assert CTVolume(b.hu, b.affine).fingerprint != a.fingerprint
    moved = a.affine.copy()
    moved[0, 3] += 1e-9
    assert CTVolume(a.hu, moved).fingerprint != a.fingerprint
