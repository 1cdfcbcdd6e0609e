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

    One slice at a time, so that the working arrays stay in cache.
    """
    z_all, y, x = canvas.patient_axes(tuple(slice(0, n) for n in canvas.shape))  # type: ignore[arg-type]
    y, x = y[0] + np.float32(0), x[0] + np.float32(0)
    r = np.hypot(x, y)
    theta = np.arctan2(y, x)
    bins = ((theta / (2 * np.pi) + 0.5) * BINS).astype(np.int32).clip(0, BINS - 1)
    centres = ((np.arange(BINS) + 0.5) / BINS - 0.5) * 2 * np.pi
    dome = patient.dome(y, x).astype(np.float32)
    apex = patient.apex(y, x).astype(np.float32)
    belly = _Belly(patient)
    rng = part_rng(patient.seed, "texture of the body")
    whole = (slice(0, canvas.shape[0]), slice(0, canvas.shape[1]), slice(0, canvas.shape[2]))
    texture = canvas.noise(rng, 7.0, whole)
    ribs = _rib_table(patient, z_all.ravel(), centres)
    e = canvas.edge
    skin_y = 0.0
    for i, z in enumerate(z_all.ravel().astype(float)):
        inner = patient.cavity_radius(centres, z)
        muscle, fat = patient.wall(centres, z)
        to_lut = [inner, inner + muscle, inner + muscle + fat]
        d_in, d_mus, d_body = (v.astype(np.float32)[bins] - r for v in to_lut)
        skin_y = max(skin_y, float((inner + muscle + fat)[3 * BINS // 4]))
        tex = texture[i]
        img = canvas.hu[i]
        # Skin, fat, muscle.
        body = soft(d_body, e)
        tissue = np.where(d_body < 1.8, np.float32(0), -104 + 7 * tex)
        if patient.breast:
            tissue += _gland(patient, z, y, x, d_mus, d_body, tex)
        img += body * (tissue - img)
        w = soft(d_mus, e)
        # Fat planes between the layers of muscle, where the wall is thick.
        layer = np.where((np.abs(d_in + 15 + 2 * tex) < 1.6) & (d_mus > 3), -55, patient.muscle_hu)
        img += w * (layer + 6 * tex - img)
        _ribs(img, ribs[i], bins, d_in, e)
        _scapula(img, patient, z, theta, d_in, e)
        # Cavity: fat between the lungs, abdomen below the diaphragm.
        under = z - dome
        cavity = soft(d_in, e)
        fill = np.float32(-92) + 8 * tex
        if under.max() > 0:
            fill = np.where(under > 0, belly.slice(z, y, x, under, d_in, tex), fill)
        img += cavity * (fill - img)
        depth = np.minimum(d_in - 1.5, -patient.mediastinum(y, x, z).astype(np.float32))
        depth = np.minimum(depth, np.minimum(-under * 0.75, (z - apex) * 0.8))
        lung = soft(depth, e)
        base = patient.lung_hu + patient.lung_gradient * y / 90 + 9 * tex
        img += lung * (base - img)
        canvas.lung[i] = lung
        canvas.wall[i] = d_in
        _spine(canvas, i, patient, z, y, x, e)
    _sternum(canvas, patient)
    _shoulders(canvas, patient)
    if patient.table:
        _table(canvas, patient, skin_y)


def _gland(
    p: Patient, z: float, y: Floats, x: Floats, d_mus: Floats, d_body: Floats, t: Floats
) -> Any:
    """Glandular tissue added to the breast fat, HU."""
    near = np.exp(-(((z - 10) / 34) ** 2)) * np.clip((-d_mus - 5) / 6, 0, 1)
    near = near * np.clip((d_body - 5) / 5, 0, 1) * np.exp(-(((np.abs(x) - 78) / 30) ** 2))
    w = np.clip(near * 1.6 + 0.5 * t * near - (0.9 - p.gland), 0, 0.85)
    return np.where(y < -20, w * 130, 0).astype(np.float32)


def _rib_table(patient: Patient, zs: Any, theta: Any) -> Floats:
    """[n_z, BINS]: height in mm above or below the nearest rib's centre line, along z."""
    # 0 at the spine, 1 at the front; ribs fall towards the front.
    progress = np.abs(np.arctan2(np.cos(theta), np.sin(theta))) / np.pi
    table = np.full((len(zs), len(theta)), 99.0, np.float32)
    for k in range(12):
        start = -142 + 23.5 * k
        fall = np.interp(k, [0, 3, 7, 11], [38, 75, 95, 75])
        centre = start + fall * np.sin(progress * np.pi * 0.55) * 1.05
        reach = np.interp(k, [0, 6, 7, 9, 10, 11], [0.86, 0.86, 0.8, 0.62, 0.5, 0.4])
        gone = np.clip((progress - reach) * 120, 0, 99) + np.clip((0.055 - progress) * 400, 0, 99)
        table = np.minimum(table, np.abs(zs[:, None] - centre[None]) * 0.8 + gone[None])
    return table


def _ribs(img: Floats, dz_lut: Floats, bins: Any, d_in: Floats, e: float) -> None:
    if dz_lut.min() > 8:
        return
    near = dz_lut < 8
    dz = dz_lut[bins]
    zone = (d_in < 0.5) & (d_in > -12) & near[bins]
    d = 5.2 - np.sqrt(dz[zone] ** 2 + ((d_in[zone] + 5.5) * 1.1) ** 2)
    w = soft(d, e)
    bone = np.where(d > 2.6, 230, 620)
    img[zone] += w * (bone - img[zone])


def _scapula(img: Floats, p: Patient, z: float, theta: Floats, d_in: Floats, e: float) -> None:
    if not -128 < z < 25:
        return
    t = (z + 128) / 153
    width = 0.36 * (1 - t) ** 0.5 + 0.05
    lean = 0.25 if p.arms_up else 0.0
    centre = 0.92 - 0.12 * t - lean * (1 - t)
    a = np.arctan2(np.sin(theta), np.abs(np.cos(theta)))
    along = (width - np.abs(a - centre)) * 120
    zone = (along > -1) & (np.abs(d_in + 22) < 5)
    d = np.minimum(along[zone], 2.6 - np.abs(d_in[zone] + 22))
    img[zone] += soft(d, e) * (560 - img[zone])


def _spine(canvas: Canvas, i: int, p: Patient, z: float, y: Floats, x: Floats, e: float) -> None:
    ys = float(p.spine_y(z))
    box = canvas.box(p.frame.to_scanner(np.array([z, ys + 22, 0.0])), (0.1, 64, 64))
    if box is None:
        return
    s = (box[1], box[2])
    x, y = x[s], y[s]
    img = canvas.hu[i][s]
    lung = canvas.lung[i][s]
    phase = ((z + 300 + 2) % 24.0) / 24.0
    disc = phase < 0.2
    # Muscle and ligament around the column keep the lung away from it.
    around = soft(25 - np.hypot(x, (y - ys - 8) * 0.92), e)
    fat_gap = np.where(np.hypot(x, y - ys - 26) < 14, -60.0, p.muscle_hu)
    img += around * (fat_gap - img) * lung + around * 0.8 * (1 - lung) * (p.muscle_hu - img)
    lung *= 1 - around
    width, depth = np.interp(z, [-160, 0, 160], [15, 17, 22]), np.interp(z, [-160, 160], [10, 16])
    waist = 1 - 0.08 * np.sin((phase - 0.2) / 0.8 * np.pi) if not disc else 1.0
    d = (1 - np.sqrt((x / (width * waist)) ** 2 + ((y - ys) / depth) ** 2)) * 13
    if disc:
        img += soft(d, e) * (85 - img)
    else:
        edge_plate = min(phase - 0.2, 1 - phase) * 24 < 1.6
        inside = np.where((d < 2.2) | edge_plate, 420, 175)
        img += soft(d, e) * (inside - img)
    yc = ys + depth + 9
    arch = 12.5 - np.hypot(x, y - yc)
    if 0.25 < phase < 0.85:
        img += soft(np.minimum(arch, np.hypot(x, y - yc) - 8), e) * (480 - img)
        process = np.minimum(3.2 - np.abs(x), 16 - np.abs(y - yc - 24))
        img += soft(process, e) * (400 - img)
    if 0.3 < phase < 0.62:
        wing = np.minimum(4.5 - np.abs(y - yc - (np.abs(x) - 12) * 0.35), 32 - np.abs(x))
        wing = np.minimum(wing, np.abs(x) - 9)
        img += soft(wing, e) * (430 - img)
    canal = soft(8.3 - np.hypot(x, y - yc), e)
    img += canal * (np.where(np.hypot(x, y - yc) < 5, 38, 12) - img)


class _Belly:
    """Liver, stomach, spleen and fat below the diaphragm."""

    def __init__(self, p: Patient) -> None:
        self.p = p
        self.level = -20 - 25 * p.gas

    def slice(
        self, z: float, y: Floats, x: Floats, under: Floats, d_in: Floats, tex: Floats
    ) -> Any:
        """HU of a slice below the diaphragm."""
        p = self.p
        out = -100 + 8 * tex
        ys = float(p.spine_y(z))
        # Spleen behind on the left, stomach in front of it.
        q = np.sqrt(
            ((x - 92) / 34) ** 2 + ((y - 42) / 40) ** 2 + ((z - p.left_dome - 62) / 48) ** 2
        )
        out = np.where(q < 1, p.spleen_hu + 5 * tex, out)
        q = np.sqrt(
            ((x - 62) / 46) ** 2 + ((y + 18) / 52) ** 2 + ((z - p.left_dome - 52) / 46) ** 2
        )
        stomach = np.where(y < self.level, -960.0, 18 + 12 * tex)
        stomach = np.where(q > 0.9, 45.0, stomach)
        out = np.where(q < 1, stomach, out)
        edge = 40 - (z - p.right_dome) * 0.25 - np.clip(y + 20, 0, 60) * 0.55
        liver = (x < edge) & (d_in > 3) & (np.hypot(x - 4, y - ys - 6) > 30)
        vein = np.abs(np.sin(x * 0.11 + z * 0.05) + np.sin(y * 0.09 - z * 0.06)) < 0.09
        lv = p.liver_hu + 5 * tex + np.where(vein, 35 if p.contrast == "venous" else -8, 0)
        out = np.where(liver, lv, out)
        return np.where((under < 3.0) | (d_in < 3), p.muscle_hu, out).astype(np.float32)


def _sternum(canvas: Canvas, p: Patient) -> None:
    zs = np.arange(-104, 52, 4.0)
    front = -p.cavity_radius(-np.pi / 2, zs) - 7
    for a, b, half in ((-104, -56, 24.0), (-54, 34, 17.0), (36, 50, 7.0)):
        sel = (zs >= a) & (zs <= b)
        for shift in np.linspace(-half + 6, half - 6, 5 if half > 10 else 1):
            pts = np.stack([zs[sel], front[sel], np.full(sel.sum(), shift)], -1)
            canvas.tube(pts, 5.2, 420)
        for shift in np.linspace(-half + 8, half - 8, 4 if half > 10 else 1):
            pts = np.stack([zs[sel], front[sel], np.full(sel.sum(), shift)], -1)
            canvas.tube(pts[:, :], 3.0, 180)


def _shoulders(canvas: Canvas, p: Patient) -> None:
    for side in (-1, 1):
        front = -float(p.cavity_radius(-np.pi / 2, -112)) - 6
        pts = [(-108, front, 18 * side), (-122, front - 4, 60 * side), (-140, -22, 118 * side)]
        canvas.tube(pts, [8, 5.5, 5.5], 480)
        canvas.tube(pts, [5, 2.8, 2.8], 220)
        if p.arms_up:
            bone = [(-132, 6, 138 * side), (-158, 2, 150 * side), (-230, -8, 152 * side)]
            flesh = [(-125, 8, 120 * side), (-150, 4, 142 * side), (-230, -8, 152 * side)]
        else:
            bone = [(-128, 8, 158 * side), (-110, 8, 168 * side), (90, 14, 182 * side)]
            flesh = [(-120, 8, 140 * side), (-90, 8, 172 * side), (110, 14, 184 * side)]
        for points, radii, hu in ((flesh, [46, 46, 42], -95.0), (flesh, [36, 37, 33], 55.0)):
            _sleeve(canvas, p, points, radii, hu)
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
        canvas.hu[box] = np.where(
            canvas.lung[box] > 0, view, np.maximum(view, view + w * (hu - view))
        )


def _table(canvas: Canvas, p: Patient, depth: float) -> None:
    """A curved couch in scanner coordinates, right under the back."""
    y, x = canvas.axes[1][:, None], canvas.axes[2][None, :]
    back = p.frame.offset[1] + p.frame.scale[1] * (depth + p.table_gap) + 4
    curve = back + 14 - ((x / 200) ** 2) * 40
    top = soft(1.3 - np.abs(y - curve), canvas.edge)
    core = soft(np.minimum(y - curve, 22 - (y - curve)), canvas.edge)
    low = soft(1.3 - np.abs(y - curve - 22), canvas.edge)
    air = canvas.hu < -700
    couch = -1000 + 70 * core
    couch = np.maximum(couch, -1000 + np.maximum(top, low) * 880)
    np.copyto(
        canvas.hu,
        couch[None].astype(np.float32),
        where=air & (couch > -999)[None] & (canvas.lung == 0),
    )
