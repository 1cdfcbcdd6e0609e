"""One plane of a napari layer as a Qt image, with its position in world mm.

The linked views paint these images themselves. Two more napari canvases would need a second
viewer model with copies of every layer. On a chest of 275 slices, creating them takes the Qt
thread 1.3 s, and each of them takes 25 ms for every step of the crosshair.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF
from qtpy.QtGui import QImage, QPainter, QPolygonF

from napari_ct_assistant.viewer.measure.regions import ellipse_outline
from napari_ct_assistant.volume.slabs import Projection, project

_MODE = QPainter.CompositionMode
# Qt's equivalents of napari's blending modes; with other modes, a layer covers those below.
BLENDING: Final = {
    "additive": _MODE.CompositionMode_Plus,
    "minimum": _MODE.CompositionMode_Darken,
    "multiplicative": _MODE.CompositionMode_Multiply,
}
MAX_SHAPES: Final = 200
_RAMP: Final = np.linspace(0, 1, 256)


@dataclass(frozen=True)
class Picture:
    """A layer's plane as an image; `rect` is its extent in world mm (x: columns, y: rows)."""

    image: QImage
    rect: QRectF
    opacity: float
    mode: Any
    smooth: bool


@dataclass(frozen=True)
class Outline:
    """A drawn shape: its points in world mm, whether they form a closed line, colour and text."""

    points: QPolygonF
    closed: bool
    colour: tuple[float, ...]
    text: str


def layer_picture(
    layer: Any,
    axis: int,
    point: tuple[float, float, float],
    thickness: tuple[int, Projection] = (0, "none"),
) -> Picture | None:
    """Return the plane of an Image or Labels layer across `axis` at a world point.

    Parameters
    ----------
    layer : napari.layers.Layer
    axis : int
        0 axial, 1 coronal, 2 sagittal.
    point : tuple of float
        World mm along (I, P, L).
    thickness : (int, str), optional
        Reach and projection of a slab, see `volume.slabs.project`.

    Returns
    -------
    Picture or None
        None if the layer is hidden, of another kind, rotated, or does not reach that plane.
    """
    from napari.layers import Image, Labels

    if not isinstance(layer, Image | Labels) or not _is_plain(layer):
        return None
    if not layer.visible or layer.opacity == 0:
        return None
    scale, shift = np.asarray(layer.scale, float), np.asarray(layer.translate, float)
    index = round(float((point[axis] - shift[axis]) / scale[axis]))
    if not 0 <= index < layer.data.shape[axis]:
        return None
    plane = np.asarray(project(layer.data, axis, index, *thickness))
    if isinstance(layer, Labels):
        colours = _label_colours(layer, plane)
        smooth = False
    else:
        colours = _image_colours(layer, plane)
        smooth = str(layer.interpolation2d) != "nearest"
    if colours is None:
        return None
    rows, columns = (n for n in range(3) if n != axis)
    rect = QRectF(
        shift[columns] - scale[columns] / 2,
        shift[rows] - scale[rows] / 2,
        scale[columns] * plane.shape[1],
        scale[rows] * plane.shape[0],
    )
    height, width = plane.shape
    image = QImage(colours.data, width, height, 4 * width, QImage.Format.Format_RGBA8888)
    # The conversion copies the data, so that the image does not depend on the array.
    image = image.convertToFormat(QImage.Format.Format_ARGB32_Premultiplied)
    mode = BLENDING.get(str(layer.blending), _MODE.CompositionMode_SourceOver)
    return Picture(image, rect, float(layer.opacity), mode, smooth)


def layer_outlines(
    layer: Any, axis: int, point: tuple[float, float, float], reach_mm: float
) -> list[Outline]:
    """Return the shapes of a Shapes layer that lie within `reach_mm` of a plane."""
    from napari.layers import Shapes

    if not isinstance(layer, Shapes) or not layer.visible or layer.ndim != 3:
        return []
    texts = list(layer.features["label"]) if "label" in layer.features else []
    found = []
    for number, data in enumerate(layer.data[:MAX_SHAPES]):
        world = np.asarray(data) * np.asarray(layer.scale) + np.asarray(layer.translate)
        if np.abs(world[:, axis] - point[axis]).max() > reach_mm:
            continue
        kind = layer.shape_type[number]
        flat = np.delete(world, axis, axis=1)
        if kind == "ellipse":
            flat = ellipse_outline(flat)
        points = QPolygonF([QPointF(x, y) for y, x in flat])
        text = str(texts[number]) if number < len(texts) else ""
        colour = tuple(float(value) for value in layer.edge_color[number])
        found.append(Outline(points, kind not in ("line", "path"), colour, text))
    return found


def _is_plain(layer: Any) -> bool:
    """Return whether a layer is a single 3D volume whose axes are the world axes."""
    if getattr(layer, "multiscale", False) or getattr(layer, "rgb", False) or layer.ndim != 3:
        return False
    rotation = np.asarray(layer.affine.linear_matrix) @ np.asarray(layer.rotate)
    return bool(
        np.allclose(rotation, np.eye(3), atol=1e-6)
        and np.allclose(layer.affine.translate, 0)
        and np.allclose(layer.shear, 0)
        and np.all(np.asarray(layer.scale) > 0)
    )


def _image_colours(layer: Any, plane: NDArray[Any]) -> NDArray[np.uint8]:
    """Return `plane` as RGBA [rows, columns, 4], in the layer's colormap and contrast limits."""
    low, high = (float(limit) for limit in layer.contrast_limits)
    levels = plane.astype(np.float32)
    levels -= low
    levels *= 255 / max(high - low, 1e-6)
    np.clip(np.nan_to_num(levels, copy=False), 0, 255, out=levels)
    table = np.asarray(layer.colormap.map(_RAMP ** float(layer.gamma)))
    colours: NDArray[np.uint8] = np.round(table * 255).astype(np.uint8)
    return colours[levels.astype(np.uint8)]


def _label_colours(layer: Any, plane: NDArray[Any]) -> NDArray[np.uint8] | None:
    """Return a plane of labels as RGBA [rows, columns, 4], None if it has no label."""
    if not plane.any():
        return None
    if plane.min() >= 0 and plane.max() < 4096:
        values, places = np.arange(int(plane.max()) + 1), plane
    else:
        values, places = np.unique(plane, return_inverse=True)
    table = np.array(layer.colormap.map(values), dtype=float)
    table[values == 0] = 0
    if layer.show_selected_label:
        table[values != layer.selected_label] = 0
    colours: NDArray[np.uint8] = np.round(table * 255).astype(np.uint8)
    return colours[places.reshape(plane.shape)]
