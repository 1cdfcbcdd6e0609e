"""Small inputs made after public fault reports; each does what its README says is right."""

from __future__ import annotations

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - its usual name
from nibabel.orientations import apply_orientation, axcodes2ornt, io_orientation, ornt_transform

from napari_ct_assistant.volume import CTVolume, list_series, open_ct

# Folder -> slices of the volume, words of a warning ("" where there is none to expect).
ONE_VOLUME = {
    "08-blank-slice-lowest-number": (20, "blank slice"),
    "16-one-sopinstanceuid": (24, ""),
    "17-uid-per-slice": (24, ""),
    "18-intercept-missing-in-3": (24, "3 of 24 slices have no RescaleIntercept"),
    "19-rescale-twice-chest": (24, "was the rescale applied twice?"),
    "20-intercept-missing-ge-padding": (24, "was the rescale intercept forgotten?"),
    "21-windowed-160-240": (24, "cut off at -160 and 240 HU"),
    "22-padding-0-on-hu": (24, "lies in the range of tissue"),
    "23-padding-range-wide": (24, "lies in the range of tissue"),
    "24-sign-lost-62536": (24, "lost their sign"),
    "29-rounded-positions-05": (30, "0.5 mm apart"),
    "30-rounded-positions-125": (30, "1.25 mm apart"),
    "31-xy-jitter": (24, ""),
    "32-implicit-declared-explicit": (16, ""),
    "33-headerless-0008-0016": (16, ""),
    "34-headerless-0008-0001": (16, ""),
    "36-meta-from-0002-0001": (16, ""),
    "37-ge-blank-vr": (16, ""),
    "38-vr-xs": (16, ""),
    "39-ge-private-syntax": (16, ""),
    "40-classic-multiframe": (20, "multi-frame file with one position"),
    "41-position-after-pixels": (16, ""),
    "42-float-pixel-data": (16, ""),
    "43-symlinked-series": (16, ""),
    "44-broken-link-at-end": (15, "2 files are broken links (IM0003, IM0015)"),
    "45-zero-length-ends": (13, "3 files are empty (IM0000, IM0014, IM0015)"),
    "46-zero-filled-ends": (14, "2 files are filled with zeros (IM0014, IM0015)"),
    "47-upper-case-nifti-folder": (24, ""),
    "48-zip/54_study.zip": (16, ""),
    "49-mhd-nrrd-mha/62_scan.mha": (24, ""),
    "49-mhd-nrrd-mha/62_scan.mhd": (24, ""),
    "49-mhd-nrrd-mha/62_scan.nrrd": (24, ""),
    "52-napari-patient-folder": (8, ""),
    "53-napari-nifti-folder": (24, ""),
}
# Folder -> slices of each series, the default first, and what its name contains.
SEVERAL = {
    "01-two-phases-equal-numbers": ([20, 20], "acquired 10:15:00"),
    "02-temporal-position-identifier": ([20, 20], "time point 1"),
    "03-two-kernels-zigzag": ([20, 20], "kernel B30f"),
    "04-two-passes-offset": ([20, 20], "acquisition 1"),
    "06-two-passes-003mm": ([20, 20], "acquisition 1"),
    "07-bolus-tracking-slice": ([20, 20, 1], "acquisition 2"),
    "09-enhanced-stackid": ([20, 20], "stack 1"),
    "11-enhanced-datetime": ([20, 20], "acquired 10:00:00"),
    "12-enhanced-dimensionindex": ([20, 20], "dimension 1 = 1"),
    "13-spectral-hu-and-zeff": ([20, 20], "values HU"),
    "14-no-series-uid": ([16, 16], "native"),
    "54-mip-default": ([16, 24], "axial 5 mm"),
}
# The rest of the readers reads these as they are, too.
SAME_AS_SIMPLEITK = (
    "16-one-sopinstanceuid",
    "22-padding-0-on-hu",
    "23-padding-range-wide",
    "31-xy-jitter",
    "33-headerless-0008-0016",
    "39-ge-private-syntax",
    "41-position-after-pixels",
)


@pytest.fixture
def odd(shared_data: Path) -> Path:
    folder = shared_data / "odd_scans"
    if not folder.is_dir():
        pytest.skip("the odd scans are absent: no shared/data/odd_scans beside the project")
    return folder


def prepared(odd: Path, name: str, place: Path) -> Path:
    """Return the input of a folder; links, which are not stored, are made in a copy."""
    if name[:2] not in ("43", "44"):
        return odd / name / "input" if (odd / name / "input").is_dir() else odd / name
    shutil.copytree(odd / name, place / name, symlinks=True)
    inputs = place / name / "input"
    if name.startswith("43"):
        (inputs / "series1").symlink_to("../real/deep")
    else:
        for file in ("IM0003", "IM0015"):
            (inputs / file).symlink_to(f"../annex/absent-{file}")
    return inputs


@pytest.mark.parametrize("name", ONE_VOLUME)
def test_one_volume_and_its_warning(odd: Path, tmp_path: Path, name: str) -> None:
    slices, words = ONE_VOLUME[name]
    path = prepared(odd, name, tmp_path)
    volume = open_ct(path)
    assert len(volume.hu) == slices
    # Every tenth slice or so of a real scan was kept, which is told.
    doubts = [w for w in volume.warnings if "what lies between them was not scanned" not in w]
    assert any(words in w for w in doubts) if words else doubts == []


@pytest.mark.parametrize("name", SEVERAL)
def test_several_series_are_never_mixed(odd: Path, tmp_path: Path, name: str) -> None:
    slices, default = SEVERAL[name]
    path = prepared(odd, name, tmp_path)
    found = list_series(path)
    assert [info.n_slices for info in found] == slices
    assert default in found[0].description
    assert found[0].reason
    volume = open_ct(path)
    assert len(volume.hu) == slices[0]
    assert any(f"one of {len(slices)} series" in w for w in volume.warnings)


@pytest.mark.parametrize("name", SAME_AS_SIMPLEITK)
def test_values_are_those_of_simpleitk(odd: Path, name: str) -> None:
    volume = open_ct(odd / name / "input")
    files = sorted((odd / name / "input").iterdir())
    slices = []
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    for file in files:
        image = sitk.ReadImage(str(file), imageIO="GDCMImageIO")
        slices.append((image.GetOrigin()[2], sitk.GetArrayFromImage(image)[0]))
    stack = np.stack([pixels for _, pixels in sorted(slices, key=lambda pair: -pair[0])])
    np.testing.assert_array_equal(volume.hu, np.maximum(stack, -1024))


@pytest.mark.parametrize("name", ["25-qfac-0-lps", "26-qfac-0-ras", "27-negative-pixdim-qform"])
def test_qforms_are_read_as_nibabel_does(odd: Path, name: str) -> None:
    (path,) = (odd / name).glob("*.nii.gz")
    image = nib.load(path)
    volume = open_ct(path)
    check_same(volume, np.asarray(image.dataobj), image.affine)
    assert volume.warnings == ()


def check_same(volume: CTVolume, data: np.ndarray, affine: np.ndarray) -> None:
    turn = ornt_transform(io_orientation(affine), axcodes2ornt("IPL"))
    np.testing.assert_array_equal(volume.hu, np.maximum(apply_orientation(data, turn), -1024))
    want = affine @ nib.orientations.inv_ornt_aff(turn, data.shape)
    np.testing.assert_allclose(volume.affine, want, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "text"), [("50-charset-japanese", "胸部 肺"), ("51-charset-korean", "흉부 CT")]
)
def test_descriptions_are_in_their_character_set(odd: Path, name: str, text: str) -> None:
    assert open_ct(odd / name / "input").series == text


def test_rounded_positions_give_the_exact_step(odd: Path) -> None:
    for name, step in (("29-rounded-positions-05", 0.5), ("30-rounded-positions-125", 1.25)):
        volume = open_ct(odd / name / "input")
        assert volume.spacing[0] == pytest.approx(step, abs=1e-6)
        # No tilt is made up.
        assert volume.affine[:3, 0] == pytest.approx([0, 0, -step], abs=1e-9)
