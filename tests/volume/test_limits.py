"""What a file claims is compared with limits and with the free memory before memory is taken."""

from __future__ import annotations

import gzip
import os
import re
import struct
import threading
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from napari_ct_assistant.volume import CTReadError, limits, list_series, open_ct
from napari_ct_assistant.volume.errors import OpeningStoppedError
from tests.volume.samples import EXPLICIT, IMPLICIT, dataset, ramp, save, save_series

JPEG_2000 = "1.2.840.10008.1.2.4.90"
SMALL = 16 << 20


@pytest.fixture
def little_memory() -> Iterator[None]:
    """Hold the memory that the test takes against a small limit."""
    tracemalloc.start()
    yield
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < SMALL


def with_private(folder: Path, length: int, *, syntax: str = EXPLICIT) -> Path:
    """Write a slice with a private element of `length` zeros, a hole in the file."""
    path = save(folder / "slice.dcm", dataset(ramp()), ramp(), syntax)
    data = path.read_bytes()
    at = data.index(b"\x10\0\x10\0")
    if syntax == EXPLICIT:
        element = struct.pack("<HH2s2xL", 9, 0x1010, b"OB", length)
    else:
        element = struct.pack("<HHL", 9, 0x1010, length)
    with path.open("wb") as file:
        file.write(data[:at] + element)
        file.seek(length, os.SEEK_CUR)
        file.write(data[at:])
    return path


def claiming(folder: Path, frames: int, side: int) -> Path:
    """Write a small JPEG 2000 file that claims many large frames."""
    pixels = np.stack([ramp(k) for k in range(2)])
    ds = dataset(pixels, NumberOfFrames=str(frames), SpacingBetweenSlices="2")
    ds.Rows = ds.Columns = side
    return save(folder / "claims.dcm", ds, pixels, JPEG_2000)


def nifti(path: Path, shape: tuple[int, int, int], content: int) -> Path:
    """Write a gzipped NIfTI file of about `content` bytes that claims a shape."""
    header = nib.Nifti1Header()
    header.set_data_dtype(np.uint8)
    header.set_data_shape(shape)
    header.set_sform(np.diag([-1, -1, 1, 1]), code="scanner")
    header["vox_offset"] = 352
    header["magic"] = b"n+1"
    noise = np.random.default_rng(1).bytes(content)
    path.write_bytes(gzip.compress(header.binaryblock + bytes(4) + noise, 1))
    return path


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_a_long_private_element_is_passed_over(tmp_path: Path, syntax: str) -> None:
    path = with_private(tmp_path, 1 << 30, syntax=syntax)
    volume = open_ct(path)
    np.testing.assert_array_equal(volume.hu[0], ramp().astype(int) - 1024)


@pytest.mark.usefixtures("little_memory")
def test_a_private_element_that_is_not_there_is_told(tmp_path: Path) -> None:
    path = with_private(tmp_path, 1 << 20)
    os.truncate(path, 1 << 19)
    with pytest.raises(CTReadError, match=r"^slice\.dcm: .*cut off within its header"):
        open_ct(path)


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize("start", [b"", bytes(128) + b"DICM", b"\x08\0\x05\0\0\0\0\0"])
def test_64_mb_of_zeros(tmp_path: Path, start: bytes) -> None:
    path = tmp_path / "zeros.dcm"
    path.write_bytes(start)
    os.truncate(path, 64 << 20)
    with pytest.raises(CTReadError, match=r"^zeros\.dcm: .*(zeros|copy it again)"):
        open_ct(path)


def test_a_header_without_end(tmp_path: Path) -> None:
    path = save(tmp_path / "long.dcm", dataset(ramp()), ramp())
    data = path.read_bytes()
    at = data.index(b"\x10\0\x10\0")
    # One private attribute without a value after another.
    many = b"".join(struct.pack("<HH2sH", 9, 0x1000 + k, b"LO", 0) for k in range(0x1000))
    path.write_bytes(data[:at] + many * 600 + data[at:])
    with pytest.raises(CTReadError, match=r"^long\.dcm: .*more than 2000000 attributes"):
        open_ct(path)


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize(
    ("frames", "side", "problem"),
    [
        (24, 8192, "claims to hold 3.2 GB in 0.00 MB"),
        (60_000, 512, "claims 60000 frames where the file ends after"),
        (100_000, 512, "NumberOfFrames is 100000"),
        (1, 9000, "Rows is 9000"),
    ],
)
def test_jpeg_2000_that_claims_gigabytes(
    tmp_path: Path, frames: int, side: int, problem: str
) -> None:
    path = claiming(tmp_path, frames, side)
    with pytest.raises(CTReadError, match=r"^claims\.dcm: ") as error:
        open_ct(path)
    assert problem in str(error.value)


@pytest.mark.usefixtures("little_memory")
def test_nifti_of_1_mb_that_claims_2_gb(tmp_path: Path) -> None:
    path = nifti(tmp_path / "ct.nii.gz", (1024, 1024, 1000), 1_020_000)
    with pytest.raises(CTReadError, match=r"^ct\.nii\.gz: claims to hold 2\.1 GB in 1\.02 MB"):
        open_ct(path)


@pytest.mark.usefixtures("little_memory")
def test_nrrd_that_claims_2_gb(tmp_path: Path) -> None:
    pytest.importorskip("SimpleITK")
    path = tmp_path / "ct.nrrd"
    header = (
        "NRRD0004\ntype: short\ndimension: 3\nspace: left-posterior-superior\n"
        "sizes: 1024 1024 1000\nspace directions: (1,0,0) (0,1,0) (0,0,1)\n"
        "space origin: (0,0,0)\nendian: little\nencoding: gzip\n\n"
    )
    path.write_bytes(header.encode() + gzip.compress(bytes(1000)))
    with pytest.raises(CTReadError, match=r"^ct\.nrrd: claims to hold 2\.1 GB in 0\.00 MB"):
        open_ct(path)


def test_an_archive_that_claims_gigabytes(tmp_path: Path) -> None:
    path = tmp_path / "study.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("slice.dcm", bytes(5000))
    data = path.read_bytes()
    # The size in the list of contents, at its end.
    at = data.index(b"PK\x01\x02") + 24
    path.write_bytes(data[:at] + struct.pack("<L", 3_000_000_000) + data[at + 4 :])
    with pytest.raises(CTReadError, match=r"^study\.zip: claims to hold 3\.0 GB in 0\.00 MB"):
        open_ct(path)


@pytest.mark.parametrize("kind", ["dicom", "nifti", "mha"])
def test_what_does_not_fit_into_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    if kind == "dicom":
        path = save_series(tmp_path / "ct", [(0, 0, 2.0 * k) for k in range(4)])
    else:
        path = tmp_path / f"ct.{'nii' if kind == 'nifti' else 'mha'}"
        if kind == "mha":
            sitk = pytest.importorskip("SimpleITK")
            sitk.WriteImage(sitk.GetImageFromArray(np.zeros((4, 5, 6), np.int16)), str(path))
        else:
            nib.save(nib.Nifti1Image(np.zeros((4, 5, 6), np.int16), np.eye(4)), path)
    open_ct(path)
    monkeypatch.setattr(limits, "available_memory", lambda: 200)
    with pytest.raises(CTReadError, match=r"voxels need 0\.0 GB of memory, 0\.0 GB are free"):
        open_ct(path)


def test_a_memory_error_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    path = save_series(tmp_path / "ct", [(0, 0, 2.0 * k) for k in range(4)])
    monkeypatch.setattr("napari_ct_assistant.volume.open.load_stack", fail)
    with pytest.raises(CTReadError, match=r"^ct: the memory is not enough to open it"):
        open_ct(path)


def test_opening_and_listing_can_be_stopped(tmp_path: Path) -> None:
    folder = save_series(tmp_path / "ct", [(0, 0, 2.0 * k) for k in range(40)])
    cancel = threading.Event()
    seen: list[int] = []

    def stop(done: int, _total: int) -> None:
        seen.append(done)
        cancel.set()

    with pytest.raises(OpeningStoppedError, match=r"^ct: opening was stopped$"):
        open_ct(folder, progress=stop, cancel=cancel)
    assert len(seen) == 1
    with pytest.raises(OpeningStoppedError):
        list_series(folder, cancel=cancel)
    with zipfile.ZipFile(tmp_path / "ct.zip", "w") as archive:
        for file in folder.iterdir():
            archive.write(file, file.name)
    with pytest.raises(OpeningStoppedError, match=r"^ct\.zip: opening was stopped$"):
        list_series(tmp_path / "ct.zip", cancel=cancel)


@pytest.mark.parametrize("syntax", [EXPLICIT, JPEG_2000, "1.2.840.10008.1.2.1.99"])
def test_a_file_that_changes_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, syntax: str
) -> None:
    from napari_ct_assistant.volume import open as opening

    folder = save_series(tmp_path / "ct", [(0, 0, 2.0 * k) for k in range(4)], syntax=syntax)
    changed = sorted(folder.iterdir())[2]
    plan = opening.plan_stack

    def change_and_plan(*args: object, **kwargs: object) -> object:
        changed.write_bytes(changed.read_bytes() + b"more")
        return plan(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(opening, "plan_stack", change_and_plan)
    with pytest.raises(CTReadError, match=f"^{changed.name}: changed while it was being read"):
        open_ct(folder)


def test_a_nifti_file_that_changes_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "ct.nii"
    nib.save(nib.Nifti1Image(np.zeros((4, 5, 6), np.int16), np.eye(4)), path)

    def change(done: int, _total: int) -> None:
        if done == 3:
            with path.open("r+b") as file:
                file.seek(400)
                file.write(b"another scan")
            os.utime(path, ns=(1, 1))

    with pytest.raises(CTReadError, match=r"^ct\.nii: changed while it was being read"):
        open_ct(path, progress=change)


@pytest.mark.parametrize("name", ["ct.mha", "ct.nrrd"])
def test_a_file_that_is_cut_off_is_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    """ITK itself would write to the terminal."""
    sitk = pytest.importorskip("SimpleITK")
    path = tmp_path / name
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((4, 5, 6), np.int16)), str(path))
    open_ct(path)
    os.truncate(path, path.stat().st_size - 30)
    with pytest.raises(CTReadError, match=rf"^{name}: cut off: \[6, 5, 4\] voxels need 240 bytes"):
        open_ct(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("dimensions", ["255", "8193", "1e+300", "-1", "0", "11", "x"])
def test_a_metaimage_of_many_dimensions(tmp_path: Path, dimensions: str) -> None:
    """ITK itself would write beyond its memory."""
    sitk = pytest.importorskip("SimpleITK")
    path = tmp_path / "ct.mha"
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((4, 5, 6), np.int16)), str(path))
    path.write_bytes(path.read_bytes().replace(b"NDims = 3", f"NDims = {dimensions}".encode()))
    with pytest.raises(CTReadError, match=rf"^ct\.mha: NDims is '{re.escape(dimensions)}'"):
        open_ct(path)


def test_an_archive_member_without_a_name_is_passed_over(tmp_path: Path) -> None:
    from napari_ct_assistant.volume.glance import looks_like_ct

    path = tmp_path / "study.zip"
    slice_ = save(tmp_path / "slice.dcm", dataset(ramp()), ramp())
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x", b"x")
        archive.write(slice_, "slice.dcm")
    data = bytearray(path.read_bytes())
    # In the list of contents the first name becomes part of what follows it.
    struct.pack_into("<HH", data, data.index(b"PK\x01\x02") + 28, 0, 1)
    path.write_bytes(data)
    assert looks_like_ct(path)
    assert open_ct(path).shape == (1, 12, 10)
