"""Fixed 3D sine-cosine positions (the MAE code's 2D ones, with one axis more)."""

from __future__ import annotations

import torch
from torch import Tensor


def sincos_3d(grid: tuple[int, int, int], width: int) -> Tensor:
    """Return positions of a token grid.

    Parameters
    ----------
    grid : (d, h, w)
    width : int
        Channels; a third goes to each axis, what does not divide by 6 stays zero.

    Returns
    -------
    Tensor [d*h*w, width], D-major as the tokens are.
    """
    per_axis = width // 6 * 2
    if per_axis < 2:
        raise ValueError(f"3D sine-cosine positions need at least 6 channels, got {width}")
    frequency = 1.0 / 10000 ** (torch.arange(per_axis // 2, dtype=torch.float64) / (per_axis / 2))
    axes = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in grid), indexing="ij")
    parts = []
    for axis in axes:
        angle = axis.reshape(-1, 1) * frequency
        parts += [angle.sin(), angle.cos()]
    table = torch.cat(parts, dim=1)
    return torch.nn.functional.pad(table, (0, width - table.shape[1])).float()
