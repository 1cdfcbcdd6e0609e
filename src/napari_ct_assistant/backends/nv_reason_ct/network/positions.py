"""Where the tokens of a prompt stand on Qwen3.5's three position axes, with a CT volume in it."""

from __future__ import annotations

import torch
from torch import Tensor

Triple = tuple[int, int, int]


def prompt_positions(ids: Tensor, image_token_id: int, grid: Triple) -> tuple[Tensor, int]:
    """Return the positions of a prompt's tokens, and by how much later ones are moved.

    A token of the volume is at its place in the grid, counted from where the volume begins. The
    first token after the volume follows the larger of height and width; the number of slices
    plays no part (NV-Reason-CT's `get_rope_index`). A later token at index i is at i + delta.

    Parameters
    ----------
    ids : Tensor [T]
    image_token_id : int
    grid : (T, H, W)
        Tokens of the volume.

    Returns
    -------
    positions : Tensor [3, T]
    delta : int

    Raises
    ------
    ValueError
        If the prompt has another number of image tokens than the volume, or not in one piece.
    """
    places = torch.nonzero(ids == image_token_id)[:, 0]
    index = torch.arange(len(ids))
    if not len(places):
        return index.expand(3, -1), 0
    t, h, w = grid
    start, count = int(places[0]), t * h * w
    if len(places) != count or int(places[-1]) - start + 1 != count:
        raise ValueError(
            f"the prompt has {len(places)} image tokens, the volume {count} in one piece "
            f"({t} x {h} x {w})"
        )
    delta = max(h, w) - count
    positions = torch.where(index < start, index, index + delta).expand(3, -1).clone()
    axes = torch.meshgrid(*(torch.arange(n) for n in grid), indexing="ij")
    positions[:, start : start + count] = start + torch.stack(axes).flatten(1)
    return positions, delta
