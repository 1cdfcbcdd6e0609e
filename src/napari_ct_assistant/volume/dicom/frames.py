"""The frames of a DICOM file: where each lies and how its values scale."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.support.errors import CTAssistantError
from napari_ct_assistant.support.translation import said
from napari_ct_assistant.volume.dicom.encoding import GE_PRIVATE
from napari_ct_assistant.volume.dicom.header import Header
from napari_ct_assistant.volume.dicom.separators import read_separators
from napari_ct_assistant.volume.dicom.tags import (
    FRAME_GROUPS,
    ORIENTATION,
    POSITION,
    SHARED_GROUPS,
)
from napari_ct_assistant.volume.dicom.values import HeaderValues
from napari_ct_assistant.volume.errors import CTReadError
from napari_ct_assistant.volume.limits import MAX_FRAMES, MAX_SIDE

_CT_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.2",  # CT
    "1.2.840.10008.5.1.4.1.1.2.1",  # enhanced CT
    "1.2.840.10008.5.1.4.1.1.2.2",  # legacy converted enhanced CT
)
# Less than any InstanceNumber can be.
_NO_NUMBER = -(2**31) - 1
# Identifiers are compared by a hash with a key that ends with the process.
_KEY = secrets.token_bytes(32)


@dataclass(frozen=True)
class Identity:
    """What two slices must share to be of one scan.

    Each is a digest that means nothing outside this process, b"" where the file does not
    say. series is that of the SeriesInstanceUID, or of number and description where there is
    none; label is that of number and description.
    """

    patient: bytes
    study: bytes
    series: bytes
    label: bytes
    frame_of_reference: bytes


@dataclass(frozen=True)
class DicomFile:
    """What all frames of one file share.

    pixels: (offset, length) as in `Header`. floating: type of float pixels, else "".
    padding: lowest and highest stored value that mean "nothing was measured here". key: of
    the series, opaque and stable. state: of the file when its header was read.
    """

    path: Path
    state: tuple[int, int]
    syntax: str
    order: str
    pixels: tuple[int, int | None]
    frames: int
    rows: int
    columns: int
    bits_allocated: int
    bits_stored: int
    signed: bool
    floating: str
    padding: tuple[int, int] | None
    offset_table: tuple[bytes, bytes] | None
    uid: bytes
    key: str
    identity: Identity
    series_number: str
    description: str
    body_part: str


@dataclass(frozen=True, eq=False)
class DicomFrame:
    """One slice.

    index: counts frames within the file. number: orders the frames, the InstanceNumber or 0.
    instance: the InstanceNumber, None if there is none. position: LPS mm of the
    first pixel's centre; quantum: mm to which its three numbers are rounded in the header.
    orientation: LPS directions of growing column and growing row index [2, 3]. spacing: mm
    between rows, between columns. step: SpacingBetweenSlices. stacked: whether the position
    was counted from the first frame's, as no other is stated. separators: see
    `separators.read_separators`.
    """

    file: DicomFile
    index: int
    number: int
    position: NDArray[np.float64]
    quantum: NDArray[np.float64]
    orientation: NDArray[np.float64]
    spacing: tuple[float, float]
    thickness: float | None
    step: float | None
    slope: float | None
    intercept: float | None
    unit: str
    separators: dict[str, str]
    stacked: bool = False
    instance: int | None = None


class NotASliceError(CTAssistantError):
    """A healthy DICOM file that is not part of a CT volume; the message says what it is."""


def read_frames(path: Path, header: Header) -> list[DicomFrame]:
    """Return the frames of a CT file.

    Raises
    ------
    NotASliceError
        If the file is something else: another modality, a localizer, a report.
    CTReadError
        If it is CT and its header is impossible.
    """
    _refuse_others(header)
    values = HeaderValues(path, header.values, header.order)
    groups = header.groups.get(FRAME_GROUPS, [])
    count = values.whole(0x00280008, 1, low=1, high=MAX_FRAMES)
    if groups and len(groups) < count:
        raise CTReadError(
            path,
            said(
                "claims {count} frames and describes {count2}; export it again",
                count=count,
                count2=len(groups),
            ),
        )
    file = _read_file(path, header, values, count)
    if count > 1:
        # Before thousands of frames are listed.
        check_pixel_length(file)
    shared = next(iter(header.groups.get(SHARED_GROUPS, [])), {})
    if not groups:
        merged = HeaderValues(path, {**shared, **header.values}, header.order)
        first = _frame(file, 0, merged)
        return [first] if count == 1 else _stacked(first)
    found = []
    for index in range(count):
        # A frame's own groups come before the shared ones, both before the top level.
        merged = HeaderValues(path, {**header.values, **shared, **groups[index]}, header.order)
        if "LOCALIZER" not in merged.text(0x00089007).upper():
            found.append(_frame(file, index, merged))
    if not found:
        raise NotASliceError(said("a localizer"))
    return found


def _read_file(path: Path, header: Header, values: HeaderValues, frames: int) -> DicomFile:
    """Return what the frames of a file share."""
    if header.pixels is None:
        raise CTReadError(
            path, said("a CT slice without pixel data, probably cut off; copy it again")
        )
    bits = values.whole(0x00280100, 16, low=1, high=64)
    signed = values.whole(0x00280103, 0, low=0, high=1) == 1
    low, high = values.stored(0x00280120, signed), values.stored(0x00280121, signed)
    table = header.values.get(0x7FE00001, b""), header.values.get(0x7FE00002, b"")
    rows = values.whole(0x00280010, None, low=1, high=MAX_SIDE)
    columns = values.whole(0x00280011, None, low=1, high=MAX_SIDE)
    series = header.values.get(0x0020000E, b"").rstrip(b"\0 ")
    label = values.text(0x00200011).encode() + b"|" + header.values.get(0x0008103E, b"").strip()
    stable = series or header.values.get(0x0020000D, b"").rstrip(b"\0 ") + b"|" + label
    return DicomFile(
        path=path,
        state=header.state,
        syntax=header.syntax,
        order=">" if header.syntax == GE_PRIVATE else header.order,
        pixels=header.pixels,
        frames=frames,
        rows=rows,
        columns=columns,
        bits_allocated=bits,
        bits_stored=values.whole(0x00280101, bits, low=1, high=bits),
        signed=signed,
        floating=header.floating,
        padding=None if low is None else _ordered(low, low if high is None else high),
        offset_table=table if len(table[0]) == len(table[1]) == 8 * frames else None,
        uid=header.values.get(0x00080018, b""),
        key=hashlib.sha256(stable + f"|{rows}|{columns}".encode()).hexdigest()[:16],
        identity=Identity(
            patient=_digest(header.values.get(0x00100020, b"")),
            study=_digest(header.values.get(0x0020000D, b"")),
            series=_digest(series or b"label " + label),
            label=_digest(label),
            frame_of_reference=_digest(header.values.get(0x00200052, b"")),
        ),
        series_number=values.label(0x00200011),
        description=values.description(),
        body_part=values.label(0x00180015)[:16],
    )


def check_pixel_length(file: DicomFile) -> None:
    """Refuse more frames than the pixel data can hold.

    Raises
    ------
    CTReadError
        With what the file claims and what is there.
    """
    length = file.pixels[1]
    if length is None:
        # A compressed frame has at least one item, with its tag, its length and some content.
        room = max(0, file.path.stat().st_size - file.pixels[0]) // 10
        if file.frames > room:
            raise CTReadError(
                file.path,
                said(
                    "claims {frames} frames where the file ends after {room} at most; copy it "
                    "again",
                    frames=file.frames,
                    room=room,
                ),
            )
        return
    needed = file.frames * (file.rows * file.columns * file.bits_allocated // 8)
    if length < needed:
        raise CTReadError(
            file.path,
            said(
                "pixel data has {length} bytes where {frames} x {value} need {needed}; export "
                "it again",
                length=length,
                frames=file.frames,
                value=(file.rows, file.columns),
                needed=needed,
            ),
        )


def _digest(value: bytes) -> bytes:
    value = value.strip(b"\0 ")
    return hashlib.blake2b(value, key=_KEY, digest_size=16).digest() if value else b""


def _refuse_others(header: Header) -> None:
    """Raise NotASliceError for what is not a slice of a CT volume."""
    values = HeaderValues(Path(), header.values, header.order)
    modality, kind = values.text(0x00080060), values.text(0x00080016)
    if modality != "CT" and not (not modality and kind in _CT_CLASSES):
        if header.pixels is None:
            raise NotASliceError(said("a DICOM document without an image"))
        # A code of two letters or so; what is longer is not a modality.
        name = modality if modality.isalnum() and len(modality) <= 16 else "unknown modality"
        raise NotASliceError(said("an image of modality {name}, not CT", name=name))
    if "LOCALIZER" in values.text(0x00080008).upper().split("\\"):
        raise NotASliceError(said("a localizer"))
    if header.values.get(0x00280002, b"\1\0") not in (b"\1\0", b"\0\1"):
        raise NotASliceError(said("a colour picture"))
    placed = POSITION in header.values and ORIENTATION in header.values
    if not placed and FRAME_GROUPS not in header.groups:
        if 0x00280010 not in header.values:
            raise NotASliceError(said("a DICOM document without an image"))
        if values.text(0x00280008) not in ("", "1"):
            raise NotASliceError(said("a multi-frame image without positions"))
        raise NotASliceError(said("a CT picture without a position (a screen save or dose sheet)"))


def _ordered(a: int, b: int) -> tuple[int, int]:
    return (a, b) if a <= b else (b, a)


def _frame(file: DicomFile, index: int, values: HeaderValues) -> DicomFrame:
    """Return one frame, every number checked."""
    position = values.numbers(POSITION, 3, limit=1e5)
    directions = values.numbers(ORIENTATION, 6, limit=2.0)
    spacing = values.numbers(0x00280030, 2, limit=100.0)
    if position is None or directions is None:
        raise CTReadError(
            file.path, said("a CT slice without position or orientation; export it again")
        )
    if spacing is None:
        raise CTReadError(file.path, said("a CT slice without PixelSpacing; export it again"))
    if min(spacing) < 1e-3:
        raise CTReadError(
            file.path, said("impossible PixelSpacing {spacing}; export it again", spacing=spacing)
        )
    orientation = _unit_directions(tuple(directions))
    if orientation is None:
        raise CTReadError(
            file.path,
            said(
                "impossible ImageOrientationPatient {directions}; export it again",
                directions=directions,
            ),
        )
    slope = values.numbers(0x00281053, 1, limit=1e6)
    intercept = values.numbers(0x00281052, 1, limit=1e7)
    if slope and slope[0] == 0:
        raise CTReadError(
            file.path, said("RescaleSlope is 0, which empties the slice; export it again")
        )
    thickness = values.length(0x00180050)
    number = values.whole(0x00200013, _NO_NUMBER, low=_NO_NUMBER, high=2**31)
    instance = None if number == _NO_NUMBER else number
    return DicomFrame(
        file=file,
        index=index,
        number=instance or 0,
        position=np.asarray(position),
        quantum=_quantum(*values.decimals(POSITION)),
        orientation=orientation,
        spacing=(spacing[0], spacing[1]),
        thickness=thickness,
        step=values.length(0x00180088),
        slope=slope[0] if slope else None,
        intercept=intercept[0] if intercept else None,
        unit=values.label(0x00281054).upper(),
        separators=read_separators(values),
        instance=instance,
    )


@lru_cache(maxsize=64)
def _quantum(*decimals: int) -> NDArray[np.float64]:
    """Return to which mm numbers of so many decimals are rounded."""
    quantum: NDArray[np.float64] = 10.0 ** -np.asarray(decimals, dtype=np.float64)
    quantum.flags.writeable = False
    return quantum


@lru_cache(maxsize=64)
def _unit_directions(directions: tuple[float, ...]) -> NDArray[np.float64] | None:
    """Return the directions [2, 3] at length 1, None if they are not at right angles.

    The slices of a series mostly share theirs, and this array.
    """
    orientation = np.asarray(directions).reshape(2, 3)
    lengths = np.sqrt((orientation**2).sum(axis=1))
    if np.abs(lengths - 1).max() > 1e-2 or abs(float(orientation[0] @ orientation[1])) > 1e-2:
        return None
    unit: NDArray[np.float64] = orientation / lengths[:, None]
    unit.flags.writeable = False
    return unit


def _stacked(first: DicomFrame) -> list[DicomFrame]:
    """Return the frames of a classic multi-frame file, which states one position only.

    As ITK does, the others follow along the normal in steps of SpacingBetweenSlices, or of
    SliceThickness where that is missing.
    """
    step = first.step or first.thickness
    if step is None:
        raise NotASliceError(said("a multi-frame image without positions or SpacingBetweenSlices"))
    normal = np.cross(first.orientation[0], first.orientation[1])
    shared = {name: value for name, value in vars(first).items() if name != "stacked"}
    return [
        DicomFrame(
            **{
                **shared,
                "index": index,
                "number": index + 1,
                "position": first.position + index * step * normal,
                "quantum": np.zeros(3),
            },
            stacked=True,
        )
        for index in range(first.file.frames)
    ]
