"""Read the few DICOM attributes that a CT volume needs, without parsing the rest.

This second parser beside pydicom is here for speed. On a 275-slice chest it reads all headers
in 11 ms of processor time; `pydicom.dcmread(specific_tags=..., stop_before_pixels=True)` takes
80 ms, almost as much as `open_ct` takes for the whole series with its pixels (90 ms;
`python -m benchmarks.volumes`, section "headers"). On damaged files it stays within fixed
limits: no large allocation, no endless recursion, no warning. Layouts follow DICOM PS3.5
section 7 (data set) and PS3.10 section 7 (file meta information).
"""

from __future__ import annotations

import os
import struct
import threading
import zlib
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import Enum
from io import FileIO
from pathlib import Path

from napari_ct_assistant.support.translation import N_, said
from napari_ct_assistant.volume.dicom.encoding import (
    DEFLATED,
    LONG_VRS,
    VRS,
    BrokenDicomError,
    Encoding,
    element_with_unknown_vr,
    find_encoding,
    looks_like_dicom,
)
from napari_ct_assistant.volume.dicom.tags import (
    DOUBLE_PIXEL_DATA,
    ENTERED,
    FLOAT_PIXEL_DATA,
    FRAME_GROUPS,
    ORIENTATION,
    PIXEL_DATA,
    POSITION,
    SHARED_GROUPS,
    WANTED,
)
from napari_ct_assistant.volume.limits import MAX_ATTRIBUTES, MAX_HEADER

_ITEM = 0xFFFEE000
_ITEM_END = 0xFFFEE00D
_SEQUENCE_END = 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF

_FLOATS = {FLOAT_PIXEL_DATA: "f4", DOUBLE_PIXEL_DATA: "f8"}
_MAX_DEPTH = 16
# A file's first read: headers of ordinary CT end well within it.
_FIRST_READ = 1 << 15
_LAST_READ = 1 << 20
_MAX_ATTRIBUTE = 1 << 16
# Several threads read headers; of those that are longer than this, one at a time.
_LARGE = 4 << 20
_ONE_LARGE_HEADER = threading.Lock()


@dataclass
class Header:
    """What the header of a DICOM file states.

    syntax: the transfer syntax. order: byte order of the values, "<" or ">".
    values: tag -> raw value bytes, for the attributes in WANTED.
    groups: tag -> items of the functional group sequences, each a flat tag -> bytes.
    pixels: (offset, length) of the pixel data in the (inflated) file, length None for
    encapsulated frames; None if the file has no pixel data.
    floating: "f4" or "f8" if the pixel data are floats, else "". state: see `file_state`.
    """

    syntax: str
    order: str
    state: tuple[int, int] = (0, 0)
    values: dict[int, bytes] = field(default_factory=dict)
    groups: dict[int, list[dict[int, bytes]]] = field(default_factory=dict)
    pixels: tuple[int, int | None] | None = None
    floating: str = ""


class NotDicom(Enum):
    """What a file is that is not DICOM."""

    EMPTY = N_("empty")
    ZEROS = N_("filled with zeros")
    OTHER = "another format"


def read_header(path: Path) -> Header | NotDicom:
    """Read the header of a file.

    Values that are not needed are passed over, not read, however long they are.

    Raises
    ------
    BrokenDicomError
        If it looks like DICOM and its header is damaged, cut off or beyond the limits.
    OSError
        If the file cannot be read.
    """
    with FileIO(path) as file:
        data = file.read(_FIRST_READ)
        if not data:
            return NotDicom.EMPTY
        if not looks_like_dicom(data):
            return NotDicom.OTHER if data.strip(b"\0") else NotDicom.ZEROS
        state = file_state(file)
        header = _parse(file, data, state[0])
        header.state = state
        placed = POSITION in header.values and ORIENTATION in header.values
        if header.pixels and not placed and FRAME_GROUPS not in header.groups:
            _read_behind_pixels(file, data, header)
        return header


def file_state(file: FileIO) -> tuple[int, int]:
    """Return the size of an open file and when it was changed last, in ns.

    Both differ once another program has written the file.
    """
    found = os.fstat(file.fileno())
    return found.st_size, found.st_mtime_ns


def _parse(file: FileIO, data: bytes, size: int) -> Header:
    """Walk the data set of an open file of `size` bytes that starts with `data`."""
    encoding = find_encoding(data)
    if encoding.start > len(data):
        data += file.read(_LAST_READ)
        encoding = find_encoding(data)
    if encoding.syntax == DEFLATED:
        return _parse_deflated(file, data[: encoding.start], encoding)
    walk = _Walk(data, encoding, whole=len(data) >= size)
    with ExitStack() as held:
        alone = False
        while not walk.advance(encoding):
            if len(walk.data) > _LARGE and not alone:
                held.enter_context(_ONE_LARGE_HEADER)
                alone = True
            walk.refill(file, size)
    return walk.header


def _parse_deflated(file: FileIO, meta: bytes, encoding: Encoding) -> Header:
    """Walk a deflated data set, inflated as far as its header may reach."""
    for limit in (_LAST_READ, MAX_HEADER):
        file.seek(len(meta))
        inflater = zlib.decompressobj(-15)
        data = bytearray(meta)
        try:
            while len(data) < limit and (part := file.read(_FIRST_READ)):
                data += inflater.decompress(part, limit - len(data))
        except zlib.error as error:
            raise BrokenDicomError(
                said("the deflated data set is damaged ({error})", error=error)
            ) from error
        walk = _Walk(bytes(data), encoding, whole=len(data) < limit or limit == MAX_HEADER)
        if walk.advance(encoding):
            break
    return walk.header


def _read_behind_pixels(file: FileIO, data: bytes, header: Header) -> None:
    """Read the attributes that a script appended after uncompressed pixel data."""
    if header.pixels is None or header.pixels[1] is None or header.syntax == DEFLATED:
        return
    end = header.pixels[0] + header.pixels[1]
    file.seek(end)
    tail = file.read(_LAST_READ)
    encoding = find_encoding(data)
    try:
        walk = _Walk(tail, encoding, whole=True)
        walk.elements(0, len(tail), header.values, encoding.implicit, depth=0)
    except (struct.error, IndexError, BrokenDicomError):
        # Padding or rubbish behind the pixels costs nothing.
        return


def inflate(data: bytes, limit: int) -> bytes:
    """Inflate the data set of a deflated file after its meta information.

    Returns the meta information followed by at most `limit` bytes of data set, so
    that offsets in a `Header` hold.
    """
    start = find_encoding(data).start
    try:
        return data[:start] + zlib.decompressobj(-15).decompress(data[start:], limit)
    except zlib.error as error:
        raise BrokenDicomError(
            said("the deflated data set is damaged ({error})", error=error)
        ) from error


class _Walk:
    """One pass over a data set, of which a part is held at a time.

    data: the part. base: its offset in the file. pos: where in it the next top-level attribute
    starts, which may be beyond its end. whole: whether it reaches to the end of the file.
    """

    def __init__(self, data: bytes, encoding: Encoding, *, whole: bool) -> None:
        self.data = data
        self.base = 0
        self.pos = encoding.start
        self.header = Header(encoding.syntax, encoding.order)
        self._order = encoding.order
        self._whole = whole
        self._walked = self._count = 0
        self._short = struct.Struct(encoding.order + "HH2sH").unpack_from
        self._plain = struct.Struct(encoding.order + "HHL").unpack_from
        self._long = struct.Struct(encoding.order + "L").unpack_from

    def advance(self, encoding: Encoding) -> bool:
        """Walk the part that is held; return False where more of the file is needed."""
        end = len(self.data)
        try:
            stop = self.elements(self.pos, end, self.header.values, encoding.implicit, depth=0)
        except (struct.error, IndexError) as error:
            if not self._whole:
                return False
            raise BrokenDicomError(said("cut off within its header")) from error
        if self.header.pixels is None and stop >= end:
            if not self._whole:
                self.pos = stop
                return False
            if stop > end:
                raise BrokenDicomError(said("cut off within its header"))
        return True

    def refill(self, file: FileIO, size: int) -> None:
        """Read on from the next top-level attribute; what lies before it is dropped."""
        rest = self.data[self.pos :]
        self._walked += len(self.data) - len(rest)
        self.base += self.pos
        self.pos = 0
        if self.base > size:
            raise BrokenDicomError(said("cut off within its header"))
        file.seek(self.base + len(rest))
        more = file.read(max(7 * len(rest), _FIRST_READ))
        self.data = rest + more
        self._whole = not more or self.base + len(self.data) >= size
        if self._walked + len(self.data) > MAX_HEADER:
            raise BrokenDicomError(
                said("its header is longer than {number} MB", number=MAX_HEADER >> 20)
            )

    def elements(
        self, pos: int, end: int, values: dict[int, bytes], implicit: bool, depth: int
    ) -> int:
        """Walk elements from `pos` to `end` or to a delimiter; return where it stopped."""
        if depth > _MAX_DEPTH:
            raise BrokenDicomError(
                said("sequences are nested more than {max_depth} deep", max_depth=_MAX_DEPTH)
            )
        self._count += 1
        short, plain, long = self._short, self._plain, self._long
        data = self.data
        while pos < end:
            if depth == 0:
                self.pos = pos
            self._count += 1
            if self._count > MAX_ATTRIBUTES:
                raise BrokenDicomError(
                    said(
                        "its header has more than {max_attributes} attributes",
                        max_attributes=MAX_ATTRIBUTES,
                    )
                )
            vr = b""
            if implicit:
                group, element, length = plain(data, pos)
                pos += 8
            else:
                group, element, vr, length = short(data, pos)
                pos += 8
                if vr in LONG_VRS:
                    (length,) = long(data, pos)
                    pos += 4
                elif vr not in VRS:
                    # Delimiters have no VR; neither have private tags of some writers.
                    if not self._whole and pos + _MAX_ATTRIBUTE > len(data):
                        raise IndexError
                    pos, length = element_with_unknown_vr(data, pos - 8, self._order)
            tag = group << 16 | element
            if tag >= FLOAT_PIXEL_DATA and depth == 0:
                if tag in (PIXEL_DATA, *_FLOATS):
                    at = self.base + pos
                    self.header.pixels = (at, None if length == _UNDEFINED else length)
                    self.header.floating = _FLOATS.get(tag, "")
                return pos
            if tag in (_ITEM_END, _SEQUENCE_END):
                return pos
            if tag == 0:
                raise BrokenDicomError(said("zeros in place of an attribute"))
            if length == _UNDEFINED or tag in ENTERED:
                # PS3.5 6.2.2: the content of an UN of undefined length is implicit.
                inner = implicit or vr == b"UN"
                pos = self._sequence(tag, pos, length, values, inner, depth)
                continue
            if tag in WANTED:
                if length > _MAX_ATTRIBUTE and tag >> 16 != 0x7FE0:
                    raise BrokenDicomError(
                        said(
                            "attribute {tag} claims {length} bytes", tag=f"{tag:08X}", length=length
                        )
                    )
                if pos + length > len(data):
                    raise IndexError
                values.setdefault(tag, data[pos : pos + length])
            pos += length
        if pos > end and end < len(data):
            raise BrokenDicomError(said("an attribute runs past the end of its sequence"))
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
        keep = tag in ENTERED
        if depth == 0:
            # A walk that had to be repeated with more of the file.
            self.header.groups.pop(tag, None)
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
                raise BrokenDicomError(
                    said(
                        "sequence {tag} holds {item} in place of an item",
                        tag=f"{tag:08X}",
                        item=f"{item:08X}",
                    )
                )
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
