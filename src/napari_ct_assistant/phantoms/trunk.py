"""Paint the trunk slice by slice: skin, fat, muscle, ribs, lungs and upper abdomen."""

from __future__ import annotations

from concurrent.futures import Executor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.phantoms.canvas import Canvas, Floats, Lattice, soft
from napari_ct_assistant.phantoms.patient import Patient
from napari_ct_assistant.phantoms.truth import part_rng

Indices = NDArray[np.intp]
BINS = 2880
RINGS = 96
# `Canvas.wall` holds the distance up to this many mm outside the inner chest wall.
WALL_DEPTH = np.float32(16)


class Rays:
    """Distances along rays from the body's axis: tables of `BINS` angles for each slice."""

    def __init__(self, canvas: Canvas, patient: Patient) -> None:
        z, _, _ = canvas.patient_axes((slice(None), slice(0), slice(0)))
        self.heights = [float(v) for v in z.ravel()]
        self.centres = ((np.arange(BINS) + 0.5) / BINS - 0.5) * 2 * np.pi
        ray, level = self.centres[None], np.array(self.heights)[:, None]
        inner = patient.cavity_radius(ray, level)
        muscle, fat = patient.wall_thickness(ray, level)
        # [n_z, BINS] in mm, from the axis to the inner chest wall, to the muscle's surface, to the
        # skin.
        self.inner = inner.astype(np.float32)
        self.muscle = (inner + muscle).astype(np.float32)
        self.skin = (inner + muscle + fat).astype(np.float32)
        # A shoulder blade may reach beyond the skin.
        self.outermost = np.maximum(self.skin, self.inner + np.float32(26))


class _BodyPixels:
    """The pixels that the body covers in any slice, ordered from the axis outwards.

    In this order the inside of the chest is the first part of every array, and a layer of the
    wall is a short range, so that nothing is computed where it would not be seen.
    """

    def __init__(self, canvas: Canvas, rays: Rays) -> None:
        _, y, x = (a[0] for a in canvas.patient_axes((slice(0, 1), slice(None), slice(None))))
        r = np.sqrt(x * x + y * y)
        bins = ((np.arctan2(y, x) / (2 * np.pi) + 0.5) * BINS).astype(np.intp).clip(0, BINS - 1)
        self.scale = (RINGS / rays.inner.mean(0)).astype(np.float32)
        ring = (r * self.scale[bins]).astype(np.int16).ravel()
        ring[r.ravel() > (rays.outermost.max(0) + canvas.edge)[bins].ravel()] = -1
        order = np.argsort(ring, kind="stable")[np.count_nonzero(ring < 0) :]
        self.ring = ring[order]
        self.y, self.x, self.r = (a.ravel()[order] for a in (y, x, r))
        self.bins: Indices = bins.ravel()[order]
        rows = order // canvas.shape[2]
        self.rows = slice(int(rows.min()), int(rows.max()) + 1)
        # Positions counted from the first of those rows.
        self.at: Indices = order - self.rows.start * canvas.shape[2]

    def count_within(self, far: Floats, *, beyond: bool = False) -> list[int]:
        """Return, for each slice, how many pixels hold all those within `far` [n_z, BINS] mm.

        With `beyond`, how many can be skipped without losing one that lies outside `far`.
        """
        ring = far * self.scale
        edge = np.floor(ring.min(1)) if beyond else np.floor(ring.max(1)) + 1
        counts: list[int] = np.searchsorted(self.ring, edge).tolist()
        return counts


def paint_trunk(canvas: Canvas, patient: Patient, rays: Rays, workers: Executor) -> None:
    """Paint everything whose outline is a function of angle and height."""
    pixels = _BodyPixels(canvas, rays)
    box = (slice(None), pixels.rows, slice(None))
    texture = Lattice(canvas, part_rng(patient.seed, "texture of the body"), 7.0, box)
    wall = _ChestWall(canvas, patient, rays, pixels, box)
    inside = _ChestContents(canvas, patient, pixels)
    reach = np.float32(canvas.edge * 0.51)
    body = pixels.count_within(rays.outermost + reach)
    chest = pixels.count_within(rays.inner + reach)
    near = pixels.count_within(rays.inner + WALL_DEPTH)
    deep = pixels.count_within(rays.inner - reach, beyond=True)

    def paint(some: slice) -> None:
        """Paint some slices; those of several threads do not touch each other."""
        heights = list(enumerate(rays.heights))[some]
        picture = np.empty(canvas.shape[1:], np.float32)
        rows = picture[pixels.rows].reshape(-1)
        noise = zip(texture.slices(some), wall.planes.slices(some), strict=True)
        for (i, z), (tex_rows, planes) in zip(heights, noise, strict=True):
            tex = tex_rows.ravel().take(pixels.at[: body[i]])
            d_in = rays.inner[i].take(pixels.bins[: body[i]])
            d_in -= pixels.r[: body[i]]
            img = np.empty(body[i], np.float32)
            wall.paint(i, deep[i], img, d_in, tex, planes)
            lung = inside.paint(z, deep[i], img[: chest[i]], d_in[: chest[i]], tex[: chest[i]])
            parts = (
                (canvas.hu, img, -1000),
                (canvas.lung, lung, 0),
                (canvas.wall, d_in[: near[i]], -99),
            )
            for whole, values, around in parts:
                # Scattered in cache, then written in one go.
                picture.fill(around)
                rows[pixels.at[: len(values)]] = values
                whole[i] = picture

    list(workers.map(paint, texture.blocks()))


class _ChestWall:
    """Skin, fat, muscles, ribs and shoulder blades."""

    def __init__(
        self, canvas: Canvas, patient: Patient, rays: Rays, pixels: _BodyPixels, box: Any
    ) -> None:
        self.p, self.rays, self.pixels, self.edge = patient, rays, pixels, canvas.edge
        self.planes = Lattice(canvas, part_rng(patient.seed, "muscle planes"), 24.0, box)
        self.ribs, self.cartilage = _rib_tables(np.array(rays.heights), rays.centres)
        c, s = np.cos(rays.centres), np.sin(rays.centres)
        self.turn = np.arctan2(s, np.abs(c))
        # Up to which pixel of each slice there may be muscle or ribs, and where shoulder blades.
        within, inner = pixels.count_within, rays.inner
        self.fleshy = within(rays.muscle + np.float32(self.edge * 0.51))
        self.ribbed = within(inner + np.float32(11.1))
        self.blade = (
            within(inner + np.float32(18.5), beyond=True),
            within(inner + np.float32(25.5)),
        )
        self.bony: list[bool] = (self.ribs.min(1) < 6.1).tolist()

    def paint(
        self, i: int, deep: int, img: Floats, d_in: Floats, tex: Floats, planes: Floats
    ) -> None:
        """Paint slice `i`; its first `deep` pixels lie inside the chest and are skipped."""
        img, d_in, tex = img[deep:], d_in[deep:], tex[deep:]
        p, end = self.pixels, deep + len(img)
        bins, r = p.bins[deep:end], p.r[deep:end]
        z = self.rays.heights[i]
        d_mus, d_body = self.rays.muscle[i].take(bins), self.rays.skin[i].take(bins)
        d_mus -= r
        d_body -= r
        # HU are counted from that of air, with which the pixels are filled.
        np.multiply(tex, np.float32(7), out=img)
        img += np.float32(-104)
        if self.p.breast and abs(z - 10) < 70:
            self._add_gland(img, z, deep, d_mus, d_body, tex)
        img *= d_body >= 1.8
        img += np.float32(1000)
        img *= soft(d_body, self.edge)
        img += np.float32(-1000)
        n = self.fleshy[i] - deep
        flesh = tex[:n] * np.float32(6)
        flesh += np.float32(self.p.muscle_hu)
        plane = planes.ravel().take(p.at[deep : deep + n])
        flesh -= _fat_planes(plane, d_in[:n], d_mus[:n])
        _mix(img[:n], soft(d_mus[:n], self.edge), flesh)
        if self.bony[i]:
            n = self.ribbed[i] - deep
            self._paint_ribs(i, img[:n], bins[:n], d_in[:n])
        if -128 < z < 25:
            some = slice(self.blade[0][i] - deep, self.blade[1][i] - deep)
            self._paint_scapula(z, img[some], bins[some], d_in[some])

    def _add_gland(
        self, tissue: Floats, z: float, deep: int, d_mus: Floats, d_body: Floats, t: Floats
    ) -> None:
        """Add the HU of glandular tissue to the breast's fat."""
        y, x = (a[deep : deep + len(t)] for a in (self.pixels.y, self.pixels.x))
        k = np.flatnonzero((d_mus < -5) & (d_body > 5) & (y < -15))
        near = np.clip((-5 - d_mus[k]) / 6, 0, 1)
        near *= np.float32(np.exp(-(((z - 10) / 34) ** 2)))
        near *= np.clip((d_body[k] - 5) / 5, 0, 1)
        near *= np.clip(1.6 - np.abs(np.abs(x[k]) - 78) / 28, 0, 1)
        share = near * 1.6 + 0.45 * t[k] * near - (0.9 - self.p.gland)
        tissue[k] += np.clip(share, 0, 0.85) * 130

    def _paint_ribs(self, i: int, img: Floats, bins: Indices, d_in: Floats) -> None:
        """Paint ribs and their cartilage into pixels from the chest's inside to 11 mm outside."""
        d = self.ribs[i].take(bins)
        d *= d
        off = d_in + np.float32(5.5)
        off *= np.float32(1.1)
        off *= off
        d += off
        np.subtract(np.float32(5.2), np.sqrt(d, out=d), out=d)
        bone = (d > 2.6) * np.float32(-390)
        bone += np.float32(620)
        _mix(bone, self.cartilage[i].take(bins), np.float32(115))
        _mix(img, soft(d, self.edge), bone)

    def _paint_scapula(self, z: float, img: Floats, bins: Indices, d_in: Floats) -> None:
        """Paint the shoulder blades into pixels about 22 mm outside the chest's inside."""
        t = (z + 128) / 153
        width = 0.36 * (1 - t) ** 0.5 + 0.05
        lean = 0.25 if self.p.arms_up else 0.0
        centre = 0.92 - 0.12 * t - lean * (1 - t)
        along = ((width - np.abs(self.turn - centre)) * 120).astype(np.float32)
        d = np.minimum(along.take(bins), 2.6 - np.abs(d_in + 22))
        _mix(img, soft(d, self.edge), np.float32(560))


def _mix(values: Floats, share: Any, other: Any) -> None:
    """Move values towards others by a share: 0 or False keeps them, 1 or True replaces them.

    In arrays that fit the cache this is several times as fast as choosing by index or mask.
    """
    change = other - values
    change *= share
    values += change


def _fat_planes(plane: Floats, d_in: Floats, d_mus: Floats) -> Floats:
    """Return by how many HU planes of fat between muscle layers lower the muscle.

    The planes follow the noise `plane`. Overwrites `plane`.
    """
    off = plane * np.float32(4)
    off += d_in + np.float32(17)
    plane += np.float32(2.2)
    plane -= np.abs(off, out=off)
    plane *= d_mus > 4
    plane *= np.float32(0.4)
    plane.clip(0, 1, out=plane)
    plane *= np.float32(120)
    return plane


class _ChestContents:
    """The lungs, the mediastinal fat and, below the diaphragm, the abdomen."""

    def __init__(self, canvas: Canvas, patient: Patient, pixels: _BodyPixels) -> None:
        self.p, self.edge, self.x = patient, canvas.edge, pixels.x
        y, x = pixels.y, pixels.x
        self.dome = patient.diaphragm_height(y, x).astype(np.float32)
        self.apex = patient.apex_height(y, x).astype(np.float32)
        self.rise, self.fall = (v.astype(np.float32) for v in patient.mediastinum_shape(y))
        self.off = np.abs(x - np.float32(2))
        self.lowest_apex = np.maximum.accumulate(self.apex)
        self.base = (patient.lung_hu + patient.lung_gradient * y / 90).astype(np.float32)
        # Height of the oblique fissure at y, measured along its normal; see `Patient.lobe`.
        self.fissure = (50 - y) * np.float32(1.2 * 0.64)
        self.abdomen = _Abdomen(patient, y, x)

    def paint(self, z: float, deep: int, img: Floats, d_in: Floats, tex: Floats) -> Floats:
        """Paint the pixels inside the chest; return each one's share of lung.

        The first `deep` pixels lie wholly inside; what is in `img` there does not count.
        """
        n, reach = len(img), self.edge * 0.51
        under = z - self.dome[:n]
        lowest = float(under.max())
        fill = tex * np.float32(8)
        fill += np.float32(-92)
        if lowest > 0:
            _mix(fill, under > 0, self.abdomen.slice(z, under, d_in, tex))
        img[:deep] = fill[:deep]
        _mix(img[deep:], soft(d_in[deep:], self.edge), fill[deep:])
        depth = self._beside_mediastinum(z, n)
        np.minimum(depth, d_in - np.float32(1.5), out=depth)
        if lowest * -0.75 < reach:
            under *= np.float32(-0.75)
            np.minimum(depth, under, out=depth)
        if (z - float(self.lowest_apex[n - 1])) * 0.8 < reach:
            above = z - self.apex[:n]
            above *= np.float32(0.8)
            np.minimum(depth, above, out=depth)
        lung = soft(depth, self.edge)
        air = tex * np.float32(9)
        air += self.base[:n]
        air += self._fissures(z, n)
        _mix(img, lung, air)
        return lung

    def _beside_mediastinum(self, z: float, n: int) -> Floats:
        """Return the distance in mm outside `Patient.mediastinum`."""
        half, front = self.p.mediastinum_width(z)
        out: Floats = self.off[:n] - np.float32(front)
        out -= np.float32(half - front) * self.rise[:n]
        out += np.float32(half - 25) * self.fall[:n]
        return out

    def _fissures(self, z: float, n: int) -> Floats:
        """Return the HU that the fissures add."""
        fissure = self.fissure[:n]
        off = (z + 75) * 0.64 - fissure
        np.abs(off, out=off)
        if abs(z - 2) < 2:
            at = np.flatnonzero((self.x[:n] < 0) & (fissure > 49))
            off[at] = np.minimum(off[at], abs(z - 2))
        out: Floats = np.subtract(np.float32(1.3), off, out=off)
        out.clip(0, 1, out=out)
        out *= np.float32(75)
        return out


class _Abdomen:
    """Liver, stomach, spleen and fat below the diaphragm."""

    def __init__(self, p: Patient, y: Floats, x: Floats) -> None:
        self.p, self.y, self.x = p, y, x
        top = p.left_dome
        self.spleen = (((x - 88) / 38) ** 2 + ((y - 42) / 44) ** 2, top + 54, 52.0)
        self.stomach = (((x - 66) / 45) ** 2 + ((y + 16) / 62) ** 2, top + 46, 52.0)
        self.air = y < -18 - 26 * p.stomach_gas
        self.edge = 38 - np.clip(y + 20, 0, 60) * 0.55
        self.beside_spine = (x - 3) ** 2

    def slice(self, z: float, under: Floats, d_in: Floats, tex: Floats) -> Floats:
        """Return the HU of the first pixels, which lie `under` mm below the diaphragm."""
        p, x, y = self.p, self.x[: len(tex)], self.y[: len(tex)]
        out: Floats = tex * np.float32(8)
        out += np.float32(-100)
        q = self._radius(self.spleen, z, len(tex))
        if q is not None:
            _mix(out, q < 1, tex * np.float32(5) + np.float32(p.spleen_hu))
        q = self._radius(self.stomach, z, len(tex))
        if q is not None:
            inner = tex * np.float32(12)
            inner += np.float32(18)
            _mix(inner, self.air[: len(tex)], np.float32(-960))
            _mix(inner, q > 0.84, np.float32(45))
            _mix(out, q < 1, inner)
        flesh = tex * np.float32(5)
        flesh += np.float32(p.liver_hu)
        off = tex - np.float32(0.9)
        flesh += (np.abs(off, out=off) < 0.12) * np.float32(30 if p.contrast == "venous" else -8)
        _mix(out, (x < self.edge[: len(tex)] - (z - p.right_dome) * 0.25) & (d_in > 3), flesh)
        ys = float(p.spine_y(z)) + 2
        off = y - ys
        off *= np.float32(0.8)
        off *= off
        off += self.beside_spine[: len(tex)]
        fat = tex * np.float32(8)
        fat += np.float32(-95)
        _mix(out, (y < ys + 5) & (off < 33**2), fat)
        _mix(out, (under < 3.0) | (d_in < 3), np.float32(p.muscle_hu))
        return out

    @staticmethod
    def _radius(organ: tuple[Any, float, float], z: float, n: int) -> Floats | None:
        """Return the first pixels' radius in an ellipsoid, squared; None where it has no part."""
        across = ((z - organ[1]) / organ[2]) ** 2
        if across >= 1:
            return None
        q: Floats = organ[0][:n] + across
        return q


def _rib_tables(zs: Any, theta: Any) -> tuple[Floats, Any]:
    """Return [n_z, BINS] twice: mm along z to the nearest rib; whether that is cartilage."""
    # A quarter of the angles is enough. `progress`: 0 at the spine, 1 in front.
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
            # The cartilage rises from the end of the rib to the sternum.
            up = np.clip(progress - reach, 0, 1) / (1 - reach)
            climb = line - up * (6 + 9 * k)
            off = np.clip((reach - progress) * 300, 0, 99) + np.clip(
                (progress - 0.955) * 400, 0, 99
            )
            cartilage = np.minimum(cartilage, np.abs(zs[:, None] - climb[None]) * 0.8 + off[None])
    soft_part = np.repeat(cartilage < ribs, 4, axis=1)
    return np.repeat(np.minimum(ribs, cartilage).astype(np.float32), 4, axis=1), soft_part
