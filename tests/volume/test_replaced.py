"""The stored HU of voxels that are set to air, against the values that were written."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from napari_ct_assistant.volume import AIR, open_ct
from napari_ct_assistant.volume.dicom.encoding import BIG_ENDIAN, DEFLATED, IMPLICIT
from tests.volume.samples import dataset, save

AFFINE = np.diag([-2.0, -2.0, 3.0, 1.0])


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.float32])
@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1)])
def test_values_below_air_come_back_as_stored(
    tmp_path: Path, dtype: type, axes: tuple[int, int, int]
) -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(-1000, 400, (30, 20, 10)).astype(dtype)
    values[:4] = -3024  # padding: one value
    values[10:14, 3:5] = rng.integers(-2000, -1100, (4, 2, 10))
    affine = AFFINE[:, [*axes, 3]]
    stored = values.transpose(axes)
    nib.save(nib.Nifti1Image(stored, affine), tmp_path / "scan.nii.gz")
    volume = open_ct(tmp_path / "scan.nii.gz")
    assert volume.hu.min() == AIR
    # (L, P, S) as written is (I, P, L) as read, the first axis turned round.
    expected = values.transpose(2, 1, 0)[::-1]
    np.testing.assert_array_equal(volume.stored_hu(), expected)
    np.testing.assert_array_equal(volume.hu, np.maximum(expected, AIR))


def test_a_scan_without_such_values_is_not_copied(tmp_path: Path) -> None:
    values = np.full((30, 20, 10), -1000, np.int16)
    nib.save(nib.Nifti1Image(values, AFFINE), tmp_path / "scan.nii.gz")
    volume = open_ct(tmp_path / "scan.nii.gz")
    assert volume.replaced is None
    assert volume.stored_hu() is volume.hu


@pytest.mark.real_ct
def test_padding_of_a_real_series_comes_back(shared_data: Path) -> None:
    pydicom = pytest.importorskip("pydicom")
    folder = shared_data / "abdomen_crlm_1004"
    slices = [pydicom.dcmread(file) for file in folder.glob("*.dcm")]
    slices.sort(key=lambda one: -float(one.ImagePositionPatient[2]))
    expected = np.stack([s.pixel_array * int(s.RescaleSlope) for s in slices])
    expected += int(slices[0].RescaleIntercept)
    volume = open_ct(folder)
    assert expected.min() == -3024
    np.testing.assert_array_equal(volume.stored_hu(), expected)


def test_fractions_and_what_is_no_number_come_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    values = rng.uniform(-1500, 400, (30, 20, 10)).astype(np.float32)
    values[3, 4, 5] = np.nan
    nib.save(nib.Nifti1Image(values, AFFINE), tmp_path / "scan.nii.gz")
    volume = open_ct(tmp_path / "scan.nii.gz")
    stored = volume.stored_hu()
    expected = values.transpose(2, 1, 0)[::-1]
    np.testing.assert_array_equal(np.isnan(stored), np.isnan(expected))
    tissue = expected > AIR
    assert np.abs(stored - expected)[tissue].max() <= 1 / 254
    assert np.abs(stored - expected)[expected < AIR].max() <= 0.5


@pytest.mark.parametrize("syntax", [IMPLICIT, BIG_ENDIAN, DEFLATED])
@pytest.mark.parametrize("upwards", [True, False])
@pytest.mark.parametrize("own_rescale", [True, False])
def test_slices_that_are_read_together_come_back_one_by_one(
    tmp_path: Path, syntax: str, upwards: bool, own_rescale: bool
) -> None:
    """Many slices, of which some have low values, with one rescale or several."""
    rng = np.random.default_rng(2)
    stored = rng.integers(-1000, 400, (70, 12, 10)).astype(np.int16)
    stored[::7, 2:5] = -2000
    stored[3, 1, 1] = -1500
    intercept = [-24 if own_rescale and k % 5 == 0 else 0 for k in range(len(stored))]
    for k, plane in enumerate(stored):
        z = k if upwards else -k
        ds = dataset(plane, position=(0, 0, z), number=k + 1, RescaleIntercept=intercept[k])
        save(tmp_path / "series" / f"{k:03}.dcm", ds, plane, syntax)
    volume = open_ct(tmp_path / "series")
    expected = stored + np.array(intercept, np.int16)[:, None, None]
    expected = expected[::-1] if upwards else expected
    np.testing.assert_array_equal(volume.stored_hu(), expected)
    np.testing.assert_array_equal(volume.hu, np.maximum(expected, AIR))
