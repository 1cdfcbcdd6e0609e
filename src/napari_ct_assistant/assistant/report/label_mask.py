"""The voxels of a label, kept with its measurement, and their outlines slice by slice.

The label layer belongs to another plugin and may be gone when the report is exported or opened
again.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari_ct_assistant.volume import CTVolume

# Characters. A liver of 2 million voxels takes about 60,000; the journal is written often.
MOST_PACKED: Final = 400_000
MOST_VOXELS: Final = 2**31

Point = tuple[float, float, float]


@dataclass(frozen=True)
class LabelMask:
    """A label within its box.

    Attributes
    ----------
    first : (i, p, l)
        Index of the box's first voxel in the scan.
    shape : (i, p, l)
        Number of voxels of the box.
    affine : tuple of four (x, y, z)
        RAS mm of the box's first voxel, and the steps in mm to the next along i, p and l.
    packed : str
        The voxels, one bit each, compressed by zlib, in base64.
    """

    first: tuple[int, int, int]
    shape: tuple[int, int, int]
    affine: tuple[Point, Point, Point, Point]
    packed: str

    @classmethod
    def of(
        cls, volume: CTVolume, mask: NDArray[np.bool_], first: tuple[int, int, int]
    ) -> LabelMask | None:
        """Return the label of a box that begins at `first`, None if it is too long to keep."""
        packed = base64.b64encode(zlib.compress(np.packbits(mask).tobytes())).decode()
        if len(packed) > MOST_PACKED:
            return None
        origin = volume.index_to_ras(first)
        steps = volume.affine[:3, :3].T
        rows = [tuple(round(float(v), 6) for v in row) for row in (origin, *steps)]
        shape = tuple(int(n) for n in mask.shape)
        return cls.from_json({"first": first, "shape": shape, "affine": rows, "packed": packed})

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> LabelMask:
        """Return the label that a saved measurement has.

        Raises
        ------
        KeyError, TypeError, ValueError
            If something is missing, of another kind, or impossible.
        """
        first, shape = _three(data["first"]), _three(data["shape"])
        origin, i, p, left = (point(row) for row in data["affine"])
        if min(shape) < 1 or min(first) < 0 or int(np.prod(shape, dtype=object)) > MOST_VOXELS:
            raise ValueError(f"a label of {shape} voxels at {first}")
        return cls(first, shape, (origin, i, p, left), str(data["packed"]))

    def array(self) -> NDArray[np.bool_]:
        """Return the voxels of the box, bool [i, p, l].

        Raises
        ------
        ValueError
            If they are damaged.
        """
        count = int(np.prod(self.shape, dtype=object))
        wanted = (count + 7) // 8
        try:
            data = zlib.decompressobj().decompress(base64.b64decode(self.packed), wanted)
        except zlib.error as error:
            raise ValueError(f"the voxels of a label are damaged: {error}") from error
        if len(data) != wanted:
            raise ValueError(f"a label has {len(data)} bytes of voxels instead of {wanted}")
        bits = np.unpackbits(np.frombuffer(data, np.uint8), count=count)
        return bits.reshape(self.shape).astype(bool)

    def outlines(self, axis: int = 0) -> Iterator[NDArray[np.float64]]:
        """Yield the outlines [N, 3] in RAS mm from slice to slice along an axis of (i, p, l).

        They run along the edges of the voxels. Each is closed: its last point is its first. A
        hole is joined to the outline around it.
        """
        origin, *steps = np.asarray(self.affine)
        along = steps.pop(axis)
        for n, plane in enumerate(np.moveaxis(self.array(), axis, 0)):
            for corners in outlines_of(plane):
                yield origin + n * along + corners @ np.array(steps)


def outlines_of(mask: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
    """Return the outline of each piece of a picture as closed polygons [N, 2].

    Points are (row, column); whole numbers are pixel centres, so that an outline runs along
    halves. Pixels that touch at a corner only are separate pieces. A hole is joined to the
    outline around it by a line that is walked there and back.
    """
    from scipy import ndimage

    pieces, count = ndimage.label(mask)
    around: list[list[tuple[int, int]]] = [[] for _ in range(count)]
    holes: list[tuple[int, list[tuple[int, int]]]] = []
    for corners in _loops(mask):
        (row, column), (row2, column2) = corners[:2]
        # Walking along an edge, the pixel is on the right.
        step = np.sign(row2 - row), np.sign(column2 - column)
        inside = row - (step[0] < 0 or step[1] < 0), column - (step[0] > 0 or step[1] < 0)
        piece = int(pieces[inside]) - 1
        if _area(corners) > 0:
            around[piece] = corners
        else:
            holes.append((piece, corners))
    for piece, hole in holes:
        around[piece] = _joined(around[piece], hole)
    return [np.array([*corners, corners[0]], float) - 0.5 for corners in around]


def _loops(mask: NDArray[np.bool_]) -> Iterator[list[tuple[int, int]]]:
    """Yield the closed paths along the edges of the pixels, the pixels to their right."""
    padded = np.pad(mask, 1)
    inside = padded[1:-1, 1:-1]
    onwards: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for neighbour, (r0, c0), (r1, c1) in (
        (padded[:-2, 1:-1], (0, 0), (0, 1)),
        (padded[1:-1, 2:], (0, 1), (1, 1)),
        (padded[2:, 1:-1], (1, 1), (1, 0)),
        (padded[1:-1, :-2], (1, 0), (0, 0)),
    ):
        for row, column in np.argwhere(inside & ~neighbour).tolist():
            onwards.setdefault((row + r0, column + c0), []).append((row + r1, column + c1))
    while onwards:
        start = here = next(iter(onwards))
        step = (0, 0)
        corners: list[tuple[int, int]] = []
        while True:
            ways = onwards[here]
            right = (here[0] + step[1], here[1] - step[0])
            there = right if right in ways else ways[0]
            ways.remove(there)
            if not ways:
                del onwards[here]
            new = (there[0] - here[0], there[1] - here[1])
            if new != step:
                corners.append(here)
            here, step = there, new
            if here == start:
                break
        yield corners


def _area(corners: list[tuple[int, int]]) -> int:
    """Return twice the area, negative for a hole."""
    after = [*corners[1:], corners[0]]
    return sum(c0 * r1 - r0 * c1 for (r0, c0), (r1, c1) in zip(corners, after, strict=True))


def _joined(around: list[tuple[int, int]], hole: list[tuple[int, int]]) -> list[tuple[int, int]]:
    away = np.abs(np.array(around)[:, None] - np.array(hole)[None]).sum(axis=2)
    a, b = (int(n) for n in np.unravel_index(int(away.argmin()), away.shape))
    return [*around[: a + 1], *hole[b:], *hole[: b + 1], *around[a:]]


def _three(values: Any) -> tuple[int, int, int]:
    a, b, c = map(int, values)
    return a, b, c


def point(values: Any) -> Point:
    """Return three numbers that were saved as a point."""
    x, y, z = map(float, values)
    return x, y, z
