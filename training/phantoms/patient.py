"""One patient: the numbers that a seed decides, and the shapes they span, as plain functions.

Canonical coordinates in mm, `z` towards the feet, `y` towards the back, `x` towards the
left; scanner geometry is `canvas.Frame`'s business.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .canvas import Frame
from .truth import part_rng

ZS = np.array([-185.0, -168, -130, -100, -60, 0, 60, 110, 190])
CAVITY_X = np.array([58.0, 68, 86, 102, 117, 129, 133, 131, 126])
CAVITY_Y = np.array([42.0, 48, 58, 69, 82, 91, 95, 96, 94])


@dataclass
class Patient:
    """The seed's body: proportions, position, contrast phase, protocol."""

    seed: int
    frame: Frame = field(init=False)

    def __post_init__(self) -> None:
        r = part_rng(self.seed, "patient")
        self.female = bool(r.random() < 0.5)
        self.fat = float(r.uniform(7, 26))
        self.muscle = float(r.uniform(0.8, 1.15) * (0.88 if self.female else 1.0))
        self.breast = float(r.uniform(18, 42) + 0.5 * self.fat) if self.female else 0.0
        self.gland = float(r.uniform(0.15, 0.7))
        self.arms_up = bool(r.random() < 0.8)
        self.contrast = ("none", "arterial", "venous")[int(r.choice(3, p=[0.5, 0.2, 0.3]))]
        self.depth = float(r.uniform(0.93, 1.08))
        self.right_dome = float(r.uniform(42, 66))
        self.left_dome = self.right_dome + float(r.uniform(4, 18))
        self.heart_scale = float(r.uniform(0.9, 1.03))
        self.heart_tilt = float(r.uniform(-0.1, 0.1))
        self.epicardial = float(r.uniform(3.0, 6.0))
        self.lung_hu = float(r.uniform(-868, -815))
        self.lung_gradient = float(r.uniform(25, 65))
        self.unfold = float(r.uniform(-4, 6))
        self.gas = float(r.uniform(0.2, 1.0))
        self.table = bool(r.random() < 0.92)
        self.table_gap = float(r.uniform(1, 8))
        self.noise = float(r.uniform(9, 26))
        self.sharp = bool(r.random() < 0.4)
        s = float(r.uniform(0.92, 1.07) * (0.95 if self.female else 1.0))
        sz = float(r.uniform(0.92, 1.05) * (0.95 if self.female else 1.0))
        # Big chests would leave the field of view with arms and fat: keep a margin.
        self.frame = Frame(
            offset=(float(r.uniform(-12, 12)), float(r.uniform(-9, 9)), float(r.uniform(-9, 9))),
            angle=float(np.deg2rad(r.normal(0, 2.5))),
            scale=(sz, s, s),
        )
        self.blood = {"none": 42.0, "arterial": float(r.uniform(240, 330)), "venous": 150.0}
        self.right_blood = {"none": 42.0, "arterial": float(r.uniform(300, 420)), "venous": 140.0}
        self.myocardium = {"none": 48.0, "arterial": 95.0, "venous": 105.0}[self.contrast]
        self.liver_hu = {"none": 58.0, "arterial": 72.0, "venous": 108.0}[self.contrast]
        self.spleen_hu = {"none": 50.0, "arterial": 120.0, "venous": 118.0}[self.contrast]
        self.muscle_hu = 52.0 if self.contrast == "none" else 60.0

    @property
    def blood_hu(self) -> float:
        """Left heart and aorta."""
        return self.blood[self.contrast]

    @property
    def right_blood_hu(self) -> float:
        """Right heart, pulmonary arteries, superior vena cava."""
        return self.right_blood[self.contrast]

    def cavity_axes(self, z: Any) -> tuple[Any, Any]:
        """Half width and half depth of the thoracic cavity at z."""
        return np.interp(z, ZS, CAVITY_X), np.interp(z, ZS, CAVITY_Y) * self.depth

    def cavity_radius(self, theta: Any, z: Any) -> Any:
        """Distance from the axis to the inner chest wall; theta 0 is left, pi/2 the back."""
        a, b = self.cavity_axes(z)
        c, s = np.cos(theta), np.sin(theta)
        r = 1 / np.sqrt((c / a) ** 2 + (s / b) ** 2)
        # Squarer than an ellipse, flat in front.
        return r * (1 + 0.05 * np.sin(2 * theta) ** 2 - 0.05 * np.clip(-s, 0, 1) ** 4)

    def wall(self, theta: Any, z: Any) -> tuple[Any, Any]:
        """Thickness in mm of chest wall muscle with ribs, and of fat with skin."""
        c, s = np.cos(theta), np.sin(theta)
        side = np.abs(c)
        high = np.interp(z, [-150, -90, -40, 30, 90], [1.0, 1.0, 0.85, 0.35, 0.1])
        pectoral = np.clip(-s - 0.05, 0, 1) * np.clip(side - 0.12, 0, 0.5) * 2.4
        lateral = np.clip(side * 1.25 + 0.2 * s, 0, 1) ** 2
        paraspinal = np.exp(-(((np.abs(c) - 0.22) / 0.2) ** 2)) * (s > 0)
        neck = np.interp(z, [-185, -160, -125], [0.7, 0.85, 1.0])
        muscle = 9 + self.muscle * (high * (17 * pectoral + 36 * lateral * neck) + 20 * paraspinal)
        fat = self.fat * (0.5 + 0.35 * np.clip(-s, 0, 1) + 0.5 * side**4)
        fat = fat * np.interp(z, [-160, -90, 0, 90, 170], [0.8, 0.8, 0.9, 1.15, 1.35]) + 3
        if self.breast:
            angle = np.abs(np.arctan2(-s, side) - 0.93)
            bump = np.exp(-((angle / 0.36) ** 2)) * np.exp(-(((z - 8) / 46) ** 2))
            fat = fat + self.breast * bump
        return muscle, fat

    def dome(self, y: Any, x: Any) -> Any:
        """Height z of the diaphragm over (y, x); lung is above (smaller z)."""
        right = self.right_dome + ((x + 62) / 62) ** 2 * 26 + _slope(y + 8)
        left = self.left_dome + ((x - 62) / 62) ** 2 * 26 + _slope(y + 8)
        return np.where(x < -2, np.minimum(right, 178), np.minimum(left, 178))

    def apex(self, y: Any, x: Any) -> Any:
        """Height z of the lung apex over (y, x); lung is below (larger z)."""
        q = ((np.abs(x) - 48) / 40) ** 2 + ((y - 14) / 46) ** 2
        return -132 + 27 * q / (1 + 0.12 * q)

    def mediastinum(self, y: Any, x: Any, z: Any) -> Any:
        """Depth in mm inside the part between the lungs (heart and vessels come on top)."""
        half = np.interp(z, [-150, -110, -70, -30, 40, 100], [42, 34, 30, 29, 24, 26])
        front = np.interp(z, [-110, -60, 0, 60], [30, 17, 14, 18])
        t = np.clip((y + 70) / 55, 0, 1)
        width = front + (half - front) * t * t * (3 - 2 * t)
        width = width - np.clip((y - 22) / 14, 0, 1) * (half - 25)
        return width - np.abs(x - 2)

    def spine_y(self, z: Any) -> Any:
        """Centre of the vertebral bodies: the thoracic kyphosis."""
        return np.interp(
            z, [-185, -150, -110, -60, 0, 60, 110, 190], [26, 33, 45, 56, 62, 60, 54, 44]
        )

    def lung_depth(self, z: Any, y: Any, x: Any) -> Any:
        """Depth in mm inside lung of canonical points, heart and vessels not counted."""
        r, theta = np.hypot(x, y), np.arctan2(y, x)
        wall = self.cavity_radius(theta, z) - r - 1.5
        spine = np.hypot(x / 1.0, y - self.spine_y(z) - 8) - 26
        heart = self.heart_distance(z, y, x, 1.0)
        out = np.minimum(np.minimum(wall, -self.mediastinum(y, x, z)), spine)
        out = np.minimum(out, np.minimum((self.dome(y, x) - z) * 0.75, (z - self.apex(y, x)) * 0.8))
        return np.minimum(out, heart)

    def heart_frame(self) -> tuple[Any, Any, Any]:
        """Centre, axes (rows: long axis, sideways, across; z, y, x) and half lengths in mm."""
        t = self.heart_tilt
        u = np.array([0.42 + t, -0.42, 0.80])
        u /= np.linalg.norm(u)
        v = np.cross(u, [0, 1.0, 0])
        v /= np.linalg.norm(v)
        w = np.cross(u, v)
        centre = np.array([min(24.0, self.right_dome - 28), -22.0, 20.0])
        return centre, np.stack([u, v, w]), np.array([63.0, 47.0, 46.0])

    def heart_distance(self, z: Any, y: Any, x: Any, scale: float) -> Any:
        """Distance in mm outside the heart's surface (negative inside)."""
        c, axes, half = self.heart_frame()
        p = (z - c[0], y - c[1], x - c[2])
        q: Any = 0
        for a, h in zip(axes, half * scale * self.heart_scale, strict=True):
            q = q + ((p[0] * a[0] + p[1] * a[1] + p[2] * a[2]) / h) ** 2
        return (np.sqrt(q) - 1) * 48 * scale * self.heart_scale

    def lobe(self, z: Any, y: Any, x: Any) -> Any:
        """Index into `truth.LOBES`."""
        lower = z > -75 + (50 - y) * 1.2
        middle = ~lower & (z > 2) & (x < 0)
        right = np.where(lower, 2, np.where(middle, 1, 0))
        return np.where(x < 0, right, np.where(lower, 4, 3))

    def lung_points(self, rng: np.random.Generator, n: int, depth: float = 4.0) -> Any:
        """Random points [n, 3] at least `depth` mm inside the lungs."""
        p = rng.uniform((-130, -100, -135), (165, 100, 135), (n * 10, 3))
        p = p[self.lung_depth(*p.T) > depth]
        return p[:n]

    def spot(self, rng: np.random.Generator, lobe: int, depth: float) -> Any:
        """A random point [3] of one lobe, as deep inside it as `depth` mm or nearly."""
        p = rng.uniform((-130, -100, -135), (165, 100, 135), (6000, 3))
        d = self.lung_depth(*p.T)
        ok = (self.lobe(*p.T) == lobe) & (d > 2)
        p, d = p[ok], d[ok]
        deep = p[d > depth]
        return deep[0] if len(deep) else p[int(np.argmax(d))]


def _slope(y: Any) -> Any:
    """Rise of the diaphragm to the front, deep recess at the back."""
    return np.where(y > 0, (y / 84) ** 2 * 62, (y / 80) ** 2 * 24)
