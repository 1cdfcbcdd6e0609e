"""Volume files of other formats, archives, and what is said of files that are neither."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - its usual name

from napari_ct_assistant.volume import CTReadError, list_series, open_ct
from napari_ct_assistant.volume.files import zipped
from tests.volume.samples import dataset, ramp, save, save_series
from tests.volume.test_ct_volume import oblique

LINE = [(0, 0, 3.0 * k) for k in range(5)]


@pytest.mark.parametrize("ending", ["mha", "mhd", "nrrd", "nhdr", "MHA", "NRRD"])
@pytest.mark.parametrize("kind", ["int16", "float32", "int32"])
def test_itk_files_equal_the_volume_they_were_written_from(
    tmp_path: Path, ending: str, kind: str
) -> None:
    volume = oblique()
    image = sitk.Cast(volume.to_simpleitk(), getattr(sitk, f"sitk{kind.title()}"))
    lower = tmp_path / f"scan.{ending.lower()}"
    sitk.WriteImage(image, str(lower))
    path = lower.rename(tmp_path / f"scan.{ending}")
    again = open_ct(path)
    np.testing.assert_array_equal(again.hu, volume.hu)
    np.testing.assert_allclose(again.affine, volume.affine, atol=1e-9)
    # A folder of them is a list, as one of NIfTI files is.
    assert [info.n_slices for info in list_series(tmp_path)] == [4]


def test_itk_files_that_are_no_scan(tmp_path: Path) -> None:
    sitk.WriteImage(sitk.Image([8, 8], sitk.sitkInt16), str(tmp_path / "flat.mha"))
    sitk.WriteImage(sitk.Image([8, 8, 8], sitk.sitkVectorUInt8, 3), str(tmp_path / "rgb.nrrd"))
    whole = tmp_path / "cut.mha"
    sitk.WriteImage(oblique().to_simpleitk(), str(whole))
    whole.write_bytes(whole.read_bytes()[:-20])
    label = sitk.Image([8, 8, 8], sitk.sitkUInt8)
    label.SetMetaData("Segment0_ID", "Segment_1")
    sitk.WriteImage(label, str(tmp_path / "a.seg.nrrd"))
    for name, message in {
        "flat.mha": "a 2D image",
        "rgb.nrrd": "colour or vector",
        "cut.mha": r"cut off: \[6, 5, 4\] voxels need 240 bytes",
        "a.seg.nrrd": "a NRRD segmentation",
    }.items():
        with pytest.raises(CTReadError, match=message) as caught:
            open_ct(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_without_simpleitk_the_extra_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.mha"
    sitk.WriteImage(oblique().to_simpleitk(), str(path))
    code = (
        "import sys; sys.modules['SimpleITK'] = None\n"
        "from napari_ct_assistant.volume import open_ct\n"
        "try: open_ct(sys.argv[1])\n"
        "except ValueError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    assert "pip install 'napari-ct-assistant[itk]'" in done.stdout


def pack(folder: Path, archive: Path) -> Path:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        for path in sorted(folder.rglob("*")):
            out.write(path, path.relative_to(folder))
    return archive


def test_a_zipped_study_is_the_study(tmp_path: Path) -> None:
    save_series(tmp_path / "s" / "A", LINE, SeriesDescription="long")
    save_series(tmp_path / "s" / "B", LINE[:3], series="1.2.5", SeriesDescription="short")
    archive = pack(tmp_path / "s", tmp_path / "study.bin")
    found = list_series(archive)
    assert [(info.description, info.path) for info in found] == [
        ("long", archive),
        ("short", archive),
    ]
    for info in found:
        inside = open_ct(archive, series=info.key)
        assert inside.fingerprint == open_ct(tmp_path / "s", series=info.key).fingerprint


def test_no_member_leaves_the_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names that climb, absolute ones, links and equal ones; nothing stays behind."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temp"))
    (tmp_path / "temp").mkdir()
    save_series(tmp_path / "s", LINE)
    files = sorted((tmp_path / "s").iterdir())
    names = ["../../escaped.dcm", "/absolute.dcm", "a/b.dcm", "A/B.dcm", "a\\..\\..\\up.dcm"]
    archive = tmp_path / "z.zip"
    with zipfile.ZipFile(archive, "w") as out:
        for path, name in zip(files, names, strict=True):
            out.writestr(name, path.read_bytes())
        link = zipfile.ZipInfo("link")
        link.external_attr = 0o120777 << 16
        out.writestr(link, "/etc/passwd")
    before = {path for path in tmp_path.rglob("*") if "temp" not in path.parts}
    assert open_ct(archive).shape == (5, 12, 10)
    assert {path for path in tmp_path.rglob("*") if "temp" not in path.parts} == before
    assert list((tmp_path / "temp").iterdir()) == []


def test_errors_name_the_member(tmp_path: Path) -> None:
    folder = save_series(tmp_path / "s", LINE)
    victim = folder / "4_2.dcm"
    victim.write_bytes(victim.read_bytes()[:-40])
    with pytest.raises(CTReadError, match=r"z\.zip: in the archive, 4_2\.dcm: cut off") as caught:
        open_ct(pack(folder, tmp_path / "z.zip"))
    assert caught.value.path == tmp_path / "z.zip"


def test_archives_that_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = save_series(tmp_path / "s", LINE)
    archive = pack(folder, tmp_path / "z.zip")
    data = archive.read_bytes()
    (tmp_path / "cut.zip").write_bytes(data[:-30])
    (tmp_path / "bad.zip").write_bytes(data[:200] + bytes(50) + data[250:])
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "notes.txt").write_text("no scan")
    pack(tmp_path / "text", tmp_path / "text.zip")
    for name, message in {
        "cut.zip": "archive is damaged",
        "bad.zip": "archive is damaged",
        "text.zip": "a folder without DICOM",
    }.items():
        with pytest.raises(CTReadError, match=message) as caught:
            open_ct(tmp_path / name)
        assert str(caught.value).startswith(f"{name}: ")
        assert str(tmp_path) not in str(caught.value)
    monkeypatch.setattr(zipped, "MAX_BYTES", 1000)
    with pytest.raises(CTReadError, match="too many to unpack"):
        open_ct(archive)


def test_upper_case_endings_in_a_folder(tmp_path: Path) -> None:
    hu = np.arange(64, dtype=np.int16).reshape(4, 4, 4) - 30
    nib.save(nib.Nifti1Image(hu, np.diag([-1.0, -1, 2, 1])), tmp_path / "a.nii.gz")
    (tmp_path / "a.nii.gz").rename(tmp_path / "SCAN01.NII.GZ")
    assert open_ct(tmp_path).shape == (4, 4, 4)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "run git lfs pull"),
        (b"/annex/objects/SHA256E-s1--0.dcm\n", "run git annex get"),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), "a PNG picture"),
        (b"%PDF-1.7", "a PDF document"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        (b"<!DOCTYPE html>", "a failed download"),
        (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
        (bytes(257) + b"ustar" + bytes(100), "a tar archive"),
        (b"\x5c\1\0\0" + bytes(400), "header without voxels"),
        (b"hello", "neither a DICOM nor a NIfTI file"),
    ],
)
def test_other_formats_are_named(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    with pytest.raises(CTReadError, match=message):
        open_ct(path)
    with pytest.raises(CTReadError, match="DICOM"):
        open_ct(tmp_path)


def test_a_slice_beside_an_archive_is_still_its_series(tmp_path: Path) -> None:
    folder = save_series(tmp_path / "s", LINE)
    pack(folder, tmp_path / "s" / "copy.zip")
    assert open_ct(folder).shape == (5, 12, 10)
    one = save(folder / "one", dataset(ramp(5), position=(0, 0, 15), number=6), ramp(5))
    assert open_ct(one).shape == (6, 12, 10)
