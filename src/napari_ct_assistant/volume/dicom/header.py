"""Read the few DICOM attributes that a CT volume needs, without parsing the rest.

This second parser beside pydicom is here for speed. On a 275-slice chest it reads all headers
in 10 ms; `pydicom.dcmread(specific_tags=..., stop_before_pixels=True)` needs 140 ms, while the
whole series, pixels included, opens in 90 ms (`python -m benchmarks.volumes`, section
"headers"). It also stays within fixed limits on damaged files: no large allocation, no endless
recursion, no warning. Layouts follow DICOM PS3.5 section 7 (data set) and PS3.10 section 7
(file meta information).
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from napari_ct_assistant.support.errors import CTAssistantError

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN = "1.2.840.10008.1.2.2"

PIXEL_DATA = 0x7FE00010
SHARED_GROUPS = 0x52009229
FRAME_GROUPS = 0x52009230
_ITEM = 0xFFFEE000
_ITEM_END = 0xFFFEE00D
_SEQUENCE_END = 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF

_LONG_VRS = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
)
_VRS = _LONG_VRS | frozenset(
    {b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT",
     b"PN", b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US"}
)  # fmt: skip

# Attributes that are kept, at any depth.
WANTED = frozenset(
    {
        0x00080005,  # SpecificCharacterSet
        0x00080008,  # ImageType
        0x00080016,  # SOPClassUID
        0x00080018,  # SOPInstanceUID
        0x00080060,  # Modality
        0x0008103E,  # SeriesDescription
        0x00089007,  # FrameType
        0x00180050,  # SliceThickness
        0x0020000E,  # SeriesInstanceUID
        0x00200012,  # AcquisitionNumber
        0x00200013,  # InstanceNumber
        0x00200032,  # ImagePositionPatient
        0x00200037,  # ImageOrientationPatient
        0x00209128,  # TemporalPositionIndex
        0x00280002,  # SamplesPerPixel
        0x00280008,  # NumberOfFrames
        0x00280010,  # Rows
        0x00280011,  # Columns
        0x00280030,  # PixelSpacing
        0x00280100,  # BitsAllocated
        0x00280101,  # BitsStored
        0x00280103,  # PixelRepresentation
        0x00280120,  # PixelPaddingValue
        0x00280121,  # PixelPaddingRangeLimit
        0x00281052,  # RescaleIntercept
        0x00281053,  # RescaleSlope
        0x00281054,  # RescaleType
        0x7FE00001,  # ExtendedOffsetTable
        0x7FE00002,  # ExtendedOffsetTableLengths
    }
)
# Sequences that are entered: the functional groups of enhanced multi-frame CT.
_ENTERED = frozenset(
    {
        SHARED_GROUPS,
        FRAME_GROUPS,
        0x00189329,  # CTImageFrameTypeSequence
        0x00209111,  # FrameContentSequence
        0x00209113,  # PlanePositionSequence
        0x00209116,  # PlaneOrientationSequence
        0x00289110,  # PixelMeasuresSequence
        0x00289145,  # PixelValueTransformationSequence
    }
)
_LAST = PIXEL_DATA
_MAX_DEPTH = 16
# A file's first read: headers of ordinary CT end well within it.
_FIRST_READ = 1 << 15
_MAX_ATTRIBUTE = 1 << 16


class BrokenDicomError(CTAssistantError):
    """The bytes are not a DICOM data set, or stop within it."""


class _NeedMoreError(Exception):
    """The walk reached the end of what has been read of the file."""


@dataclass
class Header:
    """What a DICOM file says of itself.

    values: tag -> raw value bytes, for the attributes in WANTED.
    groups: tag -> items of the functional group sequences, each a flat tag -> bytes.
    pixels: (offset, length) of the pixel data in the (inflated) file, length None for
    encapsulated frames; None where the file holds none.
    """

    syntax: str
    order: str
    values: dict[int, bytes] = field(default_factory=dict)
    groups: dict[int, list[dict[int, bytes]]] = field(default_factory=dict)
    pixels: tuple[int, int | None] | None = None


def read_header(path: Path) -> Header | None:
    """Read the header of a file, None if it does not look like DICOM.

    Raises
    ------
    BrokenDicomError
        If it looks like DICOM and its header is damaged or cut off.
    OSError
        If the file cannot be read.
    """
    with path.open("rb", buffering=0) as file:
        data = file.read(_FIRST_READ)
        if not _looks_like_dicom(data):
            return None
        while True:
            try:
                return parse_header(data, whole=len(data) < _FIRST_READ)
            except _NeedMoreError:
                more = file.read(max(len(data) * 7, _FIRST_READ))
                if more:
                    data += more
                    continue
                return parse_header(data, whole=True)


def inflate(data: bytes, limit: int) -> bytes:
    """Inflate the data set of a deflated file after its meta information.

    Returns the meta information followed by at most `limit` bytes of data set, so
    that offsets in a `Header` hold.
    """
    start = _meta(data)[1]
    try:
        return data[:start] + zlib.decompressobj(-15).decompress(data[start:], limit)
    except zlib.error as error:
        raise BrokenDicomError(f"the deflated data set is damaged ({error})") from error


def parse_header(data: bytes, *, whole: bool) -> Header:
    """Walk the data set at the start of `data`, up to the pixel data.

    Parameters
    ----------
    data
        The file, or its beginning.
    whole
        Whether `data` is all there is: the end of it is then an error, else a
        request for more.
    """
    syntax, start = _meta(data)
    if syntax == DEFLATED:
        data = inflate(data, 1 << 22)
        whole = whole or len(data) - start >= 1 << 22
    if not syntax:
        syntax = EXPLICIT if data[start + 4 : start + 6] in _VRS else IMPLICIT
    order = ">" if syntax == BIG_ENDIAN else "<"
    header = Header(syntax, order)
    try:
        walk = _Walk(data, order, header)
        stop = walk.elements(start, len(data), header.values, syntax == IMPLICIT, depth=0)
    except (struct.error, IndexError) as error:
        if not whole:
            raise _NeedMoreError from error
        raise BrokenDicomError("cut off within its header") from error
    if header.pixels is None and stop >= len(data):
        if not whole:
            raise _NeedMoreError
        if stop > len(data):
            raise BrokenDicomError("cut off within its header")
    return header


def _looks_like_dicom(data: bytes) -> bool:
    """Return whether a file starts with a DICOM preamble or, without one, a data set."""
    if data[128:132] == b"DICM":
        return True
    # ACR-NEMA style: straight in, with the file meta or the identification group.
    if data[:4] not in (
        b"\x02\0\0\0",
        b"\x02\0\x10\0",
        b"\x08\0\0\0",
        b"\x08\0\x05\0",
        b"\x08\0\x08\0",
    ):
        return False
    return data[4:6] in _VRS or (len(data) >= 8 and int.from_bytes(data[4:8], "little") < 256)


def _meta(data: bytes) -> tuple[str, int]:
    """Return the transfer syntax UID ("" if not stated) and where the data set starts."""
    pos = 132 if data[128:132] == b"DICM" else 0
    syntax = ""
    while data[pos : pos + 2] == b"\x02\0":
        if len(data) < pos + 12:
            break
        element, vr, length = struct.unpack_from("<2xH2sH", data, pos)
        pos += 8
        if vr in _LONG_VRS:
            length = int.from_bytes(data[pos : pos + 4], "little")
            pos += 4
        elif vr not in _VRS:
            length = int.from_bytes(data[pos - 4 : pos], "little")
        if element == 0x0010:
            syntax = data[pos : pos + min(length, 64)].decode("ascii", "replace").strip(" \0")
        pos += length
    return syntax, pos


class _Walk:
    """One pass over a data set."""

    def __init__(self, data: bytes, order: str, header: Header) -> None:
        self.data = data
        self.header = header
        self._short = struct.Struct(order + "HH2sH").unpack_from
        self._plain = struct.Struct(order + "HHL").unpack_from
        self._long = struct.Struct(order + "L").unpack_from

    def elements(
        self, pos: int, end: int, values: dict[int, bytes], implicit: bool, depth: int
    ) -> int:
        """Walk elements from `pos` to `end` or to a delimiter; return where it stopped."""
        if depth > _MAX_DEPTH:
            raise BrokenDicomError(f"sequences are nested more than {_MAX_DEPTH} deep")
        short, plain, long = self._short, self._plain, self._long
        data = self.data
        while pos < end:
            vr = b""
            if implicit:
                group, element, length = plain(data, pos)
                pos += 8
            else:
                group, element, vr, length = short(data, pos)
                pos += 8
                if vr in _LONG_VRS:
                    (length,) = long(data, pos)
                    pos += 4
                elif vr not in _VRS:
                    # Delimiters carry no VR; neither do some writers' private tags.
                    group, element, length = plain(data, pos - 8)
            tag = group << 16 | element
            if tag >= _LAST and depth == 0:
                if tag == _LAST:
                    self.header.pixels = (pos, None if length == _UNDEFINED else length)
                return pos
            if tag in (_ITEM_END, _SEQUENCE_END):
                return pos
            if length == _UNDEFINED or tag in _ENTERED:
                # PS3.5 6.2.2: what hides in an UN of undefined length is implicit.
                inner = implicit or vr == b"UN"
                pos = self._sequence(tag, pos, length, values, inner, depth)
                continue
            if tag in WANTED:
                if length > _MAX_ATTRIBUTE and tag >> 16 != 0x7FE0:
                    raise BrokenDicomError(f"attribute {tag:08X} claims {length} bytes")
                if pos + length > len(data):
                    raise IndexError
                values.setdefault(tag, data[pos : pos + length])
            pos += length
        if pos > end and end < len(data):
            raise BrokenDicomError("an attribute runs past the end of its sequence")
        return pos

    def _sequence(
        self,
        tag: int,
        pos: int,
        length: int,
        values: dict[int, bytes],
        implicit: bool,
        depth: int,
    ) -> int:
        """Walk a sequence's items; keep those of the functional groups."""
        keep = tag in _ENTERED
        end = len(self.data) if length == _UNDEFINED else pos + length
        if end > len(self.data):
            raise IndexError
        while pos < end:
            group, element, size = self._plain(self.data, pos)
            pos += 8
            item = group << 16 | element
            if item == _SEQUENCE_END:
                return pos
            if item != _ITEM:
                raise BrokenDicomError(f"sequence {tag:08X} holds {item:08X} in place of an item")
            if tag in (SHARED_GROUPS, FRAME_GROUPS):
                inside: dict[int, bytes] = {}
                self.header.groups.setdefault(tag, []).append(inside)
            else:
                inside = values if keep else {}
            if size == _UNDEFINED:
                pos = self.elements(pos, end, inside, implicit, depth + 1)
            elif pos + size > end:
                raise IndexError
            else:
                if keep:
                    self.elements(pos, pos + size, inside, implicit, depth + 1)
                pos += size
        return pos
