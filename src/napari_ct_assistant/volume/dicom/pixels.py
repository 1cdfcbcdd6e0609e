"""Pixel data of one frame, from any transfer syntax that a maintained decoder reads."""

from __future__ import annotations

import struct
from io import FileIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.volume.ct_volume import AIR
from napari_ct_assistant.volume.dicom.codestream import CodestreamError, decode
from napari_ct_assistant.volume.dicom.frames import Frame, Instance
from napari_ct_assistant.volume.dicom.header import (
    BIG_ENDIAN,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    BrokenDicomError,
    inflate,
)
from napari_ct_assistant.volume.errors import CTReadError
from napari_ct_assistant.volume.hounsfield import to_hu

_RAW = frozenset({IMPLICIT, EXPLICIT, DEFLATED, BIG_ENDIAN})
_ITEM = 0xFFFEE000
_SEQUENCE_END = 0xFFFEE0DD

Fragments = list[list[tuple[int, int]]]


class SliceReader:
    """Reads the frames of one series; several threads may share it.

    What several frames of a file need (where their fragments lie, the inflated data
    set) is kept until the reader is dropped.
    """

    def __init__(self) -> None:
        self._fragments: dict[Path, Fragments] = {}
        self._inflated: dict[Path, bytes] = {}

    def read(self, frame: Frame, out: NDArray[np.int16]) -> tuple[int, int]:
        """Read one frame as HU into `out` [rows, columns], any strides.

        Pixels that the file declares to be padding, and values below -1024 HU, become
        -1024 (air); values above 32767 become 32767.

        Returns
        -------
        Lowest and highest HU of the slice.

        Raises
        ------
        CTReadError
            If the pixel data is cut off, damaged, or in a syntax without a decoder.
        """
        file = frame.file
        try:
            plain = file.syntax in _RAW
            raw = self._plain(frame, out) if plain else self._encapsulated(frame)
        except OSError as error:
            raise CTReadError(file.path, f"cannot be read ({error.strerror or error})") from error
        return _finish(frame, raw, out)

    def _plain(self, frame: Frame, out: NDArray[np.int16]) -> NDArray[Any]:
        """Read uncompressed pixels, straight into `out` where its memory allows."""
        file = frame.file
        if file.bits_allocated not in (8, 16, 32):
            raise _bits_error(file)
        offset, length = file.pixels
        shape = (file.rows, file.columns)
        needed = file.rows * file.columns * file.bits_allocated // 8
        start = offset + frame.index * needed
        if length is None:
            raise CTReadError(
                file.path, "compressed pixels in an uncompressed syntax; export it again"
            )
        if length < file.frames * needed:
            raise CTReadError(
                file.path,
                f"pixel data has {length} bytes where {file.frames} x {shape} need "
                f"{file.frames * needed}; export it again",
            )
        dtype = np.dtype(f"{file.order}u{file.bits_allocated // 8}")
        if file.syntax == DEFLATED:
            data = self._inflate(file, offset + file.frames * needed)
            if len(data) < start + needed:
                raise CTReadError(file.path, "cut off within its pixel data; copy it again")
            raw: NDArray[Any] = np.frombuffer(data, dtype, file.rows * file.columns, start)
            return raw.reshape(shape).astype(dtype.newbyteorder("="))
        direct = dtype.itemsize == 2 and out.flags.c_contiguous
        with file.path.open("rb", buffering=0) as stream:
            # Before memory is taken for what a damaged header claims.
            if stream.seek(0, 2) < start + needed:
                raise CTReadError(file.path, "cut off within its pixel data; copy it again")
            stream.seek(start)
            raw = out.view(dtype) if direct else np.empty(shape, dtype=dtype)
            _fill(stream, raw.reshape(-1).view(np.uint8).data, file.path)
        if not dtype.isnative:
            raw = raw.byteswap(inplace=True).view(dtype.newbyteorder())
        return raw

    def _inflate(self, file: Instance, limit: int) -> bytes:
        """Return the inflated file, kept only where it holds more frames."""
        data = self._inflated.get(file.path)
        if data is None:
            try:
                data = inflate(file.path.read_bytes(), limit)
            except BrokenDicomError as error:
                raise CTReadError(file.path, f"{error}; copy it again") from error
            if file.frames > 1:
                self._inflated[file.path] = data
        return data

    def _encapsulated(self, frame: Frame) -> NDArray[Any]:
        """Decode one encapsulated frame into an array of its own."""
        file = frame.file
        if file.bits_allocated not in (8, 16):
            raise _bits_error(file)
        with file.path.open("rb", buffering=0) as stream:
            fragments = self._fragments.get(file.path)
            if fragments is None:
                fragments = self._fragments[file.path] = _find_fragments(stream, file)
            data = bytearray()
            for offset, length in fragments[frame.index]:
                stream.seek(offset)
                data += stream.read(length)
        try:
            return decode(
                bytes(data), file.syntax, (file.rows, file.columns), file.bits_allocated // 8
            )
        except CodestreamError as error:
            raise CTReadError(file.path, str(error)) from error


def _finish(frame: Frame, raw: NDArray[Any], out: NDArray[np.int16]) -> tuple[int, int]:
    """Turn stored values into HU; `raw` may be the memory of `out` itself."""
    file = frame.file
    raw = raw.view(f"{'i' if file.signed else 'u'}{raw.itemsize}")
    spare = raw.itemsize * 8 - file.bits_stored
    if spare > 0 and file.signed:
        # Old files keep overlays in the bits above BitsStored.
        np.left_shift(raw, spare, out=raw)
        np.right_shift(raw, spare, out=raw)
    elif spare > 0 and int(raw.max()) >> file.bits_stored:
        np.bitwise_and(raw, (1 << file.bits_stored) - 1, out=raw)
    slope = 1.0 if frame.slope is None else frame.slope
    intercept = 0.0 if frame.intercept is None else frame.intercept
    padded = None
    if file.padding is not None:
        padded = (raw >= file.padding[0]) & (raw <= file.padding[1])
    low, high = to_hu(raw, slope, intercept, out)
    if padded is not None:
        out[padded] = AIR
        low, high = int(out.min()), int(out.max())
    return low, high


def _bits_error(file: Instance) -> CTReadError:
    return CTReadError(
        file.path, f"BitsAllocated {file.bits_allocated} is not supported; export it with 16"
    )


def _fill(stream: FileIO, view: memoryview, path: Path) -> None:
    """Read exactly len(view) bytes."""
    done = 0
    while done < len(view):
        got = stream.readinto(view[done:])
        if not got:
            raise CTReadError(path, "cut off within its pixel data; copy it again")
        done += got


def _find_fragments(stream: FileIO, file: Instance) -> Fragments:
    """Return (offset, length) of the fragments of every frame (PS3.5 annex A.4)."""
    if file.pixels[1] is not None:
        raise CTReadError(file.path, "uncompressed pixels in a compressed syntax; export it again")
    found: list[tuple[int, int]] = []
    size = stream.seek(0, 2)
    position = file.pixels[0]
    while position + 8 <= size:
        stream.seek(position)
        group, element, length = struct.unpack("<HHL", stream.read(8))
        item = group << 16 | element
        if item == _SEQUENCE_END:
            break
        if item != _ITEM:
            raise CTReadError(file.path, "the compressed pixel data is damaged; copy it again")
        if position + 8 + length > size:
            raise CTReadError(file.path, "cut off within its pixel data; copy it again")
        found.append((position + 8, length))
        position += 8 + length
    # The first item is the basic offset table.
    fragments = found[1:]
    if len(fragments) < file.frames:
        raise CTReadError(
            file.path,
            f"holds pixel data for {len(fragments)} of {file.frames} frames; copy it again",
        )
    if file.frames == 1:
        return [fragments]
    if len(fragments) == file.frames:
        return [[part] for part in fragments]
    starts = _frame_starts(stream, file, found[0], fragments)
    return [fragments[a:b] for a, b in pairwise([*starts, len(fragments)])]


def _frame_starts(
    stream: FileIO, file: Instance, table: tuple[int, int], fragments: list[tuple[int, int]]
) -> list[int]:
    """Return the first fragment of every frame, where frames have several."""
    origin = fragments[0][0]
    where = {offset - origin: k for k, (offset, _) in enumerate(fragments)}
    offsets: list[int] = []
    if file.offset_table is not None:
        offsets = [int(v) for v in np.frombuffer(file.offset_table, "<u8")]
    elif table[1] == 4 * file.frames:
        stream.seek(table[0])
        offsets = [int(v) for v in np.frombuffer(stream.read(table[1]), "<u4")]
    if offsets:
        starts = [where.get(offset, -1) for offset in offsets]
    else:
        # Without a table, a frame starts where a codestream starts.
        starts = []
        for k, (offset, _) in enumerate(fragments):
            stream.seek(offset)
            if stream.read(2) in (b"\xff\xd8", b"\xff\x4f"):
                starts.append(k)
    rising = all(a < b for a, b in pairwise(starts))
    if len(starts) != file.frames or -1 in starts or not rising:
        raise CTReadError(
            file.path, "its frames cannot be told apart (bad offset table); export it again"
        )
    return starts
