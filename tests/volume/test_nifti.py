"""NIfTI: the geometry and the scaling of the header, each applied once."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.orientations import apply_orientation, axcodes2ornt, io_orientation, ornt_transform

from napari_ct_assistant.volume import (
    CTReadError,
    CTVolume,
    list_series,
    open_ct,
    write_nifti,
)

RNG = np.random.default_rng(3)
HU = RNG.integers(-1000, 1500, (7, 6, 5)).astype(np.int16)
AFFINE = np.array([[-0.7, 0, 0, 90], [0, 0.8, 0, -120.5], [0, 0, 2.5, -700], [0, 0, 0, 1]])


def as_ipl(data: np.ndarray, affine: np.ndarray) -> np.ndarray:
    return apply_orientation(data, ornt_transform(io_orientation(affine), axcodes2ornt("IPL")))


def save(path: Path, image: nib.Nifti1Image) -> Path:
    nib.save(image, path)
    return path


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "no_suffix_at_all"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_equals_nibabel(tmp_path: Path, kind: type, name: str, order: str) -> None:
    header = kind.header_class(endianness=order)
    image = kind(HU.astype(f"{order}i2"), AFFINE, header=header)
    path = save(tmp_path / (name if "." in name else "a.nii"), image)
    if "." not in name:
        path = path.rename(tmp_path / name)
    volume = open_ct(path)
    np.testing.assert_array_equal(volume.hu, as_ipl(HU, AFFINE))
    assert [s.n_slices for s in list_series(path)] == [5]
    assert volume.orientation == "LAS"
    assert volume.warnings == ()
    for index in ((0, 0, 0), (6, 5, 4), (2, 3, 1)):
        where = tuple(
            np.rint(volume.ras_to_index(AFFINE[:3, :3] @ index + AFFINE[:3, 3])).astype(int)
        )
        assert volume.hu[where] == HU[index]


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "i4", "u4", "i8", "f4", "f8"])
def test_slope_is_applied_exactly_once(tmp_path: Path, dtype: str) -> None:
    """CT-RATE's trap: a header whose rescale is applied on top of itself."""
    stored = (np.arange(120).reshape(6, 5, 4)).astype(dtype)
    image = nib.Nifti1Image(stored, AFFINE, dtype=dtype)
    image.header.set_slope_inter(10, -1000)
    path = save(tmp_path / "a.nii.gz", image)
    # nibabel rewrites the data for the slope on saving; read it back for the truth.
    want = nib.load(path).get_fdata()
    np.testing.assert_array_equal(open_ct(path).hu, as_ipl(np.rint(want), AFFINE))
    again = save(tmp_path / "b.nii", nib.Nifti1Image(want.astype(np.int16), AFFINE))
    np.testing.assert_array_equal(open_ct(again).hu, as_ipl(np.rint(want), AFFINE))


def test_stored_slope_on_raw_integers(tmp_path: Path) -> None:
    stored = np.arange(120, dtype=np.int16).reshape(6, 5, 4)
    path = save(tmp_path / "a.nii", nib.Nifti1Image(stored, AFFINE))
    data = bytearray(path.read_bytes())
    data[112:120] = np.array([20, -1000], "<f4").tobytes()
    path.write_bytes(data)
    np.testing.assert_array_equal(open_ct(path).hu, as_ipl(stored * 20 - 1000, AFFINE))


def test_sform_goes_before_qform_and_codes_decide(tmp_path: Path) -> None:
    image = nib.Nifti1Image(HU, AFFINE)
    other = AFFINE.copy()
    other[:3, 3] += 30
    image.set_sform(AFFINE, 1)
    image.set_qform(other, 1)
    volume = open_ct(save(tmp_path / "both.nii", image))
    corner = volume.ras_to_index(AFFINE[:3, 3])
    np.testing.assert_allclose(corner, np.rint(corner), atol=1e-5)
    assert any("differ by 30 mm" in w for w in volume.warnings)
    image.set_sform(AFFINE, 0)
    volume = open_ct(save(tmp_path / "qform.nii", image))
    np.testing.assert_allclose(
        volume.ras_to_index(other[:3, 3]), np.rint(volume.ras_to_index(other[:3, 3])), atol=1e-4
    )
    image.set_qform(other, 0)
    volume = open_ct(save(tmp_path / "none.nii", image))
    assert any("orientation is unknown" in w for w in volume.warnings)
    assert volume.spacing == pytest.approx((2.5, 0.8, 0.7))


def test_of_4d_the_first_volume_is_opened(tmp_path: Path) -> None:
    data = np.stack([HU, HU + 1, HU + 2], axis=-1)
    volume = open_ct(save(tmp_path / "4d.nii", nib.Nifti1Image(data, AFFINE)))
    np.testing.assert_array_equal(volume.hu, as_ipl(HU, AFFINE))
    assert any("holds 3 volumes" in w for w in volume.warnings)
    volume = open_ct(save(tmp_path / "4d1.nii", nib.Nifti1Image(data[..., :1], AFFINE)))
    assert volume.warnings == ()


def test_float_hu_is_rounded_and_not_a_number_is_air(tmp_path: Path) -> None:
    data = HU.astype(np.float32) + 0.4
    data[0, 0, 0], data[1, 0, 0], data[2, 0, 0] = np.nan, np.inf, -np.inf
    volume = open_ct(save(tmp_path / "f.nii", nib.Nifti1Image(data, AFFINE)))
    back = apply_orientation(volume.hu, ornt_transform(axcodes2ornt("IPL"), io_orientation(AFFINE)))
    np.testing.assert_array_equal(back.ravel()[30 * 3 :], HU.ravel()[30 * 3 :])
    assert [back[k, 0, 0] for k in range(3)] == [-1024, 32767, -1024]
    assert any("3 voxels are not numbers" in w for w in volume.warnings)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (RNG.integers(0, 256, (6, 6, 6)).astype(np.uint8), "windowed 8-bit image"),
        (RNG.random((6, 6, 6)).astype(np.float32), "between 0 and 1"),
        (RNG.integers(0, 3000, (6, 6, 6)).astype(np.int16), "no voxel is below 0 HU"),
        (np.full((6, 6, 6), 7, np.int16), "every voxel is 7 HU"),
        ((RNG.integers(-1000, 200, (6, 6, 6)) - 1024).astype(np.int16), "applied twice"),
    ],
)
def test_values_that_cannot_be_hu_are_doubted(
    tmp_path: Path, data: np.ndarray, message: str
) -> None:
    volume = open_ct(save(tmp_path / "a.nii.gz", nib.Nifti1Image(data, AFFINE)))
    assert any(message in w for w in volume.warnings), volume.warnings


def test_units_become_mm(tmp_path: Path) -> None:
    affine = AFFINE.copy()
    affine[:3] /= 1000
    image = nib.Nifti1Image(HU, affine)
    image.header.set_xyzt_units("meter")
    volume = open_ct(save(tmp_path / "m.nii", image))
    assert volume.spacing == pytest.approx((2.5, 0.8, 0.7))
    assert any("units of 1000 mm" in w for w in volume.warnings)


def test_skewed_axes_are_named(tmp_path: Path) -> None:
    affine = AFFINE.copy()
    affine[1, 2] = 2.5 * np.tan(np.radians(15))
    volume = open_ct(save(tmp_path / "a.nii", nib.Nifti1Image(HU, affine)))
    assert any("15.0 degrees from perpendicular" in w for w in volume.warnings)


def _patch(path: Path, offset: int, values: object, dtype: str) -> None:
    data = bytearray(path.read_bytes())
    new = np.asarray(values, dtype).tobytes()
    data[offset : offset + len(new)] = new
    path.write_bytes(data)


BAD = {
    "2D": (lambda p: _patch(p, 40, [2, 7, 6, 5], "<i2"), "a 2D image"),
    "dims": (lambda p: _patch(p, 40, 99, "<i2"), "99 dimensions"),
    "negative": (lambda p: _patch(p, 42, -7, "<i2"), "claims the shape"),
    "huge": (lambda p: _patch(p, 42, [30000, 30000, 30000], "<i2"), "cut off"),
    "datatype": (lambda p: _patch(p, 70, 77, "<i2"), "unknown NIfTI datatype 77"),
    "colour": (lambda p: _patch(p, 70, 128, "<i2"), "colour or complex"),
    "complex": (lambda p: _patch(p, 70, 32, "<i2"), "colour or complex"),
    "offset": (lambda p: _patch(p, 108, np.nan, "<f4"), "vox_offset"),
    "slope": (lambda p: _patch(p, 112, 1e30, "<f4"), "impossible scl_slope"),
    "sizes": (lambda p: (_patch(p, 252, [0, 0], "<i2"), _patch(p, 80, 0, "<f4")), "voxel sizes"),
    "cut": (lambda p: p.write_bytes(p.read_bytes()[:500]), "cut off"),
    "pair": (lambda p: _patch(p, 344, b"ni1", "S3"), "without voxels"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_one_clear_line(tmp_path: Path, name: str) -> None:
    path = save(tmp_path / "scan.nii", nib.Nifti1Image(HU, AFFINE))
    damage, message = BAD[name]
    damage(path)
    with pytest.raises(CTReadError, match=message) as caught:
        open_ct(path)
    assert str(caught.value).startswith(f"{path.name}: ")
    assert str(tmp_path) not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0.2, 0.6, 0.99])
def test_cut_gzip(tmp_path: Path, share: float) -> None:
    path = save(tmp_path / "scan.nii.gz", nib.Nifti1Image(np.tile(HU, (4, 4, 4)), AFFINE))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(CTReadError, match="cut off") as caught:
        open_ct(path)
    assert str(caught.value).startswith(f"{path.name}: ")
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("oblique", [False, True])
def test_write_nifti_round_trips(tmp_path: Path, name: str, oblique: bool) -> None:
    affine = np.array([[0, 0, -0.75, 10], [0, -0.75, 0, 20], [-1.5, 0, 0, 30], [0, 0, 0, 1.0]])
    if oblique:
        a = 0.123456789
        turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
        affine[:3] = turn @ affine[:3]
    volume = CTVolume(np.ascontiguousarray(HU), affine, "x")
    write_nifti(volume, tmp_path / name)
    back = open_ct(tmp_path / name)
    np.testing.assert_array_equal(back.hu, volume.hu)
    np.testing.assert_array_equal(back.affine, volume.affine)
    assert back.fingerprint == volume.fingerprint
    assert not back.warnings
    image = nib.load(tmp_path / name)
    assert isinstance(image, nib.Nifti2Image) == oblique
    np.testing.assert_array_equal(as_ipl(np.asarray(image.dataobj), image.affine), volume.hu)
    np.testing.assert_allclose(image.get_qform(), image.affine, atol=1e-5)


def test_write_nifti_refuses_other_names(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\.nii or \.nii\.gz"):
        write_nifti(CTVolume(HU, np.diag([-1.0, -1, -1, 1])[[2, 1, 0, 3]]), tmp_path / "a.img")


def test_folder_of_nifti_files_is_a_list(tmp_path: Path) -> None:
    for k in range(2):
        save(tmp_path / f"case{k}.nii.gz", nib.Nifti1Image(HU + k, AFFINE))
    volume = open_ct(tmp_path)
    np.testing.assert_array_equal(volume.hu, as_ipl(HU, AFFINE))
    assert any("case1.nii.gz" in w for w in volume.warnings)


def test_gzip_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    path.write_bytes(gzip.compress(b"not a scan" * 100))
    with pytest.raises(CTReadError, match="neither a DICOM nor a NIfTI"):
        open_ct(path)


def qform_only(path: Path, **fields: float | tuple[float, ...]) -> Path:
    """Write a file whose qform alone counts, with header fields set to what they say."""
    header = nib.Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_data_shape(HU.shape)
    header.set_qform(AFFINE, 1)
    header["vox_offset"] = 352
    header["magic"] = b"n+1"
    for name, value in fields.items():
        if name == "pixdim":
            header["pixdim"][: len(value)] = value
        else:
            header[name] = value
    path.write_bytes(header.binaryblock + bytes(4) + HU.tobytes(order="F"))
    return path


@pytest.mark.parametrize(
    "fields",
    [
        {"pixdim": (0.0,)},
        {"pixdim": (1.0,)},
        {"pixdim": (-1.0,)},
        {"pixdim": (1.0, -0.7, 0.8, 2.5)},
        {"pixdim": (-1.0, 0.7, -0.8, -2.5)},
        {"pixdim": (0.0, -0.7, -0.8, 2.5)},
        {"quatern_b": 0.6, "quatern_c": 0.0, "quatern_d": 0.8000001},
        {"quatern_b": 0.0, "quatern_c": 1.0000001, "quatern_d": 0.0},
        {"quatern_b": 0.1, "quatern_c": 0.2, "quatern_d": 0.3},
    ],
)
@pytest.mark.filterwarnings("ignore:pixdim")
def test_qforms_are_read_as_nibabel_does(tmp_path: Path, fields: dict[str, object]) -> None:
    path = qform_only(tmp_path / "q.nii", **fields)
    image = nib.load(path)
    volume = open_ct(path)
    np.testing.assert_array_equal(volume.hu, as_ipl(HU, image.affine))
    turn = ornt_transform(io_orientation(image.affine), axcodes2ornt("IPL"))
    want = image.affine @ nib.orientations.inv_ornt_aff(turn, HU.shape)
    np.testing.assert_allclose(volume.affine, want, atol=1e-5)
    assert volume.warnings == ()


def test_a_sign_that_two_readers_read_differently_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CTReadError, match=r"pixdim\[0\] is -2: left and right cannot be told"):
        open_ct(qform_only(tmp_path / "q.nii", pixdim=(-2.0,)))
    volume = open_ct(qform_only(tmp_path / "p.nii", pixdim=(3.0,)))
    assert any("taken as 1" in w for w in volume.warnings)


def test_orientations_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    image = nib.Nifti1Image(HU, AFFINE)
    mirrored = AFFINE * [-1, 1, 1, 1]
    image.set_sform(AFFINE, 1)
    image.set_qform(mirrored, 1)
    path = save(tmp_path / "both.nii", image)
    with pytest.raises(CTReadError, match="sform LAS and qform RAS"):
        open_ct(path)
    # The way out that the message names.
    image.set_qform(mirrored, 0)
    assert open_ct(save(tmp_path / "one.nii", image)).orientation == "LAS"


def test_a_placeholder_sform_gives_way_to_the_qform(tmp_path: Path) -> None:
    image = nib.Nifti1Image(HU, AFFINE)
    image.set_sform(np.eye(4), 1)
    image.set_qform(AFFINE, 1)
    # Setting the sform leaves the voxel sizes of the header as they were.
    image.header["pixdim"][1:4] = (0.7, 0.8, 2.5)
    volume = open_ct(save(tmp_path / "both.nii", image))
    assert volume.spacing == pytest.approx((2.5, 0.8, 0.7))
    assert any("1 x 1 x 1 mm are not those of the header" in w for w in volume.warnings)


def test_an_impossible_sform_gives_way_to_the_qform(tmp_path: Path) -> None:
    path = qform_only(tmp_path / "q.nii", sform_code=1)
    volume = open_ct(path)
    assert volume.orientation == "LAS"
    assert any("sform is impossible and was ignored" in w for w in volume.warnings)
