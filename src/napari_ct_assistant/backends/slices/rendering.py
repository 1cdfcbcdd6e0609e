"""Slices in HU as RGB images: windows, padding to square, encoding."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Window = tuple[float, float]  # HU: lowest, highest
RGB = NDArray[np.uint8]
Encoding = Literal["lossless", "jpeg"]

JPEG_QUALITY: Final = 75  # Pillow's default, as is its subsampling of colours, 4:2:0
MIME: Final = {"lossless": "image/png", "jpeg": "image/jpeg"}


def rgb_slice(hu: NDArray[Any], windows: Sequence[Window], *, pad_to_square: bool = False) -> RGB:
    """Return a slice as an RGB image, one window for each channel.

    Parameters
    ----------
    hu : [rows, columns]
        HU; NaN, where a file has no number, is the lowest value.
    windows : three (lowest, highest)
        For red, green and blue.
    pad_to_square : bool
        Centre the slice in a black square.

    Returns
    -------
    uint8 [rows, columns, 3]
        round(255 * (clipped HU - lowest) / width) in float32, halves to the even number, as in
        MedGemma 1.5's notebook.
    """
    channels = []
    for low, high in windows:
        # Clipping keeps NaN; fmax does not.
        values = np.fmin(np.fmax(hu, low), high).astype(np.float32)
        values -= low
        values /= high - low
        values *= 255
        channels.append(np.round(values).astype(np.uint8))
    image = np.stack(channels, axis=-1)
    return squared(image) if pad_to_square else image


def squared(image: RGB) -> RGB:
    """Return an image [rows, columns, 3] in the middle of a black square."""
    rows, columns = image.shape[:2]
    if rows == columns:
        return image
    side = max(rows, columns)
    square = np.zeros((side, side, image.shape[2]), dtype=image.dtype)
    top, left = (side - rows) // 2, (side - columns) // 2
    square[top : top + rows, left : left + columns] = image
    return square


def encoded(image: RGB, encoding: Encoding = "lossless", quality: int = JPEG_QUALITY) -> bytes:
    """Return an image as the bytes of a PNG file, or of a JPEG file; `MIME` has their types."""
    stream = io.BytesIO()
    picture = Image.fromarray(image)
    if encoding == "jpeg":
        picture.save(stream, format="JPEG", quality=quality)
    else:
        picture.save(stream, format="PNG")
    return stream.getvalue()


def through_jpeg(image: RGB, quality: int = JPEG_QUALITY) -> RGB:
    """Return an image as it comes back from a JPEG file."""
    with Image.open(io.BytesIO(encoded(image, "jpeg", quality))) as picture:
        return np.asarray(picture.convert("RGB"))


def blank_images(sizes: Sequence[tuple[int, int]]) -> list[RGB]:
    """Return black images of the given sizes (rows, columns): slices without content."""
    return [np.zeros((rows, columns, 3), dtype=np.uint8) for rows, columns in sizes]
