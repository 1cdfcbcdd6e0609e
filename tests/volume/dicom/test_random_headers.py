"""Whatever a header says, reading ends in a right volume or in a CTReadError."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_ct_assistant.volume import CTReadError, CTVolume, open_ct
from tests.volume.samples import BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT, dataset, ramp, save

ANGLE = st.floats(-np.pi, np.pi)


@settings(max_examples=60, deadline=None)
@given(
    angles=st.tuples(ANGLE, ANGLE, ANGLE),
    spacing=st.tuples(st.floats(0.2, 3), st.floats(0.2, 3)),
    gap=st.floats(0.3, 10),
    origin=st.tuples(*(st.floats(-500, 500) for _ in range(3))),
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    count=st.integers(1, 5),
    slope=st.sampled_from([1, 2, 0.5]),
    intercept=st.integers(-2000, 100),
    signed=st.booleans(),
    syntax=st.sampled_from([IMPLICIT, EXPLICIT, BIG_ENDIAN, DEFLATED]),
)
def test_every_voxel_is_where_the_header_puts_it(
    angles: tuple[float, float, float],
    spacing: tuple[float, float],
    gap: float,
    origin: tuple[float, float, float],
    shape: tuple[int, int],
    count: int,
    slope: float,
    intercept: int,
    signed: bool,
    syntax: str,
) -> None:
    right, down, normal = _rotation(*angles)
    positions = [np.array(origin) + k * gap * normal for k in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        for k, position in enumerate(positions):
            pixels = ramp(k, shape).astype(np.int16 if signed else np.uint16)
            ds = dataset(pixels, position=position, orientation=(*right, *down), spacing=spacing,
                         number=k, RescaleSlope=slope, RescaleIntercept=intercept,
                         SliceThickness=gap)  # fmt: skip
            ds.ImagePositionPatient = [f"{v:.10f}"[:16] for v in position]
            save(Path(folder, str(k)), ds, pixels, syntax)
        volume = open_ct(folder)
    assert volume.hu.size == count * shape[0] * shape[1]
    for k, r, c in np.ndindex(count, *shape):
        lps = positions[k] + r * spacing[0] * down + c * spacing[1] * right
        index = volume.ras_to_index(lps * [-1, -1, 1])
        where = tuple(np.rint(index).astype(int))
        np.testing.assert_allclose(index, where, atol=1e-3)
        want = np.rint(float(ramp(k, shape)[r, c]) * slope + intercept)
        assert volume.hu[where] == max(want, -1024)


@settings(max_examples=120, deadline=None)
@given(
    changes=st.dictionaries(
        st.sampled_from(
            ["Rows", "Columns", "BitsAllocated", "BitsStored", "PixelRepresentation",
             "SamplesPerPixel", "PixelPaddingValue"]
        ),
        st.integers(0, 65535),
        max_size=3,
    ),
    numbers=st.dictionaries(
        st.sampled_from(
            ["PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient", "RescaleSlope",
             "RescaleIntercept", "SliceThickness", "NumberOfFrames", "InstanceNumber",
             "AcquisitionNumber"]
        ),
        st.lists(
            st.one_of(
                st.sampled_from(["", "nan", "inf", "-0", "1e308", "-1e-320", "abc", "1_0", "0x1F"]),
                st.floats(allow_nan=False, width=32).map(lambda v: f"{v:.8g}"),
                st.integers(-(2**40), 2**40).map(str),
            ),
            max_size=7,
        ),
        max_size=3,
    ),
    syntax=st.sampled_from([IMPLICIT, EXPLICIT]),
)  # fmt: skip
def test_nonsense_ends_in_a_volume_or_a_read_error(
    changes: dict[str, int], numbers: dict[str, list[str]], syntax: str
) -> None:
    pixels = ramp()
    with tempfile.TemporaryDirectory() as folder:
        for k in range(2):
            ds = dataset(pixels, position=(0, 0, k))
            for keyword, value in changes.items():
                setattr(ds, keyword, value)
                ds[keyword].VR = "US"
            path = save(Path(folder, str(k)), ds, pixels, syntax)
            _overwrite(path, numbers)
        volume, message = _open(folder)
    if volume is None:
        assert message.partition(": ")[0] in (Path(folder).name, "0", "1")
        assert "\n" not in message
    else:
        assert np.isfinite(volume.affine).all()
        assert volume.hu.min() >= -1024


def _open(folder: str) -> tuple[CTVolume | None, str]:
    try:
        return open_ct(folder), ""
    except CTReadError as error:
        return None, str(error)


def _overwrite(path: Path, numbers: dict[str, list[str]]) -> None:
    """Put text into a file that pydicom would refuse to write."""
    import pydicom
    from pydicom.dataelem import RawDataElement
    from pydicom.tag import Tag

    ds = pydicom.dcmread(path)
    implicit = bool(ds.file_meta.TransferSyntaxUID.is_implicit_VR)
    for keyword, parts in numbers.items():
        tag = Tag(keyword)
        value = "\\".join(parts).encode()
        value += b" " * (len(value) % 2)
        vr = (
            "DS"
            if keyword not in ("NumberOfFrames", "InstanceNumber", "AcquisitionNumber")
            else "IS"
        )
        ds._dict[tag] = RawDataElement(tag, vr, len(value), value, 0, implicit, True)
    ds.save_as(path)


def _rotation(a: float, b: float, c: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return three perpendicular directions as eight decimals keep them."""
    z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    x = np.array([[1, 0, 0], [0, np.cos(c), -np.sin(c)], [0, np.sin(c), np.cos(c)]])
    turn = z @ y @ x
    return turn[:, 0], turn[:, 1], np.cross(turn[:, 0], turn[:, 1])
