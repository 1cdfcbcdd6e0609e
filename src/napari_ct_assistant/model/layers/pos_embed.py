"""Fixed 3D sine-cosine position embeddings: the MAE code's `pos_embed.py` with a third axis."""

from __future__ import annotations

import torch
from torch import Tensor


def get_3d_sincos_pos_embed(embed_dim: int, grid_size: tuple[int, int, int]) -> Tensor:
    """Return the position embedding of every token of a grid.

    Parameters
    ----------
    embed_dim : int
        Channels. A third of them encodes each axis; what 6 does not divide stays zero.
    grid_size : (d, h, w)

    Returns
    -------
    Tensor [d*h*w, embed_dim]
        D-major, like the tokens.

    Raises
    ------
    ValueError
        If there are fewer than 6 channels.
    """
    per_axis = embed_dim // 6 * 2
    if per_axis < 2:
        raise ValueError(f"3D sine-cosine positions need at least 6 channels, got {embed_dim}")
    omega = 1.0 / 10000 ** (torch.arange(per_axis // 2, dtype=torch.float64) / (per_axis / 2))
    axes = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in grid_size), indexing="ij")
    parts = []
    for axis in axes:
        angle = axis.reshape(-1, 1) * omega
        parts += [angle.sin(), angle.cos()]
    pos_embed = torch.cat(parts, dim=1)
    return torch.nn.functional.pad(pos_embed, (0, embed_dim - pos_embed.shape[1])).float()
