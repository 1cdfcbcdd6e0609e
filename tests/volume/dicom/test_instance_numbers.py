"""Under which number an archive files each image, whatever the order and the files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pydicom
import pytest

from napari_ct_assistant.volume import CTVolume, open_ct
from napari_ct_assistant.volume.dicom.instance_numbers import ArchiveNumber
from tests.volume.samples import dataset, enhanced, ramp, save

STEP = 2.0


def series(folder: Path, numbers: Sequence[int | None], heights: Sequence[float]) -> CTVolume:
    """Return a series of these InstanceNumbers at these heights (mm towards the head)."""
    for k, (number, height) in enumerate(zip(numbers, heights, strict=True)):
        pixels = ramp(k)
        ds = dataset(pixels, position=(0, 0, height), InstanceNumber=number)
        save(folder / f"{(k * 7) % 10}_{k}.dcm", ds, pixels)
    return open_ct(folder)


def instances(volume: CTVolume, axis: int = 0) -> list[int | None]:
    return [volume.archive_number(k, axis).instance for k in range(volume.shape[axis])]


def test_a_series_from_feet_to_head_is_numbered_backwards(tmp_path: Path) -> None:
    volume = series(tmp_path, [1, 2, 3, 4, 5, 6], [STEP * k for k in range(6)])
    assert instances(volume) == [6, 5, 4, 3, 2, 1]
    assert volume.archive_number(0).words(1) == "instance 6"


def test_numbers_that_are_the_image_numbers_are_not_repeated(tmp_path: Path) -> None:
    volume = series(tmp_path, [1, 2, 3, 4, 5], [-STEP * k for k in range(5)])
    assert instances(volume) == [1, 2, 3, 4, 5]
    assert [volume.archive_number(k).words(k + 1) for k in range(5)] == [""] * 5


@pytest.mark.parametrize(
    "numbers", [[412, 413, 414, 415, 416], [3, 1, 5, 2, 4], [-1, 0, 1, 2, 3], [7, 7, 7, 7, 7]]
)
def test_numbers_are_those_of_the_files(tmp_path: Path, numbers: list[int]) -> None:
    volume = series(tmp_path, numbers, [-STEP * k for k in range(5)])
    assert instances(volume) == numbers


def test_files_without_a_number_have_none(tmp_path: Path) -> None:
    volume = series(tmp_path / "some", [5, None, 3, 2], [-STEP * k for k in range(4)])
    assert instances(volume) == [5, None, 3, 2]
    volume = series(tmp_path / "none", [None] * 4, [-STEP * k for k in range(4)])
    assert volume.instance_numbers is None
    assert instances(volume) == [None] * 4


def test_a_filled_gap_has_no_number(tmp_path: Path) -> None:
    heights = [-STEP * k for k in range(7) if k != 3]
    volume = series(tmp_path, [11, 12, 13, 15, 16, 17], heights)
    assert volume.shape[0] == 7
    assert instances(volume) == [11, 12, 13, None, 15, 16, 17]


@pytest.mark.parametrize(
    ("orientation", "place", "axis"),
    [
        ((1, 0, 0, 0, 0, -1), lambda y: (0, y, 0), 1),
        ((0, 1, 0, 0, 0, -1), lambda x: (x, 0, 0), 2),
    ],
)
def test_coronal_and_sagittal_series_are_numbered_along_their_own_axis(
    tmp_path: Path,
    orientation: tuple[float, ...],
    place: Callable[[float], tuple[float, ...]],
    axis: int,
) -> None:
    for k in range(6):
        pixels = ramp(k)
        ds = dataset(pixels, position=place(3.0 * k), orientation=orientation, number=40 + k)
        save(tmp_path / f"{k}.dcm", ds, pixels)
    volume = open_ct(tmp_path)
    assert instances(volume, axis) == [40, 41, 42, 43, 44, 45]
    assert instances(volume, 0) == [None] * volume.shape[0]


def test_a_multi_frame_file_is_numbered_by_its_frames(tmp_path: Path) -> None:
    pixels = np.stack([ramp(k) for k in range(5)])
    places = [(0, 0, STEP * k) for k in range(5)]
    save(tmp_path / "all.dcm", enhanced(pixels, places, number=3), pixels)
    volume = open_ct(tmp_path)
    assert [volume.archive_number(k) for k in range(5)] == [
        ArchiveNumber(3, frame) for frame in (5, 4, 3, 2, 1)
    ]
    assert volume.archive_number(0).words(1) == "instance 3, frame 5"
    assert volume.archive_number(2).words(3) == ""


def test_several_multi_frame_files_of_one_series(tmp_path: Path) -> None:
    for number, start in ((1, 0), (2, 3)):
        pixels = np.stack([ramp(start + k) for k in range(3)])
        places = [(0, 0, -STEP * (start + k)) for k in range(3)]
        save(tmp_path / f"{number}.dcm", enhanced(pixels, places, number=number), pixels)
    volume = open_ct(tmp_path)
    assert [tuple(volume.archive_number(k)) for k in range(6)] == [
        (1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3)
    ]  # fmt: skip
    assert volume.archive_number(4).words(5) == "instance 2, frame 2"


def test_outside_of_the_scan_there_is_no_number(tmp_path: Path) -> None:
    volume = series(tmp_path, [4, 5, 6], [0, -2, -4])
    for index in (None, -1, 3):
        assert volume.archive_number(index) == ArchiveNumber()


@pytest.mark.parametrize("name", ["chest_lidc_0314", "abdomen_crlm_1004", "head_ge_tilted"])
def test_real_series_agree_with_pydicom(shared_data: Path, name: str) -> None:
    files = [p for p in sorted((shared_data / name).rglob("*")) if p.is_file()]
    heads = []
    for path in files:
        try:
            ds = pydicom.dcmread(path, stop_before_pixels=True)
        except pydicom.errors.InvalidDicomError:
            continue
        if "ImagePositionPatient" in ds:
            heads.append((-float(ds.ImagePositionPatient[2]), int(ds.InstanceNumber)))
    volume = open_ct(shared_data / name)
    if len(heads) != volume.shape[0]:
        pytest.skip("several series, or slices that were filled")
    assert instances(volume) == [number for _, number in sorted(heads)]
