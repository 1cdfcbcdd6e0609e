"""Paint heart, great vessels, oesophagus, normal lymph nodes and central airways."""

from __future__ import annotations

from concurrent.futures import Executor
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.phantoms.canvas import Box, Canvas, Floats, soft
from napari_ct_assistant.phantoms.patient import HEART_GROWTH, Patient, envelope
from napari_ct_assistant.phantoms.truth import part_rng

# Centre lines, canonical (z, y, x) in mm.
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
    [
        (-190, 8, 4), (-120, 16, 6), (-70, 22, 6), (-20, 26, 3), (30, 24, 4), (75, 14, 10),
        (100, 4, 18),
    ],
    float,
)  # fmt: skip


def resample(points: NDArray[Any], step: float) -> NDArray[np.float64]:
    """Return points every `step` mm along a polyline [n, 3], its corners rounded."""
    t = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    u = np.arange(0, t[-1], step)
    line = np.stack([np.interp(u, t, points[:, k]) for k in range(3)], -1)
    if len(line) > 4:
        pad = np.concatenate([line[:1], line, line[-1:]])
        line = (pad[:-2] + 2 * pad[1:-1] + pad[2:]) / 4
    return line


def paint_great_vessels(canvas: Canvas, p: Patient) -> None:
    """Paint the aorta and its branches, pulmonary arteries, venae cavae and oesophagus."""
    rng = part_rng(p.seed, "oesophagus")
    wall = [4.5, 5.5, 6.5, 7, 7, 7, 7]
    canvas.tube(OESOPHAGUS, wall, 42)
    for i in range(1, 5):
        if rng.random() < 0.3:
            at = p.pose.to_scanner((OESOPHAGUS[i] + OESOPHAGUS[i + 1]) / 2)
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


def paint_small_nodes(canvas: Canvas, p: Patient) -> None:
    """Paint lymph nodes of normal size (up to 7 mm) in the mediastinum and the armpits."""
    rng = part_rng(p.seed, "small nodes")
    for place in ((-72, 4, -17), (-60, 6, -16), (-64, -40, 8), (-34, 18, 0), (-90, 2, 14)):
        if rng.random() < 0.6:
            at = p.pose.to_scanner(np.asarray(place) + rng.normal(0, 2.5, 3))
            hit = canvas.ball(at, rng.uniform((3.0, 2.2, 2.2), (4.5, 3.4, 3.4)))
            if hit is not None:
                canvas.paint(*hit, p.muscle_hu)
    for side in (-1, 1):
        for _ in range(int(rng.integers(1, 4))):
            at = p.pose.to_scanner(p.armpit(side) + rng.normal(0, (14, 4, 4)))
            hit = canvas.ball(at, rng.uniform((3.5, 2.2, 2.2), (5.5, 3.4, 3.4)))
            if hit is not None:
                canvas.paint(*hit, p.muscle_hu)


def paint_central_airways(canvas: Canvas, *, wall: float = 1.2) -> None:
    """Paint trachea and main bronchi: wall, then air."""
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
    """The heart of one patient, with its size and the fluid around it."""

    def __init__(self, p: Patient, *, enlarged: str | None, fluid_mm: float) -> None:
        self.p = p
        grow = float(part_rng(p.seed, "heart growth").uniform(-0.03, 0.03))
        self.scale = HEART_GROWTH[enlarged] + grow if enlarged else 1.0
        self.fluid_mm = fluid_mm

    def box(self, canvas: Canvas) -> Box:
        """Return the index box of the heart with its fat and its effusion."""
        s = self.scale * self.p.heart_scale
        c = self.p.heart_centre(self.scale) + np.array([-2.0, -2.0, 7.0]) * s
        reach = np.array([58.0, 56.0, 72.0]) * s * 1.08 + self.fluid_mm * 1.3 + 10
        box = canvas.box(self.p.pose.to_scanner(c), reach)
        if box is None:
            raise ValueError("the heart lies outside the field of view")
        return box

    def paint(
        self, canvas: Canvas, workers: Executor
    ) -> tuple[Box, NDArray[np.bool_], NDArray[np.bool_]]:
        """Paint the heart; return its box and, in it, the masks of heart and effusion.

        The smooth envelope of the chambers is filled with fat, which thus fills their grooves.
        """
        box = self.box(canvas)
        heart = np.zeros(tuple(s.stop - s.start for s in box), bool)
        fluid = np.zeros(heart.shape, bool)

        # A few slices at a time, so that the working arrays stay in cache.
        def paint(k: int) -> None:
            some = slice(box[0].start + k, min(box[0].start + k + 4, box[0].stop))
            self._paint_slices(canvas, (some, *box[1:]), heart[k : k + 4], fluid[k : k + 4])

        list(workers.map(paint, range(0, len(heart), 4)))
        return box, heart, fluid

    def _paint_slices(
        self, canvas: Canvas, box: Box, mask: NDArray[np.bool_], fluid: NDArray[np.bool_]
    ) -> None:
        p, e = self.p, canvas.edge
        z, y, x = canvas.patient_axes(box)
        room = soft(canvas.wall[box] - np.float32(2), e)
        room *= soft((p.diaphragm_height(y, x).astype(np.float32) + 1 - z) * np.float32(0.75), e)
        if not room.any():
            return
        spine = x * x + (y - p.spine_y(z).astype(np.float32)) ** 2
        room *= soft((spine - 20**2) * np.float32(0.025), e)
        parts = p.heart_parts(z, y, x, self.scale)
        out = envelope(parts, 16.0 * self.scale)
        out -= np.float32(p.epicardial)
        # Copies are of one piece and in cache; the box is read and written once.
        hu, lung = canvas.hu[box].copy(), canvas.lung[box].copy()

        def paint(weight: Floats, value: float) -> None:
            change = np.float32(value) - hu
            change *= weight
            np.add(hu, change, out=hu)
            np.multiply(lung, np.subtract(1, weight, out=change), out=lung)

        def within(depth: Floats, share: Floats) -> Floats:
            w = soft(depth, e)
            w *= share
            return w

        c = p.heart_centre(self.scale)
        low = np.clip((z - float(c[0])) / 40 + (y - float(c[1])) / 60, -1, 1)
        # From outside in: cardiophrenic fat, fluid, epicardial fat, muscle, blood.
        pad = np.clip(low * 2.2 - (y - float(c[1])) / 30, 0, 2.5) * 2.2
        sac = out - np.float32(self.fluid_mm) * (1 + 0.3 * low) if self.fluid_mm else out
        paint(within(pad - sac, room), -92)
        if self.fluid_mm:
            paint(within(1.5 - sac, room), 25)
            w = within(-sac, room)
            paint(w, 8)
            np.logical_and(w > 0.5, out > 0, out=fluid)
        paint(within(-out, room), -88)
        lv, rv, ra, la = parts
        heart = np.minimum(lv, rv, out=out)
        np.minimum(heart, ra, out=heart)
        np.minimum(heart, la, out=heart)
        heart = within(np.negative(heart, out=heart), room)
        np.greater(heart, 0.5, out=mask)
        paint(heart, p.myocardium)
        left, right = p.blood_hu, p.right_blood_hu
        septum = np.minimum(lv, la)
        septum -= np.float32(3)
        for d, hu_of_blood in (
            (np.minimum(np.float32(-3.5) - rv, septum), right),
            (np.minimum(np.float32(-3.0) - ra, septum), right),
            (np.minimum(np.float32(-3.0) - la, lv - np.float32(3)), left),
            (np.float32(-10.5 * self.scale**0.3) - lv, left),
        ):
            paint(within(d, heart), hu_of_blood)
        canvas.hu[box], canvas.lung[box] = hu, lung

    @cached_property
    def coronaries(self) -> list[NDArray[np.float64]]:
        """The courses on the heart's surface, canonical: LAD, circumflex, right."""
        p = self.p
        c = p.heart_centre(self.scale)
        lines = [resample(np.array(corners), 0.06) for corners in COURSES]
        d = np.concatenate(lines)
        d /= np.linalg.norm(d, axis=1, keepdims=True)
        near, far = np.zeros(len(d)), np.full(len(d), 140.0)
        for _ in range(10):
            mid = (near + far) / 2
            at = (c + mid[:, None] * d).T
            inside = p.heart_distance(at[0], at[1], at[2], self.scale) < -1.5
            near, far = np.where(inside, mid, near), np.where(inside, far, mid)
        ends = np.cumsum([len(line) for line in lines])[:-1]
        return np.split(c + near[:, None] * d, ends)

    def paint_coronaries(self, canvas: Canvas) -> None:
        """Paint the coronary arteries in the fat of the grooves."""
        hu = self.p.blood_hu if self.p.contrast == "arterial" else 45.0
        for course in self.coronaries:
            canvas.tube(resample(course, 4.0), 3.4, -70)
            canvas.tube(resample(course, 4.0), 1.6, hu)


# Directions from the heart's centre: LAD, circumflex, right coronary artery.
COURSES = (
    ((-0.8, -0.5, 0.2), (-0.3, -0.9, 0.35), (0.1, -0.85, 0.6), (0.4, -0.7, 0.9)),
    ((-0.8, -0.3, 0.3), (-0.5, 0.2, 0.8), (-0.1, 0.55, 0.8), (0.3, 0.75, 0.6)),
    ((-0.7, -0.75, -0.1), (-0.1, -0.85, -0.55), (0.5, -0.6, -0.75), (0.8, 0.1, -0.5)),
)
