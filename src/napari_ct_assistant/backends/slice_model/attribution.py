"""Which slices speak for a statement: each slice's share of its support, in nats.

The language model reads the slices from its keys and values. On the straight way from those of
slices without content to the scan's, the gradient of the statement's log-likelihood is summed
(integrated gradients, Sundararajan et al. 2017, arXiv 1703.01365). Nothing else differs between the
two, so the shares of all slices are the statement's support, but for the sum's finite steps. These
are made finer until both agree. A slice's share is that of its image tokens and its label; what
the model took over from earlier slices into these tokens is counted there. Only the text runs
through the network again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import Tensor

from napari_ct_assistant.backends.slice_model.snapshot import Snapshot

STEPS: Final = 8
FINER: Final = 3  # times as many steps, of which a third was made before
MOST_STEPS: Final = STEPS * FINER**3
ERROR: Final = 0.02  # of the support, or in nats if that is more, which the shares may miss


def slice_shares(
    model: Any,
    seen: Snapshot,
    blind: Snapshot,
    question: Sequence[int],
    answer: Sequence[int],
    spans: Sequence[tuple[int, int]],
    owners: Tensor,
    slices: int,
    supports: Sequence[float],
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

    supports : list of float
        Of each part: its log-likelihood with the scan minus that without; what the shares add up
        to.

    Returns
    -------
    list of Tensor [slices] or None
        None for an empty part. After `MOST_STEPS`, they may miss the support by more than `ERROR`.
    """
    ids = torch.tensor([[*question, *answer]])
    begin = len(question) - 1
    sums = [torch.zeros(len(owners)) if b > a else None for a, b in spans]

    def add(weight: float) -> None:
        """Add the gradients at one point of the way."""
        cache = seen.copies()
        leaves: list[Tensor] = []
        ways: list[Tensor] = []
        for layer, empty in zip(cache.layers, blind.copies().layers, strict=True):
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
        for (a, b), total in zip(spans, sums, strict=True):
            if total is None:
                continue
            gradients = torch.autograd.grad(
                each[a:b].sum(), leaves, retain_graph=True, allow_unused=True
            )
            for gradient, way in zip(gradients, ways, strict=True):
                if gradient is not None:
                    # [1, heads, tokens, channels]; a sliding window keeps the last tokens only.
                    part = (gradient * way).float().sum((0, 1, 3)).cpu()
                    total[len(total) - len(part) :] += part

    steps = STEPS
    with _frozen(model), torch.enable_grad():
        for k in range(steps):
            add((k + 0.5) / steps)
        while steps < MOST_STEPS and any(
            total is not None and abs(float(total.sum()) / steps - support) > _allowed(support)
            for total, support in zip(sums, supports, strict=True)
        ):
            steps *= FINER
            for k in range(steps):
                if k % FINER != FINER // 2:  # the middle of each three was added before
                    add((k + 0.5) / steps)
    place = torch.where(owners < 0, slices, owners)
    return [
        None
        if total is None
        else torch.zeros(slices + 1).index_add(0, place, total / steps)[:slices]
        for total in sums
    ]


def _allowed(support: float) -> float:
    return ERROR * max(1.0, abs(support))


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
