"""Paint findings of vessels, lymph nodes and hiatus, and devices; each returns its mask."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.phantoms.canvas import Canvas, soft
from napari_ct_assistant.phantoms.mediastinum import AORTA, AORTA_RADIUS, TRACHEA, Heart, resample
from napari_ct_assistant.phantoms.patient import Patient
from napari_ct_assistant.phantoms.truth import FindingTruth, part_rng

Mask = NDArray[np.bool_]


def aortic_plaques(canvas: Canvas, p: Patient, t: FindingTruth) -> Mask:
    """Paint calcified plaques on the wall of the aortic arch and the descending aorta."""
    rng = part_rng(p.seed, "draw Arterial wall calcification")
    out = np.zeros(canvas.shape, bool)
    n = {"mild": 4, "moderate": 9, "severe": 18}[t.severity or "mild"]
    line = resample(AORTA, 3.0)
    at = np.linspace(0, 1, len(line))
    radius = np.interp(at, np.linspace(0, 1, 15), AORTA_RADIUS)
    spots = np.flatnonzero((at > 0.16) & (line[:, 0] < 120))
    for _ in range(n):
        i = int(rng.choice(spots))
        d = line[min(i + 1, len(line) - 1)] - line[i - 1]
        a = rng.standard_normal(3)
        a -= d * (a @ d) / (d @ d)
        a /= np.linalg.norm(a)
        b = np.cross(d, a) / np.linalg.norm(d)
        hu, half = float(rng.uniform(550, 950)), float(rng.uniform(0.15, 0.4))
        angles = np.linspace(-half, half, 4)
        arc = line[i] + radius[i] * 0.97 * (
            np.cos(angles)[:, None] * a + np.sin(angles)[:, None] * b
        )
        canvas.tube(arc, float(rng.uniform(1.6, 2.6)), hu, mask=out)
    return out


def coronary_plaques(heart: Heart, canvas: Canvas, p: Patient, t: FindingTruth) -> Mask:
    """Paint calcified plaques along the coronary arteries."""
    rng = part_rng(p.seed, "draw Coronary artery wall calcification")
    out = np.zeros(canvas.shape, bool)
    courses = [resample(c, 1.5) for c in heart.coronaries]
    n = {"mild": 3, "moderate": 6, "severe": 11}[t.severity or "mild"]
    for k in range(n):
        course = courses[0 if k == 0 else int(rng.choice(3, p=[0.5, 0.25, 0.25]))]
        i = int(rng.integers(len(course) // 6, int(len(course) * 0.7)))
        piece = course[i : i + int(rng.integers(3, 8))]
        if len(piece) > 1:
            canvas.tube(piece, float(rng.uniform(1.7, 2.4)), float(rng.uniform(600, 950)), mask=out)
    return out


def nodes(canvas: Canvas, p: Patient, t: FindingTruth) -> Mask:
    """Paint enlarged lymph nodes at one station."""
    rng = part_rng(p.seed, "draw Lymphadenopathy")
    out = np.zeros(canvas.shape, bool)
    r = (t.size_mm or 16.0) / 2
    base = {
        "paratracheal": np.array([-70.0, 4, -16 - r * 0.6]),
        "subcarinal": np.array([-30.0 + r * 0.4, 18, -2]),
        "prevascular": np.array([-66.0, -44, 8 + r * 0.5]),
        "axillary": p.armpit(-1 if t.side == "right" else 1),
    }[t.detail or "paratracheal"]
    spread = np.array([1.0, 0.35, 0.35])
    for k in range(t.count):
        rk = r if k == 0 else r * float(rng.uniform(0.7, 0.95))
        step = 0.0 if k == 0 else (1.5 * r) * (1 if k % 2 else -1) * ((k + 1) // 2)
        c = base + spread * (step, rng.normal(0, 6), rng.normal(0, 6))
        hit = canvas.ball(p.pose.to_scanner(c), rk * np.array([1.15, 1.0, rng.uniform(1.0, 1.25)]))
        if hit:
            canvas.paint(*hit, 48 if p.contrast == "none" else 85)
            out[hit[0]] |= hit[1] > 0.5
    return out


def hernia(canvas: Canvas, p: Patient, t: FindingTruth) -> Mask:
    """Paint stomach above the diaphragm, behind the heart: wall, fluid and air."""
    rng = part_rng(p.seed, "draw Hiatal hernia")
    r = (t.size_mm or 36.0) / 2
    c = np.array([min(p.right_dome, 52.0) + 4 - r * 0.3, 32 - r * 0.25, 2 + r * 0.25])
    out = np.zeros(canvas.shape, bool)
    at = p.pose.to_scanner(c)
    radii = r * np.array([1.15, 0.85, 1.15])
    hit = canvas.ball(at, radii)
    if hit is None:
        return out
    box, w = hit
    canvas.paint(box, w, 45)
    out[box] = w > 0.5
    hit = canvas.ball(at, radii - 4)
    if hit is not None:
        box, w = hit
        _, y, _ = canvas.scanner_axes(box)
        level = at[1] + r * float(rng.uniform(-0.25, 0.2))
        canvas.paint(box, w, np.where(y < level, np.float32(-930), np.float32(15)))
    return out


def device(canvas: Canvas, p: Patient, t: FindingTruth) -> Mask:
    """Paint a pacemaker with its lead, a port with its catheter, sternal wires or a tube."""
    rng = part_rng(p.seed, "draw Medical material")
    out = np.zeros(canvas.shape, bool)
    s = -1.0 if t.side == "right" else 1.0
    if t.detail in ("pacemaker", "port catheter"):
        z = -72.0 if t.detail == "pacemaker" else -82.0
        theta = float(np.arctan2(-60, 78 * s))
        muscle, fat = p.wall_thickness(np.array(theta), z)
        r = float(p.cavity_radius(theta, z) + muscle + 0.35 * fat)
        c = np.array([z, r * np.sin(theta), r * np.cos(theta)])
        big = t.detail == "pacemaker"
        at = p.pose.to_scanner(c)
        box = canvas.box(at, 34)
        if box is not None:
            pz, py, px = canvas.scanner_axes(box)
            n = at[1:] / np.linalg.norm(at[1:])
            dy, dx = py - np.float32(at[1]), px - np.float32(at[2])
            across = dy * np.float32(n[0]) + dx * np.float32(n[1])
            along = -dy * np.float32(n[1]) + dx * np.float32(n[0])
            disc = 1 - np.sqrt(
                ((pz - np.float32(at[0])) / (23 if big else 12)) ** 2
                + (along / (23 if big else 12)) ** 2
            )
            w = soft(
                np.minimum(disc * (23 if big else 12), (4.5 if big else 5.5) - np.abs(across)),
                canvas.edge,
            )
            canvas.paint(box, w, 2800 if big else 1500)
            out[box] |= w > 0.5
        course = [
            c,
            (-106, -40, 62 * s),
            (-112, -24, 34 * s),
            (-92, -20, -18),
            (-60, -17, -25),
            (-14, -14, -25),
        ]
        if big:
            course += [(6, -18, -18), (26, -34, 8), (38, -42, 26)]
        canvas.tube(resample(np.array(course, float), 5), 1.5, 1900 if big else 900, mask=out)
    elif t.detail == "sternal wires":
        for z in np.linspace(-96, 26, 6) + rng.normal(0, 1.5, 6):
            y = -float(p.cavity_radius(-np.pi / 2, z)) - 7
            a = np.linspace(0, 2 * np.pi, 15)
            ring = np.stack(
                [z + rng.normal(0, 0.8) * np.cos(a), y + 8 * np.sin(a), 15 * np.cos(a)], -1
            )
            canvas.tube(ring, 1.3, 2300, mask=out)
    else:
        line = resample(TRACHEA[:4], 5)
        canvas.tube(line, 6.2, 260, mask=out)
        canvas.tube(line, 4.2, -990)
    return out
