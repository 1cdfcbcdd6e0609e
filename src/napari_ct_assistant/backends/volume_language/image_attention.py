"""Attention that notes what each image token adds, in one backward pass for all tokens of a text.

The gradient for the keys and values of the image tokens, times their difference from those of the
zero image, falls into a part for each token that attends to them. Autograd returns only the sum;
here the parts are kept, so that they can be added up for each sentence.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, DynamicCache

from napari_ct_assistant.model.layers.onednn import product
from napari_ct_assistant.support.errors import CTAssistantError

NAME: Final = "ct_assistant_evidence"
KEPT: Final = 1 << 21  # attention weights of a layer that are kept; more are computed again


class UnknownAttentionError(CTAssistantError):
    """A language model attends in a way that `ImageAttention` does not compute."""


@dataclass(eq=False)
class Contributions:
    """What the tokens of a text take from the prefix.

    Attributes
    ----------
    sees : bool Tensor [T, past + T]
        Which keys each token of the text attends to.
    live : bool Tensor [T, T]
        Through which of the text's own keys and values the gradient goes; others are constant.
    with_scan, blind : DynamicCache
        Keys and values with the scan, and with the zero image.
    values : float32 Tensor [T, prefix]
        The gradient of the likelihood times the difference, summed over layers, heads and
        channels. Complete after the backward pass.
    """

    sees: Tensor
    live: Tensor
    with_scan: DynamicCache
    blind: DynamicCache
    values: Tensor = field(init=False)

    def __post_init__(self) -> None:
        prefix = self.blind.get_seq_length()
        self.values = torch.zeros(len(self.sees), prefix, device=self.sees.device)


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,  # noqa: ARG001 - transformers' name; `sees` counts
    scaling: float | None = None,
    *,
    contributions: Contributions | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attend as transformers' attention functions do. query: [1, heads, T, d] -> [1, T, heads, d].

    Raises
    ------
    UnknownAttentionError
        If the model asks for more than softmax(q k^T) v.
    """
    window = sliding_window is not None and sliding_window < key.shape[2]
    layer: Any = getattr(module, "layer_idx", None)
    if contributions is None or window or softcap is not None or s_aux is not None or layer is None:
        raise UnknownAttentionError
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    out: Tensor = ImageAttention.apply(query[0] * scale, key[0], value[0], contributions, layer)
    return out.transpose(0, 1)[None].contiguous(), None


AttentionInterface.register(NAME, attention)


class ImageAttention(torch.autograd.Function):
    """softmax(q k^T + mask) v for grouped heads, of which the way back adds up contributions.

    The past is constant: no gradient for its keys and values is returned.
    """

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        noted: Contributions,
        layer: int,
    ) -> Tensor:
        """query: [heads, T, d], already scaled; key, value: [groups, past + T, d]."""
        # [groups, heads of a group * T, d]
        grouped = query.reshape(len(key), -1, query.shape[-1])
        kept, out = [], []
        for q, k, v in zip(grouped, key, value, strict=True):
            weights = _weights(q, k, noted.sees)
            out.append(product(weights, v.t()))
            kept.append(weights)
        ctx.noted, ctx.layer = noted, layer
        keep = sum(weights.numel() for weights in kept) <= KEPT
        ctx.save_for_backward(grouped, key, value, *(kept if keep else ()))
        return torch.stack(out).view(query.shape)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        """Return the gradients of query, key and value."""
        query, keys, values, *kept = ctx.saved_tensors
        noted: Contributions = ctx.noted
        gradient = gradients[0].reshape(query.shape)
        length, prefix = noted.values.shape
        seen, blind = noted.with_scan.layers[ctx.layer], noted.blind.layers[ctx.layer]
        by_key = (seen.keys[0] - blind.keys[0]).to(query.dtype)
        by_value = (seen.values[0] - blind.values[0]).to(query.dtype)
        past = keys.shape[1] - length
        of_query = torch.empty_like(query)
        of_key, of_value = torch.zeros_like(keys), torch.zeros_like(values)
        for group, (q, k, v, g) in enumerate(zip(query, keys, values, gradient, strict=True)):
            weights = kept[group] if kept else _weights(q, k, noted.sees)
            of_weights = product(g, v)
            of_scores = weights * (of_weights - (of_weights * weights).sum(-1, keepdim=True))
            added = of_scores[:, :prefix] * product(q, by_key[group])
            added += weights[:, :prefix] * product(g, by_value[group])
            by_token = added.view(-1, length, prefix).sum(0, dtype=torch.float32)
            noted.values += by_token.to(noted.values.device)
            of_query[group] = product(of_scores, k.t())
            for found, x, y in ((of_key, of_scores, q), (of_value, weights, g)):
                live = x[:, past:].reshape(-1, length, length) * noted.live.to(x.device)
                found[group, past:] = product(live.view(-1, length).t(), y.t())
        return of_query.view(gradients[0].shape), of_key, of_value, None, None


def _weights(query: Tensor, keys: Tensor, sees: Tensor) -> Tensor:
    """Attention of one group. query: [n T, d], keys: [N, d], sees: [T, N] -> [n T, N]."""
    scores = product(query, keys).view(-1, *sees.shape)
    weights = scores.masked_fill(~sees.to(scores.device), -torch.inf).softmax(
        -1, dtype=torch.float32
    )
    return weights.to(query.dtype).view(-1, len(keys))
