"""How a DICOM file is encoded: where its data set starts, byte order, explicit or implicit VR.

What the bytes show counts, not what the file declares: archives and scripts have written
implicit data sets labelled explicit and the other way round, data sets without preamble or
file meta information, and VRs that are in no standard.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from napari_ct_assistant.support.errors import CTAssistantError

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
GE_PRIVATE = "1.2.840.113619.5.2"
"""GE's own: the data set is implicit VR little endian, the pixels are big endian."""

LONG_VRS = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
)
VRS = LONG_VRS | frozenset(
    {b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT",
     b"PN", b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US"}
)  # fmt: skip

# The first element of a data set is short: a length, a character set, an image type, a UID.
_FIRST_LENGTH = 256


class BrokenDicomError(CTAssistantError):
    """The bytes are not a DICOM data set, or stop within it."""


@dataclass(frozen=True)
class Encoding:
    """Where the data set starts, and how its elements are written.

    syntax: the transfer syntax, as declared or, if none is, as found. order: "<" or ">".
    """

    syntax: str
    start: int
    implicit: bool
    order: str


def looks_like_dicom(data: bytes) -> bool:
    """Return whether a file starts with a DICOM preamble or, without one, with a data set."""
    if data[128:132] == b"DICM" or data[:4] == b"DICM":
        return True
    group = data[:2]
    if group in (b"\x02\0", b"\x08\0"):
        if data[4:6] in VRS:
            return True
        # Implicit VR: an even element number of the standard and a short value.
        element, length = int.from_bytes(data[2:4], "little"), int.from_bytes(data[4:8], "little")
        return len(data) >= 16 and element < 0x2000 and length < _FIRST_LENGTH and length % 2 == 0
    return group == b"\0\x08" and data[4:6] in VRS


def find_encoding(data: bytes) -> Encoding:
    """Return the encoding of the data set at the start of a file."""
    syntax, start = _meta(data)
    first = data[start : start + 8]
    explicit = first[4:6] in VRS
    if syntax == DEFLATED:
        return Encoding(syntax, start, False, "<")
    if first[:2] == b"\0\x08" and explicit:
        return Encoding(BIG_ENDIAN if syntax in ("", EXPLICIT) else syntax, start, False, ">")
    if not syntax:
        syntax = EXPLICIT if explicit else IMPLICIT
    implicit = syntax in (IMPLICIT, GE_PRIVATE)
    if implicit and explicit:
        # No implicit length of a first element has two capital letters in its low bytes.
        implicit = False
    elif not implicit and not explicit and first[:2] == b"\x08\0":
        implicit = int.from_bytes(first[4:8], "little") < _FIRST_LENGTH
    order = ">" if syntax == BIG_ENDIAN and first[:2] != b"\x08\0" else "<"
    return Encoding(syntax, start, implicit, order)


def _meta(data: bytes) -> tuple[str, int]:
    """Return the transfer syntax UID ("" if not stated) and where the data set starts."""
    pos = 132 if data[128:132] == b"DICM" else 4 if data[:4] == b"DICM" else 0
    syntax = ""
    while data[pos : pos + 2] == b"\x02\0":
        if len(data) < pos + 12:
            break
        element, vr, length = struct.unpack_from("<2xH2sH", data, pos)
        pos += 8
        if vr in LONG_VRS:
            length = int.from_bytes(data[pos : pos + 4], "little")
            pos += 4
        elif vr not in VRS:
            length = int.from_bytes(data[pos - 4 : pos], "little")
        if element == 0x0010:
            syntax = data[pos : pos + min(length, 64)].decode("ascii", "replace").strip(" \0")
        pos += length
    return syntax, pos


def element_with_unknown_vr(data: bytes, pos: int, order: str) -> tuple[int, int]:
    """Return (start, length) of the value of an explicit-VR element whose VR is not known.

    Old writers used VRs such as "XS" or two blanks, with a length of two bytes; others wrote
    single elements without a VR, with a length of four. The reading after which another
    element follows is taken.

    Parameters
    ----------
    data
        The file, or its beginning.
    pos
        Where the element's tag is.
    order
        "<" or ">".
    """
    tag = struct.unpack_from(order + "HH", data, pos)
    (plain,) = struct.unpack_from(order + "L", data, pos + 4)
    if tag[0] == 0xFFFE:
        return pos + 8, plain
    (short,) = struct.unpack_from(order + "H", data, pos + 6)
    readings = [(pos + 8, short), (pos + 8, plain)]
    if data[pos + 6 : pos + 8] == b"\0\0" and len(data) >= pos + 12:
        readings.insert(0, (pos + 12, struct.unpack_from(order + "L", data, pos + 8)[0]))
    for start, length in readings:
        after = start + length
        if after == len(data):
            return start, length
        if after + 6 <= len(data):
            follower = struct.unpack_from(order + "HH", data, after)
            known = data[after + 4 : after + 6] in VRS or follower[0] == tag[0]
            if (known and follower > tag) or follower[0] == 0xFFFE:
                return start, length
    return pos + 8, plain
