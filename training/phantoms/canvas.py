"""The voxel grid a phantom is painted on, and its cheap soft-edged brushes.

Coordinates are millimetres `(z, y, x)` growing towards the feet, the back and
the patient's left, like the (I, P, L) axes of the array; 0 is the volume's
centre. Every brush works on a local box.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Box = tuple[slice, slice, slice]


@dataclass
class Frame:
    """How the patient lies in the scanner: canonical mm -> scanner mm."""

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
        """Map scanner coordinates (broadcastable) to canonical mm."""
        y, x = y - self.offset[1], x - self.offset[2]
        c, s = np.cos(self.angle), np.sin(self.angle)
        yy, xx = c * y - s * x, s * y + c * x
        return (z - self.offset[0]) / self.scale[0], yy / self.scale[1], xx / self.scale[2]


def soft(depth: Any, edge: float) -> Floats:
    """Weight in [0, 1] of a surface at depth 0 seen through a voxel of `edge` mm."""
    w: Floats = np.multiply(depth, np.float32(1.0 / edge), dtype=np.float32)
    w += np.float32(0.5)
    np.maximum(w, 0, out=w)
    np.minimum(w, 1, out=w)
    return w


@dataclass
class Canvas:
    """Image in HU, lung share and depth under the inner chest wall in mm, all [I, P, L]."""

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    frame: Frame
    hu: Floats = field(init=False)
    lung: Floats = field(init=False)
    wall: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.hu = np.full(self.shape, -1000.0, np.float32)
        self.lung = np.zeros(self.shape, np.float32)
        self.wall = np.full(self.shape, -99.0, np.float32)
        self.axes = tuple(
            ((np.arange(n) - (n - 1) / 2) * s).astype(np.float32)
            for n, s in zip(self.shape, self.spacing, strict=True)
        )
        self.edge = float(self.spacing[1]) * 1.1
        # Slices are thicker than pixels: shrink distances along z so that thin
        # things between two slices are still seen by both (partial volume).
        self.z_squeeze = np.float32(min(1.0, 1.1 * self.spacing[1] / self.spacing[0] + 0.15))

    def box(self, centre: Any, radius: Any) -> Box | None:
        """Index box around a scanner point, `radius` mm each side; None outside."""
        out = []
        for c, r, n, s in zip(
            centre, np.broadcast_to(radius, 3), self.shape, self.spacing, strict=True
        ):
            lo = max(0, int(np.floor((c - r) / s + (n - 1) / 2)))
            hi = min(n, int(np.ceil((c + r) / s + (n - 1) / 2)) + 1)
            if lo >= hi:
                return None
            out.append(slice(lo, hi))
        return out[0], out[1], out[2]

    def scanner_axes(self, box: Box) -> tuple[Floats, Floats, Floats]:
        """Scanner coordinates of a box, shaped to broadcast."""
        z, y, x = (a[b] for a, b in zip(self.axes, box, strict=True))
        return z[:, None, None], y[None, :, None], x[None, None, :]

    def patient_axes(self, box: Box) -> tuple[Floats, Floats, Floats]:
        """Canonical coordinates of a box: z [d,1,1], y and x [1,h,w]."""
        z, y, x = self.scanner_axes(box)
        pz, py, px = self.frame.to_patient(z, y, x)
        return pz.astype(np.float32), py.astype(np.float32), px.astype(np.float32)

    def paint(self, box: Box, weight: Floats, hu: Any, *, solid: bool = True) -> None:
        """Blend `hu` into the box; `solid` things displace lung."""
        view = self.hu[box]
        change = hu - view
        change *= weight
        view += change
        if solid:
            self.lung[box] *= 1 - weight

    def ball(
        self, centre: Any, radii: Any, *, edge: float | None = None
    ) -> tuple[Box, Floats] | None:
        """Soft ellipsoid, axes along the scanner's; scanner centre, radii in mm."""
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
        """Soft capsule between two scanner points with end radii in mm."""
        a, b = np.asarray(a, np.float32), np.asarray(b, np.float32)
        r = max(ra, rb) + self.edge
        box = self.box((a + b) / 2, np.abs(b - a) / 2 + r)
        if box is None:
            return None
        z, y, x = self.scanner_axes(box)
        d = b - a
        n = np.float32(max(float(d @ d), 1e-6))
        t = np.clip(((z - a[0]) * d[0] + (y - a[1]) * d[1] + (x - a[2]) * d[2]) / n, 0, 1)
        dist = (z - a[0] - t * d[0]) ** 2
        dist = dist + (y - a[1] - t * d[1]) ** 2 + (x - a[2] - t * d[2]) ** 2
        return box, soft(np.float32(ra) + t * np.float32(rb - ra) - np.sqrt(dist), self.edge)

    def tube(self, points: Any, radii: Any, hu: Any, *, mask: NDArray[Any] | None = None) -> None:
        """Paint a chain of capsules along canonical points [n, 3]; radii in mm."""
        p = self.frame.to_scanner(np.asarray(points, float))
        r = np.broadcast_to(np.asarray(radii, float), len(p))
        for i in range(len(p) - 1):
            hit = self.segment(p[i], p[i + 1], float(r[i]), float(r[i + 1]))
            if hit is not None:
                self.paint(*hit, hu)
                if mask is not None:
                    mask[hit[0]] |= hit[1] > 0.5

    def stamps(self, points: Any, radii: Any, out: Floats) -> NDArray[np.int64]:
        """Max many small balls (scanner points [n, 3], radii [n] mm) into a weight volume.

        Vectorised over the points: each size of ball has one stencil of voxels. Returns the
        flat indices touched, some more than once.
        """
        p, r = np.asarray(points, np.float32), np.asarray(radii, np.float32)
        spacing = np.asarray(self.spacing, np.float32)
        half = (np.asarray(self.shape, np.float32) - 1) / 2
        at = p / spacing + half
        centre = np.rint(at).astype(np.int32)
        p = ((centre - at) * spacing).astype(np.float32)
        strides = np.array([self.shape[1] * self.shape[2], self.shape[2], 1], np.int32)
        size = np.ceil(r / 0.75).astype(int)
        flat = out.reshape(-1)
        touched = [np.zeros(0, np.int64)]
        for s in np.unique(size):
            reach = s * 0.75 + self.edge * 0.6
            k = [int(np.ceil(reach / v - 0.3)) for v in spacing]
            room = (centre >= k) & (centre < np.asarray(self.shape) - k)
            sel = (size == s) & room.all(1)
            grid = np.stack(np.meshgrid(*[np.arange(-m, m + 1) for m in k], indexing="ij"), -1)
            grid = grid.reshape(-1, 3).astype(np.int32)
            keep = np.linalg.norm(np.maximum(np.abs(grid) - 0.5, 0) * spacing, axis=1) <= reach
            grid = grid[keep]
            step = grid * spacing
            d2 = ((p[sel, 0, None] + step[:, 0]) * self.z_squeeze) ** 2
            d2 += (p[sel, 1, None] + step[:, 1]) ** 2
            d2 += (p[sel, 2, None] + step[:, 2]) ** 2
            w = soft(r[sel, None] - np.sqrt(d2), self.edge * 1.2)
            use = w > 0.02
            index = (centre[sel] @ strides)[:, None] + (grid @ strides)[None]
            np.maximum.at(flat, index[use], w[use])
            touched.append(index[use].astype(np.int64))
        return np.concatenate(touched)

    def noise(self, rng: np.random.Generator, pitch: float, box: Box) -> Floats:
        """Smooth unit noise on a lattice of `pitch` mm, sampled on the box.

        The lattice is fixed in millimetres, so every resolution sees the same field.
        """
        m = int(np.ceil(360 / pitch)) + 4
        values = rng.standard_normal((m, m, m), dtype=np.float32)
        # Cubic B-spline weights as three matrix products: smooth, and fast in BLAS.
        a, b, c = (_spline(self.axes[k][box[k]], pitch, m) for k in range(3))
        t = (a @ values.reshape(m, m * m)).reshape(len(a), m, m)
        t = np.matmul(b, t)
        out: Floats = (t.reshape(-1, m) @ c.T).reshape(len(a), len(b), len(c))
        return out


def _spline(at: Floats, pitch: float, m: int) -> Floats:
    """Weights [n, m] of cubic B-splines on a lattice of `pitch` mm, unit variance out."""
    u = np.abs((at[:, None] + 180) / pitch + 1 - np.arange(m)[None])
    w = np.where(u < 1, 2 / 3 - u * u + u**3 / 2, np.clip(2 - u, 0, None) ** 3 / 6)
    w /= np.sqrt((w * w).sum(1, keepdims=True))
    out: Floats = w.astype(np.float32)
    return out
