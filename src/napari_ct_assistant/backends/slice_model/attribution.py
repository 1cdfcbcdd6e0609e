"""Which slices speak for a statement: each slice's share of its likelihood.

The language model reads the slices from its keys and values. On the straight way from those of
slices without content to the scan's, the gradient of the statement's log-likelihood is summed
(integrated gradients, Sundararajan et al. 2017, arXiv 1703.01365): the sum over all tokens is the
statement's support. A slice's share is that of its image tokens and its label. Only the text runs
through the network again, `STEPS` times.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import Tensor

from napari_ct_assistant.backends.slice_model.snapshot import Snapshot

STEPS: Final = 8


def slice_shares(
    model: Any,
    seen: Snapshot,
    blind: Snapshot,
    question: Sequence[int],
    answer: Sequence[int],
    spans: Sequence[tuple[int, int]],
    owners: Tensor,
    slices: int,
) -> list[Tensor | None]:
    """Return what each slice adds to the log-likelihood of parts of an answer, in nats.

    Parameters
    ----------
    seen, blind : Snapshot
        Behind the scan's slices, and behind slices without content.
    question, answer
        Token ids behind the slices.
    spans : list of (begin, end)
        Parts of the answer, in tokens.
    owners : Tensor [prefix]
        To which slice each token of the prefix belongs; -1 for none.
    slices : int

    Returns
    -------
    list of Tensor [slices] or None
        None for an empty part.
    """
    ids = torch.tensor([[*question, *answer]])
    begin = len(question) - 1
    totals = [torch.zeros(len(owners)) if b > a else None for a, b in spans]
    with _frozen(model), torch.enable_grad():
        for step in range(STEPS):
            weight = (step + 0.5) / STEPS
            cache = seen.copies()
            without = blind.copies()
            leaves: list[Tensor] = []
            ways: list[Tensor] = []
            for layer, empty in zip(cache.layers, without.layers, strict=True):
                for key in ("keys", "values"):
                    there, base = getattr(layer, key), getattr(empty, key)
                    leaf = (base + weight * (there - base)).detach().requires_grad_(True)
                    setattr(layer, key, leaf)
                    leaves.append(leaf)
                    ways.append(there - base)
            logits = seen.forward(cache, ids)[0, begin : begin + len(answer)]
            scores = logits.float().log_softmax(-1)
            target = torch.tensor(list(answer), device=scores.device)[:, None]
            each = scores.gather(1, target)[:, 0]
            for (a, b), total in zip(spans, totals, strict=True):
                if total is None:
                    continue
                gradients = torch.autograd.grad(
                    each[a:b].sum(), leaves, retain_graph=True, allow_unused=True
                )
                for gradient, way in zip(gradients, ways, strict=True):
                    if gradient is None:
                        continue
                    # [1, heads, tokens, channels]; a sliding window keeps the last tokens only.
                    part = (gradient * way).float().sum((0, 1, 3)).cpu()
                    total[len(total) - len(part) :] += part / STEPS
    place = torch.where(owners < 0, slices, owners)
    return [
        None if total is None else torch.zeros(slices + 1).index_add(0, place, total)[:slices]
        for total in totals
    ]


@contextmanager
def _frozen(model: Any) -> Iterator[None]:
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
