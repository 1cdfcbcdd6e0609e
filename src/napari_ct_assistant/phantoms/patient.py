"""One patient: the numbers drawn from a seed, and the shapes of the body as functions of them.

Canonical coordinates in mm: `z` towards the feet, `y` towards the back, `x` towards the left.
`canvas.Pose` maps them to the scanner.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from napari_ct_assistant.phantoms.canvas import Pose
from napari_ct_assistant.phantoms.truth import LOBES, draw_attributes, part_rng

ZS = np.array([-185.0, -168, -130, -100, -60, 0, 60, 110, 190])
CAVITY_X = np.array([58.0, 68, 86, 102, 117, 129, 133, 131, 126])
CAVITY_Y = np.array([42.0, 48, 58, 69, 82, 91, 95, 96, 94])


@dataclass
class Patient:
    """The body of one seed: proportions, pose, contrast phase and protocol."""

    seed: int
    pose: Pose = field(init=False)

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
        self.heart_scale = float(r.uniform(0.86, 0.98))
        self.heart_tilt = float(r.uniform(-0.1, 0.1))
        self.epicardial = float(r.uniform(0.8, 2.8))
        self.lung_hu = float(r.uniform(-868, -815))
        self.lung_gradient = float(r.uniform(25, 65))
        r.uniform(-4, 6)  # unused, but the numbers drawn after it depend on it
        self.stomach_gas = float(r.uniform(0.2, 1.0))
        self.table = bool(r.random() < 0.92)
        self.table_gap = float(r.uniform(1, 8))
        self.noise = float(r.uniform(9, 26))
        self.sharp = bool(r.random() < 0.4)
        s = float(r.uniform(0.92, 1.07) * (0.95 if self.female else 1.0))
        sz = float(r.uniform(0.92, 1.05) * (0.95 if self.female else 1.0))
        # Big chests would leave the field of view with arms and fat: keep a margin.
        self.pose = Pose(
            offset=(float(r.uniform(-12, 12)), float(r.uniform(-9, 9)), float(r.uniform(-9, 9))),
            angle=float(np.deg2rad(r.normal(0, 2.5))),
            scale=(sz, s, s),
        )
        self.blood = {"none": 42.0, "arterial": float(r.uniform(240, 330)), "venous": 150.0}
        self.right_blood = {"none": 42.0, "arterial": float(r.uniform(300, 420)), "venous": 140.0}
        self.myocardium = {"none": 48.0, "arterial": 95.0, "venous": 105.0}[self.contrast]
        self.liver_hu = {"none": 58.0, "arterial": 72.0, "venous": 108.0}[self.contrast]
        self.spleen_hu = {"none": 50.0, "arterial": 120.0, "venous": 118.0}[self.contrast]
        attributes = draw_attributes(self.seed)
        # The room that an enlarged heart and pleural fluid would take. Focal lung findings stay
        # clear of it, so that none is hidden, whichever of these the patient has.
        self.effusion = attributes["Pleural effusion"]
        self.largest_heart_scale = HEART_GROWTH[attributes["Cardiomegaly"].severity or "mild"]
        self.largest_fluid_mm = 1.3 * (attributes["Pericardial effusion"].size_mm or 0.0) + 6.0
        self.muscle_hu = 52.0 if self.contrast == "none" else 60.0

    @property
    def blood_hu(self) -> float:
        """HU of the blood in the left heart and the aorta."""
        return self.blood[self.contrast]

    @property
    def right_blood_hu(self) -> float:
        """HU of the blood in the right heart, pulmonary arteries and superior vena cava."""
        return self.right_blood[self.contrast]

    def cavity_axes(self, z: Any) -> tuple[Any, Any]:
        """Return half the width and half the depth in mm of the thoracic cavity at z."""
        return np.interp(z, ZS, CAVITY_X), np.interp(z, ZS, CAVITY_Y) * self.depth

    def cavity_radius(self, theta: Any, z: Any) -> Any:
        """Return the distance from the axis to the inner chest wall; theta 0 is left, pi/2 back."""
        a, b = self.cavity_axes(z)
        c, s = np.cos(theta), np.sin(theta)
        r = 1 / np.sqrt((c / a) ** 2 + (s / b) ** 2)
        # Squarer than an ellipse, and flat in front.
        return r * (1 + 0.05 * np.sin(2 * theta) ** 2 - 0.05 * np.clip(-s, 0, 1) ** 4)

    def wall_thickness(self, theta: Any, z: Any) -> tuple[Any, Any]:
        """Return the thickness in mm of the chest wall's muscle with ribs, and of fat with skin."""
        c, s = np.cos(theta), np.sin(theta)
        side = np.abs(c)
        high = np.interp(z, [-150, -90, -40, 30, 90], [1.0, 1.0, 0.85, 0.35, 0.1])
        pectoral = np.clip(-s - 0.05, 0, 1) * np.clip(side - 0.12, 0, 0.5) * 2.4
        lateral = np.clip(side * 1.25 + 0.2 * s, 0, 1) ** 2
        paraspinal = np.exp(-(((np.abs(c) - 0.22) / 0.2) ** 2)) * (s > 0)
        neck = np.interp(z, [-185, -160, -125], [0.7, 0.85, 1.0])
        muscle = 9 + self.muscle * (high * (17 * pectoral + 36 * lateral * neck) + 13 * paraspinal)
        fat = self.fat * (0.5 + 0.35 * np.clip(-s, 0, 1) + 0.5 * side**4)
        fat = fat * np.interp(z, [-160, -90, 0, 90, 170], [0.8, 0.8, 0.9, 1.15, 1.35]) + 3
        if self.breast:
            angle = np.abs(np.arctan2(-s, side) - 0.93)
            bump = np.exp(-((angle / 0.36) ** 2)) * np.exp(-(((z - 8) / 46) ** 2))
            fat = fat + self.breast * bump
        return muscle, fat

    def diaphragm_height(self, y: Any, x: Any) -> Any:
        """Return the z of the diaphragm at (y, x); lung lies above it (smaller z)."""
        right = self.right_dome + ((x + 62) / 62) ** 2 * 26 + _slope(y + 8)
        left = self.left_dome + ((x - 62) / 62) ** 2 * 26 + _slope(y + 8)
        return np.where(x < -2, np.minimum(right, 178), np.minimum(left, 178))

    def apex_height(self, y: Any, x: Any) -> Any:
        """Return the z of the lung's upper surface at (y, x); lung lies below it (larger z)."""
        q = ((np.abs(x) - 48) / 40) ** 2 + ((y - 14) / 46) ** 2
        return -132 + 27 * q / (1 + 0.12 * q)

    def armpit(self, side: int) -> Any:
        """Return the centre of the fat in an armpit; side is -1 (right) or 1 (left)."""
        theta = np.arctan2(-22.0, 118.0)
        r = float(self.cavity_radius(theta, -84.0)) + 26
        return np.array([-84.0, r * np.sin(theta), side * r * np.cos(theta)])

    def mediastinum_width(self, z: Any) -> tuple[Any, Any]:
        """Return half the width in mm of the middle and of the front part at height z."""
        half = np.interp(z, [-150, -110, -70, -30, 40, 100], [42, 34, 29, 26, 20, 24])
        front = np.interp(z, [-120, -95, -60, 0, 60], [34, 20, 7, 5, 10])
        if np.ndim(z) == 0:
            return float(half), float(front)
        return half, front

    def mediastinum_shape(self, y: Any) -> tuple[Any, Any]:
        """Return how far y is from front to middle, and from middle to spine: each 0 to 1."""
        t = np.clip((y + 64) / 44, 0, 1)
        return t * t * (3 - 2 * t), np.clip((y - 22) / 14, 0, 1)

    def mediastinum(self, y: Any, x: Any, z: Any) -> Any:
        """Return the depth in mm inside the mediastinum, without heart and vessels."""
        half, front = self.mediastinum_width(z)
        rise, fall = self.mediastinum_shape(y)
        return front + (half - front) * rise - fall * (half - 25) - np.abs(x - 2)

    def spine_y(self, z: Any) -> Any:
        """Return the y of the centre of the vertebral bodies: the thoracic kyphosis."""
        return np.interp(
            z, [-185, -150, -110, -60, 0, 60, 110, 190], [26, 33, 45, 56, 62, 60, 54, 44]
        )

    def lung_depth(self, z: Any, y: Any, x: Any) -> Any:
        """Return the depth in mm inside the lung, beside a normal heart and without vessels."""
        r, theta = np.hypot(x, y), np.arctan2(y, x)
        wall = self.cavity_radius(theta, z) - r - 1.5
        spine = np.hypot(x / 1.0, y - self.spine_y(z) - 8) - 26
        heart = self.heart_distance(z, y, x, 1.0)
        out = np.minimum(np.minimum(wall, -self.mediastinum(y, x, z)), spine)
        above_diaphragm = (self.diaphragm_height(y, x) - z) * 0.75
        below_apex = (z - self.apex_height(y, x)) * 0.8
        out = np.minimum(out, np.minimum(above_diaphragm, below_apex))
        return np.minimum(out, heart)

    def heart_centre(self, scale: float = 1.0) -> Any:
        """Return the centre of the heart; a larger heart grows upwards and to the left."""
        z = float(np.clip((self.right_dome + self.left_dome) / 2 - 21, 16, 42))
        return np.array([z - (scale - 1) * 20, -24.0, 12.0 + (scale - 1) * 14])

    def heart_parts(self, z: Any, y: Any, x: Any, scale: float) -> tuple[Any, ...]:
        """Return distances in mm outside left ventricle, right ventricle, right and left atrium."""
        c = self.heart_centre(scale)
        s = scale * self.heart_scale
        out = []
        for (cz, cy, cx), axis, (along, across) in HEART:
            a = np.asarray(axis) / np.linalg.norm(axis)
            if cx > 20:
                a = a + np.array([0, self.heart_tilt, 0])
            pz, py, px = (
                z - float(c[0] + cz * s),
                y - float(c[1] + cy * s),
                x - float(c[2] + cx * s),
            )
            # In place, and z is added last: only then do the arrays reach their full size.
            t2 = pz * float(a[0]) + (py * float(a[1]) + px * float(a[2]))
            t2 *= t2
            q = pz * pz + (py * py + px * px)
            q -= t2
            q = np.clip(q, 0, np.inf)
            q *= 1 / (across * s) ** 2
            t2 *= 1 / (along * s) ** 2
            q += t2
            q = np.sqrt(q)
            q -= 1
            q *= float(across * s)
            out.append(q)
        return tuple(out)

    def heart_distance(self, z: Any, y: Any, x: Any, scale: float) -> Any:
        """Return the distance in mm outside the heart, its grooves filled; negative inside."""
        parts = self.heart_parts(z, y, x, scale)
        return envelope(parts, 16.0 * scale)

    def fluid_depth(self, z: Any, y: Any, x: Any) -> Any:
        """Return the thickness in mm of the pleural effusion under the chest wall at (z, y, x)."""
        t = self.effusion
        back = np.clip((np.sin(np.arctan2(y, np.abs(x))) + 0.25) / 0.9, 0, 1) ** 1.3
        top = {"small": 10, "moderate": -35, "large": -85}[t.severity or "small"]
        rise = np.clip((z - top) / 75, 0, 1) ** 0.8
        return (t.size_mm or 0.0) * back * rise

    def lobe(self, z: Any, y: Any, x: Any) -> Any:
        """Return the index into `truth.LOBES` of the lobe at (z, y, x)."""
        lower = z > -75 + (50 - y) * 1.2
        middle = ~lower & (z > 2) & (x < 0)
        right = np.where(lower, 2, np.where(middle, 1, 0))
        return np.where(x < 0, right, np.where(lower, 4, 3))

    def lung_points(self, rng: np.random.Generator, n: int, depth: float = 4.0) -> Any:
        """Draw points [n, 3] at least `depth` mm inside the lungs."""
        p = rng.uniform((-130, -100, -135), (165, 100, 135), (n * 8, 3))
        # A part of them at a time: the first are enough.
        found: list[Any] = []
        for some in np.split(p, range(2 * n, 8 * n, n)):
            found.append(some[self.lung_depth(*some.T) > depth])
            if sum(map(len, found)) >= n:
                break
        return np.concatenate(found)[:n]

    def wall_depth(self, z: Any, y: Any, x: Any) -> Any:
        """Return the depth in mm under the inner chest wall."""
        return self.cavity_radius(np.arctan2(y, x), z) - np.hypot(y, x)

    def clear_points(self, rng: np.random.Generator, lobe: int) -> tuple[Any, Any]:
        """Draw points [n, 3] of one lobe, clear of heart and fluid; return them and their depth."""
        p = rng.uniform((-130, -100, -135), (165, 100, 135), (3000, 3))
        heart = self.heart_distance(p[:, 0], p[:, 1], p[:, 2], self.largest_heart_scale)
        heart = heart - self.largest_fluid_mm
        d = np.minimum(self.lung_depth(*p.T), heart)
        side = "left" if LOBES[lobe].startswith("left") else "right"
        if self.effusion.side in (side, "both"):
            d = np.minimum(d, self.wall_depth(*p.T) - self.fluid_depth(*p.T))
        # Not in the costophrenic recess, which the field of view may cut off.
        own = (self.lobe(*p.T) == lobe) & (np.abs(self.pose.to_scanner(p)[:, 0]) < 148)
        p, d = p[own], d[own]
        keep = d > min(1.0, float(d.max()) - 1)
        return p[keep], d[keep]

    def point_in_lobe(self, rng: np.random.Generator, lobe: int, depth: float) -> Any:
        """Draw a point [3] of one lobe, `depth` mm inside it or as deep as there is one."""
        p, d = self.clear_points(rng, lobe)
        deep = p[d > depth]
        return deep[0] if len(deep) else p[int(np.argmax(d))]


HEART_GROWTH = {"mild": 1.34, "severe": 1.52}
# Chambers: centre (z, y, x) from the heart's centre, long axis, half lengths along and across.
HEART = (
    ((8.0, -2.0, 27.0), (0.55, -0.42, 0.72), (53.0, 36.0)),
    ((8.0, -20.0, -2.0), (0.45, -0.1, 0.85), (46.0, 31.0)),
    ((0.0, 2.0, -30.0), (1.0, 0.15, 0.1), (38.0, 26.0)),
    ((-22.0, 26.0, 0.0), (0.0, 0.0, 1.0), (36.0, 22.0)),
)


def envelope(parts: tuple[Any, ...], k: float) -> Any:
    """Return the smooth union of distances; grooves narrower than `k` mm are filled."""
    out = parts[0]
    for d in parts[1:]:
        h = out - d
        h = k - np.abs(h)
        h = np.clip(h, 0, np.inf)
        h *= h
        h *= 0.25 / k
        out = np.minimum(out, d)
        out -= h
    return out


def _slope(y: Any) -> Any:
    """Return how far the diaphragm falls towards the front and, further, towards the back."""
    return np.where(y > 0, (y / 84) ** 2 * 62, (y / 80) ** 2 * 24)
