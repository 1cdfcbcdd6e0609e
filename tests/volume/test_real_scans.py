"""Real scans read as SimpleITK and nibabel read them, and each trap by its rule."""

from __future__ import annotations

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - its usual name
from nibabel.orientations import apply_orientation, axcodes2ornt, io_orientation, ornt_transform

from napari_ct_assistant.volume import CTReadError, CTVolume, list_series, open_ct

FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])


def read_simpleitk(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return HU (x, y, z) and the affine to RAS, as ITK has them."""
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return sitk.GetArrayFromImage(image).transpose(2, 1, 0), FLIP @ affine


def check_same(volume: CTVolume, data: np.ndarray, affine: np.ndarray, atol: float) -> None:
    """Compare with an array in another orientation, voxel by voxel and corner by corner."""
    turn = ornt_transform(io_orientation(affine), axcodes2ornt("IPL"))
    np.testing.assert_array_equal(volume.hu, np.maximum(apply_orientation(data, turn), -1024))
    want = affine @ nib.orientations.inv_ornt_aff(turn, data.shape)
    np.testing.assert_allclose(volume.affine, want, atol=atol)


@pytest.mark.parametrize(
    "name", ["chest_lidc_0314", "abdomen_crlm_1004", "abdomen_ts/example_ct_dicom"]
)
def test_dicom_equals_simpleitk(shared_data: Path, name: str) -> None:
    data, affine = read_simpleitk(shared_data / name)
    volume = open_ct(shared_data / name)
    check_same(volume, data, affine, atol=1e-5)
    assert volume.orientation == "LPS"
    assert volume.warnings == ()


def test_nifti_equals_nibabel(shared_data: Path) -> None:
    path = shared_data / "abdomen_ts" / "example_ct.nii.gz"
    image = nib.load(path)
    check_same(open_ct(path), np.asarray(image.dataobj), image.affine, atol=1e-9)


def test_dicom_file_stands_for_its_series(shared_data: Path) -> None:
    folder = shared_data / "abdomen_crlm_1004"
    assert open_ct(folder / "1-07.dcm").shape == (41, 512, 512)
    assert [info.n_slices for info in list_series(folder)] == [41]


SYNTAXES = {
    "1.2.840.10008.1.2.2": 0,
    "1.2.840.10008.1.2.1.99": 0,
    "1.2.840.10008.1.2.1": 0,
    "1.2.840.10008.1.2": 0,
    "1.2.840.10008.1.2.5": 0,
    "1.2.840.10008.1.2.4.57": 0,
    "1.2.840.10008.1.2.4.70": 0,
    "1.2.840.10008.1.2.4.80": 0,
    "1.2.840.10008.1.2.4.90": 0,
    # Lossy: the most any pixel may be off, in HU.
    "1.2.840.10008.1.2.4.50": 65,
    "1.2.840.10008.1.2.4.51": 36,
    "1.2.840.10008.1.2.4.81": 1,
    "1.2.840.10008.1.2.4.91": 5,
}


def alone(folder: Path, name: str, place: Path) -> Path:
    """Copy the one file whose name ends in `_<syntax>.dcm` to a folder of its own."""
    (source,) = (path for path in folder.iterdir() if path.name.endswith(name))
    return Path(shutil.copy(source, place / source.name))


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_every_syntax_decodes(shared_data: Path, tmp_path: Path, syntax: str) -> None:
    folder = shared_data / "syntaxes"
    raw = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "CTImage.dcm")))
    inside_folder = open_ct(next(p for p in folder.iterdir() if p.name.endswith(f"_{syntax}.dcm")))
    volume = open_ct(alone(folder, f"_{syntax}.dcm", tmp_path))
    np.testing.assert_array_equal(inside_folder.hu, volume.hu)
    # Lossy pixels near the padding may fall on either side of air.
    scanned = raw > -1024
    difference = np.abs(volume.hu.astype(int) - np.maximum(raw, -1024))[scanned]
    assert difference.max() <= SYNTAXES[syntax]
    np.testing.assert_allclose(open_ct(folder / "CTImage.dcm").affine, volume.affine)


@pytest.mark.parametrize(
    ("syntax", "name"),
    [
        ("1.2.840.10008.1.2.4.53", "JPEG Spectral Selection"),
        ("1.2.840.10008.1.2.4.55", "JPEG Full Progression"),
    ],
)
def test_retired_syntaxes_are_refused_by_name(
    shared_data: Path, tmp_path: Path, syntax: str, name: str
) -> None:
    path = alone(shared_data / "syntaxes", f"_{syntax}.dcm", tmp_path)
    with pytest.raises(CTReadError, match=f"{syntax} .{name}") as caught:
        open_ct(path)
    assert path.name in str(caught.value)


@pytest.mark.parametrize("name", ["CT1_J2KR", "CT2_J2KR"])
def test_other_encoders_of_jpeg_2000(shared_data: Path, name: str) -> None:
    path = shared_data / "syntaxes" / name
    raw = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    np.testing.assert_array_equal(open_ct(path).hu, np.maximum(raw, -1024))


def test_enhanced_map_is_doubted(shared_data: Path) -> None:
    """A perfusion map in two fragmented frames, no offset table: read, and named for it."""
    name = "CT0012.fragmented_no_bot_jpeg_baseline.51.dcm"
    volume = open_ct(shared_data / "syntaxes" / name)
    assert volume.shape == (2, 512, 512)
    assert volume.spacing == pytest.approx((10, 0.388672, 0.388672))
    assert volume.orientation == "RPI"
    assert any("RescaleType is 'US'" in w for w in volume.warnings)
    assert volume.hu.std() > 100


def test_tilted_uneven_head(shared_data: Path) -> None:
    volume = open_ct(shared_data / "head_ge_tilted")
    text = " ".join(volume.warnings)
    assert "gantry tilt of 18.5 degrees" in text
    assert "gaps run from 1.08 mm to 7.00 mm (usually 4.00 mm)" in text
    # Square axes: nothing is skewed any more.
    unit = volume.affine[:3, :3] / volume.spacing
    np.testing.assert_allclose(unit.T @ unit, np.eye(3), atol=1e-6)
    # The stored slices lie where their headers say: first and last are kept whole.
    folder = shared_data / "head_ge_tilted"
    for name, plane in (("01.dcm", len(volume.hu) - 1), ("28.dcm", 0)):
        image = sitk.ReadImage(str(folder / name))
        raw = np.maximum(sitk.GetArrayFromImage(image)[0], -1024).astype(float)
        corner = volume.ras_to_index(np.array(image.GetOrigin()) * [-1, -1, 1])
        assert corner[0] == pytest.approx(plane, abs=0.01)
        assert corner[2] == pytest.approx(0, abs=1e-6)
        row, part = divmod(corner[1] + 1e-9, 1)
        row = int(row)
        shifted = raw[1:] * (1 - part) + raw[:-1] * part
        np.testing.assert_allclose(volume.hu[plane, row + 1 : row + 512], shifted, atol=0.51)


def test_straightened_head_is_symmetric_where_the_tilted_one_leans(shared_data: Path) -> None:
    """The outline of the head moves smoothly from slice to slice once it is straight."""
    volume = open_ct(shared_data / "head_ge_tilted")
    front = []
    for plane in volume.hu[8:26]:
        rows = np.flatnonzero((plane > -300).sum(axis=1) > 40)
        front.append(volume.index_to_ras([0, rows[0], 256])[1])
    # Left tilted, every slice would jump by 4 mm x tan(18.5 degrees) = 1.3 mm against
    # the next, 23 mm over these slices; the forehead itself curves by less.
    assert np.ptp(front) < 23


TRAPS = {
    "gantrytilting/001": ((4, 521, 512), "gantry tilt of 14.0 degrees"),
    "sliceincrement/001": ((5, 512, 512), "gap is 10.00 mm (after slice 3 of 4) where 5.00 mm"),
    "sliceincrement/002": ((5, 514, 512), "gap is 1.50 mm (after slice 3 of 4) where 0.75 mm"),
}


@pytest.mark.parametrize("name", TRAPS)
def test_geometry_traps(shared_data: Path, name: str) -> None:
    volume = open_ct(shared_data / "geometry_traps" / name)
    shape, message = TRAPS[name]
    assert volume.shape == shape
    assert any(message in w for w in volume.warnings)
    # Noise between -1024 and -770 HU cannot be a patient.
    assert any("range of soft tissue" in w for w in volume.warnings)


def test_four_slices_at_one_place(shared_data: Path) -> None:
    folder = shared_data / "geometry_traps" / "notavolume" / "001"
    with pytest.raises(CTReadError, match="4 slices all lie at one position"):
        open_ct(folder)
    with pytest.raises(CTReadError, match="slices all lie at one position"):
        open_ct(shared_data / "syntaxes")


def test_reading_holds_the_volume_and_little_more(shared_data: Path) -> None:
    import tracemalloc

    folder = shared_data / "abdomen_crlm_1004"
    open_ct(folder)
    tracemalloc.start()
    try:
        volume = open_ct(folder)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    slice_bytes = 512 * 512 * 2
    # Two workers with the masks of some slices each, and the headers of 41 slices.
    assert peak < volume.hu.nbytes + 12 * slice_bytes + 1_000_000
