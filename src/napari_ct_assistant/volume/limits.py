"""Limits on what a file may claim, checked before memory is taken for it."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Final

from napari_ct_assistant.support.memory import available_memory
from napari_ct_assistant.support.translation import said
from napari_ct_assistant.volume.errors import CTReadError

MAX_SIDE: Final = 8192
"""Most rows or columns of a slice that are believed; CT scanners write 512 to 2048."""

MAX_FRAMES: Final = 1 << 16
"""Most slices of one file."""

MAX_HEADER: Final = 64 << 20
"""Most bytes of a DICOM header that are read; 2,000 frames are described in about 12 MB."""

MAX_ATTRIBUTES: Final = 2_000_000
"""Most attributes of a DICOM header, those in its sequences included."""

MAX_RATIO: Final = 200
"""How many times smaller than its contents a file can be; a CT is 2 to 50 times smaller."""

# A blank slice is packed still smaller; up to this size, the ratio is no danger.
_HARMLESS: Final = 512 << 20
# Share of the free memory that one scan may take.
_SHARE: Final = 0.9


def check_ratio(path: Path, contents: int, packed: int) -> None:
    """Refuse a packed file of a few bytes that claims gigabytes.

    Parameters
    ----------
    path
        The file or folder to name.
    contents, packed
        Bytes that are claimed, and bytes on disk.

    Raises
    ------
    CTReadError
        If the ratio is beyond MAX_RATIO and the contents are large.
    """
    if contents > _HARMLESS and contents > MAX_RATIO * packed:
        raise CTReadError(
            path,
            said(
                "claims to hold {number} GB in {number2} MB, which no scan does; copy or "
                "export it again",
                number=f"{contents / 1000000000.0:.1f}",
                number2=f"{packed / 1000000.0:.2f}",
            ),
        )


def check_memory(path: Path, shape: Sequence[int], *, beside: int = 0) -> None:
    """Refuse a volume that does not fit into the free memory.

    Parameters
    ----------
    path
        The file or folder to name.
    shape
        Voxels of the finished volume, which take two bytes each.
    beside
        Further bytes that are needed at the same time.

    Raises
    ------
    CTReadError
        With what is needed and what is free.
    """
    needed = 2 * prod(int(n) for n in shape) + beside
    free = available_memory()
    if needed > _SHARE * free:
        size = " x ".join(str(int(n)) for n in shape)
        raise CTReadError(
            path,
            said(
                "{size} voxels need {number} GB of memory, {number2} GB are free; close other "
                "scans or programs, or give fewer slices",
                size=size,
                number=f"{needed / 1000000000.0:.1f}",
                number2=f"{free / 1000000000.0:.1f}",
            ),
        )
