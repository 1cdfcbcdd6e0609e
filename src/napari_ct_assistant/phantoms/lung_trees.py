"""Grow and paint the branching vessels and bronchi of the lungs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.phantoms.canvas import Canvas, Stamp, blend
from napari_ct_assistant.phantoms.mediastinum import HILA
from napari_ct_assistant.phantoms.patient import Patient
from napari_ct_assistant.phantoms.truth import part_rng

Points = NDArray[np.float64]


def grow_tree(
    p: Patient, rng: np.random.Generator, leaves: int, root: float, tip: float
) -> tuple[Points, Points, Points]:
    """Grow a tree from both hila to random points of the lungs.

    It branches on three levels (lobar, segmental, subsegmental), each time on the way from the
    parent to the middle of the leaves it supplies. Returns canonical points [n, 3], radii [n]
    in mm and levels [n] (0 at the hilum to 3).
    """
    ends = p.lung_points(rng, leaves, depth=2.0)
    stretches: list[tuple[Any, Any, float, float, int]] = []

    def line(a: Any, b: Any, ra: float, rb: float, level: int) -> None:
        stretches.append((a, b, ra, rb, level))

    def split(points: Points, size: int) -> list[Points]:
        if len(points) <= size:
            return [points]
        axis = int((points.max(0) - points.min(0)).argmax())
        order = points[:, axis].argsort()
        half = len(points) // 2
        return split(points[order[:half]], size) + split(points[order[half:]], size)

    scale = tip + (root - tip) * np.array([1.0, 0.62, 0.3, 0.0])
    for side in (-1, 1):
        mine = ends[np.sign(ends[:, 2]) == side]
        if len(mine) < 8:
            continue
        for lobar in split(mine, max(4, len(mine) // 5 + 1)):
            a = HILA[side] + rng.normal(0, 3, 3)
            j1 = a + (_middle(lobar) - a) * 0.35
            line(a, j1, scale[0], scale[1] * 1.1, 0)
            for segmental in split(lobar, max(3, len(lobar) // 4 + 1)):
                j2 = j1 + (_middle(segmental) - j1) * 0.5
                line(j1, j2, scale[1], scale[2] * 1.05, 1)
                for twig in split(segmental, 3):
                    j3 = j2 + (_middle(twig) - j2) * 0.5
                    line(j2, j3, scale[2], (scale[2] + scale[3]) / 2, 2)
                    for leaf in twig:
                        line(j3, leaf, (scale[2] + scale[3]) / 2, tip, 3)
    return _points_along(stretches, rng)


def _middle(points: Points) -> Points:
    """Return the mean of points [n, 3], which for few takes less time than NumPy's."""
    middle: Points = np.add.reduce(points) / len(points)
    return middle


def _points_along(
    stretches: list[tuple[Any, Any, float, float, int]], rng: np.random.Generator
) -> tuple[Points, Points, Points]:
    """Return points every 1.6 mm along slightly bent stretches (from, to, 2 radii, level)."""
    a, b = (np.array([s[k] for s in stretches]) for k in (0, 1))
    ra, rb, level = (np.array([s[k] for s in stretches], float) for k in (2, 3, 4))
    length = np.linalg.norm(b - a, axis=1)
    bend = rng.normal(0, 0.06, a.shape) * length[:, None]
    n = np.maximum(2, (length / 1.6).astype(int))
    which = np.repeat(np.arange(len(n)), n)
    t = (np.arange(len(which)) - np.repeat(np.cumsum(n) - n, n)) / np.repeat(n - 1, n)
    u = t[:, None]
    points = a[which] + (b - a)[which] * u + bend[which] * (4 * u * (1 - u))
    return points, ra[which] + (rb - ra)[which] * t, level[which]


def vessels(canvas: Canvas, p: Patient) -> Stamp:
    """Return the voxels and weights of arteries and veins."""
    trees = [
        grow_tree(p, part_rng(p.seed, "lung " + name), leaves, root, 0.75)
        for name, leaves, root in (("arteries", 300, 4.4), ("veins", 220, 3.8))
    ]
    points, radii = (np.concatenate([tree[k] for tree in trees]) for k in (0, 1))
    return canvas.stamp_balls(p.pose.to_scanner(points), radii)


def paint_vessels(canvas: Canvas, p: Patient, stamp: Stamp) -> None:
    """Paint arteries and veins, as `vessels` gives them, where there is lung."""
    blood = 40.0 + 0.5 * (p.right_blood_hu - 40)
    paint_in_lung(canvas, stamp, blood)


def paint_in_lung(canvas: Canvas, stamp: Stamp, hu: float) -> None:
    """Blend `hu` into voxels by their weight and their share of lung."""
    weight = canvas.lung.reshape(-1).take(stamp.index)
    weight *= np.float32(1.5)
    weight.clip(0, 1, out=weight)
    weight *= stamp.weight
    blend(canvas.hu.reshape(-1), stamp.index, weight, hu)


def bronchi(p: Patient) -> tuple[Points, Points, Points]:
    """Return the bronchial tree of a patient: canonical points, lumen radii in mm, levels."""
    return grow_tree(p, part_rng(p.seed, "bronchi"), 60, 4.0, 0.7)


def paint_bronchi(canvas: Canvas, p: Patient, *, thick: Any = 0.0) -> NDArray[np.bool_] | None:
    """Paint bronchi: wall, then air. With `thick` mm more wall, return the mask of the walls."""
    pts, rad, level = bronchi(p)
    seen = (level < 2.5) if not thick else (level < 3.5)
    at, rad, level = p.pose.to_scanner(pts[seen]), rad[seen], level[seen]
    lumen = np.maximum(rad, 1.15) if thick else rad
    wall = canvas.stamp_balls(at, lumen + 0.45 + thick)
    keep = lumen > 1.0
    paint_in_lung(canvas, wall, 20)
    paint_in_lung(canvas, canvas.stamp_balls(at[keep], lumen[keep]), -975)
    if not thick:
        return None
    mask = np.zeros(canvas.shape, bool)
    seen = (wall.weight > 0.35) & (canvas.lung.reshape(-1).take(wall.index) > 0.3)
    mask.reshape(-1)[wall.index[seen]] = True
    return mask
