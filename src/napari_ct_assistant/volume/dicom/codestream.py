"""Compressed pixels: which decoder, and what is checked before it runs."""

from __future__ import annotations

import struct
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.support.errors import CTAssistantError
from napari_ct_assistant.support.translation import said

RLE = "1.2.840.10008.1.2.5"
_JPEG = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 57, 70))
_JPEG_LS = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (80, 81))
_JPEG_2000 = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (90, 91, 201, 202, 203))
_MAX_TILES = 4096


class CodestreamError(CTAssistantError):
    """Compressed pixels that cannot be decoded; the message says what to do."""


def decode(data: bytes, syntax: str, shape: tuple[int, int], itemsize: int) -> NDArray[Any]:
    """Decode one frame.

    Parameters
    ----------
    data
        The codestream.
    syntax
        Transfer syntax UID.
    shape
        (rows, columns) that the header claims; the codestream must agree, which also
        keeps a damaged one from claiming gigabytes.
    itemsize
        Bytes of a stored value, 1 or 2.

    Returns
    -------
    Integers [rows, columns] of `itemsize` bytes, native, writable.
    """
    if syntax == RLE:
        return _decode_rle(data, shape, itemsize)
    known = syntax in _JPEG or syntax in _JPEG_LS or syntax in _JPEG_2000
    if not known:
        raise CodestreamError(
            said(
                "transfer syntax {name} has no decoder here; export the scan uncompressed or "
                "as JPEG 2000 lossless",
                name=_name(syntax),
            )
        )
    import imagecodecs

    run: Callable[[bytes], NDArray[Any]]
    damaged: type[Exception]
    if syntax in _JPEG_2000:
        claimed = _jpeg_2000_shape(data)
        run, damaged = imagecodecs.jpeg2k_decode, imagecodecs.Jpeg2kError
    elif syntax in _JPEG_LS:
        claimed = _jpeg_shape(data)
        run, damaged = imagecodecs.jpegls_decode, imagecodecs.JpeglsError
    else:
        claimed = _jpeg_shape(data)
        run, damaged = imagecodecs.jpeg8_decode, imagecodecs.Jpeg8Error
    if claimed != (*shape, 1):
        raise CodestreamError(
            said(
                "the compressed picture is {claimed} where the header says {value} (rows, "
                "columns, colours); copy or export it again",
                claimed=claimed,
                value=(*shape, 1),
            )
        )
    try:
        array: NDArray[Any] = np.asarray(run(data))
    except (damaged, ValueError, RuntimeError, MemoryError) as error:
        raise CodestreamError(
            said("the compressed pixel data is damaged; copy it again")
        ) from error
    if array.size != shape[0] * shape[1] or array.dtype.kind not in "iu":
        raise CodestreamError(said("the compressed pixel data is damaged; copy it again"))
    array = array.reshape(shape)
    if array.itemsize != itemsize:
        array = array.astype(f"{array.dtype.kind}{itemsize}")
    return array if array.flags.writeable else array.copy()


def _name(syntax: str) -> str:
    """Return the UID with its registered name."""
    from pydicom.config import IGNORE
    from pydicom.uid import UID

    if not all(c in "0123456789." for c in syntax) or not syntax:
        return "(unreadable)"
    name = UID(syntax, validation_mode=IGNORE).name
    return f"{syntax} ({name})" if name != syntax else syntax


def _jpeg_shape(data: bytes) -> tuple[int, int, int]:
    """Return (rows, columns, components) from a JPEG or JPEG-LS start of frame."""
    pos = 2
    while data[:2] == b"\xff\xd8" and pos + 9 < len(data) and data[pos] == 0xFF:
        marker = data[pos + 1]
        if marker == 0xFF:
            pos += 1
            continue
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            rows, columns, components = struct.unpack_from(">HHB", data, pos + 5)
            return rows, columns, components
        pos += 2 + struct.unpack_from(">H", data, pos + 2)[0]
    raise CodestreamError(said("the compressed pixel data has no JPEG header; copy it again"))


def _jpeg_2000_shape(data: bytes) -> tuple[int, int, int]:
    """Return (rows, columns, components) from a JPEG 2000 SIZ segment."""
    start = data.find(b"\xff\x4f\xff\x51", 0, 1024)
    if start < 0 or len(data) < start + 42:
        raise CodestreamError(
            said("the compressed pixel data has no JPEG 2000 header; copy it again")
        )
    x1, y1, x0, y0, tw, th, tx, ty, components = struct.unpack_from(">8LH", data, start + 8)
    sound = tw and th and tx <= x0 < x1 and ty <= y0 < y1
    # A decoder keeps kilobytes for each tile.
    if not sound or -(-(x1 - tx) // tw) * -(-(y1 - ty) // th) > _MAX_TILES:
        raise CodestreamError(said("the JPEG 2000 header is damaged; copy it again"))
    return y1 - y0, x1 - x0, components


def _decode_rle(data: bytes, shape: tuple[int, int], itemsize: int) -> NDArray[Any]:
    """Decode PS3.5 annex G: one PackBits segment a byte, the high byte first."""
    import imagecodecs

    damaged = CodestreamError(said("the RLE pixel data is damaged; copy it again"))
    if len(data) < 64:
        raise damaged
    count, *offsets = struct.unpack_from("<16L", data)
    if count != itemsize:
        raise damaged
    edges = [*offsets[:count], len(data)]
    pixels = shape[0] * shape[1]
    planes = np.empty((*shape, itemsize), dtype=np.uint8)
    for k, (a, b) in enumerate(pairwise(edges)):
        # PackBits cannot do better than 64:1.
        if not 64 <= a < b <= len(data) or (b - a) * 64 < pixels:
            raise damaged
        try:
            plane = np.frombuffer(imagecodecs.packbits_decode(data[a:b]), dtype=np.uint8)
        except (imagecodecs.PackbitsError, ValueError, RuntimeError) as error:
            raise damaged from error
        if len(plane) < pixels:
            raise damaged
        planes[:, :, itemsize - 1 - k] = plane[:pixels].reshape(shape)
    return planes.view(f"<u{itemsize}")[:, :, 0].astype(f"u{itemsize}")
