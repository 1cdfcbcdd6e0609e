"""Paint the healthy body apart from heart and vessels: trunk, bones, arms and couch."""

from __future__ import annotations

from concurrent.futures import Executor
from typing import Any

import numpy as np

from napari_ct_assistant.phantoms.canvas import Canvas, Floats, soft
from napari_ct_assistant.phantoms.patient import Patient
from napari_ct_assistant.phantoms.trunk import BINS, Rays, paint_trunk


def paint_body(canvas: Canvas, patient: Patient, workers: Executor) -> None:
    """Paint body, lungs, upper abdomen and couch: everything but heart and vessels."""
    rays = Rays(canvas, patient)
    paint_trunk(canvas, patient, rays, workers)
    _spine(canvas, patient, rays.heights)
    _armpits(canvas, patient)
    _sternum(canvas, patient)
    _shoulders(canvas, patient)
    if patient.table:
        _table(canvas, patient, float(rays.skin[:, 3 * BINS // 4].max()))


def _spine(canvas: Canvas, patient: Patient, heights: list[float]) -> None:
    """Paint vertebrae, discs, the spinal canal and the muscle around them."""
    ys = patient.spine_y(heights)
    width = np.interp(heights, [-160, 0, 160], [15, 17, 22])
    depth = np.interp(heights, [-160, 160], [10, 16])
    _, y_all, x_all = canvas.patient_axes((slice(0, 1), slice(None), slice(None)))
    middle = np.stack([heights, ys + 16, np.zeros(len(ys))], -1)
    for i, (z, at) in enumerate(zip(heights, patient.pose.to_scanner(middle), strict=True)):
        box = canvas.box(at, (0.1, 48, 38))
        if box is None:
            continue
        y, x = (np.ascontiguousarray(a[0][box[1:]]) for a in (y_all, x_all))
        y -= np.float32(ys[i])
        img, lung = canvas.hu[i][box[1:]], canvas.lung[i][box[1:]]
        # Muscle and ligaments around the spine keep the lung away from it.
        column = x * x
        around = soft(26 - np.sqrt(column + np.square(y - 8) * np.float32(0.85)), canvas.edge)
        work = np.ascontiguousarray(img)
        work += around * (patient.muscle_hu - work)
        around -= 1
        lung *= np.negative(around, out=around)
        phase = ((z + 302) % 24.0) / 24.0
        _vertebra(work, y, x, phase, (float(width[i]), float(depth[i])), canvas.edge)
        img[:] = work


def _vertebra(
    img: Floats, y: Floats, x: Floats, phase: float, half: tuple[float, float], edge: float
) -> None:
    """Paint a slice of the spine; `phase` runs from 0 through a disc (to 0.2) and a vertebra."""
    width, depth = half
    disc = phase < 0.2
    if not disc:
        width *= 1 - 0.08 * float(np.sin((phase - 0.2) / 0.8 * np.pi))
    d = (1 - np.sqrt(np.square(x / width) + np.square(y / depth))) * 13
    if disc:
        _fill(img, d, edge, 85)
    else:
        plate = min(phase - 0.2, 1 - phase) * 24 < 1.6
        _fill(img, d, edge, 420, None if plate else (2.2, 175))
    behind = y - np.float32(depth + 9)
    ring = np.sqrt(x * x + behind * behind)
    side = np.abs(x)
    if 0.25 < phase < 0.85:
        _fill(img, np.minimum(12.5 - ring, ring - 8), edge, 480)
        _fill(img, np.minimum(3.2 - side, 16 - np.abs(behind - 24)), edge, 400)
    if 0.3 < phase < 0.62:
        wing = np.minimum(4.5 - np.abs(behind - (side - 12) * np.float32(0.35)), 32 - side)
        _fill(img, np.minimum(wing, side - 9), edge, 430)
    _fill(img, 8.3 - ring, edge, 12, (3.3, 38))


def _fill(
    img: Floats, d: Floats, edge: float, hu: float, core: tuple[float, float] | None = None
) -> None:
    """Paint `hu` inside a surface (depth `d` > 0), and `core[1]` HU below `core[0]` mm."""
    if core is None:
        change = np.float32(hu) - img
    else:
        change = (d > core[0]) * np.float32(core[1] - hu)
        change += np.float32(hu)
        change -= img
    change *= soft(d, edge)
    img += change


def _armpits(canvas: Canvas, p: Patient) -> None:
    """Paint the fat of the armpits."""
    for side in (-1, 1):
        hit = canvas.ball(p.pose.to_scanner(p.armpit(side)), (42, 17, 17), edge=8.0)
        if hit is not None:
            box, w = hit
            canvas.paint(box, w * (canvas.wall[box] < -9) * (canvas.hu[box] < 120), -98)


def _sternum(canvas: Canvas, p: Patient) -> None:
    box = canvas.box(
        p.pose.to_scanner(np.array([-27.0, -float(p.cavity_radius(-np.pi / 2, -27)) - 7, 0.0])),
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
    # The joint between manubrium and body is cartilage.
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
    """Paint the tissue of an arm where it is denser than what is there (air or fat)."""
    q = p.pose.to_scanner(np.asarray(points, float))
    for i in range(len(q) - 1):
        hit = canvas.segment(q[i], q[i + 1], radii[i], radii[i + 1])
        if hit is None:
            continue
        box, w = hit
        view = canvas.hu[box]
        more = np.float32(hu) - view
        more.clip(0, np.inf, out=more)
        more *= w
        # No arm inside the chest wall.
        more *= canvas.wall[box] < -12
        view += more


def _table(canvas: Canvas, p: Patient, depth: float) -> None:
    """Paint a curved couch under the back, in scanner coordinates."""
    y, x = canvas.axes[1][:, None], canvas.axes[2][None, :]
    back = p.pose.offset[1] + p.pose.scale[1] * (depth + p.table_gap) + 4
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
