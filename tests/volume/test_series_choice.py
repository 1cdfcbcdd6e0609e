"""Which series is the default and why, and how another is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from napari_ct_assistant.volume import CTReadError, SeriesInfo, list_series, open_ct
from napari_ct_assistant.volume.series_choice import choose
from tests.volume.samples import save_series


def series(folder: Path, name: str, count: int, step: float, **more: Any) -> None:
    more = {"AcquisitionTime": "100000", "SliceThickness": step, **more}
    save_series(
        folder / name,
        [(0, 0, step * k) for k in range(count)],
        series=f"1.2.{abs(hash(name)) % 10**8}",
        SeriesDescription=name,
        **more,
    )


def listed(folder: Path) -> list[str]:
    return [info.description for info in list_series(folder)]


def test_original_slices_go_before_computed_ones(tmp_path: Path) -> None:
    series(tmp_path, "mip", 30, 5.0, ImageType=["DERIVED", "SECONDARY", "MIP"])
    series(tmp_path, "axial", 12, 5.0)
    series(tmp_path, "coronal", 40, 3.0, ImageType=["DERIVED", "SECONDARY", "MPR"])
    assert listed(tmp_path)[0] == "axial"
    assert list_series(tmp_path)[0].reason == "original slices, not computed ones"


def test_thin_goes_before_thick_within_one_acquisition(tmp_path: Path) -> None:
    series(tmp_path, "thick", 12, 5.0, ConvolutionKernel="B30f")
    series(tmp_path, "thin", 30, 2.0, ConvolutionKernel="B30f")
    series(tmp_path, "part", 25, 1.0)
    assert listed(tmp_path) == ["thin", "thick", "part"]
    best = list_series(tmp_path)[0]
    assert (best.step_mm, best.length_mm, best.kernel) == (2.0, 60.0, "B30f")
    assert best.reason == "the thinnest slices of its acquisition (2 mm)"


def test_another_acquisition_is_not_better_for_thin_slices(tmp_path: Path) -> None:
    series(tmp_path, "portal 5 mm", 40, 5.0, AcquisitionTime="100000", SeriesNumber=2)
    series(tmp_path, "late 1 mm", 150, 1.0, AcquisitionTime="101000", SeriesNumber=3)
    assert listed(tmp_path)[0] == "portal 5 mm"
    assert list_series(tmp_path)[0].reason == "the longest scan (200 mm)"


def test_a_few_slices_are_never_the_default_beside_a_volume(tmp_path: Path) -> None:
    series(tmp_path, "bolus", 4, 10.0, SeriesNumber=1)
    series(tmp_path, "chest", 10, 3.0, SeriesNumber=2)
    assert listed(tmp_path)[0] == "chest"
    assert open_ct(tmp_path).too_short == ""
    assert open_ct(tmp_path, series="bolus").too_short == "the scan has only 4 slices over 40 mm"


@pytest.fixture
def infos() -> list[SeriesInfo]:
    names = ["Chest Br40", "Chest Br64", "Abdomen", "2"]
    return [SeriesInfo(f"key{n}", name, "CT", 10, Path("s"), n + 1) for n, name in enumerate(names)]


@pytest.mark.parametrize(
    ("wanted", "number"),
    [("key2", 3), ("1", 1), ("3", 3), ("abdomen", 3), ("br64", 2), (" Chest Br40 ", 1), ("2", 2)],
)
def test_a_key_a_number_or_a_description(infos: list[SeriesInfo], wanted: str, number: int) -> None:
    assert choose(infos, wanted, Path("s")).number == number


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("chest", "names 2 series: 1: key0 .*; 2: key1"),
        ("head", "has no series 'head'; it has 1: "),
    ],
)
def test_what_is_not_clear_is_one_line(infos: list[SeriesInfo], wanted: str, message: str) -> None:
    with pytest.raises(CTReadError, match=message):
        choose(infos, wanted, Path("s"))


def test_the_default_is_told_with_its_reason(tmp_path: Path) -> None:
    series(tmp_path, "thick", 12, 5.0)
    series(tmp_path, "thin", 30, 2.0)
    (told,) = [w for w in open_ct(tmp_path).warnings if "one of 2 series" in w]
    assert "the thinnest slices" in told
    assert "'thick' with 12 slices, 60 mm" in told
    assert open_ct(tmp_path, series="1").warnings == ()
    assert open_ct(tmp_path, series="thick").shape[0] == 12
