"""Pixel data of one frame, from any transfer syntax that a maintained decoder reads."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Sequence
from io import BufferedReader, FileIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.support.translation import said
from napari_ct_assistant.volume.ct_volume import AIR
from napari_ct_assistant.volume.dicom.codestream import CodestreamError, decode
from napari_ct_assistant.volume.dicom.encoding import (
    BIG_ENDIAN,
    DEFLATED,
    EXPLICIT,
    GE_PRIVATE,
    IMPLICIT,
    BrokenDicomError,
)
from napari_ct_assistant.volume.dicom.frames import DicomFile, DicomFrame, check_pixel_length
from napari_ct_assistant.volume.dicom.header import file_state, inflate
from napari_ct_assistant.volume.errors import CTReadError
from napari_ct_assistant.volume.hounsfield import to_hu
from napari_ct_assistant.volume.replaced import OnLow

# Padding that maps above this is not believed.
_PADDING_HU = -900.0
_RAW = frozenset({IMPLICIT, EXPLICIT, DEFLATED, BIG_ENDIAN, GE_PRIVATE})


class SliceReader:
    """Reads the frames of one series; several threads may share it.

    The inflated data set of a multi-frame file is kept until the reader is dropped.
    """

    def __init__(self) -> None:
        self._inflated: dict[Path, bytes] = {}
        # Otherwise every thread would inflate a multi-frame file for itself.
        self._inflating = threading.Lock()

    def read(
        self, frame: DicomFrame, out: NDArray[np.int16], on_low: OnLow | None = None
    ) -> tuple[int, int]:
        """Read one frame as HU into `out` [rows, columns], any strides.

        Pixels that the file declares to be padding (see `erases_padding`), and values below
        -1024 HU, become -1024 (air); values above 32767 become 32767. `on_low` gets the mask of
        the pixels that become -1024 and the HU that they had.

        Returns
        -------
        Lowest and highest HU of the slice.

        Raises
        ------
        CTReadError
            If the pixel data is cut off, damaged, or in a syntax without a decoder.
        """
        return _finish(frame, self._stored(frame, out), out, on_low)

    def _stored(self, frame: DicomFrame, out: NDArray[np.int16]) -> NDArray[Any]:
        """Return the stored values, in the memory of `out` where they can be read straight."""
        file = frame.file
        try:
            return self._plain(frame, out) if _is_plain(file) else self._encapsulated(frame)
        except OSError as error:
            raise CTReadError(
                file.path, said("cannot be read ({value})", value=error.strerror or error)
            ) from error

    def read_together(
        self,
        frames: Sequence[DicomFrame],
        out: NDArray[np.int16],
        on_low: Callable[[int, NDArray[np.bool_], NDArray[np.int16]], None],
    ) -> tuple[int, int]:
        """Read frames for which `reads_together` holds, as `read` does for one.

        Parameters
        ----------
        out : int16 [frames, rows, columns]
        on_low
            Also gets the number of the frame within `frames`.
        """
        # In the order of memory.
        backwards = out.strides[0] < 0
        memory = out[::-1] if backwards else out
        for frame, plane in zip(frames, out, strict=True):
            kind = self._stored(frame, plane).dtype
        tall = memory.reshape(-1, memory.shape[2])

        def low_of_all(mask: NDArray[np.bool_], values: NDArray[np.int16]) -> None:
            slices = zip(mask.reshape(out.shape), values.reshape(out.shape), strict=True)
            for n, (low, stored) in enumerate(slices):
                on_low(len(frames) - 1 - n if backwards else n, low, stored)

        return _finish(frames[0], tall.view(kind), tall, low_of_all)

    def _plain(self, frame: DicomFrame, out: NDArray[np.int16]) -> NDArray[Any]:
        """Read uncompressed pixels, straight into `out` where its memory allows."""
        file = frame.file
        if file.floating and np.dtype(file.floating).itemsize * 8 != file.bits_allocated:
            raise _bits_error(file)
        if not file.floating and file.bits_allocated not in (8, 16, 32):
            raise _bits_error(file)
        offset, length = file.pixels
        shape = (file.rows, file.columns)
        needed = file.rows * file.columns * file.bits_allocated // 8
        start = offset + frame.index * needed
        if length is None:
            raise CTReadError(
                file.path, said("compressed pixels in an uncompressed syntax; export it again")
            )
        check_pixel_length(file)
        kind = file.floating or f"u{file.bits_allocated // 8}"
        dtype = np.dtype(f"{file.order}{kind}")
        if file.syntax == DEFLATED:
            data = self._inflate(file, offset + file.frames * needed)
            if len(data) < start + needed:
                raise CTReadError(file.path, said("cut off within its pixel data; copy it again"))
            raw: NDArray[Any] = np.frombuffer(data, dtype, file.rows * file.columns, start)
            return raw.reshape(shape).astype(dtype.newbyteorder("="))
        direct = dtype.itemsize == 2 and out.flags.c_contiguous
        with FileIO(file.path) as stream:
            check_unchanged(stream, file)
            # Before memory is taken for what a damaged header claims.
            if file.state[0] < start + needed:
                raise CTReadError(file.path, said("cut off within its pixel data; copy it again"))
            stream.seek(start)
            raw = out.view(dtype) if direct else np.empty(shape, dtype=dtype)
            _fill(stream, raw.reshape(-1).view(np.uint8).data, file.path)
        if not dtype.isnative:
            raw = raw.byteswap(inplace=True).view(dtype.newbyteorder())
        return raw

    def _inflate(self, file: DicomFile, limit: int) -> bytes:
        """Return the inflated file, kept only where it holds more frames."""
        if file.frames == 1:
            return _inflated(file, limit)
        with self._inflating:
            if file.path not in self._inflated:
                self._inflated[file.path] = _inflated(file, limit)
            return self._inflated[file.path]

    def _encapsulated(self, frame: DicomFrame) -> NDArray[Any]:
        """Decode one encapsulated frame into an array of its own."""
        from pydicom.encaps import get_frame

        file = frame.file
        if file.bits_allocated not in (8, 16):
            raise _bits_error(file)
        if file.pixels[1] is not None:
            raise CTReadError(
                file.path, said("uncompressed pixels in a compressed syntax; export it again")
            )
        with FileIO(file.path) as raw, _StrictReader(raw) as stream:
            check_unchanged(raw, file)
            stream.seek(file.pixels[0])
            try:
                data = get_frame(
                    stream,
                    frame.index,
                    number_of_frames=file.frames,
                    extended_offsets=file.offset_table,
                )
            except (ValueError, IndexError, struct.error, UserWarning) as error:
                raise CTReadError(
                    file.path,
                    said("the compressed pixel data is damaged or cut off; copy it again"),
                ) from error
        try:
            return decode(data, file.syntax, (file.rows, file.columns), file.bits_allocated // 8)
        except CodestreamError as error:
            raise CTReadError(file.path, error.text) from error


def check_unchanged(stream: FileIO, file: DicomFile) -> None:
    """Refuse a file that was written to after its header was read.

    Raises
    ------
    CTReadError
        The header may describe other pixels.
    """
    if file_state(stream) != file.state:
        raise CTReadError(file.path, said("changed while it was being read; open it again"))


def _inflated(file: DicomFile, limit: int) -> bytes:
    try:
        with FileIO(file.path) as stream:
            check_unchanged(stream, file)
            return inflate(stream.readall(), limit)
    except BrokenDicomError as error:
        raise CTReadError(file.path, said("{error}; copy it again", error=error)) from error


class _StrictReader(BufferedReader):
    """A file that refuses to return fewer bytes than were asked for.

    pydicom takes a fragment that the end of the file cuts off for a whole one, and some
    decoders then fill in the rest of the picture.
    """

    def read(self, size: int | None = -1, /) -> bytes:
        """Read exactly `size` bytes."""
        data = super().read(size)
        if size is not None and size > len(data):
            raise ValueError("cut off")
        return data


def _finish(
    frame: DicomFrame, raw: NDArray[Any], out: NDArray[np.int16], on_low: OnLow | None
) -> tuple[int, int]:
    """Turn stored values into HU; `raw` may be the memory of `out` itself."""
    file = frame.file
    slope = 1.0 if frame.slope is None else frame.slope
    intercept = 0.0 if frame.intercept is None else frame.intercept
    if file.floating:
        return to_hu(raw, slope, intercept, out, on_low)
    raw = raw.view(f"{'i' if file.signed else 'u'}{raw.itemsize}")
    spare = raw.itemsize * 8 - file.bits_stored
    limits = None
    if spare > 0 and file.signed:
        # Old files keep overlays in the bits above BitsStored.
        np.left_shift(raw, spare, out=raw)
        np.right_shift(raw, spare, out=raw)
    elif spare > 0:
        limits = int(raw.min()), int(raw.max())
        if limits[1] >> file.bits_stored:
            np.bitwise_and(raw, (1 << file.bits_stored) - 1, out=raw)
            limits = None
    padded = None
    if file.padding is not None and erases_padding(frame):
        padded = (raw >= file.padding[0]) & (raw <= file.padding[1])
    low, high = to_hu(raw, slope, intercept, out, on_low, limits=limits)
    if padded is not None:
        if on_low is not None:
            on_low(padded & (out > AIR), out)
        out[padded] = AIR
        low, high = int(out.min()), int(out.max())
    return low, high


def reads_together(frames: Sequence[DicomFrame], out: NDArray[np.int16]) -> bool:
    """Return whether frames scale alike and can be read straight into `out` [frames, ...]."""
    first = frames[0]

    def scale(frame: DicomFrame) -> tuple[object, ...]:
        file = frame.file
        return (
            *(frame.slope, frame.intercept, file.padding, file.signed, file.bits_stored),
            *(file.bits_allocated, file.order, file.syntax, file.floating, file.rows, file.columns),
            _is_plain(file),
        )

    return (
        first.file.bits_allocated == 16
        and not first.file.floating
        and _is_plain(first.file)
        and first.file.syntax != DEFLATED
        and (out.flags.c_contiguous or out[::-1].flags.c_contiguous)
        and all(scale(frame) == scale(first) for frame in frames)
    )


def erases_padding(frame: DicomFrame) -> bool:
    """Return whether the declared padding can be no tissue and is set to air.

    A PixelPaddingValue of 0 in a file whose stored values are HU, or a range up to 100 HU,
    would punch holes into the patient. What maps below about -900 HU is air or nothing; an
    unsigned value of 32768 and more is a negative one that lost its sign.
    """
    file = frame.file
    if file.padding is None:
        return False
    if not file.signed and file.bits_stored == 16 and file.padding[0] >= 1 << 15:
        return True
    slope = 1.0 if frame.slope is None else frame.slope
    return max(value * slope + (frame.intercept or 0.0) for value in file.padding) <= _PADDING_HU


def _is_plain(file: DicomFile) -> bool:
    """Return whether the pixels need no decoder."""
    return bool(file.floating) or file.syntax in _RAW or _is_uncompressed(file)


def _is_uncompressed(file: DicomFile) -> bool:
    """Return whether the pixels have a length and fit it, whatever syntax is declared."""
    needed = file.frames * file.rows * file.columns * file.bits_allocated // 8
    return file.pixels[1] is not None and 0 <= file.pixels[1] - needed <= 1


def _bits_error(file: DicomFile) -> CTReadError:
    return CTReadError(
        file.path,
        said(
            "BitsAllocated {bits_allocated} is not supported; export it with 16",
            bits_allocated=file.bits_allocated,
        ),
    )


def _fill(stream: FileIO, view: memoryview, path: Path) -> None:
    """Read exactly len(view) bytes."""
    done = 0
    while done < len(view):
        got = stream.readinto(view[done:])
        if not got:
            raise CTReadError(path, said("cut off within its pixel data; copy it again"))
        done += got
