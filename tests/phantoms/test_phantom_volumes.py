"""Rendered phantoms: geometry, masks, determinism, and what they owe to a real chest."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from napari_ct_assistant.phantoms import Phantom, make_phantom
from napari_ct_assistant.phantoms.mediastinum import AORTA, Heart, resample
from napari_ct_assistant.phantoms.patient import Patient
from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.volume import ModelGrid, open_ct, prepare

SHAPE, SPACING, PATCH = (112, 224, 224), (3.0, 1.5, 1.5), (8, 16, 16)


@pytest.fixture(scope="module")
def sick() -> Phantom:
    """Every finding at once."""
    return make_phantom(31_415, findings=FINDINGS)


@pytest.fixture(scope="module")
def healthy() -> Phantom:
    return make_phantom(31_415, findings=[])


def test_geometry_is_the_model_box(healthy: Phantom) -> None:
    volume = healthy.volume
    assert volume.shape == SHAPE
    assert np.allclose(volume.spacing, SPACING)
    # Axes (I, P, L) in RAS: down, backwards, to the left; the centre is 0.
    assert np.allclose(volume.affine[:3, :3], [[0, 0, -1.5], [0, -1.5, 0], [-3, 0, 0]])
    assert np.allclose(volume.index_to_ras([55.5, 111.5, 111.5]), 0)
    grid = ModelGrid.centred(volume, shape=SHAPE, spacing=SPACING, patch=PATCH)
    box = prepare(volume, grid) * 2000 - 1000
    assert np.abs(box - np.clip(volume.hu, -1000, 1000)).max() < 0.01


def test_every_finding_has_mask_box_and_patches(sick: Phantom) -> None:
    assert set(sick.masks) == set(FINDINGS)
    assert sick.labels == dict.fromkeys(FINDINGS, 1)
    patches = sick.patch_labels(PATCH)
    assert patches.shape == (18, 14, 14, 14)
    for t in sick.findings:
        mask = sick.masks[t.name]
        assert mask.shape == SHAPE
        assert mask.sum() >= 15, t.name
        assert patches[FINDINGS.index(t.name)].any(), t.name
        assert t.box_ras_mm is not None
        lo, hi = np.array(t.box_ras_mm)
        points = sick.volume.index_to_ras(np.argwhere(mask))
        assert (points >= lo - 0.1).all()
        assert (points <= hi + 0.1).all()
        if t.side in ("left", "right") and t.name != "Medical material":
            x = float(np.median(points[:, 0]))
            assert x * (1 if t.side == "right" else -1) > 0, t.name


def test_healthy_has_neither_masks_nor_labels(healthy: Phantom) -> None:
    assert not any(healthy.labels.values())
    assert healthy.masks == {}
    assert not healthy.patch_labels(PATCH).any()
    assert healthy.findings == ()


@pytest.mark.parametrize("name", ["Lung nodule", "Arterial wall calcification", "Pleural effusion"])
def test_one_finding_changes_only_its_own_place(healthy: Phantom, name: str) -> None:
    other = make_phantom(31_415, findings=[name])
    change = np.abs(healthy.volume.hu.astype(int) - other.volume.hu)
    near = ndimage.binary_dilation(other.masks[name], iterations=8)
    assert change[near].max() > 100
    # A film of fluid thinner than a voxel may reach further.
    assert change[~near].max() < 120
    assert (change[~near] > 0).mean() < 0.001


def test_json_is_plain(sick: Phantom) -> None:
    data = json.loads(json.dumps(sick.to_json()))
    assert set(data) == {"seed", "labels", "attributes", "report", "questions"}
    assert data["attributes"][0]["name"] == "Medical material"
    assert {"question", "answer", "kind", "finding"} == set(data["questions"][0])


def test_another_process_draws_the_same_voxels(healthy: Phantom) -> None:
    code = (
        "import hashlib; from napari_ct_assistant.phantoms import make_phantom;"
        "print(hashlib.sha256(make_phantom(31415, findings=[]).volume.hu.tobytes()).hexdigest())"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert out.stdout.strip() == hashlib.sha256(healthy.volume.hu.tobytes()).hexdigest()


def test_an_enlarged_heart_is_clearly_larger() -> None:
    patients = [Patient(seed) for seed in range(200)]
    normal = [p.heart_scale for p in patients]
    mild = [Heart(p, enlarged="mild", fluid_mm=0).scale * p.heart_scale for p in patients]
    assert min(mild) > 1.1 * max(normal)


def test_no_calcium_in_an_aorta_without_the_label(healthy: Phantom) -> None:
    p = Patient(healthy.seed)
    line = resample(AORTA[:-1], 3.0)
    index = np.rint(healthy.volume.ras_to_index(-p.pose.to_scanner(line)[:, ::-1])).astype(int)
    near = np.zeros(SHAPE, bool)
    keep = ((index >= 0) & (index < SHAPE)).all(1)
    near[tuple(index[keep].T)] = True
    near = ndimage.distance_transform_edt(~near, sampling=SPACING) < 10
    assert healthy.volume.hu[near].max() < p.blood_hu + 6 * p.noise


def tissue(hu: NDArray[np.int16]) -> dict[str, float]:
    """Mean HU of lung, fat and soft tissue, and the noise in soft tissue, of a model box."""
    v = hu.astype(np.float32)
    smooth = ndimage.uniform_filter(v, 3)
    lung = (v < -600) & (v > -990)
    lung[:, ndimage.uniform_filter((v > -300).mean((0, 2)), 9) < 0.2] = False
    label, n = ndimage.label(ndimage.binary_erosion(lung, iterations=2))
    border = np.unique(np.concatenate([label[:, 0].ravel(), label[:, -1].ravel()]))
    size = ndimage.sum_labels(np.ones_like(v), label, range(1, n + 1))
    size[[b - 1 for b in border if b]] = 0
    inside = ndimage.binary_erosion(np.isin(label, np.flatnonzero(size > 3000) + 1))
    fat = ndimage.binary_erosion((smooth > -140) & (smooth < -60), iterations=2)
    soft = ndimage.binary_erosion((smooth > 0) & (smooth < 120), iterations=3)
    high = v - ndimage.uniform_filter(v, (1, 5, 5))
    return {
        "lung": float(v[inside].mean()),
        "fat": float(v[fat].mean()),
        "soft": float(v[soft].mean()),
        "noise": float(high[soft].std()),
    }


def test_tissues_look_like_the_real_chest(shared_data: Path, healthy: Phantom) -> None:
    volume = open_ct(shared_data / "chest_lidc_0314")
    grid = ModelGrid.centred(volume, shape=SHAPE, spacing=SPACING, patch=PATCH)
    real = tissue((prepare(volume, grid) * 2000 - 1000).astype(np.int16))
    mine = tissue(healthy.volume.hu)
    # That scan is of a deep breath; normal lungs are denser.
    assert -985 < real["lung"] < mine["lung"] < -760, (real, mine)
    assert abs(mine["fat"] - real["fat"]) < 15, (real, mine)
    assert abs(mine["soft"] - real["soft"]) < 20, (real, mine)
    assert 0.4 < mine["noise"] / real["noise"] < 2.0, (real, mine)


def test_reading_resolution_is_the_same_patient() -> None:
    coarse = make_phantom(27, findings=["Pleural effusion", "Lung nodule"])
    fine = make_phantom(27, findings=["Pleural effusion", "Lung nodule"], resolution="reading")
    assert fine.volume.shape == (224, 420, 420)
    assert np.allclose(fine.volume.spacing, (1.5, 0.8, 0.8))
    assert fine.report == coarse.report
    grid = ModelGrid.centred(fine.volume, shape=SHAPE, spacing=SPACING, patch=PATCH)
    a = np.clip(coarse.volume.hu, -1000, 1000).astype(np.float32)
    b = prepare(fine.volume, grid) * 2000 - 1000
    smooth = [ndimage.uniform_filter(v, 5) for v in (a, b)]
    assert float(np.median(np.abs(smooth[0] - smooth[1]))) < 4
    assert float((np.abs(smooth[0] - smooth[1]) > 100).mean()) < 0.02
    flat = ndimage.binary_erosion((smooth[0] > 30) & (smooth[0] < 90), iterations=2)
    flat &= ndimage.generic_gradient_magnitude(smooth[0], ndimage.sobel) < 60
    noise = [
        1.48 * float(np.median(np.abs((v - ndimage.uniform_filter(v, (1, 7, 7)))[flat])))
        for v in (a, b)
    ]
    assert abs(noise[1] / noise[0] - 1) < 0.15, noise
    for t, u in zip(coarse.findings, fine.findings, strict=True):
        assert t.name == u.name
        assert np.abs(np.array(t.box_ras_mm) - np.array(u.box_ras_mm)).max() < 12
