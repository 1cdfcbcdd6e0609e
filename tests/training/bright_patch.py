"""The smallest store with masks: air, and in every other volume one bright patch."""

from __future__ import annotations

import numpy as np

SHAPE, GRID = (16, 32, 32), (2, 2, 2)


class OneBrightPatch:
    """Volumes of air; every other one is bright in one patch and labelled there."""

    def volume(self, index: int) -> np.ndarray:
        hu = np.full(SHAPE, -1000, np.int16)
        if index % 2:
            hu[8:, :16, :16] = 1000
        return hu

    def patch_labels(self, index: int) -> np.ndarray:
        labels = np.zeros((18, *GRID), np.uint8)
        labels[:2, 1, 0, 0] = index % 2
        return labels
