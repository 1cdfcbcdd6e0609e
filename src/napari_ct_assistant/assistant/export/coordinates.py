"""The lines and outlines of a measurement as coordinates in the images that it was drawn on.

A drawn shape is kept in RAS mm, so that it does not matter how the slices were sorted, turned or
shifted into a volume: each point goes back through position, orientation and spacing of the very
file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.assistant.export.identifiers import Identifiers, ImageReference
from napari_ct_assistant.assistant.report.measurement import DrawnShape, Measurement
from napari_ct_assistant.volume.geometry import LPS_TO_RAS

Graphic = Literal["POLYLINE", "ELLIPSE", "POLYGON"]

# A value of VR FL in explicit VR has at most 65,534 bytes.
MOST_POINTS: Final = 5000
# A label of this many points in all is a tangle, not the outline of a finding.
MOST_POINTS_IN_ALL: Final = 200_000
# Shapes that go around no area.
OPEN: Final = ("line", "path")


@dataclass(frozen=True, eq=False)
class Located:
    """One shape as DICOM writes it.

    graphic: its GraphicType. points: column and row on `image` [N, 2], or, where no image holds
    the shape, LPS mm [N, 3].
    """

    graphic: Graphic
    points: NDArray[np.float64]
    image: ImageReference | None


def locate(measurement: Measurement, identifiers: Identifiers | None) -> list[Located]:
    """Return the shapes of a measurement where the scan's files have them.

    A shape that lies on an image of the scan is given in columns and rows of that image. Others,
    such as a ruler on a coronal plane or on an interpolated slice, are given in the files' frame
    of reference.

    Returns
    -------
    list of Located
        In the order of the shapes; an outline from slice to slice. Empty if nothing was drawn,
        or if the scan has no DICOM files or no frame of reference.
    """
    if identifiers is None:
        return []
    found = []
    total = 0
    for shape in _shapes(measurement, identifiers):
        one = _on_image(shape, identifiers) or _in_space(shape, identifiers)
        if one is None or len(one.points) > MOST_POINTS:
            return []
        total += len(one.points)
        if total > MOST_POINTS_IN_ALL:
            return []
        found.append(one)
    return found


def in_space(measurement: Measurement, identifiers: Identifiers) -> list[Located]:
    """Return the shapes of a measurement in the files' frame of reference, [] without one."""
    found = (_in_space(shape, identifiers) for shape in _shapes(measurement, identifiers))
    return [one for one in found if one is not None]


def _shapes(measurement: Measurement, identifiers: Identifiers) -> Iterator[DrawnShape]:
    yield from measurement.shapes
    mask = measurement.mask
    if mask is not None:
        # From image to image: along the axis that is nearest to their normal.
        steps = np.array(mask.affine[1:])
        normal = np.array([0, 0, 1]) if identifiers.normal is None else identifiers.normal
        across = np.abs(steps @ normal) / np.linalg.norm(steps, axis=1)
        for outline in mask.outlines(int(across.argmax())):
            points = tuple((float(x), float(y), float(z)) for x, y, z in outline[:-1])
            yield DrawnShape("polygon", points)


def _on_image(shape: DrawnShape, identifiers: Identifiers) -> Located | None:
    ras = np.array(shape.points, float)
    x, y, z = ras.mean(axis=0)
    image = identifiers.image_at((x, y, z))
    pixels = None if image is None else image.pixels(ras)
    if pixels is None:
        return None
    graphic, points = _drawn(shape.kind, pixels)
    return Located(graphic, points, image)


def _in_space(shape: DrawnShape, identifiers: Identifiers) -> Located | None:
    if not identifiers.frame_of_reference:
        return None
    closed = shape.kind not in OPEN
    corners = np.array(shape.points, float) @ LPS_TO_RAS[:3, :3]  # the same way back
    graphic, points = _drawn(shape.kind, _in_one_plane(corners) if closed else corners)
    return Located("POLYGON" if closed and graphic == "POLYLINE" else graphic, points, None)


def _in_one_plane(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points moved onto the plane that fits them best: they were rounded."""
    middle = corners.mean(axis=0)
    normal = np.linalg.svd(corners - middle)[2][2]
    return corners - np.outer((corners - middle) @ normal, normal)


def _drawn(kind: str, corners: NDArray[np.float64]) -> tuple[Graphic, NDArray[np.float64]]:
    """Return the graphic type of a shape, and its points in the order that the type wants."""
    if kind in OPEN:
        return "POLYLINE", corners
    if kind != "ellipse":
        return "POLYLINE", np.concatenate([corners, corners[:1]])
    middle = corners.mean(axis=0)
    axes = sorted(((corners[1] - corners[0]) / 2, (corners[3] - corners[0]) / 2), key=_longest)
    short, long = axes
    if abs(short @ long) <= 1e-3 * _longest(short) * _longest(long):
        # The ends of the long axis, then those of the short one (PS3.3 C.18.6.1.2).
        return "ELLIPSE", np.array([middle - long, middle + long, middle - short, middle + short])
    angles = np.linspace(0, 2 * np.pi, 73)[:, None]
    outline = middle + np.cos(angles) * long + np.sin(angles) * short
    outline[-1] = outline[0]
    return "POLYLINE", outline


def _longest(axis: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(axis))
