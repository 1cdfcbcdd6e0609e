"""Branching vessels and bronchi inside the lungs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .canvas import Canvas
from .mediastinum import HILA
from .patient import Patient
from .truth import part_rng

Points = NDArray[np.float64]


def grow(
    p: Patient, rng: np.random.Generator, leaves: int, root: float, tip: float
) -> tuple[Points, Points, Points]:
    """Grow a tree from both hila to random lung points.

    Three levels of joints (lobar, segmental, subsegmental), each between its parent and the
    middle of the leaves that it feeds. Returns points [n, 3] canonical, radii [n] in mm and
    level [n] (0 at the hilum to 3).
    """
    ends = p.lung_points(rng, leaves, depth=3.0)
    pts: list[Points] = []
    rad: list[Points] = []
    lev: list[Points] = []

    def line(a: Any, b: Any, ra: float, rb: float, level: int) -> None:
        n = max(2, int(np.linalg.norm(b - a) / 1.3))
        t = np.linspace(0, 1, n)[:, None]
        sag = rng.normal(0, 0.06, 3) * np.linalg.norm(b - a)
        pts.append(a + (b - a) * t + sag * (4 * t * (1 - t)))
        rad.append(ra + (rb - ra) * t[:, 0])
        lev.append(np.full(n, level, float))

    def split(points: Points, size: int) -> list[Points]:
        if len(points) <= size:
            return [points]
        axis = int(np.argmax(np.ptp(points, axis=0)))
        order = np.argsort(points[:, axis])
        half = len(points) // 2
        return split(points[order[:half]], size) + split(points[order[half:]], size)

    scale = np.linspace(root, tip, 4) if root > 3 * tip else np.linspace(root, tip, 4)
    for side in (-1, 1):
        mine = ends[np.sign(ends[:, 2]) == side]
        if len(mine) < 8:
            continue
        for lobar in split(mine, max(4, len(mine) // 5 + 1)):
            a = HILA[side] + rng.normal(0, 3, 3)
            j1 = a + (lobar.mean(0) - a) * 0.35
            line(a, j1, scale[0], scale[1] * 1.1, 0)
            for segmental in split(lobar, max(3, len(lobar) // 4 + 1)):
                j2 = j1 + (segmental.mean(0) - j1) * 0.5
                line(j1, j2, scale[1], scale[2] * 1.05, 1)
                for twig in split(segmental, 3):
                    j3 = j2 + (twig.mean(0) - j2) * 0.5
                    line(j2, j3, scale[2], (scale[2] + scale[3]) / 2, 2)
                    for leaf in twig:
                        line(j3, leaf, (scale[2] + scale[3]) / 2, tip, 3)
    return np.concatenate(pts), np.concatenate(rad), np.concatenate(lev)


def paint_vessels(canvas: Canvas, p: Patient) -> None:
    """Arteries and veins, only where there is lung."""
    w = np.zeros(canvas.shape, np.float32)
    for name, leaves, root in (("arteries", 150, 4.6), ("veins", 110, 4.0)):
        pts, rad, _ = grow(p, part_rng(p.seed, "lung " + name), leaves, root, 0.55)
        canvas.stamps(p.frame.to_scanner(pts), rad, w)
    w *= np.minimum(canvas.lung * 1.5, 1)
    index = np.flatnonzero(w)
    hu = canvas.hu.reshape(-1)
    blood = 40.0 + 0.5 * (p.right_blood_hu - 40)
    hu[index] += w.reshape(-1)[index] * (blood - hu[index])


def bronchi(p: Patient) -> tuple[Points, Points, Points]:
    """The bronchial tree of this seed: canonical points, lumen radii in mm, levels."""
    return grow(p, part_rng(p.seed, "bronchi"), 60, 4.0, 0.7)


def paint_bronchi(canvas: Canvas, p: Patient, *, thick: Any = 0.0) -> NDArray[np.bool_] | None:
    """Bronchi: wall, then air. `thick` mm of extra wall; returns the thickened walls' mask."""
    pts, rad, level = bronchi(p)
    seen = (level < 2.5) if not thick else (level < 3.5)
    at, rad, level = p.frame.to_scanner(pts[seen]), rad[seen], level[seen]
    wall = np.zeros(canvas.shape, np.float32)
    air = np.zeros(canvas.shape, np.float32)
    lumen = np.maximum(rad, 1.15) if thick else rad
    outer = lumen + 0.45 + thick
    canvas.stamps(at, outer, wall)
    keep = lumen > 1.0
    canvas.stamps(at[keep], lumen[keep], air)
    lung = np.minimum(canvas.lung * 1.5, 1)
    wall *= lung
    hu = canvas.hu.reshape(-1)
    index = np.flatnonzero(wall)
    wi = wall.reshape(-1)[index]
    hu[index] += wi * (20 - hu[index])
    index = np.flatnonzero(air)
    ai = air.reshape(-1)[index]
    hu[index] += ai * np.float32(0.95) * (-985 - hu[index])
    if not thick:
        return None
    mask: NDArray[np.bool_] = wall > 0.35
    return mask
