"""From scores of cells to a heat map and ranked places in the scan."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.backends.heat_map import Evidence, HeatMap
from napari_ct_assistant.backends.i3resnet.places.cells import cell_affine
from napari_ct_assistant.volume import CTVolume

Floats = NDArray[np.float32]
COLD: Final = 0.9  # the share of the body's cells that the heat map leaves cold
MOST: Final = 6  # places that are offered
IN_BODY: Final = 0.5  # share of a cell


def place_evidence(
    scores: Floats, body: Floats, input_affine: NDArray[np.float64], layer: str, volume: CTVolume
) -> Evidence:
    """Return heat and places of one finding.

    The heat is relative to the scan: 0 at the 90th percentile of its body, 1 at its best place.

    Parameters
    ----------
    scores : float32 [x, y, z]
        Of a layer's cells.
    body : float32 [x, y, z]
        The share of each cell within the body.
    input_affine : float64 [4, 4]
        Index of the network's input -> RAS mm.
    layer : str
    volume : CTVolume
    """
    inside = body >= IN_BODY
    if not inside.any():
        return Evidence()
    cold = np.quantile(scores[inside], COLD)
    warm = np.where(inside, np.maximum(scores - cold, 0), 0)
    turned, affine = along_the_volume(warm, cell_affine(input_affine, layer))
    heat = HeatMap.from_attributions(turned, affine)
    found = Evidence.of(None, heat, volume)
    if heat is None:
        return found
    return replace(found, places=tuple(point for point, _ in heat.peaks(MOST)))


def along_the_volume(
    values: NDArray[np.float32], affine: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Turn cells with RAS axes (x, y, z) to the volume's (I, P, L), with their affine."""
    x, y, z = values.shape
    turn = np.zeros((4, 4))
    turn[0, 2] = turn[1, 1] = turn[2, 0] = -1.0
    turn[:, 3] = x - 1, y - 1, z - 1, 1.0
    turned = np.ascontiguousarray(values.transpose(2, 1, 0)[::-1, ::-1, ::-1])
    return turned, affine @ turn
