"""The frames of a DICOM file: where each lies and how its values scale."""

from __future__ import annotations

import hashlib
import math
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.support.errors import CTAssistantError
from napari_ct_assistant.volume.dicom.header import FRAME_GROUPS, SHARED_GROUPS, Header
from napari_ct_assistant.volume.errors import CTReadError

MAX_SIDE = 8192
"""Most rows or columns of a slice that are believed; CT scanners write 512 to 2048."""

_CT_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.2",  # CT
    "1.2.840.10008.5.1.4.1.1.2.1",  # enhanced CT
    "1.2.840.10008.5.1.4.1.1.2.2",  # legacy converted enhanced CT
)


@dataclass(frozen=True)
class DicomFile:
    """What all frames of one file share.

    pixels: (offset, length) as in `Header`. padding: lowest and highest stored value
    that mean "nothing was measured here".
    """

    path: Path
    syntax: str
    order: str
    pixels: tuple[int, int | None]
    frames: int
    rows: int
    columns: int
    bits_allocated: int
    bits_stored: int
    signed: bool
    padding: tuple[int, int] | None
    offset_table: tuple[bytes, bytes] | None
    uid: bytes
    group: str
    acquisition: int
    description: str


@dataclass(frozen=True)
class DicomFrame:
    """One slice: `index` counts frames within its file.

    position: LPS mm of the first pixel's centre. orientation: LPS directions of
    growing column and growing row index [2, 3]. spacing: mm between rows, between
    columns.
    """

    file: DicomFile
    index: int
    number: int
    moment: int
    position: NDArray[np.float64]
    orientation: NDArray[np.float64]
    spacing: tuple[float, float]
    thickness: float | None
    slope: float | None
    intercept: float | None
    unit: str


class NotASliceError(CTAssistantError):
    """A healthy DICOM file that is not part of a CT volume; says what it is."""


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
    values = _Values(path, header.values, header.order)
    pixels = header.pixels
    if pixels is None:
        raise CTReadError(path, "a CT slice without pixel data, probably cut off; copy it again")
    groups = header.groups.get(FRAME_GROUPS, [])
    frames = values.whole(0x00280008, 1, low=1, high=1 << 20)
    if groups and len(groups) < frames:
        raise CTReadError(
            path, f"claims {frames} frames and describes {len(groups)}; export it again"
        )
    if frames > 1 and not groups:
        raise NotASliceError("a multi-frame image without positions")
    bits = values.whole(0x00280100, 16, low=1, high=64)
    stored = values.whole(0x00280101, bits, low=1, high=bits)
    signed = values.whole(0x00280103, 0, low=0, high=1) == 1
    padding = values.stored(0x00280120, signed)
    limit = values.stored(0x00280121, signed)
    table = header.values.get(0x7FE00001, b""), header.values.get(0x7FE00002, b"")
    rows = values.whole(0x00280010, None, low=1, high=MAX_SIDE)
    columns = values.whole(0x00280011, None, low=1, high=MAX_SIDE)
    instance = DicomFile(
        path=path,
        syntax=header.syntax,
        order=header.order,
        pixels=pixels,
        frames=frames,
        rows=rows,
        columns=columns,
        bits_allocated=bits,
        bits_stored=stored,
        signed=signed,
        padding=None if padding is None else _ordered(padding, padding if limit is None else limit),
        offset_table=table if len(table[0]) == len(table[1]) == 8 * frames else None,
        uid=header.values.get(0x00080018, b""),
        group=_group(header, rows, columns),
        acquisition=values.whole(0x00200012, 0, low=-(2**31), high=2**31),
        description=values.text(0x0008103E),
    )
    shared: dict[int, bytes] = {}
    for item in header.groups.get(SHARED_GROUPS, [])[:1]:
        shared = item
    if not groups:
        return [_frame(instance, 0, _Values(path, {**shared, **header.values}, header.order))]
    found = []
    for index in range(frames):
        # A frame's own groups come before the shared ones, both before the top level.
        merged = {**header.values, **shared, **groups[index]}
        frame = _Values(path, merged, header.order)
        if "LOCALIZER" not in frame.text(0x00089007).upper():
            found.append(_frame(instance, index, frame))
    if not found:
        raise NotASliceError("a localizer")
    return found


def _refuse_others(header: Header) -> None:
    """Raise NotASliceError for what is not a slice of a CT volume."""
    values = _Values(Path(), header.values, header.order)
    modality, kind = values.text(0x00080060), values.text(0x00080016)
    if modality != "CT" and not (not modality and kind in _CT_CLASSES):
        if header.pixels is None:
            raise NotASliceError("a DICOM document without an image")
        # A code of two letters or so; what is longer is not a modality.
        name = modality if modality.isalnum() and len(modality) <= 16 else "unknown modality"
        raise NotASliceError(f"an image of modality {name}, not CT")
    if "LOCALIZER" in values.text(0x00080008).upper().split("\\"):
        raise NotASliceError("a localizer")
    if header.values.get(0x00280002, b"\1\0") not in (b"\1\0", b"\0\1"):
        raise NotASliceError("a colour picture")
    placed = 0x00200032 in header.values and 0x00200037 in header.values
    if not placed and FRAME_GROUPS not in header.groups:
        if 0x00280010 not in header.values:
            raise NotASliceError("a DICOM document without an image")
        raise NotASliceError("a CT picture without a position (a screen save or dose sheet)")


def _group(header: Header, rows: int, columns: int) -> str:
    """Return an opaque key of the series; the hash keeps UIDs out of sight."""
    text = header.values.get(0x0020000E, b"").rstrip(b"\0 ")
    return hashlib.sha256(text + f"|{rows}|{columns}".encode()).hexdigest()[:16]


def _ordered(a: int, b: int) -> tuple[int, int]:
    return (a, b) if a <= b else (b, a)


def _frame(file: DicomFile, index: int, values: _Values) -> DicomFrame:
    """Return one frame, every number checked."""
    position = values.numbers(0x00200032, 3, limit=1e5)
    directions = values.numbers(0x00200037, 6, limit=2.0)
    spacing = values.numbers(0x00280030, 2, limit=100.0)
    if position is None or directions is None:
        raise CTReadError(file.path, "a CT slice without position or orientation; export it again")
    if spacing is None:
        raise CTReadError(file.path, "a CT slice without PixelSpacing; export it again")
    if min(spacing) < 1e-3:
        raise CTReadError(file.path, f"impossible PixelSpacing {spacing}; export it again")
    orientation = np.asarray(directions).reshape(2, 3)
    lengths = np.sqrt((orientation**2).sum(axis=1))
    if np.abs(lengths - 1).max() > 1e-2 or abs(float(orientation[0] @ orientation[1])) > 1e-2:
        raise CTReadError(
            file.path, f"impossible ImageOrientationPatient {directions}; export it again"
        )
    thickness = values.thickness()
    slope = values.numbers(0x00281053, 1, limit=1e6)
    intercept = values.numbers(0x00281052, 1, limit=1e7)
    if slope and slope[0] == 0:
        raise CTReadError(file.path, "RescaleSlope is 0, which empties the slice; export it again")
    return DicomFrame(
        file=file,
        index=index,
        number=values.whole(0x00200013, 0, low=-(2**31), high=2**31),
        moment=values.whole(0x00209128, 0, low=0, high=2**32),
        position=np.asarray(position),
        orientation=orientation / lengths[:, None],
        spacing=(spacing[0], spacing[1]),
        thickness=thickness,
        slope=slope[0] if slope else None,
        intercept=intercept[0] if intercept else None,
        unit=values.text(0x00281054).upper(),
    )


class _Values:
    """Typed, checked access to raw attribute values."""

    def __init__(self, path: Path, values: dict[int, bytes], order: str) -> None:
        self._path = path
        self._values = values
        self._order = order

    def text(self, tag: int) -> str:
        """Return a text value, "" if absent."""
        raw = self._values.get(tag, b"")
        if tag == 0x0008103E:
            charset = self._values.get(0x00080005, b"").decode("ascii", "replace")
            text = raw.decode(_encoding(charset), "replace")
            return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:64]
        return raw.decode("ascii", "replace").strip(" \0")

    def numbers(self, tag: int, count: int, *, limit: float) -> list[float] | None:
        """Return `count` decimal strings within +-limit; None if absent or empty."""
        raw = self._values.get(tag, b"").strip(b" \0")
        if not raw:
            return None
        try:
            found = [float(part) for part in raw.split(b"\\")]
        except ValueError:
            found = []
        if count == 1:
            found = found[:1]
        if len(found) != count or not all(math.isfinite(v) and abs(v) <= limit for v in found):
            raise CTReadError(self._path, f"impossible {_NAMES[tag]}; export it again")
        return found

    def thickness(self) -> float | None:
        """Return SliceThickness in mm; None if it is absent or nonsense, which costs nothing."""
        try:
            found = self.numbers(0x00180050, 1, limit=1e3)
        except CTReadError:
            return None
        return found[0] if found and found[0] > 0 else None

    def whole(self, tag: int, default: int | None, *, low: int, high: int) -> int:
        """Return a whole number, binary or as text, within low to high."""
        raw = self._values.get(tag, b"")
        try:
            if tag in _TEXT_NUMBERS:
                text = raw.split(b"\\")[0].strip(b" \0")
                value = int(text) if text else default
            elif len(raw) in (2, 4):
                value = struct.unpack(self._order + ("H" if len(raw) == 2 else "L"), raw)[0]
            else:
                value = default if not raw else None
        except ValueError:
            value = default if tag in _UNIMPORTANT else None
        if value is not None and tag in _UNIMPORTANT:
            return min(max(value, low), high)
        if value is None or not low <= value <= high:
            shown = "is missing or unreadable" if value is None else f"is {value}"
            raise CTReadError(self._path, f"{_NAMES[tag]} {shown}; export it again")
        return value

    def stored(self, tag: int, signed: bool) -> int | None:
        """Return a stored pixel value (US or SS) in the sign of the pixels."""
        raw = self._values.get(tag, b"")
        if len(raw) < 2:
            return None
        unsigned: int = struct.unpack(self._order + "H", raw[:2])[0]
        if not signed:
            return unsigned
        return unsigned - 65536 if unsigned >= 32768 else unsigned


_NAMES = {
    0x00200032: "ImagePositionPatient",
    0x00200037: "ImageOrientationPatient",
    0x00280030: "PixelSpacing",
    0x00180050: "SliceThickness",
    0x00281052: "RescaleIntercept",
    0x00281053: "RescaleSlope",
    0x00280008: "NumberOfFrames",
    0x00280010: "Rows",
    0x00280011: "Columns",
    0x00280100: "BitsAllocated",
    0x00280101: "BitsStored",
    0x00280103: "PixelRepresentation",
    0x00200012: "AcquisitionNumber",
    0x00200013: "InstanceNumber",
    0x00209128: "TemporalPositionIndex",
}
_TEXT_NUMBERS = frozenset({0x00280008, 0x00200012, 0x00200013})
# Attributes that only order slices: nonsense in them must not cost the scan.
_UNIMPORTANT = frozenset({0x00200012, 0x00200013, 0x00209128})


def _encoding(charset: str) -> str:
    """Return the Python codec of the first DICOM character set, latin-1 if unknown."""
    from pydicom.charset import python_encoding

    names = [part.strip() for part in charset.split("\\")]
    name = next((part for part in names if part), "ISO_IR 6")
    codec = python_encoding.get(name, "iso8859")
    return codec if isinstance(codec, str) else "iso8859"
