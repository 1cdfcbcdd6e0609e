"""Where the image tokens go among the text's embeddings: two rules, chosen by `image_splice`."""

from __future__ import annotations

import torch
from torch import Tensor


def splice_by_id(
    embeddings: Tensor, input_ids: Tensor, image_features: Tensor, image_token_id: int
) -> Tensor:
    """Put the image tokens where `image_token_id` stands.

    Parameters
    ----------
    embeddings : Tensor [B, T, hidden_size]
    input_ids : Tensor [B, T]
    image_features : Tensor [b, n, hidden_size]
        In the order of the volumes in `input_ids`.
    image_token_id : int

    Returns
    -------
    Tensor [B, T, hidden_size]

    Raises
    ------
    ValueError
        If `input_ids` hold another number of image tokens than the volumes have.
    """
    is_image = input_ids == image_token_id
    volumes, per_volume = image_features.shape[:2]
    found, expected = int(is_image.sum()), volumes * per_volume
    if found != expected:
        raise ValueError(
            f"input_ids hold {found} image tokens (id {image_token_id}) but {volumes} volume(s) of "
            f"{per_volume} tokens make {expected}; use the processor, which puts them in"
        )
    return embeddings.masked_scatter(is_image[..., None], image_features)


def splice_by_position(
    embeddings: Tensor, input_ids: Tensor, image_features: Tensor, image_token_id: int
) -> Tensor:
    """Put the n image tokens at positions 1 to n, whatever ids stand there (M3D).

    The ids are those that M3D's tokenizer makes of n image words and a question. With BOS, ids 1
    to n are the image's. Without BOS, ids 0 to n-1 are (or all n+1, from the processor: the last
    one is replaced in either case). Padding may come before them.

    Parameters and result are those of `splice_by_id`.

    Raises
    ------
    ValueError
        If a row does not hold the image tokens of its volume in one piece.
    """
    is_image = input_ids == image_token_id
    count, n = is_image.sum(1), image_features.shape[1]
    first = is_image.int().argmax(1)
    start = torch.where(count == n + 1, first + 1, first.clamp_min(1))
    where = start[:, None] + torch.arange(n, device=start.device)
    if (
        len(image_features) != len(input_ids)
        or input_ids.shape[1] <= int(where.max())
        or not bool(is_image.gather(1, where[:, :-1]).all())
    ):
        raise ValueError(
            f"each row of input_ids must hold {n} image tokens (id {image_token_id}) in one piece "
            f"for its volume, found {count.tolist()}; use the processor, which puts them in"
        )
    rows = torch.arange(len(where), device=where.device)[:, None]
    return embeddings.index_put((rows, where), image_features)
