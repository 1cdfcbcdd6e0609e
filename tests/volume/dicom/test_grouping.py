"""Which slices are of one scan: identifiers that differ, are missing, or differ in every slice."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from cProfile import Profile
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pytest
from pydicom.multival import MultiValue
from pydicom.uid import generate_uid

from napari_ct_assistant.volume import CTReadError, list_series, open_ct
from napari_ct_assistant.volume.dicom.frames import read_frames
from napari_ct_assistant.volume.dicom.grouping import group_frames
from napari_ct_assistant.volume.dicom.header import Header, read_header
from napari_ct_assistant.volume.dicom.passes import split_passes
from tests.volume.samples import SECRETS, dataset, ramp, save, save_series

LINE = [(0, 0, 5.0 * k) for k in range(8)]


def two_scans(folder: Path, first: dict[str, Any], second: dict[str, Any]) -> Path:
    """Write two scans of one place that differ in the given attributes, their files mixed."""
    names = [f"{n:03d}" for n in range(2 * len(LINE))]
    random.Random(1).shuffle(names)
    for scan, more in enumerate((first, second)):
        for k, position in enumerate(LINE):
            pixels = ramp(k + 100 * scan)
            ds = dataset(pixels, position=position, number=k + 1, **more)
            save(folder / names.pop(), ds, pixels)
    return folder


@pytest.mark.parametrize(
    "attribute",
    [
        "PatientID",
        "StudyInstanceUID",
        "FrameOfReferenceUID",
        "SeriesInstanceUID",
        "AcquisitionNumber",
        "AcquisitionTime",
        "TemporalPositionIdentifier",
        "ConvolutionKernel",
        "KVP",
        "RescaleType",
        "SeriesNumber",
        "SeriesDescription",
    ],
)
def test_what_makes_two_scans_of_equal_positions(tmp_path: Path, attribute: str) -> None:
    values = {
        "AcquisitionTime": ("100000", "100130"),
        "RescaleType": ("HU", "Z_EFF"),
        "PatientID": ("Doe1", "Doe2"),
    }.get(attribute, ("1", "2"))
    folder = two_scans(tmp_path, {attribute: values[0]}, {attribute: values[1]})
    found = list_series(folder)
    assert [info.n_slices for info in found] == [8, 8]
    whole = [np.stack([ramp(k + 100 * n).astype(int) - 1024 for k in range(8)]) for n in (0, 1)]
    for info in found:
        hu = open_ct(folder, series=info.key).hu[::-1]
        assert any(np.array_equal(hu, np.maximum(scan, -1024)) for scan in whole)


def test_without_series_uid_number_and_description_count(tmp_path: Path) -> None:
    more = [
        {"SeriesInstanceUID": None, "SeriesNumber": n, "SeriesDescription": name}
        for n, name in ((2, "native"), (3, "portal"))
    ]
    folder = two_scans(tmp_path, *more)
    found = list_series(folder)
    assert [(info.description, info.n_slices) for info in found] == [("native", 8), ("portal", 8)]


@pytest.mark.parametrize(
    "keywords",
    [
        ("FrameOfReferenceUID",),
        ("SeriesInstanceUID",),
        ("SeriesInstanceUID", "FrameOfReferenceUID"),
    ],
)
def test_an_identifier_new_in_every_slice_tells_nothing(
    tmp_path: Path, keywords: tuple[str, ...]
) -> None:
    for k, position in enumerate(LINE):
        more = {keyword: generate_uid() for keyword in keywords}
        ds = dataset(ramp(k), position=position, number=k + 1, SeriesNumber=4, **more)
        save(tmp_path / f"{k}", ds, ramp(k))
    (info,) = list_series(tmp_path)
    assert info.n_slices == 8
    assert open_ct(tmp_path).warnings == ("slices of 2 mm lie 5.00 mm apart: what lies between "
                                          "them was not scanned",)  # fmt: skip


def test_one_instance_uid_for_all_slices_is_a_volume(tmp_path: Path) -> None:
    folder = save_series(tmp_path / "s", LINE, SOPInstanceUID="1.2.3.99")
    assert open_ct(folder).shape == (8, 12, 10)


def test_an_identifier_missing_in_some_slices_joins_the_only_other(tmp_path: Path) -> None:
    for k, position in enumerate(LINE):
        more: dict[str, Any] = {"FrameOfReferenceUID": "1.2.9"}
        if k in (2, 5):
            more = {"PatientID": None}
        save(tmp_path / f"{k}", dataset(ramp(k), position=position, number=k + 1, **more), ramp(k))
    assert [info.n_slices for info in list_series(tmp_path)] == [8]


def test_copies_are_known_by_their_pixels(tmp_path: Path) -> None:
    """A second copy with new UIDs adds nothing; one with other pixels is another scan."""
    folder = save_series(tmp_path / "s", LINE)
    save_series(tmp_path / "s" / "copy", LINE, SOPInstanceUID="1.2.3.77")
    volume = open_ct(tmp_path / "s")
    assert volume.shape == (8, 12, 10)
    assert "8 copies of slices were left out" in volume.warnings
    changed = ramp(3)
    changed[5, 5] += 1
    save(folder / "other", dataset(changed, position=LINE[3], number=4), changed)
    with pytest.raises(CTReadError, match=r"one position \(15\.00 mm along the table\)"):
        open_ct(tmp_path / "s")


def test_a_blank_slice_at_a_taken_place_is_left_out(tmp_path: Path) -> None:
    folder = save_series(tmp_path / "s", LINE)
    blank = np.full((12, 10), 24, np.uint16)
    save(folder / "00", dataset(blank, position=LINE[2], number=0), blank)
    volume = open_ct(folder)
    np.testing.assert_array_equal(volume.hu[5], np.maximum(ramp(2).astype(int) - 1024, -1024))
    assert any("1 blank slice" in w for w in volume.warnings)


def test_a_monitoring_slice_blocks_nothing_and_enters_nothing(tmp_path: Path) -> None:
    for place, z in (("at a slice", 20.0), ("between", 21.3), ("next in line", -5.0)):
        folder = tmp_path / place
        for scan in (2, 3):
            for k, position in enumerate(LINE):
                pixels = ramp(k + 50 * scan)
                ds = dataset(pixels, position=position, number=k, AcquisitionNumber=scan)
                save(folder / f"{scan}{k}", ds, pixels)
        ds = dataset(ramp(77), position=(0, 0, z), number=0, AcquisitionNumber=1)
        save(folder / "bolus", ds, ramp(77))
        found = list_series(folder)
        assert [info.n_slices for info in found] == [8, 8, 1], place
        assert "a single slice" in found[2].description
        for info, scan in zip(found[:2], (2, 3), strict=True):
            hu = open_ct(folder, series=info.key).hu
            np.testing.assert_array_equal(hu[7], np.maximum(ramp(50 * scan) - 1024.0, -1024))


def test_rotations_of_one_scan_stay_together(tmp_path: Path) -> None:
    """Step and shoot: a new acquisition number every four slices, a time for each slice."""
    for k in range(16):
        ds = dataset(ramp(k), position=(0, 0, 2.0 * k), number=k, AcquisitionNumber=k // 4 + 1,
                     AcquisitionTime=f"10000{k // 4}.{k:02d}")  # fmt: skip
        save(tmp_path / f"{k}", ds, ramp(k))
    assert [info.n_slices for info in list_series(tmp_path)] == [16]
    assert open_ct(tmp_path).warnings == ()


def test_a_setting_missing_in_some_slices_divides_nothing(tmp_path: Path) -> None:
    for k in range(16):
        more = {"ConvolutionKernel": "B30f", "KVP": 120} if k not in (4, 5, 6) else {}
        ds = dataset(ramp(k), position=(0, 0, 2.0 * k), number=k, **more)
        save(tmp_path / f"{k}", ds, ramp(k))
    assert open_ct(tmp_path).shape == (16, 12, 10)


def test_nothing_of_a_patient_is_kept(tmp_path: Path) -> None:
    folder = save_series(tmp_path / "s", LINE)
    shutil.copy(next(folder.iterdir()), tmp_path / "s" / "copy")
    said = repr(list_series(folder)) + repr(vars(open_ct(folder)))
    assert not any(secret in said for secret in SECRETS)


def calls(count: int, **lists: list[Any]) -> int:
    """Return how many calls the grouping of slices takes; `lists` holds a value of each slice."""
    header = read_header(save(Path(mkdtemp()) / "0.dcm", dataset(ramp()), ramp()))
    assert isinstance(header, Header)
    frames = []
    for k in range(count):
        values = {"position": [0, 0, k], "number": k, **{n: v[k] for n, v in lists.items()}}
        ds = dataset(ramp(), **values)
        own = Header(header.syntax, header.order, header.state, dict(header.values))
        for tag in (0x00200013, 0x00200032, 0x0020000E, 0x00280030):
            own.values[tag] = encoded(ds[tag].value)
        if "AcquisitionNumber" in ds:
            own.values[0x00200012] = encoded(ds.AcquisitionNumber)
        own.pixels = (0, 240)
        frames += read_frames(Path(f"{k}.dcm"), own)
    profile = Profile()
    profile.enable()
    parts = [part for group in group_frames(frames) for part in split_passes(group)]
    profile.disable()
    assert sum(len(part.frames) for part in parts) == count
    return sum(entry.callcount for entry in profile.getstats())


def encoded(value: Any) -> bytes:
    parts = value if isinstance(value, MultiValue) else [value]
    return "\\".join(str(part) for part in parts).encode()


@pytest.mark.parametrize(
    "lists",
    [
        # Each slice has pixels of another size.
        lambda n: {"spacing": [(0.7 + 0.005 * k, 0.7) for k in range(n)]},
        # Each has also a series of its own.
        lambda n: {
            "spacing": [(0.7 + 0.005 * k, 0.7) for k in range(n)],
            "series": [f"1.2.{k}" for k in range(n)],
            "number": [1] * n,
        },
        # Two slices to each acquisition, uneven gaps.
        lambda n: {
            "AcquisitionNumber": [k // 2 for k in range(n)],
            "position": [(0, 0, k**1.5) for k in range(n)],
        },
    ],
)
def test_grouping_takes_little_more_time_than_there_are_slices(
    lists: Callable[[int], dict[str, list[Any]]],
) -> None:
    few, many = calls(80, **lists(80)), calls(320, **lists(320))
    # Four times as many slices take about four times as many calls; with every slice compared
    # with every other it was sixteen times.
    assert many < 5 * few
