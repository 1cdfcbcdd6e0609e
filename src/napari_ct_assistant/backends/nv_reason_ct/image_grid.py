"""Where the encoder's tokens lie, along the volume's axes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.volume import ModelGrid


def head_first(grid: ModelGrid) -> NDArray[np.float64]:
    """Return the affine of a grid's tokens (I, P, L) -> RAS mm; its own first axis goes up."""
    turn = np.diag([-1.0, 1.0, 1.0, 1.0])
    turn[0, 3] = grid.tokens[0] - 1
    result: NDArray[np.float64] = grid.token_affine @ turn
    return result
