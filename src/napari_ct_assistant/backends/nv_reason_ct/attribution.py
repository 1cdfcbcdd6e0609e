"""Which places of a volume speak for a statement, through every layer of the language model.

Keys and values of the image tokens (the method of `volume_language.attribution`) miss what the
linear layers carry in their running state: 24 of 32 layers. Here the gradient of the statement's
log-likelihood goes back through the whole prompt to what the merger gives, and is multiplied by
the difference from what it gives for a volume of air. Positive values are kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from napari_ct_assistant.backends.nv_reason_ct.network.modeling import NVReasonCT
from napari_ct_assistant.backends.nv_reason_ct.network.positions import prompt_positions


def merger_gradient(
    model: NVReasonCT,
    prompt: list[int],
    answer: list[int],
    spans: Sequence[tuple[int, int]],
    image_tokens: Tensor,
    blind_tokens: Tensor,
) -> list[Tensor | None]:
    """Return what each image token adds to parts of an answer.

    One forward pass through prompt and answer; one backward pass, which computes each layer
    again, for each part.

    Parameters
    ----------
    prompt, answer : list of int
        Token ids, the volume's among them.
    spans : list of (begin, end)
        Parts of the answer, in tokens.
    image_tokens, blind_tokens : Tensor [1, N, hidden_size]
        Of the scan, and of a volume of air.

    Returns
    -------
    list of Tensor [N] or None
        None for an empty part.
    """
    leaf = image_tokens.detach().clone().requires_grad_(True)
    ids = torch.tensor([prompt + answer])
    positions, _ = prompt_positions(ids[0], model.image_token_id, model.sizes.grid)
    with _frozen(model), torch.enable_grad():
        hidden = _hidden(model, model.embed(ids.to(model.device), leaf), positions[:, None])
        begin = len(prompt) - 1
        scores = model.logits(hidden[0, begin : begin + len(answer)]).float().log_softmax(-1)
        target = torch.tensor(answer, device=scores.device)[:, None]
        each = scores.gather(1, target)[:, 0]
        found: list[Tensor | None] = []
        for a, b in spans:
            if b <= a:
                found.append(None)
                continue
            (gradient,) = torch.autograd.grad(each[a:b].sum(), leaf, retain_graph=True)
            found.append((gradient * (leaf.detach() - blind_tokens)).float().sum(-1)[0])
    return found


def _hidden(model: NVReasonCT, embeddings: Tensor, positions: Tensor) -> Tensor:
    """Return the last hidden states; of each layer only the input is kept for the way back."""
    text = model.language_model
    rotary = text.rotary_emb(embeddings, positions.to(embeddings.device))
    hidden = embeddings
    for layer in text.layers:
        # Without a mask, attention is causal and the linear layers have no padding.
        hidden = checkpoint(
            layer, hidden, position_embeddings=rotary, attention_mask=None, use_reentrant=False
        )
    normed: Tensor = text.norm(hidden)
    return normed


@contextmanager
def _frozen(model: NVReasonCT) -> Iterator[None]:
    """Let no parameter collect gradients meanwhile."""
    parameters = list(model.parameters())
    flags = [parameter.requires_grad for parameter in parameters]
    try:
        for parameter in parameters:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter, flag in zip(parameters, flags, strict=True):
            parameter.requires_grad_(flag)
