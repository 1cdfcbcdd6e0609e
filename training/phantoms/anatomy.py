"""Body wall, bones, lungs and upper abdomen, painted slice by slice."""

from __future__ import annotations

from typing import Any

import numpy as np

from .canvas import Canvas, Floats, soft
from .patient import Patient
from .truth import part_rng

BINS = 2880


def paint_body(canvas: Canvas, patient: Patient) -> None:
    """Paint everything whose outline is a function of angle and height.

    One slice at a time, so that the working arrays stay in cache. Thicknesses are measured
    along rays from the body's axis, one table of `BINS` angles per slice.
    """
    everywhere = (slice(None), slice(None), slice(None))
    z_all, y, x = canvas.patient_axes(everywhere)
    y, x = y[0] + np.float32(0), x[0] + np.float32(0)
    heights = [float(z) for z in z_all.ravel()]
    centres = ((np.arange(BINS) + 0.5) / BINS - 0.5) * 2 * np.pi
    ray, level = centres[None], np.array(heights)[:, None]
    inner = patient.cavity_radius(ray, level)
    muscle, fat = patient.wall(ray, level)
    # [n_z, 3, BINS]: from the axis to the inner chest wall, the muscle's surface, the skin.
    tables = np.stack([inner, inner + muscle, inner + muscle + fat], 1).astype(np.float32)
    # Rows of the image that the body reaches.
    reach = tables[:, 2].max(0) + 2
    front = float((reach * np.sin(centres)).min()) - 6
    back = float((reach * np.sin(centres)).max()) + 6
    used = np.flatnonzero(((y > front) & (y < back)).any(1))
    rows = slice(int(used[0]), int(used[-1]) + 1)
    y, x = np.ascontiguousarray(y[rows]), np.ascontiguousarray(x[rows])
    r = np.sqrt(x * x + y * y)
    bins = np.arctan2(y, x)
    bins = ((bins / (2 * np.pi) + 0.5) * BINS).astype(np.intp).clip(0, BINS - 1)
    dome = patient.dome(y, x).astype(np.float32)
    apex = patient.apex(y, x).astype(np.float32)
    middle = _Middle(patient, y, x)
    belly = _Belly(patient, y, x)
    ribs, cartilage = _rib_tables(np.array(heights), centres)
    box = (slice(None), rows, slice(None))
    texture = canvas.noise(part_rng(patient.seed, "texture of the body"), 7.0, box)
    planes = canvas.noise(part_rng(patient.seed, "muscle planes"), 24.0, box)
    base = (patient.lung_hu + patient.lung_gradient * y / 90).astype(np.float32)
    # Height of the oblique fissure over y, along its normal: see `Patient.lobe`.
    fissure = (50 - y) * np.float32(1.2 * 0.64)
    e = canvas.edge
    for i, z in enumerate(heights):
        d_in, d_mus, d_body = (t[bins] - r for t in tables[i])
        tex = texture[i]
        img = canvas.hu[i, rows]
        tissue = np.where(d_body < 1.8, np.float32(0), -104 + 7 * tex)
        if patient.breast and abs(z - 10) < 70:
            tissue += _gland(patient, z, y, x, d_mus, d_body, tex)
        img += soft(d_body, e) * (tissue - img)
        # Muscle, with a plane of fat between its layers where it is thick.
        flesh = patient.muscle_hu + 6 * tex
        gap = (2.2 + planes[i] - np.abs(d_in + 17 + 4 * planes[i])) * (d_mus > 4)
        flesh -= np.clip(gap * 0.4, 0, 1) * 120
        img += soft(d_mus, e) * (flesh - img)
        _ribs(img, ribs[i], cartilage[i], bins, d_in, e)
        _scapula(img, patient, z, centres, bins, d_in, e)
        under = z - dome
        fill = -92 + 8 * tex
        if under.max() > 0:
            fill = np.where(under > 0, belly.slice(z, under, d_in, tex), fill)
        img += soft(d_in, e) * (fill - img)
        depth = np.minimum(d_in - 1.5, middle.gap(z))
        depth = np.minimum(depth, np.minimum(under * -0.75, (z - apex) * 0.8))
        lung = soft(depth, e)
        air = base + 9 * tex
        oblique = np.abs((z + 75) * 0.64 - fissure)
        if abs(z - 2) < 2:
            oblique = np.where((x < 0) & (fissure > 49), np.minimum(oblique, abs(z - 2)), oblique)
        air += np.clip(1.3 - oblique, 0, 1) * 75
        img += lung * (air - img)
        canvas.lung[i, rows] = lung
        canvas.wall[i, rows] = d_in
    for i, z in enumerate(heights):
        _spine(canvas, i, patient, z)
    _armpits(canvas, patient)
    _sternum(canvas, patient)
    _shoulders(canvas, patient)
    if patient.table:
        _table(canvas, patient, float(tables[:, 2, 3 * BINS // 4].max()))


class _Middle:
    """`Patient.mediastinum` for whole slices: the part that depends on (y, x) kept."""

    def __init__(self, p: Patient, y: Floats, x: Floats) -> None:
        self.p = p
        self.rise, self.fall = (v.astype(np.float32) for v in p.mediastinum_shape(y))
        self.off = np.abs(x - np.float32(2))

    def gap(self, z: float) -> Floats:
        """Distance in mm outside the mediastinum."""
        half, front = self.p.mediastinum_width(z)
        return self.off - front - (half - front) * self.rise + self.fall * (half - 25)


def _gland(
    p: Patient, z: float, y: Floats, x: Floats, d_mus: Floats, d_body: Floats, t: Floats
) -> Any:
    """Glandular tissue added to the breast fat, HU."""
    out = np.zeros_like(t)
    n = int((y.max(1) < 5).sum())
    y, x, d_mus, d_body, t = y[:n], x[:n], d_mus[:n], d_body[:n], t[:n]
    near = float(np.exp(-(((z - 10) / 34) ** 2))) * np.clip((-5 - d_mus) / 6, 0, 1)
    near *= np.clip((d_body - 5) / 5, 0, 1)
    near *= np.clip(1.6 - np.abs(np.abs(x) - 78) / 28, 0, 1) * (y < -15)
    out[:n] = np.clip(near * 1.6 + 0.45 * t * near - (0.9 - p.gland), 0, 0.85) * 130
    return out


def _rib_tables(zs: Any, theta: Any) -> tuple[Floats, Any]:
    """[n_z, BINS] twice: distance in mm along z from the nearest rib; whether it is cartilage."""
    # A quarter of the angles is enough. 0 at the spine, 1 at the front, where ribs are lower.
    theta, zs = theta[1::4].astype(np.float32), zs.astype(np.float32)
    progress = np.abs(np.arctan2(np.cos(theta), np.sin(theta))) / np.pi
    ribs = np.full((len(zs), len(theta)), 99.0, np.float32)
    cartilage = ribs.copy()
    for k in range(12):
        start = -142 + 23.5 * k
        fall = float(np.interp(k, [0, 3, 7, 11], [38, 75, 95, 75]))
        reach = float(np.interp(k, [0, 6, 7, 9, 10, 11], [0.86, 0.86, 0.8, 0.62, 0.5, 0.4]))
        line = start + fall * np.sin(progress * np.pi * 0.55) * 1.05
        gone = np.clip((progress - reach) * 120, 0, 99) + np.clip((0.055 - progress) * 400, 0, 99)
        ribs = np.minimum(ribs, np.abs(zs[:, None] - line[None]) * 0.8 + gone[None])
        if k < 9:
            # Cartilage climbs from the rib's end to the breast bone.
            up = np.clip(progress - reach, 0, 1) / (1 - reach)
            climb = line - up * (6 + 9 * k)
            off = np.clip((reach - progress) * 300, 0, 99) + np.clip(
                (progress - 0.955) * 400, 0, 99
            )
            cartilage = np.minimum(cartilage, np.abs(zs[:, None] - climb[None]) * 0.8 + off[None])
    soft_part = np.repeat(cartilage < ribs, 4, axis=1)
    return np.repeat(np.minimum(ribs, cartilage).astype(np.float32), 4, axis=1), soft_part


def _ribs(img: Floats, dz_lut: Floats, soft_part: Any, bins: Any, d_in: Floats, e: float) -> None:
    if dz_lut.min() >= 7:
        return
    zone = np.flatnonzero(np.abs(d_in + 6) < 6.5)
    at = bins.ravel()[zone]
    near = dz_lut[at] < 7
    zone, at = zone[near], at[near]
    deep = d_in.ravel()[zone]
    d = 5.2 - np.sqrt(dz_lut[at] ** 2 + ((deep + 5.5) * np.float32(1.1)) ** 2)
    bone = np.where(d > 2.6, np.float32(230), np.float32(620))
    bone = np.where(soft_part[at], np.float32(115), bone)
    flat = img.reshape(-1)
    old = flat[zone]
    flat[zone] = old + soft(d, e) * (bone - old)


def _scapula(
    img: Floats, p: Patient, z: float, theta: Any, bins: Any, d_in: Floats, e: float
) -> None:
    if not -128 < z < 25:
        return
    t = (z + 128) / 153
    width = 0.36 * (1 - t) ** 0.5 + 0.05
    lean = 0.25 if p.arms_up else 0.0
    centre = 0.92 - 0.12 * t - lean * (1 - t)
    a = np.arctan2(np.sin(theta), np.abs(np.cos(theta)))
    along = ((width - np.abs(a - centre)) * 120).astype(np.float32)
    zone = np.flatnonzero(np.abs(d_in + 22) < 5)
    at = bins.ravel()[zone]
    near = along[at] > -1
    zone, at = zone[near], at[near]
    d = np.minimum(along[at], 2.6 - np.abs(d_in.ravel()[zone] + 22))
    flat = img.reshape(-1)
    old = flat[zone]
    flat[zone] = old + soft(d, e) * (560 - old)


def _spine(canvas: Canvas, i: int, p: Patient, z: float) -> None:
    ys, e = float(p.spine_y(z)), canvas.edge
    box = canvas.box(p.frame.to_scanner(np.array([z, ys + 16, 0.0])), (0.1, 48, 38))
    if box is None:
        return
    _, y, x = canvas.patient_axes(box)
    y, x = y[0] - np.float32(ys), x[0]
    img = canvas.hu[i][box[1:]]
    lung = canvas.lung[i][box[1:]]
    phase = ((z + 302) % 24.0) / 24.0
    disc = phase < 0.2
    # Muscle and ligament around the column keep the lung away from it.
    around = soft(26 - np.sqrt(x * x + (y - 8) ** 2 * 0.85), e)
    img += around * (p.muscle_hu - img)
    lung *= 1 - around
    width = float(np.interp(z, [-160, 0, 160], [15, 17, 22]))
    depth = float(np.interp(z, [-160, 160], [10, 16]))
    if not disc:
        width *= 1 - 0.08 * float(np.sin((phase - 0.2) / 0.8 * np.pi))
    d = (1 - np.sqrt((x / width) ** 2 + (y / depth) ** 2)) * 13
    if disc:
        img += soft(d, e) * (85 - img)
    else:
        plate = min(phase - 0.2, 1 - phase) * 24 < 1.6
        inside = np.where((d < 2.2) | plate, np.float32(420), np.float32(175))
        img += soft(d, e) * (inside - img)
    yc = depth + 9
    ring = np.sqrt(x * x + (y - yc) ** 2)
    if 0.25 < phase < 0.85:
        img += soft(np.minimum(12.5 - ring, ring - 8), e) * (480 - img)
        process = np.minimum(3.2 - np.abs(x), 16 - np.abs(y - yc - 24))
        img += soft(process, e) * (400 - img)
    if 0.3 < phase < 0.62:
        wing = np.minimum(4.5 - np.abs(y - yc - (np.abs(x) - 12) * 0.35), 32 - np.abs(x))
        img += soft(np.minimum(wing, np.abs(x) - 9), e) * (430 - img)
    img += soft(8.3 - ring, e) * (np.where(ring < 5, np.float32(38), np.float32(12)) - img)


class _Belly:
    """Liver, stomach, spleen and fat below the diaphragm."""

    def __init__(self, p: Patient, y: Floats, x: Floats) -> None:
        self.p, self.y, self.x = p, y, x
        top = p.left_dome
        self.spleen = (((x - 88) / 38) ** 2 + ((y - 42) / 44) ** 2, top + 54, 52.0)
        self.stomach = (((x - 66) / 45) ** 2 + ((y + 16) / 62) ** 2, top + 46, 52.0)
        self.air = y < -18 - 26 * p.gas
        self.edge = 38 - np.clip(y + 20, 0, 60) * 0.55

    def slice(self, z: float, under: Floats, d_in: Floats, tex: Floats) -> Floats:
        """HU of a slice below the diaphragm."""
        p, x, y = self.p, self.x, self.y
        out = -100 + 8 * tex
        q = self.spleen[0] + ((z - self.spleen[1]) / self.spleen[2]) ** 2
        np.copyto(out, p.spleen_hu + 5 * tex, where=q < 1)
        q = self.stomach[0] + ((z - self.stomach[1]) / self.stomach[2]) ** 2
        inner = np.where(self.air, np.float32(-960), 18 + 12 * tex)
        np.copyto(inner, np.float32(45), where=q > 0.84)
        np.copyto(out, inner, where=q < 1)
        liver = (x < self.edge - (z - p.right_dome) * 0.25) & (d_in > 3)
        flesh = p.liver_hu + 5 * tex
        flesh[np.abs(tex - 0.9) < 0.12] += 30 if p.contrast == "venous" else -8
        np.copyto(out, flesh, where=liver)
        ys = float(p.spine_y(z)) + 2
        crus = (x - 3) ** 2 + ((y - ys) * 0.8) ** 2 < 33**2
        np.copyto(out, -95 + 8 * tex, where=crus & (y < ys + 5))
        np.copyto(out, np.float32(p.muscle_hu), where=(under < 3.0) | (d_in < 3))
        return out


def _armpits(canvas: Canvas, p: Patient) -> None:
    """Fat between the muscles of the armpits."""
    for side in (-1, 1):
        hit = canvas.ball(p.frame.to_scanner(p.armpit(side)), (42, 17, 17), edge=8.0)
        if hit is not None:
            box, w = hit
            canvas.paint(box, w * (canvas.wall[box] < -9) * (canvas.hu[box] < 120), -98)


def _sternum(canvas: Canvas, p: Patient) -> None:
    box = canvas.box(
        p.frame.to_scanner(np.array([-27.0, -float(p.cavity_radius(-np.pi / 2, -27)) - 7, 0.0])),
        (92, 46, 34),
    )
    if box is None:
        return
    z, y, x = canvas.patient_axes(box)
    zs = z.ravel()
    front = (p.cavity_radius(-np.pi / 2, zs) + 7.5).astype(np.float32)[:, None, None]
    width = np.interp(zs, [-108, -96, -62, -55, -20, 25, 34, 50], [16, 27, 17, 15, 18, 19, 9, 5])
    half = width.astype(np.float32)[:, None, None]
    d = np.minimum(np.minimum(half - np.abs(x), 5.6 - np.abs(y + front)), 77 - np.abs(z + 27))
    # The joint below the manubrium is cartilage.
    d = np.minimum(d, np.abs(z + 56) - 1.5)
    canvas.paint(box, soft(d, canvas.edge), np.where(d > 2.0, np.float32(170), np.float32(430)))


def _shoulders(canvas: Canvas, p: Patient) -> None:
    for side in (-1, 1):
        front = -float(p.cavity_radius(-np.pi / 2, -112)) - 6
        pts = [(-108, front, 18 * side), (-122, front - 4, 60 * side), (-140, -22, 118 * side)]
        if p.arms_up:
            bone = [(-132, 6, 138 * side), (-158, 2, 150 * side), (-230, -8, 152 * side)]
            flesh = [(-125, 8, 120 * side), (-150, 4, 142 * side), (-230, -8, 152 * side)]
        else:
            bone = [(-128, 8, 158 * side), (-110, 8, 168 * side), (90, 14, 182 * side)]
            flesh = [(-120, 8, 140 * side), (-90, 8, 172 * side), (110, 14, 184 * side)]
        for points, radii, hu in ((flesh, [46, 46, 42], -95.0), (flesh, [36, 37, 33], 55.0)):
            _sleeve(canvas, p, points, radii, hu)
        canvas.tube(pts, [8, 5.5, 5.5], 480)
        canvas.tube(pts, [5, 2.8, 2.8], 220)
        canvas.tube(bone, [23, 14, 11], 520)
        canvas.tube(bone, [20, 8, 6], 160)


def _sleeve(canvas: Canvas, p: Patient, points: Any, radii: Any, hu: float) -> None:
    """Arm tissue: only where it adds to what is there (air or fat)."""
    q = p.frame.to_scanner(np.asarray(points, float))
    for i in range(len(q) - 1):
        hit = canvas.segment(q[i], q[i + 1], radii[i], radii[i + 1])
        if hit is None:
            continue
        box, w = hit
        view = canvas.hu[box]
        more = np.maximum(view, view + w * (hu - view))
        # Inside the chest wall there is no arm.
        np.copyto(view, more, where=canvas.wall[box] < -12)


def _table(canvas: Canvas, p: Patient, depth: float) -> None:
    """A curved couch in scanner coordinates, right under the back."""
    y, x = canvas.axes[1][:, None], canvas.axes[2][None, :]
    back = p.frame.offset[1] + p.frame.scale[1] * (depth + p.table_gap) + 4
    curve = back + 14 - ((x / 200) ** 2) * 40
    top = soft(1.3 - np.abs(y - curve), canvas.edge)
    core = soft(np.minimum(y - curve, 22 - (y - curve)), canvas.edge)
    low = soft(1.3 - np.abs(y - curve - 22), canvas.edge)
    couch = np.maximum(-1000 + 70 * core, -1000 + np.maximum(top, low) * 880).astype(np.float32)
    first = int(np.argmax((couch > -999).any(1)))
    if not (couch > -999).any():
        return
    view = canvas.hu[:, first:]
    air = (view < -700) & (couch[first:] > -999)[None] & (canvas.wall[:, first:] < -8)
    np.copyto(view, couch[None, first:], where=air)
