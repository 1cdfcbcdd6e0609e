"""The region that a reader has drawn: HU, size and position of a shape or a label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.assistant.reading.results import image_words
from napari_ct_assistant.support.translation import N_, said
from napari_ct_assistant.viewer.scan.belonging import is_foreign
from napari_ct_assistant.viewer.scan.layers import volume_of, world_to_index
from napari_ct_assistant.volume.dicom.instance_numbers import ArchiveNumber
from napari_ct_assistant.volume.regions import RegionStatistics, polygon_mask, region_statistics

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_ct_assistant.volume import CTVolume

AREAS: Final = (N_("rectangle"), N_("ellipse"), N_("polygon"))
_SIDES: Final = {
    "right": N_("on the right"),
    "left": N_("on the left"),
    "midline": N_("in the midline"),
}
LENGTHS: Final = ("line", "path")
_ELLIPSE: Final = np.linspace(0, 2 * np.pi, 73)[:-1]


@dataclass(frozen=True)
class Region:
    """A drawn region of a scan.

    Parameters
    ----------
    name
        Its name, such as "Measurements, ellipse 2".
    ras
        A point in the middle of the region, RAS mm.
    slice
        Axial slice index of that point.
    filed
        The archive's number of that slice.
    side
        "right", "left" or "midline" of the patient.
    statistics
        HU, area and volume.
    """

    name: str
    ras: tuple[float, float, float]
    slice: int
    filed: ArchiveNumber
    side: str
    statistics: RegionStatistics

    @property
    def text(self) -> str:
        """The region as one line, for a question or the transcript."""
        x, y, z = self.ras
        place = (
            f"{'RL'[x < 0]} {abs(x):.0f}, {'AP'[y < 0]} {abs(y):.0f}, {'HF'[z < 0]} {abs(z):.0f}"
        )
        return said(
            "{name}: {side}, {image} ({place} mm), {hu}, {size}",
            name=self.name,
            side=_SIDES[self.side],
            image=image_words(self.slice, self.filed),
            place=place,
            hu=self.statistics.hu_text,
            size=self.statistics.size_text,
        )


def selected_region(viewer: Viewer, scan_layer: Any) -> Region | None:
    """Return the region that is selected in a scan, None if there is none.

    If a Shapes layer is active, this is its selected shape, or its last shape if none is
    selected. If a Labels layer is active, it is the selected label. Otherwise it is the selected
    shape of a visible Shapes layer.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    scan_layer : napari.layers.Image
        A CT layer (see `layers.volume_of`).

    Returns
    -------
    Region or None
        None if no region is selected, if it contains no voxel of the scan, or if its layer
        belongs to another scan.
    """
    volume = volume_of(scan_layer)
    if volume is None:
        return None
    viewer = getattr(viewer, "__wrapped__", viewer)  # napari gives plugins a slow proxy
    active = viewer.layers.selection.active
    if active is not None and is_foreign(active, volume):
        active = None
    kind = _kind(active)
    if kind == "labels":
        return _label_region(viewer, scan_layer, volume, active)
    if kind == "shapes":
        chosen = sorted(active.selected_data) or range(len(active.data))[-1:]
        drawn = [n for n in chosen if active.shape_type[n] in AREAS]
        return shape_region(viewer, scan_layer, active, drawn[-1]) if drawn else None
    for layer in reversed(viewer.layers):
        if _kind(layer) == "shapes" and layer.visible and not is_foreign(layer, volume):
            for number in sorted(layer.selected_data, reverse=True):
                if layer.shape_type[number] in AREAS:
                    return shape_region(viewer, scan_layer, layer, number)
    return None


def shape_region(viewer: Viewer, scan_layer: Any, layer: Any, number: int) -> Region | None:
    """Return the region inside shape `number` of a Shapes layer.

    None if the shape does not lie in one slice of the scan, contains no voxel of it, or was
    drawn on another scan.
    """
    volume = volume_of(scan_layer)
    kind = layer.shape_type[number]
    if volume is None or kind not in AREAS or is_foreign(layer, volume):
        return None
    corners = shape_indices(viewer, scan_layer, layer, number)
    axis = int(np.argmin(np.ptp(corners, axis=0)))
    at = round(float(corners[:, axis].mean()))
    if np.ptp(corners[:, axis]) > 0.5 or not 0 <= at < volume.shape[axis]:
        return None
    flat = np.delete(corners, axis, axis=1)
    if kind == "ellipse":
        flat = ellipse_outline(flat)
    rows, columns = np.delete(volume.shape, axis)
    mask, (row, column) = polygon_mask(flat, (int(rows), int(columns)))
    start = np.insert([row, column], axis, at)
    return _measured(
        said("{layer}, {shape} {number}", layer=layer.name, shape=kind, number=number + 1),
        volume,
        np.expand_dims(mask, axis),
        start,
    )


def shape_indices(viewer: Viewer, scan_layer: Any, layer: Any, number: int) -> NDArray[np.float64]:
    """Return a shape's vertices [N, 3] as fractional indices (i, p, l) of the scan.

    A two-dimensional Shapes layer is shown on every axial slice; the slice on screen is used.
    """
    world = np.array([layer.data_to_world(vertex)[-3:] for vertex in layer.data[number]])
    if world.shape[1] == 2:
        world = np.column_stack([np.full(len(world), viewer.dims.point[-3]), world])
    return np.array([world_to_index(scan_layer, point) for point in world])


def ellipse_outline(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points [72, 2] on the ellipse that fills a rectangle with corners [4, 2]."""
    along, across = (corners[1] - corners[0]) / 2, (corners[3] - corners[0]) / 2
    circle = np.outer(np.cos(_ELLIPSE), along) + np.outer(np.sin(_ELLIPSE), across)
    outline: NDArray[np.float64] = corners.mean(axis=0) + circle
    return outline


def label_box(data: Any, wanted: int) -> tuple[Any, Any]:
    """Return the first and last index of a label along each axis; (None, None) without voxels.

    `data` has three axes.
    """
    # Slice by slice: comparing a whole scan at once takes ten times the memory traffic.
    hits = [(n, np.asarray(one) == wanted) for n, one in enumerate(data)]
    hits = [(n, hit) for n, hit in hits if hit.any()]
    if not hits:
        return None, None
    flat = np.zeros(data.shape[1:], bool)
    for _, hit in hits:
        flat |= hit
    rows, columns = np.flatnonzero(flat.any(axis=1)), np.flatnonzero(flat.any(axis=0))
    return (
        np.array([hits[0][0], rows[0], columns[0]]),
        np.array([hits[-1][0], rows[-1], columns[-1]]),
    )


def _kind(layer: Any) -> str:
    from napari.layers import Labels, Shapes

    if isinstance(layer, Shapes):
        return "shapes"
    return "labels" if isinstance(layer, Labels) else ""


def _label_region(viewer: Viewer, scan_layer: Any, volume: CTVolume, layer: Any) -> Region | None:
    """Return the region of the selected label; the layer's grid may differ from the scan's."""
    wanted = layer.selected_label
    data = layer.data
    if wanted == 0 or layer.multiscale or data.ndim not in (2, 3):
        return None
    if data.ndim == 2:
        data = data[None]
    low, high = label_box(data, wanted)
    if low is None:
        return None
    # The axes of both grids are parallel (I, P, L), so each axis is looked up on its own.
    near = np.asarray(layer.translate, float)[-3:]
    step = np.asarray(layer.scale, float)[-3:]
    if near.size == 2:
        near = np.insert(near, 0, viewer.dims.point[-3])
        step = np.insert(step, 0, np.asarray(scan_layer.scale)[-3])
    ends = [world_to_index(scan_layer, near + (edge * step)) for edge in (low - 0.5, high + 0.5)]
    first = np.clip(np.ceil(np.minimum(*ends)).astype(int), 0, volume.shape)
    last = np.clip(np.floor(np.maximum(*ends)).astype(int) + 1, first, volume.shape)
    if np.any(first == last):
        return None
    lookup = []
    for axis in range(3):
        index = np.arange(first[axis], last[axis])
        world = index * np.asarray(scan_layer.scale)[-3:][axis]
        world = world + np.asarray(scan_layer.translate)[-3:][axis]
        label = np.floor((world - near[axis]) / step[axis] + 0.5).astype(int)
        lookup.append(np.clip(label, 0, data.shape[axis] - 1))
    mask = np.asarray(data[np.ix_(*lookup)] == wanted)
    return _measured(
        said("{layer}, label {number}", layer=layer.name, number=wanted), volume, mask, first
    )


def _measured(name: str, volume: CTVolume, mask: NDArray[np.bool_], start: Any) -> Region | None:
    if not mask.any():
        return None
    offset = (int(start[0]), int(start[1]), int(start[2]))
    statistics = region_statistics(volume, mask, offset)
    filed = volume.archive_number(statistics.slice)
    return Region(name, statistics.ras, statistics.slice, filed, statistics.side, statistics)
