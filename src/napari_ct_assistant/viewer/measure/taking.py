"""Takes the selected ruler or region as a measurement that a report can state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.assistant.report.label_mask import Point
from napari_ct_assistant.assistant.report.measurement import DrawnShape, Measurement, Plane
from napari_ct_assistant.viewer.measure.regions import (
    AREAS,
    LENGTHS,
    ellipse_outline,
    shape_indices,
    shape_region,
)
from napari_ct_assistant.viewer.scan.belonging import is_foreign
from napari_ct_assistant.viewer.scan.layers import index_to_world, volume_of
from napari_ct_assistant.viewer.views.planes import PLANES, current_plane
from napari_ct_assistant.volume.regions import patient_side

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_ct_assistant.volume import CTVolume

NAMES: tuple[Plane, ...] = ("axial", "coronal", "sagittal")


def chosen_shapes(layer: Any) -> list[int]:
    """Return the selected shapes of a layer, the last one if none is selected."""
    chosen = sorted(n for n in layer.selected_data if n < len(layer.data))
    return chosen or list(range(len(layer.data)))[-1:]


def take_shapes(viewer: Viewer, scan_layer: Any, layer: Any) -> Measurement | None:
    """Return the selected ruler or region of a scan's measurements.

    Two rulers that are selected together, or the selected one and one that crosses it on the
    same slice, are long and short axis.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    scan_layer : napari.layers.Image
    layer : napari.layers.Shapes
        With a feature ``key`` that tells its shapes apart.

    Returns
    -------
    Measurement or None
        None without a shape, if it lies outside the scan, or on another scan.
    """
    volume = volume_of(scan_layer)
    if volume is None or layer is None or is_foreign(layer, volume) or not len(layer.data):
        return None
    chosen = chosen_shapes(layer)
    if layer.shape_type[chosen[-1]] in AREAS:
        return _region(viewer, scan_layer, layer, chosen[-1], volume)
    rulers = [n for n in chosen if layer.shape_type[n] in LENGTHS][-2:]
    if not rulers:
        return None
    if len(rulers) == 1:
        crossing = _crossing(viewer, scan_layer, layer, rulers[0])
        rulers += [] if crossing is None else [crossing]
    return _rulers(viewer, scan_layer, layer, rulers, volume)


def take_keys(
    viewer: Viewer, scan_layer: Any, layer: Any, keys: tuple[str, ...]
) -> Measurement | None:
    """Return the measurement of the shapes with these keys; None if one of them is gone."""
    volume = volume_of(scan_layer)
    if volume is None or layer is None or is_foreign(layer, volume):
        return None
    known = list(layer.features["key"])
    if not keys or any(key not in known for key in keys):
        return None
    numbers = [known.index(key) for key in keys]
    if layer.shape_type[numbers[0]] in AREAS:
        return _region(viewer, scan_layer, layer, numbers[0], volume)
    return _rulers(viewer, scan_layer, layer, numbers, volume)


def draw_again(scan_layer: Any, layer: Any, measurement: Measurement) -> None:
    """Draw the shapes of a measurement that are not on the layer any more."""
    volume = volume_of(scan_layer)
    if volume is None:
        return
    known = set(layer.features["key"])
    for key, shape in zip(measurement.keys, measurement.shapes, strict=False):
        if key in known:
            continue
        indices = volume.ras_to_index(np.array(shape.points))
        world = [index_to_world(scan_layer, index) for index in indices]
        layer.add(
            np.array([layer.world_to_data(point)[-3:] for point in world]), shape_type=shape.kind
        )
        keys = list(layer.features["key"])
        keys[-1] = key
        layer.features = layer.features.assign(key=np.array(keys, dtype=object))


def _rulers(
    viewer: Viewer, scan_layer: Any, layer: Any, numbers: list[int], volume: CTVolume
) -> Measurement | None:
    indices = {n: shape_indices(viewer, scan_layer, layer, n) for n in numbers}
    lengths = {n: _length(volume, indices[n]) for n in numbers}
    numbers = sorted(numbers, key=lambda n: -lengths[n])
    middle = np.mean([(i.min(axis=0) + i.max(axis=0)) / 2 for i in indices.values()], axis=0)
    if not _inside(volume, middle):
        return None
    plane = _plane(viewer, np.concatenate(list(indices.values())))
    short = lengths[numbers[1]] if len(numbers) > 1 else None
    index = round(float(middle[NAMES.index(plane)]))
    filed = volume.archive_number(index, NAMES.index(plane))
    return Measurement(
        kind="length" if short is None else "axes",
        keys=tuple(str(layer.features["key"].iloc[n]) for n in numbers),
        ras=_point(volume.index_to_ras(middle)),
        slice=round(float(middle[0])),
        side=patient_side(volume, middle),
        plane=plane,
        index=index,
        instance_number=filed.instance,
        frame_number=filed.frame,
        long_mm=lengths[numbers[0]],
        short_mm=short,
        shapes=tuple(_drawn(volume, layer, n, indices[n]) for n in numbers),
    )


def _region(
    viewer: Viewer, scan_layer: Any, layer: Any, number: int, volume: CTVolume
) -> Measurement | None:
    region = shape_region(viewer, scan_layer, layer, number)
    if region is None:
        return None
    indices = shape_indices(viewer, scan_layer, layer, number)
    plane = _plane(viewer, indices)
    numbers = region.statistics
    axis = NAMES.index(plane)
    outline = indices
    if layer.shape_type[number] == "ellipse":
        flat = ellipse_outline(np.delete(indices, axis, axis=1))
        outline = np.insert(flat, axis, indices[0, axis], axis=1)
    long_mm, short_mm = _axes(volume.index_to_ras(outline))
    index = round(float(indices[:, axis].mean()))
    filed = volume.archive_number(index, axis)
    return Measurement(
        kind="region",
        keys=(str(layer.features["key"].iloc[number]),),
        ras=region.ras,
        slice=region.slice,
        side=numbers.side,
        plane=plane,
        index=index,
        instance_number=filed.instance,
        frame_number=filed.frame,
        long_mm=long_mm,
        short_mm=short_mm,
        area_mm2=numbers.area_mm2,
        mean_hu=numbers.mean_hu,
        sd_hu=numbers.sd_hu,
        min_hu=numbers.min_hu,
        max_hu=numbers.max_hu,
        shapes=(_drawn(volume, layer, number, indices),),
    )


def _axes(outline: NDArray[np.float64]) -> tuple[float, float]:
    """Return the largest distance of two corners [N, 3] mm, and the extent across it."""
    away = outline[:, None] - outline[None]
    lengths = np.linalg.norm(away, axis=2)
    first, last = np.unravel_index(int(lengths.argmax()), lengths.shape)
    longest = float(lengths[first, last])
    along = (outline[last] - outline[first]) / longest
    rest = outline - outline[first]
    rest = rest - np.outer(rest @ along, along)
    # In the plane of the outline there is one direction across; its sign tells the two sides.
    across = rest[int(np.linalg.norm(rest, axis=1).argmax())]
    width = float(np.linalg.norm(across))
    return longest, float(np.ptp(rest @ (across / width))) if width else 0.0


def _crossing(viewer: Viewer, scan_layer: Any, layer: Any, number: int) -> int | None:
    """Return the newest other ruler that crosses a ruler on the same slice."""
    mine = shape_indices(viewer, scan_layer, layer, number)
    for other in reversed(range(len(layer.data))):
        if other == number or layer.shape_type[other] != "line" or len(mine) != 2:
            continue
        theirs = shape_indices(viewer, scan_layer, layer, other)
        both = np.concatenate([mine, theirs])
        flat = [axis for axis in range(3) if np.ptp(both[:, axis]) < 0.5]
        if flat and _cross(np.delete(mine, flat[0], axis=1), np.delete(theirs, flat[0], axis=1)):
            return other
    return None


def _cross(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    """Say whether two segments [2, 2] cross."""

    def sides(line: NDArray[np.float64], points: NDArray[np.float64]) -> bool:
        step = line[1] - line[0]
        offsets = points - line[0]
        turns = step[0] * offsets[:, 1] - step[1] * offsets[:, 0]
        return bool(turns[0] * turns[1] <= 0 and np.any(turns != 0))

    return sides(one, other) and sides(other, one)


def _plane(viewer: Viewer, indices: NDArray[np.float64]) -> Plane:
    """Return the plane in which points lie; the one on screen where several would do."""
    flat = [NAMES[axis] for axis in range(3) if np.ptp(indices[:, axis]) < 0.5]
    shown = current_plane(viewer)
    if shown in PLANES and shown in flat:
        return NAMES[PLANES[shown][0]]
    return flat[0] if flat else "axial"


def _length(volume: CTVolume, indices: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(np.diff(volume.index_to_ras(indices), axis=0), axis=1).sum())


def _inside(volume: CTVolume, index: NDArray[np.float64]) -> bool:
    return bool(np.all(index > -0.5) and np.all(index < np.array(volume.shape) - 0.5))


def _drawn(volume: CTVolume, layer: Any, number: int, indices: NDArray[np.float64]) -> DrawnShape:
    points = tuple(_point(point) for point in volume.index_to_ras(indices))
    return DrawnShape(str(layer.shape_type[number]), points)


def _point(values: NDArray[np.float64]) -> Point:
    # A hundredth of a millimetre is finer than any voxel.
    x, y, z = (round(float(value), 2) for value in values)
    return x, y, z
