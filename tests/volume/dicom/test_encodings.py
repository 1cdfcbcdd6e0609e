"""Headers that other readers read: no preamble, wrong declarations, odd VRs, late attributes."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from napari_ct_assistant.volume import CTReadError, open_ct
from napari_ct_assistant.volume.dicom.values import decode
from tests.volume.samples import BIG_ENDIAN, EXPLICIT, IMPLICIT, dataset, ramp, save

LINE = [(0, 0, 3.0 * k) for k in range(5)]
WANT = np.stack([np.maximum(ramp(k).astype(int) - 1024, -1024) for k in range(5)])[::-1]


def bare(path: Path, ds: Dataset, *, implicit: bool) -> bytes:
    """Return a data set without preamble and file meta information."""
    ds.save_as(path, implicit_vr=implicit, little_endian=True, enforce_file_format=False)
    data = path.read_bytes()
    assert data[128:132] != b"DICM"
    return data


def slice_of(k: int, **more: object) -> Dataset:
    ds = dataset(ramp(k), position=LINE[k], number=k + 1, **more)
    ds.PixelData = ramp(k).tobytes()
    ds["PixelData"].VR = "OW"
    return ds


def test_without_meta_from_any_first_element(tmp_path: Path) -> None:
    first = ["SpecificCharacterSet", "ImageType", "SOPClassUID", "SOPInstanceUID", "Modality"]
    for implicit in (True, False):
        for n, keyword in enumerate(first):
            folder = tmp_path / f"{implicit}{n}"
            folder.mkdir()
            for k in range(5):
                ds = slice_of(k, SpecificCharacterSet="ISO_IR 100")
                for before in first[:n]:
                    delattr(ds, before)
                assert keyword in ds
                bare(folder / f"{k}", ds, implicit=implicit)
            np.testing.assert_array_equal(open_ct(folder).hu, WANT)


def meta_from(element: int) -> Callable[[bytes], bytes]:
    """Return what drops the preamble and the meta elements before (0002,element)."""

    def change(data: bytes) -> bytes:
        at = data.index(struct.pack("<HH", 2, element), 132)
        return data[at:]

    return change


@pytest.mark.parametrize(
    "change",
    [meta_from(0x0000), meta_from(0x0001), meta_from(0x0010), lambda data: data[128:]],
    ids=["from group length", "from version", "from syntax", "mark without preamble"],
)
def test_meta_without_preamble(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    for k in range(5):
        path = save(tmp_path / f"{k}", slice_of(k), ramp(k))
        path.write_bytes(change(path.read_bytes()))
    np.testing.assert_array_equal(open_ct(tmp_path).hu, WANT)


@pytest.mark.parametrize(
    ("written", "declared"),
    [
        (EXPLICIT, IMPLICIT),
        (IMPLICIT, EXPLICIT),
        (BIG_ENDIAN, EXPLICIT),
        (EXPLICIT, BIG_ENDIAN),
        (EXPLICIT, "1.2.840.10008.1.2.4.70"),
        (IMPLICIT, "1.2.3.4.5"),
    ],
)
def test_what_the_bytes_show_counts(tmp_path: Path, written: str, declared: str) -> None:
    for k in range(5):
        path = save(tmp_path / f"{k}", slice_of(k), ramp(k), written)
        data = path.read_bytes()
        wide = max(len(written), len(declared))
        wide += wide % 2
        at = data.index(written.encode(), 132) - 2
        length = struct.unpack_from("<H", data, at)[0]
        uid = declared.encode().ljust(wide, b"\0")
        path.write_bytes(data[:at] + struct.pack("<H", wide) + uid + data[at + 2 + length :])
    np.testing.assert_array_equal(open_ct(tmp_path).hu, WANT)


@pytest.mark.parametrize("vr", [b"XS", b"  ", b"OX", b"??", b"\0\0"])
def test_vendor_vrs(tmp_path: Path, vr: bytes) -> None:
    """The VR of a wanted and of an unwanted attribute is in no standard."""
    for k in range(5):
        ds = slice_of(k, PixelPaddingValue=2, WindowCenter="40")
        path = save(tmp_path / f"{k}", ds, ramp(k))
        data = path.read_bytes()
        for tag, known in ((b"\x28\0\x20\1", b"US"), (b"\x28\0\x50\x10", b"DS")):
            assert data.count(tag + known) == 1
            data = data.replace(tag + known, tag + vr)
        path.write_bytes(data)
    np.testing.assert_array_equal(open_ct(tmp_path).hu, WANT)


def test_ge_private_syntax(tmp_path: Path) -> None:
    """An implicit data set with big endian pixels."""
    for k in range(5):
        path = save(tmp_path / f"{k}", slice_of(k), ramp(k).byteswap(), IMPLICIT)
        data = path.read_bytes()
        old, new = b"1.2.840.10008.1.2\0", b"1.2.840.113619.5.2"
        path.write_bytes(data.replace(b"\x12\0" + old, b"\x12\0" + new, 1))
    np.testing.assert_array_equal(open_ct(tmp_path).hu, WANT)


@pytest.mark.parametrize("implicit", [True, False])
def test_position_after_the_pixels(tmp_path: Path, implicit: bool) -> None:
    for k in range(5):
        ds = slice_of(k)
        late = Dataset()
        for keyword in ("ImagePositionPatient", "ImageOrientationPatient"):
            setattr(late, keyword, ds[keyword].value)
            delattr(ds, keyword)
        path = save(tmp_path / f"{k}", ds, ramp(k), IMPLICIT if implicit else EXPLICIT)
        tail = bare(tmp_path / ".tail", late, implicit=implicit)
        path.write_bytes(path.read_bytes() + tail)
    np.testing.assert_array_equal(open_ct(tmp_path).hu, WANT)


@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_float_pixels(tmp_path: Path, kind: str) -> None:
    keyword = "FloatPixelData" if kind == "f4" else "DoubleFloatPixelData"
    for k in range(5):
        ds = dataset(ramp(k), position=LINE[k], number=k, RescaleSlope=None, RescaleIntercept=None)
        ds.BitsAllocated = 8 * np.dtype(kind).itemsize
        for other in ("BitsStored", "HighBit", "PixelRepresentation"):
            delattr(ds, other)
        setattr(ds, keyword, (ramp(k).astype(kind) - 1024.25).tobytes())
        save(tmp_path / f"{k}", ds, None)
    np.testing.assert_array_equal(open_ct(tmp_path).hu, WANT)


def multi_frame(folder: Path, **more: object) -> Path:
    pixels = np.stack([ramp(k) for k in range(5)])
    ds = dataset(pixels, **more)
    ds.NumberOfFrames = 5
    return save(folder / "m.dcm", ds, pixels)


def test_classic_multi_frame(tmp_path: Path) -> None:
    volume = open_ct(multi_frame(tmp_path, SpacingBetweenSlices=3, orientation=(1, 0, 0, 0, 1, 0)))
    np.testing.assert_array_equal(volume.hu, WANT)
    assert volume.spacing[0] == pytest.approx(3)
    assert any("check which end is up" in w for w in volume.warnings)
    # Without a slice step the thickness counts, without both it is no volume.
    assert open_ct(multi_frame(tmp_path)).spacing[0] == pytest.approx(2)
    with pytest.raises(CTReadError, match="without positions or SpacingBetweenSlices"):
        open_ct(multi_frame(tmp_path, SliceThickness=None))


@pytest.mark.parametrize(
    ("character_set", "text"),
    [
        (["ISO 2022 IR 13", "ISO 2022 IR 87"], "胸部 ｺﾝﾄﾗｽﾄ"),
        (["", "ISO 2022 IR 149"], "흉부 CT"),
        ("ISO_IR 144", "Грудная клетка"),
        ("ISO_IR 192", "Brustkorb äöü 胸部"),
        ("GB18030", "胸部 平扫"),
        ("ISO_IR 100", "Thorax à blanc"),
    ],
)
def test_descriptions_decode_as_pydicom_does(
    tmp_path: Path, character_set: str | list[str], text: str
) -> None:
    ds = slice_of(0, SpecificCharacterSet=character_set, SeriesDescription=text)
    path = save(tmp_path / "0", ds, ramp(0))
    assert pydicom.dcmread(path).SeriesDescription == text
    assert open_ct(path).series == text


def test_unknown_character_sets_cost_no_scan() -> None:
    assert decode("Größe".encode(), "") == "Größe"
    assert decode(b"Gr\xf6\xdfe", "") == "Größe"
    assert decode(b"Chest", "NONSENSE") == "Chest"
    assert decode(b"\xff\xfe", "NONSENSE\\ISO 2022 IR 87")
