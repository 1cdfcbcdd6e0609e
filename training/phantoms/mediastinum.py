"""Heart, great vessels, oesophagus and central airways."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .canvas import Box, Canvas, Floats, soft
from .patient import Patient
from .truth import part_rng

# Central lines, canonical (z, y, x) in mm.
AORTA = np.array(
    [
        (2, -24, 2), (-18, -32, -8), (-38, -34, -13), (-56, -30, -12), (-69, -20, -6),
        (-76, -6, 3), (-75, 8, 12), (-66, 22, 18), (-52, 31, 21), (-30, 38, 21),
        (0, 42, 19), (40, 42, 16), (80, 38, 12), (120, 33, 8), (190, 26, 6),
    ],
    float,
)  # fmt: skip
AORTA_RADIUS = np.array([14, 15, 15, 14.5, 13.5, 13, 12.5, 12, 12, 11.5, 11.5, 11, 11, 10.5, 10])
TRACHEA = np.array([(-190, -14, 0), (-140, -6, 0), (-100, 0, 1), (-70, 6, 0), (-48, 10, -1)], float)
CARINA = TRACHEA[-1]
HILA = {-1: np.array([-22.0, 12, -36]), 1: np.array([-26.0, 14, 38])}
OESOPHAGUS = np.array(
    [(-190, 8, 4), (-120, 16, 6), (-70, 22, 6), (-20, 26, 3), (30, 24, 4), (75, 14, 10), (100, 4, 18)],
    float,
)  # fmt: skip


def resample(points: NDArray[Any], step: float) -> NDArray[np.float64]:
    """Points every `step` mm along a polyline [n, 3], corners rounded."""
    t = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    u = np.arange(0, t[-1], step)
    line = np.stack([np.interp(u, t, points[:, k]) for k in range(3)], -1)
    if len(line) > 4:
        pad = np.concatenate([line[:1], line, line[-1:]])
        line = (pad[:-2] + 2 * pad[1:-1] + pad[2:]) / 4
    return line


def paint_great_vessels(canvas: Canvas, p: Patient) -> None:
    """Aorta and its branches, pulmonary arteries, caval veins, oesophagus."""
    rng = part_rng(p.seed, "oesophagus")
    wall = [4.5, 5.5, 6.5, 7, 7, 7, 7]
    canvas.tube(OESOPHAGUS, wall, 42)
    for i in range(1, 5):
        if rng.random() < 0.3:
            at = p.frame.to_scanner((OESOPHAGUS[i] + OESOPHAGUS[i + 1]) / 2)
            hit = canvas.ball(at, (6, 2.4, 2.6))
            if hit:
                canvas.paint(*hit, -700)
    right, left = p.right_blood_hu, p.blood_hu
    canvas.tube([(-10, -36, 18), (-28, -38, 18), (-42, -30, 16)], [14, 14, 13], right)
    canvas.tube([(-42, -30, 16), (-46, -8, 28), (-40, 8, 38)], [13, 11.5, 9], right)
    canvas.tube([(-40, -24, 12), (-36, -8, -8), (-30, 2, -36)], [12, 11, 9], right)
    for side in (-1, 1):
        canvas.tube([(0, 2, 12 * side), (-6, 6, 34 * side)], [9, 6.5], left)
        canvas.tube([(14, 8, 12 * side), (18, 14, 36 * side)], [8, 6], left)
    canvas.tube([(-128, -16, -30), (-80, -18, -25), (-20, -14, -25), (0, -10, -22)], 9, right)
    canvas.tube([(58, -4, -24), (100, 2, -24), (190, 6, -22)], [12, 12, 11], 0.5 * (right + left))
    canvas.tube([(-128, -18, 36), (-96, -34, 18), (-84, -28, -20)], 6.5, right)
    heads = [[(-74, -14, -2), (-100, -14, -12), (-150, -12, -26)], [(-75, -4, 5), (-150, -4, 20)]]
    heads.append([(-75, 6, 12), (-120, 10, 22), (-160, 6, 50)])
    for head in heads:
        canvas.tube(head, [6.5, 5.5, 4.5][: len(head)], left)
    canvas.tube(
        resample(AORTA, 8),
        np.interp(
            np.arange(0, 1, 1 / len(resample(AORTA, 8))), np.linspace(0, 1, 15), AORTA_RADIUS
        ),
        left,
    )


def paint_central_airways(canvas: Canvas, p: Patient, *, wall: float = 1.2) -> None:
    """Trachea and main bronchi: wall, then air."""
    lines = [(TRACHEA, [9.5, 9, 8.5, 8.5, 8.5])]
    for side, r in ((-1, 6.6), (1, 6.0)):
        lines.append(
            (np.array([CARINA, (CARINA + HILA[side]) / 2 + (2, 1, 0), HILA[side]]), [7, r, r - 1.2])
        )
    for line, radii in lines:
        canvas.tube(line, np.asarray(radii) + wall + 0.4, 30)
    for line, radii in lines:
        canvas.tube(line, radii, -990)


class Heart:
    """The heart of one patient in its state: size and the fluid around it."""

    def __init__(self, p: Patient, *, enlarged: str | None, fluid_mm: float) -> None:
        self.p = p
        grow = float(part_rng(p.seed, "heart growth").uniform(-0.03, 0.03))
        self.scale = {None: 1.0, "mild": 1.34 + grow, "severe": 1.6 + grow}[enlarged]
        self.fluid_mm = fluid_mm

    def box(self, canvas: Canvas) -> Box:
        """Index box that holds the heart, its fat and its effusion."""
        c, axes, half = self.p.heart_frame()
        reach = np.sqrt(((axes * (half * self.scale * self.p.heart_scale)[:, None]) ** 2).sum(0))
        box = canvas.box(self.p.frame.to_scanner(c), reach * 1.1 + self.fluid_mm + 14)
        if box is None:
            raise ValueError("the heart lies outside the field of view")
        return box

    def paint(self, canvas: Canvas) -> tuple[Box, NDArray[np.bool_], NDArray[np.bool_]]:
        """Paint it; returns its box and the masks in it of the heart and of the effusion."""
        p, e = self.p, canvas.edge
        box = self.box(canvas)
        z, y, x = canvas.patient_axes(box)
        c, axes, half = p.heart_frame()
        axes, half = axes.astype(np.float32), half * self.scale * p.heart_scale
        rel = (z - np.float32(c[0]), y - np.float32(c[1]), x - np.float32(c[2]))
        u, v, w = (
            (rel[0] * a[0] + rel[1] * a[1] + rel[2] * a[2]) / np.float32(h)
            for a, h in zip(axes, half, strict=True)
        )
        q = np.sqrt(u * u + v * v + w * w)
        mm = np.float32(half[1])
        out = (q - 1) * mm
        room = soft(
            p.cavity_radius(np.arctan2(y, x)[0], 0.0).astype(np.float32)[None] - np.hypot(x, y) - 1,
            e,
        )
        room = room * soft((p.dome(y, x).astype(np.float32) + 2 - z) * np.float32(0.75), e)
        room = room * soft(np.hypot(x, y - p.spine_y(z).astype(np.float32)) - 18, e)
        # From outside in: pericardial fat, pericardium, fluid, epicardial fat, muscle, blood.
        fat = np.float32(p.epicardial)
        sac = out - fat - np.float32(self.fluid_mm) * (1 + 0.25 * np.clip(-rel[1] / mm * -1, -1, 1))
        canvas.paint(box, soft(3.5 + 2.5 * np.clip(w, -1, 1) - sac, e) * room, -90)
        canvas.paint(box, soft(1.2 - sac, e) * room, 30)
        fluid = np.zeros(q.shape, bool)
        if self.fluid_mm > 0:
            wt = soft(-sac, e) * room
            canvas.paint(box, wt, 8)
            fluid = (wt > 0.5) & (out > fat)
        canvas.paint(box, soft(fat - out, e) * room, -85)
        body = soft(-out, e) * room
        canvas.paint(box, body, p.myocardium)
        self._chambers(canvas, box, u, v, w, body)
        return box, body > 0.5, fluid

    def _chambers(
        self, canvas: Canvas, box: Box, u: Floats, v: Floats, w: Floats, body: Floats
    ) -> None:
        """Blood pools in the heart's own unit coordinates (u: long axis to the apex)."""
        p = self.p
        # In a scan without contrast blood is a little darker than muscle.
        left, right = p.blood_hu, p.right_blood_hu
        # Directions of left-back and right-front across the long axis.
        c, axes, _ = p.heart_frame()
        back = np.array([0.2, 0.75, 0.62])
        bu, bv, bw = axes @ back
        lv = (0.32 * u.dtype.type(1), bv, bw)
        for centre, radii, hu in (
            ((0.22, 0.28 * lv[1], 0.28 * lv[2]), (0.52, 0.36, 0.36), left),
            ((0.1, -0.42 * lv[1], -0.42 * lv[2]), (0.62, 0.33, 0.40), right),
            ((-0.6, 0.35 * lv[1], 0.35 * lv[2]), (0.30, 0.48, 0.48), left),
            ((-0.6, -0.38 * lv[1], -0.38 * lv[2]), (0.32, 0.44, 0.44), right),
        ):
            d = ((u - np.float32(centre[0])) / np.float32(radii[0])) ** 2
            d = d + ((v - np.float32(centre[1])) / np.float32(radii[1])) ** 2
            d = d + ((w - np.float32(centre[2])) / np.float32(radii[2])) ** 2
            canvas.paint(box, soft((1 - np.sqrt(d)) * 20, canvas.edge) * body, hu)

    def coronaries(self) -> list[NDArray[np.float64]]:
        """Courses on the surface, canonical points: LAD, circumflex, right."""
        p = self.p
        c, axes, half = p.heart_frame()
        half = half * self.scale * p.heart_scale
        back = axes @ np.array([0.2, 0.75, 0.62])
        angle0 = np.arctan2(back[2], back[1])
        t = np.linspace(0, 1, 22)
        courses = []
        for u, phi in (
            (-0.45 + 1.2 * t, angle0 + np.pi * 0.55 + 0.25 * t),
            (-0.38 + 0.25 * t, angle0 + np.pi * (0.5 - 0.75 * t)),
            (-0.32 + 0.3 * t, angle0 + np.pi * (0.8 + 0.75 * t)),
        ):
            ring = np.sqrt(np.clip(1 - u**2, 0.05, 1))
            unit = np.stack([u, ring * np.cos(phi), ring * np.sin(phi)], -1)
            unit *= 1 + 0.5 * p.epicardial / half[1]
            courses.append(c + (unit * half) @ axes)
        return courses

    def paint_coronaries(self, canvas: Canvas) -> None:
        """Thin arteries in the epicardial fat."""
        for course in self.coronaries():
            canvas.tube(course, 1.7, self.p.blood_hu if self.p.contrast == "arterial" else 45.0)
