"""Turn the masks of a scan into patch labels.

A mask is resampled by the function that resamples the scan, so both are always aligned. A patch is
labelled if the mask covers enough of it. Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from napari_ct_assistant.training.data.datasets.record import ScanMasks
from napari_ct_assistant.training.data.masks.files import (
    mask_file,
    read_channels,
    read_own,
    read_scan_grid,
)
from napari_ct_assistant.volume import CTReadError, CTVolume, ModelGrid, prepare


def label_patches(
    masks: ScanMasks, scan: CTVolume, grid: ModelGrid, image: Path
) -> NDArray[np.uint8]:
    """Return for each concept of the masks the patches that it covers.

    Parameters
    ----------
    masks : ScanMasks
    scan : CTVolume
    grid : ModelGrid
        The scan's box, from `place`.
    image : Path
        The scan's file.

    Returns
    -------
    uint8 [concepts, d, h, w]
        1 where a patch is covered enough; a concept's best covered patch is always labelled.

    Raises
    ------
    CTReadError
        If a mask cannot be read or aligned with the scan; it names the file.
    """
    shares = np.zeros((len(masks.parts), *grid.tokens), np.float32)
    for number, part in _parts(masks, scan, grid, image):
        shares[number] += part
    # Structures do not overlap; two masks of one concept may, but cannot cover more than all.
    np.minimum(shares, 1, out=shares)
    least = np.array([cover for _, _, cover in masks.parts], np.float32)
    enough = np.minimum(least, shares.max(axis=(1, 2, 3)))[:, None, None, None]
    labels: NDArray[np.uint8] = ((shares >= enough) & (shares > 0)).astype(np.uint8)
    return labels


def _parts(
    masks: ScanMasks, scan: CTVolume, grid: ModelGrid, image: Path
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield the number of a concept and the share of each patch that one of its masks covers."""
    path = masks.path
    if masks.kind == "files":
        for number, (name, files, _) in enumerate(masks.parts):
            for file in files:
                found = mask_file(masks, name, str(file))
                if found is None:
                    continue
                mask = _read(found, masks, scan, image)
                shown = CTVolume((mask.hu > 0).astype(np.int16), mask.affine)
                yield number, _share(found, shown, _boxes(shown), (1,), grid)
    elif masks.kind == "channels":
        for number, (_, channels, _) in enumerate(masks.parts):
            if channels:
                mask = read_channels(path, [int(c) for c in channels], scan, image)
                yield number, _share(path, mask, _boxes(mask), (1,), grid)
    else:
        mask = _read(path, masks, scan, image)
        boxes = _boxes(mask)
        for number, (_, labels, _) in enumerate(masks.parts):
            yield number, _share(path, mask, boxes, [int(v) for v in labels], grid)


def _read(path: Path, masks: ScanMasks, scan: CTVolume, image: Path) -> CTVolume:
    return read_scan_grid(path, scan, image) if masks.grid == "scan" else read_own(path, scan)


def _boxes(mask: CTVolume) -> list[Any]:
    """Return the bounding box of labels 1, 2, ...; None for labels that are absent."""
    return list(find_objects(mask.hu))


def _share(
    path: Path, mask: CTVolume, boxes: list[Any], labels: Sequence[int], grid: ModelGrid
) -> NDArray[np.float32]:
    """Return the share of each patch [d, h, w] that the given labels of a mask cover."""
    found = [boxes[v - 1] for v in labels if v <= len(boxes) and boxes[v - 1] is not None]
    if not found:
        return np.zeros(grid.tokens, np.float32)
    # Crop to the structure, with as much around it as resampling reads.
    crop, start = [], []
    for axis, size in enumerate(mask.shape):
        reach = int(np.ceil(grid.spacing[axis] / mask.spacing[axis])) + 2
        low = max(0, min(box[axis].start for box in found) - reach)
        crop.append(slice(low, min(size, max(box[axis].stop for box in found) + reach)))
        start.append(low)
    affine = mask.affine.copy()
    affine[:3, 3] = mask.index_to_ras(start)
    part = CTVolume(np.isin(mask.hu[tuple(crop)], labels).astype(np.int16), affine)
    try:
        # Smoothed to the box's voxels; otherwise thin structures could fall between them.
        covered = prepare(part, grid, hu_range=(0, 1), antialias=True)
    except ValueError:
        raise CTReadError(
            path, "its axes are rotated against the scan's; resample it to the scan's grid"
        ) from None
    d, h, w = grid.tokens
    i, p, left = grid.patch
    share: NDArray[np.float32] = covered.reshape(d, i, h, p, w, left).mean(axis=(1, 3, 5))
    return share
