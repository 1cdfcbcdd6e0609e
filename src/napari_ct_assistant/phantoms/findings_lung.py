"""Paint findings of lung, bronchi and pleura; each function returns the finding's mask."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.phantoms.canvas import Box, Canvas, Floats, Lattice, Stamp, blend, soft
from napari_ct_assistant.phantoms.lung_trees import bronchi, paint_bronchi
from napari_ct_assistant.phantoms.patient import Patient
from napari_ct_assistant.phantoms.truth import LOBES, FindingTruth, part_rng

Mask = NDArray[np.bool_]


def _lungs(canvas: Canvas, p: Patient, side: str | None = None) -> Box:
    """Return the index box of both lungs or of one."""
    x0, x1 = {"left": (-20, 150), "right": (-150, 20)}.get(side or "", (-150, 150))
    corners = p.pose.to_scanner(
        np.array([(z, y, x) for z in (-138, 178) for y in (-104, 104) for x in (x0, x1)], float)
    )
    lo, hi = corners.min(0), corners.max(0)
    box = canvas.box((lo + hi) / 2, (hi - lo) / 2)
    if box is None:
        raise ValueError("the lungs lie outside the field of view")
    return box


def _slabs(box: Box, lattice: Lattice) -> Iterator[tuple[Box, slice]]:
    """Yield a box in parts of a few slices, which stay in cache, and their place in it."""
    for some in lattice.blocks():
        first = box[0].start
        yield (slice(first + some.start, first + some.stop), box[1], box[2]), some


def _apply(canvas: Canvas, box: Box, weight: Floats, hu: Any, *, solid: bool = False) -> Mask:
    """Paint where there is lung; return the mask [I, P, L] of what was painted."""
    w = weight * canvas.lung[box]
    canvas.paint(box, w, hu, solid=solid)
    mask = np.zeros(canvas.shape, bool)
    mask[box] = w > 0.4
    return mask


def _apply_stamp(canvas: Canvas, stamp: Stamp, hu: float) -> Mask:
    """Do what `_apply` does for listed voxels."""
    w = stamp.weight * canvas.lung.reshape(-1).take(stamp.index)
    blend(canvas.hu.reshape(-1), stamp.index, w, hu)
    mask = np.zeros(canvas.shape, bool)
    mask.reshape(-1)[stamp.index[w > 0.4]] = True
    return mask


def _blob(
    canvas: Canvas, rng: np.random.Generator, centre: Any, radii: Any, rough: float, pitch: float
) -> tuple[Box, Floats] | None:
    """Return the box of an ellipsoid with a noisy outline, and the depth in mm inside it."""
    radii = np.asarray(radii, np.float32)
    box = canvas.box(centre, radii * (1 + 2 * rough))
    if box is None:
        return None
    z, y, x = canvas.scanner_axes(box)
    c = np.asarray(centre, np.float32)
    q = np.sqrt(
        ((z - c[0]) / radii[0]) ** 2 + ((y - c[1]) / radii[1]) ** 2 + ((x - c[2]) / radii[2]) ** 2
    )
    q = q - rough * canvas.noise(rng, pitch, box)
    depth: Floats = (1 - q) * np.float32(radii.mean())
    return box, depth


def _within_lobe(canvas: Canvas, p: Patient, box: Box, depth: Floats, lobe: str | None) -> Floats:
    """Cut off the depth of a blob at the fissures of its lobe."""
    own = p.lobe(*canvas.patient_axes(box)) == LOBES.index(lobe or LOBES[0])
    out: Floats = np.where(own, depth, np.minimum(depth, -6.0)).astype(np.float32)
    return out


def _centre(p: Patient, rng: np.random.Generator, lobe: str, depth: float) -> Any:
    return p.pose.to_scanner(p.point_in_lobe(rng, LOBES.index(lobe), depth))


def emphysema(canvas: Canvas, p: Patient, t: FindingTruth) -> Mask:
    """Paint centrilobular holes, more of them in the upper lungs and with the degree."""
    rng = part_rng(p.seed, "draw Emphysema")
    box = _lungs(canvas, p)
    z, _, _ = canvas.patient_axes(box)
    share = {"mild": 0.55, "moderate": 0.15, "severe": -0.25}[t.severity or "mild"]
    fade = np.interp(z, [-130, -20, 60, 150], [0, 0.15, 0.9, 1.6]).astype(np.float32)
    lattice, mask = Lattice(canvas, rng, 6.5, box), np.zeros(canvas.shape, bool)
    haze = soft(0.6 - fade, 0.6) * np.float32(0.55)
    for part, some in _slabs(box, lattice):
        holes = lattice.slices(some)
        holes -= np.float32(share)
        holes -= fade[some]
        lung = canvas.lung[part].copy()
        canvas.paint(part, lung * haze[some], p.lung_hu - 45, solid=False)
        lung *= soft(holes, 0.35)
        canvas.paint(part, lung, -975, solid=False)
        np.greater(lung, 0.4, out=mask[part])
    return mask


def mosaic(canvas: Canvas, p: Patient, _t: FindingTruth) -> Mask:
    """Paint geographic patches of darker and lighter lung, about 100 HU apart."""
    rng = part_rng(p.seed, "draw Mosaic attenuation pattern")
    box = _lungs(canvas, p)
    coarse, fine = Lattice(canvas, rng, 26, box), Lattice(canvas, rng, 9, box)
    mask = np.zeros(canvas.shape, bool)
    for part, some in _slabs(box, coarse):
        lung = canvas.lung[part].copy()
        np.greater(lung, 0.5, out=mask[part])
        light = fine.slices(some)
        light *= np.float32(0.3)
        light += coarse.slices(some)
        light = soft(light, 0.16)
        light *= np.float32(100)
        light -= np.float32(42)
        lung *= light
        canvas.hu[part] += lung
    return mask


def opacity(canvas: Canvas, p: Patient, t: FindingTruth) -> Mask:
    """Paint ground glass: denser than lung, with vessels still visible."""
    rng = part_rng(p.seed, "draw Lung opacity")
    r = {"small": 20, "moderate": 29, "large": 42}[t.severity or "small"]
    c = _centre(p, rng, t.lobe or LOBES[0], min(r * 0.7, 20))
    hit = _blob(canvas, rng, c, r * rng.uniform(0.85, 1.15, 3), 0.22, 11)
    if hit is None:
        return np.zeros(canvas.shape, bool)
    box, depth = hit
    depth = _within_lobe(canvas, p, box, depth, t.lobe)
    tex = canvas.noise(rng, 5, box)
    return _apply(canvas, box, soft(depth, 5.0) * 0.92, -560 + 45 * tex)


def consolidation(canvas: Canvas, p: Patient, t: FindingTruth) -> Mask:
    """Paint lung filled with soft tissue; the air of its bronchi is painted later."""
    rng = part_rng(p.seed, "draw Consolidation")
    r = {"small": 17, "moderate": 27, "large": 40}[t.severity or "small"]
    c = _centre(p, rng, t.lobe or LOBES[0], min(r * 0.6, 15))
    hit = _blob(canvas, rng, c, r * rng.uniform(0.85, 1.15, 3), 0.25, 12)
    if hit is None:
        return np.zeros(canvas.shape, bool)
    box, depth = hit
    depth = _within_lobe(canvas, p, box, depth, t.lobe)
    tex = canvas.noise(rng, 6, box)
    halo = soft(depth + 4, 8.0) * 0.5
    canvas.paint(box, halo * canvas.lung[box], -550, solid=False)
    return _apply(canvas, box, soft(depth, 3.0), 35 + 18 * tex)


def atelectasis(canvas: Canvas, p: Patient, t: FindingTruth) -> Mask:
    """Paint bands of collapsed lung (linear) or a wedge on the pleura (segmental)."""
    rng = part_rng(p.seed, "draw Atelectasis")
    lobe = t.lobe or LOBES[2]
    q = p.point_in_lobe(rng, LOBES.index(lobe), 12)
    out = np.zeros(canvas.shape, bool)
    side = -1.0 if "right" in lobe else 1.0
    if t.detail == "linear":
        tilt = rng.uniform(-0.4, 0.4, 2)
        normal = np.array([1.0, tilt[0], tilt[1] + 0.15 * side])
        normal /= np.linalg.norm(normal)
        for shift in (0.0, rng.uniform(14, 22)) if rng.random() < 0.5 else (0.0,):
            c = p.pose.to_scanner(q + np.array([shift, 0, 0]))
            box = canvas.box(c, (26, 40, 36))
            if box is None:
                continue
            z, y, x = canvas.scanner_axes(box)
            dz, dy, dx = z - np.float32(c[0]), y - np.float32(c[1]), x - np.float32(c[2])
            plate = (
                dz * np.float32(normal[0]) + dy * np.float32(normal[1]) + dx * np.float32(normal[2])
            )
            plate = np.abs(plate + 2.5 * canvas.noise(rng, 22, box))
            extent = 1 - np.sqrt((dy / 36) ** 2 + (dx / 32) ** 2)
            extent = extent + 0.25 * canvas.noise(rng, 14, box)
            w = soft(np.minimum(2.6 - plate, extent * 20), 1.8)
            out |= _apply(canvas, box, w, 35)
        return out
    # A collapsed lower lobe: a sharp triangle beside the spine, wider near the diaphragm.
    box = _lungs(canvas, p, "right" if side < 0 else "left")
    z, y, x = canvas.patient_axes(box)
    deep = float(rng.uniform(26, 36))
    if p.effusion.side in (t.side, "both"):
        # It reaches in front of the effusion, if there is one behind it.
        deep += 0.8 * (p.effusion.size_mm or 0.0)
    grow = np.clip((z + 20) / 75, 0, 1)
    lateral = (18 + deep * grow) - np.abs(x) + (y - 30) * np.float32(0.55)
    behind = y - (58 - deep * grow) + (np.abs(x) - 40) * np.float32(0.25)
    w = soft(np.minimum(np.minimum(lateral, behind), z + 14) * np.float32(0.8), canvas.edge)
    w = w * (x * side > 4)
    out |= _apply(canvas, box, w.astype(np.float32), 55 if p.contrast == "none" else 85)
    return out


def nodule(canvas: Canvas, p: Patient, t: FindingTruth) -> Mask:
    """Paint one to three solid nodules, the largest first."""
    rng = part_rng(p.seed, "draw Lung nodule")
    out = np.zeros(canvas.shape, bool)
    size = t.size_mm or 8.0
    calcified = rng.random() < 0.12
    for k in range(t.count):
        r = size / 2 if k == 0 else max(3.0, size / 2 * float(rng.uniform(0.5, 0.85)))
        c = _centre(p, rng, t.lobe or LOBES[0], r + 4)
        radii = r * rng.uniform(0.92, 1.06, 3)
        hit = canvas.ball(c, np.maximum(radii, [canvas.spacing[0] * 0.9, 0, 0]), edge=canvas.edge)
        if hit is None:
            continue
        box, w = hit
        if r > 6 and rng.random() < 0.5:
            for _ in range(9):
                d = rng.standard_normal(3)
                d /= np.linalg.norm(d)
                spike = canvas.segment(c, c + d * r * 1.6, 1.5, 0.3)
                if spike:
                    canvas.paint(
                        spike[0], spike[1] * (canvas.lung[spike[0]] > 0.2), -150, solid=False
                    )
        canvas.paint(box, w * (canvas.lung[box] > 0.05), 350 if calcified else 45)
        out[box] |= w > 0.4
    return out


def fibrosis(canvas: Canvas, p: Patient, t: FindingTruth) -> Mask:
    """Paint a scar: irregular strands that start at a thickened, retracted pleura."""
    rng = part_rng(p.seed, "draw Pulmonary fibrotic sequela")
    lobe = t.lobe or LOBES[0]
    # In the upper lobes at the apex, elsewhere at the periphery.
    pts, depth = p.clear_points(rng, LOBES.index(lobe))
    score = p.wall_depth(*pts.T) * 2 + rng.uniform(0, 12, len(pts))
    if "upper" in lobe:
        score = pts[:, 0] + 2 * depth
    anchor = pts[int(np.argmin(score))]
    middle = (anchor[0] * 0.2, 0.0, np.sign(anchor[2]) * 48)
    inward = np.array(middle if "upper" not in lobe else (0.0, 6.0, middle[2])) - anchor
    inward /= np.linalg.norm(inward)
    at, rad = [], []
    for _ in range(16):
        start = anchor + rng.normal(0, 9, 3)
        d = inward + rng.normal(0, 0.55, 3)
        d /= np.linalg.norm(d)
        length = float(rng.uniform(18, 42))
        s = np.arange(0, length, 1.2)[:, None]
        at.append(start + s * d + rng.normal(0, 2.5, 3) * np.sin(s / 9))
        rad.append(np.interp(s[:, 0], [0, length], [rng.uniform(1.4, 2.4), 0.7]))
    where = p.pose.to_scanner(np.concatenate(at))
    stamp = canvas.stamp_balls(where, np.concatenate(rad))
    hit = _blob(canvas, rng, p.pose.to_scanner(anchor), (9, 11, 13), 0.35, 6)
    if hit is not None:
        stamp = stamp.with_box(canvas.shape, hit[0], soft(hit[1], 2.0))
    return _apply_stamp(canvas, stamp, 30)


def effusion(canvas: Canvas, p: Patient, t: FindingTruth) -> Mask:
    """Paint free fluid: a crescent along the dependent chest wall, thickest at the base."""
    rng = part_rng(p.seed, "draw Pleural effusion")
    out = np.zeros(canvas.shape, bool)
    for side in ("right", "left"):
        share = float(rng.uniform(0.8, 1.0))
        if t.side not in (side, "both"):
            continue
        share = 1.0 if t.side == side else share
        box = _lungs(canvas, p, side)
        z, y, x = canvas.patient_axes(box)
        s = -1 if side == "right" else 1
        thick = (p.fluid_depth(z, y, x) * share).astype(np.float32)
        own = soft(x * s - 4, 2.0)
        w = soft(thick - canvas.wall[box], canvas.edge)
        out |= _apply(canvas, box, (w * own).astype(np.float32), 10, solid=True)
    return out


def septal(canvas: Canvas, p: Patient, _t: FindingTruth) -> Mask:
    """Paint thickened septa in the outer and lower lung: walls of cells about 14 mm wide."""
    rng = part_rng(p.seed, "draw Interlobular septal thickening")
    box = _lungs(canvas, p)
    z, _, _ = canvas.patient_axes(box)
    outer = np.interp(z, [-130, -30, 40], [10, 26, 40]).astype(np.float32)
    # The zero crossings of smooth noise are thin sheets; three of them form cells.
    sheets = [Lattice(canvas, rng, 17, box) for _ in range(3)]
    mask = np.zeros(canvas.shape, bool)
    for part, some in _slabs(box, sheets[0]):
        zone = soft(outer[some] - canvas.wall[part], 12.0)
        lung = canvas.lung[part].copy()
        np.logical_and(zone > 0.5, lung > 0.5, out=mask[part])
        lung *= zone
        noise = [np.abs(sheet.slices(some)) for sheet in sheets]
        nearest = np.minimum(np.minimum(noise[0], noise[1]), noise[2])
        lines = soft(np.float32(0.09) - nearest, 0.09)
        canvas.paint(part, lung * np.float32(0.15), -650, solid=False)
        lines *= np.float32(0.85)
        lines *= lung
        canvas.paint(part, lines, -330, solid=False)
    return mask


def thick_bronchi(canvas: Canvas, p: Patient, t: FindingTruth) -> Mask:
    """Paint all bronchi with walls 1.5 (mild) or 2.3 mm (severe) thicker."""
    extra = {"mild": 1.5, "severe": 2.3}[t.severity or "mild"]
    mask = paint_bronchi(canvas, p, thick=extra)
    return mask if mask is not None else np.zeros(canvas.shape, bool)


def bronchiectasis(canvas: Canvas, p: Patient, t: FindingTruth) -> Mask:
    """Paint a cluster of wide, thick-walled bronchi in one lobe."""
    rng = part_rng(p.seed, "draw Bronchiectasis")
    lobe = t.lobe or LOBES[2]
    index = LOBES.index(lobe)
    side = -1 if "right" in lobe else 1
    pts, _, _ = bronchi(p)
    hilum = pts[np.sign(pts[:, 2]) == side][0]
    places, radii = [np.zeros((0, 3))], [np.zeros(0)]
    for _ in range(7):
        end = p.point_in_lobe(rng, index, 8)
        s = np.linspace(0.4, 1, 36)[:, None]
        line = hilum + (end - hilum) * s + rng.normal(0, 4, 3) * np.sin(np.pi * s)
        keep = p.lobe(*line.T) == index
        line = line[keep]
        if len(line) < 4:
            continue
        r = float(rng.uniform(3.2, 4.8)) * (1 + 0.12 * np.sin(np.arange(len(line))))
        places.append(p.pose.to_scanner(line))
        radii.append(r)
    at, lumen = np.concatenate(places), np.concatenate(radii)
    mask = _apply_stamp(canvas, canvas.stamp_balls(at, lumen + 1.9), 0)
    _apply_stamp(canvas, canvas.stamp_balls(at, lumen), -985)
    return mask
