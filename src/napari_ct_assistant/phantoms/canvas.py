"""The voxel grid that a phantom is painted on, and its soft-edged brushes.

Coordinates are millimetres `(z, y, x)` growing towards the feet, the back and the patient's
left, like the (I, P, L) axes of the array; 0 is the centre of the volume. Every brush works on
a local box.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

BAND = 48
Floats = NDArray[np.float32]
Box = tuple[slice, slice, slice]


@dataclass
class Pose:
    """How the patient lies in the scanner: maps canonical mm to scanner mm."""

    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    angle: float = 0.0
    scale: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def to_scanner(self, points: NDArray[Any]) -> NDArray[np.float64]:
        """Map canonical points [..., 3] (z, y, x) to scanner mm."""
        p = np.asarray(points, float) * self.scale
        c, s = np.cos(self.angle), np.sin(self.angle)
        y, x = p[..., 1], p[..., 2]
        out = np.stack([p[..., 0], c * y + s * x, -s * y + c * x], -1)
        moved: NDArray[np.float64] = out + np.asarray(self.offset)
        return moved

    def to_patient(self, z: Any, y: Any, x: Any) -> tuple[Any, Any, Any]:
        """Map scanner coordinates, which may be broadcast, to canonical mm."""
        y, x = y - self.offset[1], x - self.offset[2]
        c, s = np.cos(self.angle), np.sin(self.angle)
        yy, xx = c * y - s * x, s * y + c * x
        return (z - self.offset[0]) / self.scale[0], yy / self.scale[1], xx / self.scale[2]


def soft(depth: Any, edge: float) -> Floats:
    """Return how much of a voxel of `edge` mm lies inside a surface, from its depth in mm."""
    w: Floats = np.multiply(depth, np.float32(1.0 / edge), dtype=np.float32)
    w += np.float32(0.5)
    w.clip(0, 1, out=w)
    return w


def blend(values: Floats, at: Any, weight: Floats, hu: Any) -> None:
    """Blend `hu` by its weight into a flat array at the listed positions."""
    old = values[at]
    change = hu - old
    change *= weight
    change += old
    values[at] = change


def _capsule_depth(offsets: Any, d: Any, n: Any, ra: Any, grow: Any) -> Floats:
    """Return the depth in mm inside a capsule at `offsets` (z, y, x) from its start.

    `d` is the vector to its end and `n` its squared length; the radius goes from `ra` to
    `ra + grow`.
    """
    z, y, x = offsets
    t: Floats = z * d[0] + y * d[1] + x * d[2]
    t /= n
    t.clip(0, 1, out=t)
    square = np.empty_like(t)
    off = np.empty_like(t)
    for axis in range(3):
        into = off if axis else square
        np.multiply(t, d[axis], out=into)
        np.subtract(offsets[axis], into, out=into)
        into *= into
        if axis:
            square += off
    t *= grow
    t += ra
    t -= np.sqrt(square, out=square)
    return t


@dataclass(frozen=True)
class Stamp:
    """Voxels of a canvas: their flat indices, each once, and their weights."""

    index: NDArray[np.int64]
    weight: Floats

    def with_box(self, shape: tuple[int, ...], box: Box, weight: Floats) -> Stamp:
        """Add the voxels of a box of the canvas; of two weights, the larger holds."""
        first = [s.start for s in box]
        place = [a - k for a, k in zip(np.unravel_index(self.index, shape), first, strict=True)]
        inside = np.logical_and.reduce(
            [(a >= 0) & (a < n) for a, n in zip(place, weight.shape, strict=True)]
        )
        weight = weight.copy()
        at = tuple(a[inside] for a in place)
        weight[at] = np.maximum(weight[at], self.weight[inside])
        grids = np.ix_(*(np.arange(s.start, s.stop) for s in box))
        index = np.ravel_multi_index(grids, shape).reshape(-1)
        return Stamp(
            np.concatenate([self.index[~inside], index]),
            np.concatenate([self.weight[~inside], weight.reshape(-1)]),
        )


@dataclass
class Canvas:
    """The image being painted: three arrays [I, P, L].

    hu: the image; lung: each voxel's share of lung, 0 to 1; wall: depth in mm under the inner
    chest wall, negative outside, and -99 where it was not computed.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    pose: Pose
    hu: Floats = field(init=False)
    lung: Floats = field(init=False)
    wall: Floats = field(init=False)

    def __post_init__(self) -> None:
        # `trunk.paint_trunk` writes every voxel of these.
        self.hu, self.lung, self.wall = (np.empty(self.shape, np.float32) for _ in range(3))
        # Working space of `stamp_balls`, which leaves zeros behind.
        self.weights = np.zeros(self.shape, np.float32)
        self.axes = tuple(
            ((np.arange(n) - (n - 1) / 2) * s).astype(np.float32)
            for n, s in zip(self.shape, self.spacing, strict=True)
        )
        self.edge = float(self.spacing[1]) * 1.1
        # Slices are thicker than pixels: distances along z are shortened, so that a thin
        # structure between two slices shows in both (partial volume).
        self.z_squeeze = np.float32(min(1.0, 1.1 * self.spacing[1] / self.spacing[0] + 0.15))

    def box(self, centre: Any, radius: Any) -> Box | None:
        """Return the index box `radius` mm around a scanner point; None outside the volume."""
        out = []
        centre = [float(c) for c in centre]
        radii = [float(radius)] * 3 if np.ndim(radius) == 0 else [float(r) for r in radius]
        for c, r, n, s in zip(centre, radii, self.shape, self.spacing, strict=True):
            lo = max(0, math.floor((c - r) / s + (n - 1) / 2))
            hi = min(n, math.ceil((c + r) / s + (n - 1) / 2) + 1)
            if lo >= hi:
                return None
            out.append(slice(lo, hi))
        return out[0], out[1], out[2]

    def scanner_axes(self, box: Box) -> tuple[Floats, Floats, Floats]:
        """Return the scanner coordinates of a box, shaped to broadcast."""
        z, y, x = (a[b] for a, b in zip(self.axes, box, strict=True))
        return z[:, None, None], y[None, :, None], x[None, None, :]

    def patient_axes(self, box: Box) -> tuple[Floats, Floats, Floats]:
        """Return the canonical coordinates of a box: z [d, 1, 1], y and x [1, h, w]."""
        z, y, x = self.scanner_axes(box)
        pz, py, px = self.pose.to_patient(z, y, x)
        return pz.astype(np.float32), py.astype(np.float32), px.astype(np.float32)

    def paint(self, box: Box, weight: Floats, hu: Any, *, solid: bool = True) -> None:
        """Blend `hu` into a box by its weight; what is `solid` displaces lung."""
        view = self.hu[box]
        change = hu - view
        change *= weight
        view += change
        if solid:
            self.lung[box] *= 1 - weight

    def ball(
        self, centre: Any, radii: Any, *, edge: float | None = None
    ) -> tuple[Box, Floats] | None:
        """Return the box and weights of an ellipsoid along the scanner's axes, in scanner mm."""
        radii = np.broadcast_to(np.asarray(radii, np.float32), 3)
        edge = self.edge if edge is None else edge
        box = self.box(centre, radii + edge)
        if box is None:
            return None
        z, y, x = self.scanner_axes(box)
        c = np.asarray(centre, np.float32)
        q = ((z - c[0]) / radii[0]) ** 2 + ((y - c[1]) / radii[1]) ** 2
        q = q + ((x - c[2]) / radii[2]) ** 2
        return box, soft((1 - np.sqrt(q)) * np.float32(radii.min()), edge)

    def segment(self, a: Any, b: Any, ra: float, rb: float) -> tuple[Box, Floats] | None:
        """Return the box and weights of a capsule between two scanner points; radii in mm."""
        a, b = np.asarray(a, np.float32), np.asarray(b, np.float32)
        r = max(ra, rb) + self.edge
        box = self.box((a + b) / 2, np.abs(b - a) / 2 + r)
        if box is None:
            return None
        z, y, x = self.scanner_axes(box)
        d = b - a
        n = np.float32(max(float(d @ d), 1e-6))
        y, x, grow = y - a[1], x - a[2], np.float32(rb - ra)
        w = np.empty((z.shape[0], y.shape[1], x.shape[2]), np.float32)
        # As many slices at a time as stay in cache.
        step = max(1, 32768 // (y.size * x.size))
        for k in range(0, len(w), step):
            offsets = (z[k : k + step] - a[0], y, x)
            w[k : k + step] = soft(_capsule_depth(offsets, d, n, np.float32(ra), grow), self.edge)
        return box, w

    def tube(self, points: Any, radii: Any, hu: Any, *, mask: NDArray[Any] | None = None) -> None:
        """Paint a chain of capsules along canonical points [n, 3]; radii in mm."""
        p = self.pose.to_scanner(np.asarray(points, float))
        r = np.broadcast_to(np.asarray(radii, float), len(p))
        if len(p) > 4:
            self._chain(p.astype(np.float32), r.astype(np.float32), hu, mask)
            return
        for i in range(len(p) - 1):
            hit = self.segment(p[i], p[i + 1], float(r[i]), float(r[i + 1]))
            if hit is not None:
                self.paint(*hit, hu)
                if mask is not None:
                    mask[hit[0]] |= hit[1] > 0.5

    def _chain(self, p: Floats, r: Floats, hu: float, mask: NDArray[Any] | None) -> None:
        """Paint many short capsules, in scanner mm; the boxes of a batch form one array."""
        shape, spacing = np.array(self.shape), np.array(self.spacing)
        reach = np.maximum(r[:-1], r[1:])[:, None] + self.edge
        low = (np.minimum(p[:-1], p[1:]) - reach) / spacing + (shape - 1) / 2
        high = (np.maximum(p[:-1], p[1:]) + reach) / spacing + (shape - 1) / 2
        size = np.minimum(np.ceil(high - low).astype(int).max(0) + 2, shape)
        # A box that reaches beyond the image is moved back into it; weights come from the voxels.
        first = np.clip(np.floor(low).astype(int), 0, shape - size)
        values, lung = self.hu.reshape(-1), self.lung.reshape(-1)
        batch = max(1, 65536 // int(size.prod()))
        for k in range(0, len(first), batch):
            at, w = self._capsules(p[k : k + batch + 1], r[k : k + batch + 1], first[k:], size)
            values[at] -= np.float32(hu)
            np.multiply.at(values, at, 1 - w)
            values[at] += np.float32(hu)
            np.multiply.at(lung, at, 1 - w)
            if mask is not None:
                mask.reshape(-1)[at[w > 0.5]] = True

    def _capsules(self, p: Floats, r: Floats, first: Any, size: Any) -> tuple[Any, Floats]:
        """Return flat index and weight of a chain's voxels; one in two capsules comes twice."""
        a, d = p[:-1], np.diff(p, axis=0)
        index, offsets = [], []
        for k in range(3):
            along = [1, 1, 1, 1]
            along[0], along[k + 1] = len(a), int(size[k])
            i = first[: len(a), k, None] + np.arange(size[k])
            index.append((i * math.prod(self.shape[k + 1 :])).reshape(along))
            offsets.append((self.axes[k][i] - a[:, k, None]).reshape(along))
        column = (slice(None), None, None, None)
        n = np.maximum((d * d).sum(1), np.float32(1e-6))
        depth = _capsule_depth(
            offsets, [v[column] for v in d.T], n[column], r[:-1][column], np.diff(r)[column]
        )
        w = soft(depth, self.edge).reshape(-1)
        used = np.flatnonzero(w > 0)
        return (index[0] + index[1] + index[2]).reshape(-1).take(used), w.take(used)

    def stamp_balls(self, points: Any, radii: Any) -> Stamp:
        """Return the weights of many small balls; where they overlap, the larger weight.

        points: [n, 3] in scanner mm; radii: [n] in mm. Vectorised over the points: balls of one
        size share a stencil of voxels.
        """
        p, r = np.asarray(points, np.float32), np.asarray(radii, np.float32)
        spacing = np.asarray(self.spacing, np.float32)
        half = (np.asarray(self.shape, np.float32) - 1) / 2
        at = p / spacing + half
        centre = np.rint(at).astype(np.int32)
        p = ((centre - at) * spacing).astype(np.float32)
        strides = np.array([self.shape[1] * self.shape[2], self.shape[2], 1], np.int32)
        size = np.ceil(r / 0.75).astype(int)
        flat = self.weights.reshape(-1)
        touched = [np.zeros(0, np.int64)]
        for s in np.unique(size):
            reach = s * 0.75 + self.edge * 0.6
            k = [int(np.ceil(reach / v - 0.3)) for v in spacing]
            room = (centre >= k) & (centre < np.asarray(self.shape) - k)
            mine = np.flatnonzero((size == s) & room.all(1))
            grid = np.stack(np.meshgrid(*[np.arange(-m, m + 1) for m in k], indexing="ij"), -1)
            grid = grid.reshape(-1, 3).astype(np.int32)
            keep = np.linalg.norm(np.maximum(np.abs(grid) - 0.5, 0) * spacing, axis=1) <= reach
            grid = grid[keep]
            step = (grid * spacing)[:, :, None]
            jump = (grid @ strides)[:, None]
            # Few enough points at a time to stay in cache.
            for sel in np.split(mine, range(0, len(mine), max(1, 16384 // len(grid)))[1:]):
                d2 = p[sel, 0] + step[:, 0]
                d2 *= self.z_squeeze
                d2 *= d2
                for axis in (1, 2):
                    d = p[sel, axis] + step[:, axis]
                    d *= d
                    d2 += d
                np.sqrt(d2, out=d2)
                w = soft(np.subtract(r[sel], d2, out=d2), self.edge * 1.2).reshape(-1)
                use = np.flatnonzero(w > 0.02)
                index = (centre[sel] @ strides + jump).reshape(-1).take(use).astype(np.int64)
                np.maximum.at(flat, index, w.take(use))
                touched.append(index)
        index = np.concatenate(touched)
        weight = flat.take(index)
        # Each voxel once: the last to write its number into a voxel finds it there.
        number = np.arange(len(index), dtype=np.float32)
        flat[index] = number
        once = np.flatnonzero(flat.take(index) == number)
        flat[index] = 0
        return Stamp(index.take(once), weight.take(once))

    def noise(self, rng: np.random.Generator, pitch: float, box: Box) -> Floats:
        """Return smooth noise of unit variance on a lattice of `pitch` mm, sampled in a box.

        The lattice is fixed in millimetres, so that every resolution sees the same field.
        """
        lattice = Lattice(self, rng, pitch, box)
        return lattice.slices(slice(None))


class Lattice:
    """`Canvas.noise` for a few slices at a time, which stay in cache."""

    BLOCK = 4

    def __init__(self, canvas: Canvas, rng: np.random.Generator, pitch: float, box: Box) -> None:
        m = int(np.ceil(360 / pitch)) + 4
        values = rng.standard_normal((m, m, m), dtype=np.float32)
        # Cubic B-splines as three matrix products, which BLAS does fast. A sample has four weights
        # along an axis: so many nodes at a time that few products are with 0.
        a, b, c = (_spline(canvas.axes[k][box[k]], pitch, m) for k in range(3))
        slices = (a @ values.reshape(m, m * m)).reshape(len(a), m, m)
        self.rows: Floats = np.empty((len(a), len(b), m), np.float32)
        for some, nodes in _bands(b):
            np.matmul(b[some, nodes], slices[:, nodes], out=self.rows[:, some])
        self.columns = [(some, nodes, c[some, nodes].T) for some, nodes in _bands(c)]
        self.width = len(c)

    def slices(self, which: slice) -> Floats:
        """Return the noise of these slices of the box, [I, P, L]."""
        rows = self.rows[which]
        n, h, m = rows.shape
        # One product for all: BLAS spreads each over its threads and waits for them.
        out: Floats = np.empty((n * h, self.width), np.float32)
        rows = rows.reshape(-1, m)
        for some, nodes, weights in self.columns:
            np.matmul(rows[:, nodes], weights, out=out[:, some])
        return out.reshape(n, h, -1)

    def blocks(self) -> list[slice]:
        """Return the slices in parts that are small enough."""
        starts = range(0, len(self.rows), self.BLOCK)
        return [slice(k, min(k + self.BLOCK, len(self.rows))) for k in starts]


def _bands(weights: Floats) -> list[tuple[slice, slice]]:
    """Return parts of the samples of [n, m] weights, with the nodes that have weight there."""
    n, m = weights.shape
    size = BAND if m > 30 else n
    bands = []
    for k in range(0, n, size):
        used = np.flatnonzero(weights[k : k + size].any(0))
        bands.append((slice(k, k + size), slice(int(used[0]), int(used[-1]) + 1)))
    return bands


def _spline(at: Floats, pitch: float, m: int) -> Floats:
    """Return cubic B-spline weights [n, m] on a lattice of `pitch` mm, for unit variance."""
    u = np.abs((at[:, None] + 180) / pitch + 1 - np.arange(m)[None])
    w = np.where(u < 1, 2 / 3 - u * u + u**3 / 2, np.clip(2 - u, 0, None) ** 3 / 6)
    w /= np.sqrt((w * w).sum(1, keepdims=True))
    out: Floats = w.astype(np.float32)
    return out
