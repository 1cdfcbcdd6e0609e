"""DICOM series: every syntax, every layout of a folder, and each geometry rule."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from napari_ct_assistant.volume import CTReadError, list_series, open_ct
from tests.volume.samples import (
    BIG_ENDIAN,
    EXPLICIT,
    IMPLICIT,
    LOSSLESS,
    SECRETS,
    dataset,
    enhanced,
    ramp,
    save,
    save_series,
)

LINE = [(-10, 20, 3 + 2.5 * k) for k in range(5)]


def expected(count: int, shape: tuple[int, int] = (12, 10)) -> np.ndarray:
    """HU [I, P, L] of a series at rising z: the last slice comes first."""
    stack = np.stack([ramp(k, shape).astype(int) - 1024 for k in range(count)])
    return np.clip(stack, -1024, None)[::-1]


@pytest.mark.parametrize("syntax", LOSSLESS)
def test_every_lossless_syntax_gives_the_same_hu(tmp_path: Path, syntax: str) -> None:
    volume = open_ct(save_series(tmp_path / "s", LINE, syntax=syntax))
    np.testing.assert_array_equal(volume.hu, expected(5))
    assert volume.spacing == pytest.approx((2.5, 0.8, 0.7))
    assert volume.orientation == "LPS"
    assert volume.series == "Chest"
    # The first DICOM pixel of the lowest slice, in RAS.
    np.testing.assert_allclose(volume.index_to_ras([4, 0, 0]), [10, -20, 3], atol=1e-9)


@pytest.mark.parametrize(
    ("dtype", "stored", "intercept"),
    [
        ("int16", 16, 0),
        ("int16", 12, 0),
        ("uint16", 12, -1024),
        ("uint8", 8, -100),
        ("int32", 32, 0),
    ],
)
def test_bits_and_signs(tmp_path: Path, dtype: str, stored: int, intercept: int) -> None:
    low = -900 if dtype.startswith("int") else 0
    values = np.linspace(low, 250 if dtype == "uint8" else 2000, 120).astype(dtype).reshape(12, 10)
    dirty = values.copy()
    if stored == 12:
        # Overlay bits above BitsStored, as old files keep them.
        dirty = values & np.array(0x0FFF, dtype) | np.array(0x3000, dtype)
    for k in range(2):
        ds = dataset(values, position=(0, 0, k), RescaleIntercept=intercept, BitsStored=stored,
                     HighBit=stored - 1)  # fmt: skip
        save(tmp_path / f"{k}.dcm", ds, dirty)
    np.testing.assert_array_equal(open_ct(tmp_path).hu[0], values.astype(int) + intercept)


def test_each_slice_has_its_own_rescale(tmp_path: Path) -> None:
    for k, (slope, intercept) in enumerate([(1, -1024), (0.5, -1000), (2, 10.25)]):
        ds = dataset(ramp(), position=(0, 0, k), RescaleSlope=slope, RescaleIntercept=intercept)
        save(tmp_path / str(k), ds, ramp())
    hu = open_ct(tmp_path).hu[::-1]
    for k, (slope, intercept) in enumerate([(1, -1024), (0.5, -1000), (2, 10.25)]):
        np.testing.assert_array_equal(hu[k], np.rint(ramp().astype(float) * slope + intercept))


def test_padding_and_what_is_below_air_become_air(tmp_path: Path) -> None:
    pixels = ramp().astype(np.int16)
    pixels[0, :4] = (-2000, -3000, 50, 51)
    for k in range(2):
        ds = dataset(pixels, position=(0, 0, k), PixelPaddingValue=50, PixelPaddingRangeLimit=51)
        ds["PixelPaddingValue"].VR = ds["PixelPaddingRangeLimit"].VR = "SS"
        save(tmp_path / str(k), ds, pixels)
    hu = open_ct(tmp_path).hu[0]
    assert hu[0, :4].tolist() == [-1024] * 4
    np.testing.assert_array_equal(hu[1], pixels[1] - 1024)


def test_values_beyond_int16_are_kept_at_its_end(tmp_path: Path) -> None:
    pixels = ramp() + np.uint16(60000)
    for k in range(2):
        save(tmp_path / str(k), dataset(pixels, position=(0, 0, k)), pixels)
    assert (open_ct(tmp_path).hu == 32767).all()


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG_ENDIAN, "1.2.840.10008.1.2.4.80"])
def test_enhanced_multi_frame(tmp_path: Path, syntax: str) -> None:
    order = [2, 0, 3, 1]
    pixels = np.stack([ramp(k) for k in order])
    ds = enhanced(pixels, [(0, 0, 2.0 * k) for k in order])
    volume = open_ct(save(tmp_path / "multi", ds, pixels, syntax))
    assert volume.spacing == pytest.approx((2, 0.8, 0.7))
    for frame, k in enumerate(order):
        want = np.maximum(ramp(k) * (frame + 1) - 1000.0 - frame, -1024)
        np.testing.assert_array_equal(volume.hu[3 - k], want)


def test_multi_frame_in_fragments_without_a_table(tmp_path: Path) -> None:
    from pydicom.encaps import itemize_fragment

    from tests.volume.samples import ENCODERS

    pixels = np.stack([ramp(k, (40, 40)) for k in range(2)])
    syntax = "1.2.840.10008.1.2.4.80"
    ds = enhanced(pixels, [(0, 0, 2.0 * k) for k in range(2)])
    path = save(tmp_path / "m.dcm", ds, pixels, syntax)
    import pydicom

    ds = pydicom.dcmread(path)
    items = [b"\xfe\xff\x00\xe0\0\0\0\0"]
    for frame in pixels:
        code = ENCODERS[syntax](frame)
        code += b"\0" * (len(code) % 2)
        items += [itemize_fragment(code[:100]), itemize_fragment(code[100:])]
    ds.PixelData = b"".join(items)
    ds["PixelData"].is_undefined_length = True
    ds.save_as(path)
    np.testing.assert_array_equal(open_ct(path).hu[1], ramp(0, (40, 40)) - 1000.0)


@pytest.mark.parametrize(
    ("orientation", "step", "codes"),
    [
        ((1, 0, 0, 0, 1, 0), (0, 0, 2), "LPS"),
        ((-1, 0, 0, 0, -1, 0), (0, 0, 2), "RAS"),
        ((1, 0, 0, 0, 0, -1), (0, 2, 0), "LIP"),
        ((0, 1, 0, 0, 0, -1), (-2, 0, 0), "PIR"),
    ],
)
def test_any_stored_orientation_becomes_ipl(
    tmp_path: Path, orientation: tuple[float, ...], step: tuple[float, ...], codes: str
) -> None:
    right, down = np.array(orientation[:3]), np.array(orientation[3:])
    origin, step = np.array([5.0, -7.0, 11.0]), np.array(step)
    positions = [origin + k * step for k in range(4)]
    volume = open_ct(save_series(tmp_path / "s", positions, orientation=orientation))
    assert volume.orientation == codes
    for k in range(4):
        for r, c in [(0, 0), (11, 0), (3, 7)]:
            lps = positions[k] + r * 0.8 * down + c * 0.7 * right
            index = volume.ras_to_index(lps * [-1, -1, 1])
            where = tuple(np.rint(index).astype(int))
            np.testing.assert_allclose(index, where, atol=1e-6)
            assert volume.hu[where] == int(ramp(k)[r, c]) - 1024


def test_oblique_volume_keeps_its_exact_affine(tmp_path: Path) -> None:
    a, b = np.radians(25), np.radians(10)
    right = np.array([np.cos(a), np.sin(a), 0])
    down = np.array([-np.sin(a) * np.cos(b), np.cos(a) * np.cos(b), np.sin(b)])
    normal = np.cross(right, down)
    positions = [normal * 3.0 * k for k in range(4)]
    volume = open_ct(save_series(tmp_path / "s", positions, orientation=(*right, *down)))
    assert volume.warnings == ()
    assert volume.shape == (4, 12, 10)
    ras = volume.index_to_ras([2, 5, 6])
    lps = positions[1] + 5 * 0.8 * down + 6 * 0.7 * right
    np.testing.assert_allclose(ras, lps * [-1, -1, 1], atol=1e-4)


def test_gantry_tilt_is_straightened(tmp_path: Path) -> None:
    """A rod along the table must come out straight along the table."""
    tilt = np.radians(20)
    down = np.array([0, np.cos(tilt), -np.sin(tilt)])
    shape, spacing = (64, 8), (1.0, 1.0)
    for k in range(12):
        position = np.array([0, 0, 3.0 * k])
        # The rod lies at y = 30 mm; its row follows from the tilted plane.
        rows = np.arange(64)
        y = position[1] + rows * down[1]
        pixels = np.full(shape, 24, dtype=np.uint16)
        pixels += (1000 * np.maximum(0, 1 - np.abs(y - 30) / 3))[:, None].astype(np.uint16)
        ds = dataset(pixels, position=position, orientation=(1, 0, 0, *down), spacing=spacing)
        save(tmp_path / f"{k}", ds, pixels)
    volume = open_ct(tmp_path)
    assert any("gantry tilt of 20.0 degrees" in w for w in volume.warnings)
    assert volume.spacing[0] == pytest.approx(3 * np.cos(tilt))
    for plane in range(12):
        weight = np.maximum(volume.hu[plane, :, 4].astype(float) + 1000, 0)
        row = (weight * np.arange(len(weight))).sum() / weight.sum()
        ras = volume.index_to_ras([plane, row, 4])
        assert ras[1] == pytest.approx(-30, abs=0.15)


def test_missing_slice_is_filled_and_named(tmp_path: Path) -> None:
    positions = [p for k, p in enumerate((0, 0, 2.0 * j) for j in range(6)) if k != 3]
    volume = open_ct(save_series(tmp_path / "s", positions))
    assert len(volume.hu) == 6
    assert any("gap is 4.00 mm" in w and "2.00 mm is usual" in w for w in volume.warnings)
    want = (volume.hu[1].astype(float) + volume.hu[3]) / 2
    np.testing.assert_allclose(volume.hu[2], want, atol=0.51)
    assert not any("not scanned" in w for w in volume.warnings)


def test_a_wide_gap_is_refused(tmp_path: Path) -> None:
    folder = save_series(tmp_path / "s", [(0, 0, z) for z in (0, 2, 4, 6, 40)])
    with pytest.raises(CTReadError, match=r"gap of 34\.00 mm after slice 4 of 5"):
        open_ct(folder)


def test_uneven_slices_are_resampled(tmp_path: Path) -> None:
    folder = save_series(tmp_path / "s", [(0, 0, z) for z in (0, 2, 4, 6, 9, 12, 15)])
    volume = open_ct(folder)
    assert any("gaps run from 2.00 mm to 3.00 mm" in w for w in volume.warnings)
    # Both ends stay where they were.
    assert volume.index_to_ras([0, 0, 0])[2] == pytest.approx(15)
    assert volume.index_to_ras([len(volume.hu) - 1, 0, 0])[2] == pytest.approx(0)


def test_copies_are_read_once(tmp_path: Path) -> None:
    folder = save_series(tmp_path / "s", LINE)
    shutil.copy(folder / "0_0.dcm", folder / "copy of a slice.dcm")
    volume = open_ct(folder)
    np.testing.assert_array_equal(volume.hu, expected(5))
    assert any("1 copy of a slice was left out" in w for w in volume.warnings)


def test_different_slices_at_one_position_are_never_chosen_from(tmp_path: Path) -> None:
    folder = save_series(tmp_path / "s", LINE)
    other = ramp(9)
    save(folder / "again.dcm", dataset(other, position=LINE[2], number=99), other)
    with pytest.raises(CTReadError, match=r"different slices lie at one position \(8\.00 mm"):
        open_ct(folder)


def test_passes_over_one_place_are_separate_series(tmp_path: Path) -> None:
    for k in range(3):
        for n in (1, 2):
            pixels = ramp(k + 10 * n)
            ds = dataset(pixels, position=LINE[k], number=10 * n + k, AcquisitionNumber=n)
            save(tmp_path / f"{n}{k}", ds, pixels)
    found = list_series(tmp_path)
    assert [info.n_slices for info in found] == [3, 3]
    second = open_ct(tmp_path, series=found[1].key)
    np.testing.assert_array_equal(second.hu[2], ramp(20) - 1024.0)


def test_slices_all_at_one_place_are_no_volume(tmp_path: Path) -> None:
    folder = save_series(tmp_path / "s", [(0, 0, 5)] * 4)
    with pytest.raises(CTReadError, match="4 slices all lie at one position"):
        open_ct(folder)


def test_a_folder_as_it_comes_from_a_disc(tmp_path: Path) -> None:
    """Two series, a localizer, a dose sheet, a report, an MR, a DICOMDIR, odd names."""
    save_series(tmp_path / "A" / "S1", LINE, SeriesDescription="Lung 1.0")
    save_series(tmp_path / "A" / "S2", LINE[:3], series="1.2.3.5", SeriesDescription="Soft 5.0")
    for path in list((tmp_path / "A" / "S1").iterdir()):
        path.rename(path.with_name(f"1.2.840.{path.stem}"))
    scout = dataset(ramp(), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], series="1.9")
    save(tmp_path / "scout", scout, ramp())
    sheet = dataset(ramp(), series="1.8", ImagePositionPatient=None, ImageOrientationPatient=None)
    save(tmp_path / "dose.dcm", sheet, ramp())
    save(tmp_path / "sr.dcm", dataset(ramp(), Modality="SR", series="1.7"), None)
    save(tmp_path / "mr.dcm", dataset(ramp(), Modality="MR", series="1.6"), ramp())
    save(tmp_path / "DICOMDIR", dataset(ramp(), Modality="CT", ImagePositionPatient=None), None)
    (tmp_path / "README.TXT").write_text("viewer software")
    (tmp_path / ".DS_Store").write_bytes(bytes(200))
    found = list_series(tmp_path)
    assert [(s.description, s.n_slices, s.modality) for s in found] == [
        ("Lung 1.0", 5, "CT"),
        ("Soft 5.0", 3, "CT"),
    ]
    volume = open_ct(tmp_path)
    assert volume.series == "Lung 1.0"
    assert any("'Soft 5.0' with 3 slices" in w for w in volume.warnings)
    assert open_ct(tmp_path, series=found[1].key).shape == (3, 12, 10)
    assert open_ct(tmp_path / "DICOMDIR").fingerprint == volume.fingerprint
    with pytest.raises(CTReadError, match="has no series 'nonsense'"):
        open_ct(tmp_path, series="nonsense")


def test_one_file_stands_for_its_series(tmp_path: Path) -> None:
    save_series(tmp_path, LINE)
    other = ramp(0, (6, 6))
    save(tmp_path / "other", dataset(other, position=LINE[0], series="1.2.3.5"), other)
    save(tmp_path / "one", dataset(ramp(4), position=LINE[4], number=5), ramp(4))
    assert open_ct(tmp_path / "one").shape == (5, 12, 10)


@pytest.mark.parametrize("thickness", ["", "0", "-1", "2000000"])
def test_nonsense_in_slice_thickness_costs_nothing(tmp_path: Path, thickness: str) -> None:
    volume = open_ct(save_series(tmp_path / "s", LINE, SliceThickness=thickness))
    np.testing.assert_array_equal(volume.hu, expected(5))
    volume = open_ct(save_series(tmp_path / "one", LINE[:1], SliceThickness=thickness))
    assert any("thickness is unknown and was taken as 1 mm" in w for w in volume.warnings)


def test_single_slice_says_so(tmp_path: Path) -> None:
    volume = open_ct(save(tmp_path / "one.dcm", dataset(ramp()), ramp()))
    assert volume.shape == (1, 12, 10)
    assert volume.spacing[0] == 2
    assert any("a single slice" in w for w in volume.warnings)


def test_without_sop_class_preamble_or_meta(tmp_path: Path) -> None:
    """ACR-NEMA style files start with the data set itself."""
    for k in range(3):
        pixels = ramp(k)
        ds = dataset(pixels, position=LINE[k], SOPClassUID=None)
        ds.PixelData = pixels.tobytes()
        path = tmp_path / f"{k}"
        ds["PixelData"].VR = "OW"
        ds.save_as(path, implicit_vr=k != 1, little_endian=True, enforce_file_format=False)
        assert path.read_bytes()[128:132] != b"DICM"
    np.testing.assert_array_equal(open_ct(tmp_path).hu, expected(3))


def test_progress_counts_slices_in_the_calling_thread(tmp_path: Path) -> None:
    import threading

    calls: list[tuple[int, int, str]] = []
    folder = save_series(tmp_path / "s", LINE)
    open_ct(folder, progress=lambda d, n: calls.append((d, n, threading.current_thread().name)))
    assert calls[-1][:2] == (5, 5)
    assert [c[0] for c in calls] == sorted(c[0] for c in calls)
    assert {c[2] for c in calls} == {threading.current_thread().name}


def test_an_error_in_progress_stops_the_reading(tmp_path: Path) -> None:
    folder = save_series(tmp_path / "s", LINE)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_ct(folder, progress=stop)


def test_doubts_about_units(tmp_path: Path) -> None:
    pixels = ramp()
    for k in range(2):
        ds = dataset(pixels, position=LINE[k], RescaleType="US", RescaleSlope=None,
                     RescaleIntercept=None)  # fmt: skip
        save(tmp_path / f"{k}", ds, pixels)
    warnings = " ".join(open_ct(tmp_path).warnings)
    assert "RescaleType is 'US'" in warnings
    assert "no RescaleSlope" in warnings
    assert "no voxel is below 0 HU" in warnings


BAD: dict[str, tuple[dict[str, object], str]] = {
    "mr": ({"Modality": "MR"}, "image of modality MR, not CT"),
    "radiograph": ({"Modality": "CR"}, "image of modality CR, not CT"),
    "localizer": ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "only a localizer"),
    "dose sheet": ({"ImagePositionPatient": None}, "screen save or dose sheet"),
    "colour": ({"SamplesPerPixel": 3}, "a colour picture"),
    "spacing": ({"PixelSpacing": None}, "without PixelSpacing"),
    "zero spacing": ({"PixelSpacing": [0, 0]}, "impossible PixelSpacing"),
    "orientation": ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "impossible ImageOrient"),
    "slope": ({"RescaleSlope": 0}, "RescaleSlope is 0"),
    "rows": ({"Rows": 0}, "Rows is 0"),
    "more rows": ({"Rows": 13}, "pixel data has 240 bytes"),
    "bits": ({"BitsAllocated": 64, "BitsStored": 64}, "BitsAllocated 64 is not supported"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_clear_line(tmp_path: Path, name: str) -> None:
    changes, message = BAD[name]
    path = save(tmp_path / "file.dcm", dataset(ramp(), **changes), ramp())
    for place in (path, tmp_path):
        with pytest.raises(CTReadError, match=message) as caught:
            open_ct(place)
        text = str(caught.value)
        assert text.startswith((f"{path.name}: ", f"{tmp_path.name}: "))
        assert str(tmp_path.parent) not in text
        assert "\n" not in text
        assert not any(secret in text for secret in SECRETS)
        assert "1.2.3" not in text


@pytest.mark.parametrize("syntax", LOSSLESS)
@pytest.mark.parametrize("missing", [40, 300])
def test_truncated_slice_names_its_file(tmp_path: Path, syntax: str, missing: int) -> None:
    folder = save_series(tmp_path / "s", LINE, syntax=syntax, shape=(64, 64))
    victim = folder / "4_2.dcm"
    victim.write_bytes(victim.read_bytes()[:-missing])
    with pytest.raises(CTReadError, match=r"4_2\.dcm: .*copy it again"):
        open_ct(folder)


def test_slice_cut_within_its_header_is_a_missing_slice(tmp_path: Path) -> None:
    folder = save_series(tmp_path / "s", LINE)
    victim = folder / "4_2.dcm"
    victim.write_bytes(victim.read_bytes()[:700])
    volume = open_ct(folder)
    assert volume.shape == (5, 12, 10)
    assert any("4_2.dcm: damaged DICOM file: cut off" in w for w in volume.warnings)
    assert any("gap is 5.00 mm" in w for w in volume.warnings)
    with pytest.raises(CTReadError, match=r"4_2\.dcm: damaged DICOM file: cut off"):
        open_ct(victim)


def test_paths_without_ct(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "notes.txt").write_text("no scan")
    (tmp_path / "nothing.dcm").touch()
    os.mkfifo(tmp_path / "pipe")
    for name, message in {
        "missing": "does not exist",
        "empty": "an empty folder",
        "text": "a folder without DICOM or NIfTI",
        "text/notes.txt": "neither a DICOM nor a NIfTI file",
        "nothing.dcm": "is empty",
        "pipe": "neither a file nor a folder",
    }.items():
        with pytest.raises(CTReadError, match=message) as caught:
            open_ct(tmp_path / name)
        assert str(caught.value).startswith(f"{Path(name).name}: ")
    with pytest.raises(CTReadError, match="is not a path"):
        open_ct("a\0b")


def test_no_patient_data_anywhere(tmp_path: Path) -> None:
    volume = open_ct(save_series(tmp_path / "s", LINE))
    info = list_series(tmp_path / "s")
    text = repr(volume) + repr(vars(volume)) + repr(info)
    assert not any(secret in text for secret in (*SECRETS, "1.2.3.4"))


@pytest.mark.parametrize("table", ["basic", "extended", "none"])
def test_frames_are_found_by_any_offset_table(tmp_path: Path, table: str) -> None:
    """Several fragments a frame and a basic table, an extended table, or one fragment each."""
    import pydicom
    from pydicom.encaps import encapsulate, encapsulate_extended

    from tests.volume.samples import ENCODERS

    pixels = np.stack([ramp(k, (40, 40)) for k in range(3)])
    syntax = "1.2.840.10008.1.2.4.80"
    path = save(
        tmp_path / "m.dcm", enhanced(pixels, [(0, 0, 2.0 * k) for k in range(3)]), pixels, syntax
    )
    codes = [code + b"\0" * (len(code) % 2) for code in map(ENCODERS[syntax], pixels)]
    ds = pydicom.dcmread(path)
    if table == "basic":
        ds.PixelData = encapsulate(codes, fragments_per_frame=2)
    elif table == "extended":
        ds.PixelData, ds.ExtendedOffsetTable, ds.ExtendedOffsetTableLengths = encapsulate_extended(
            codes
        )
    else:
        ds.PixelData = encapsulate(codes, has_bot=False)
    ds["PixelData"].is_undefined_length = True
    ds.save_as(path)
    hu = open_ct(path).hu
    for k in range(3):
        want = np.maximum(pixels[k] * (k + 1.0) - 1000 - k, -1024)
        np.testing.assert_array_equal(hu[2 - k], want)
