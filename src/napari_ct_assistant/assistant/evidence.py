"""Where in the scan a sentence comes from, and how much the image supports it.

Support: log-likelihood of the sentence with the image minus without it (every image token
replaced by their mean), in nats. Place: the image tokens' share in that likelihood, by
gradient times difference from the mean token (one step of integrated gradients, Sundararajan
et al. 2017); the token with the largest positive share is the place. Cost: one forward pass
over the whole answer, one without image, one backward pass a sentence.

Limits: the place is that of one image token (48x48x48 mm in the demonstration model), and a
sentence that something is absent has no one place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_ct_assistant.volume import CTVolume, ModelGrid


@dataclass(frozen=True)
class Evidence:
    """Support in nats, the hottest image token's place, and the heat on the token grid."""

    support: float | None
    slice: int | None
    ras: tuple[float, float, float] | None
    heat: NDArray[np.float32] | None  # [d, h, w] of the perceiver's output grid


def trace(
    model: Any,
    image: Tensor,
    context: list[int],
    answer: list[int],
    spans: list[tuple[int, int]],
    grid: ModelGrid,
    volume: CTVolume,
) -> list[Evidence]:
    """Find the evidence of an answer's parts.

    Parameters
    ----------
    model : VolumeLanguageModel
    image : Tensor [1, n, C]
        The scan's image tokens.
    context, answer : list of int
        Ids of prefix and question, and of what the model answered.
    spans : list of (begin, end)
        Parts of the answer, in tokens.
    grid, volume
        Where the tokens lie.

    Returns
    -------
    list of Evidence, one a span.
    """
    ids = torch.tensor([context + answer], device=model.device)
    targets = torch.tensor(answer, device=model.device)
    mean = image.mean(dim=1, keepdim=True).expand_as(image)

    def log_likelihood(tokens: Tensor) -> Tensor:
        logits = model(
            inputs_embeds=model.embed(ids, tokens),
            logits_to_keep=len(answer) + 1,
            use_cache=False,
        ).logits[0, :-1]
        return logits.float().log_softmax(-1).gather(1, targets[:, None])[:, 0]  # [answer]

    flags = [(p, p.requires_grad) for p in model.parameters()]
    try:
        for parameter, _ in flags:
            parameter.requires_grad_(False)
        with torch.enable_grad():
            seen_image = image.detach().clone().requires_grad_(True)
            seen = log_likelihood(seen_image)
            gradients = [
                torch.autograd.grad(seen[a:b].sum(), seen_image, retain_graph=True)[0]
                if b > a
                else None
                for a, b in spans
            ]
        with torch.no_grad():
            blind = log_likelihood(mean)
    finally:
        for parameter, flag in flags:
            parameter.requires_grad_(flag)
    results = []
    for (a, b), gradient in zip(spans, gradients, strict=True):
        if gradient is None:
            results.append(Evidence(None, None, None, None))
            continue
        support = float((seen[a:b].detach() - blind[a:b]).sum())
        share = (gradient * (image - mean)).sum(-1)[0].clamp_min(0)  # [n]
        results.append(_place(support, share, model, grid, volume))
    return results


def _place(
    support: float, share: Tensor, model: Any, grid: ModelGrid, volume: CTVolume
) -> Evidence:
    perceiver = model.projector.perceiver
    heat = share.float().cpu().numpy().reshape(perceiver.output_grid)
    if not np.isfinite(heat).all() or heat.max() <= 0:
        return Evidence(support, None, None, None)
    hottest = np.array(np.unravel_index(int(heat.argmax()), heat.shape))
    # The middle of the merged patches, in voxels of the model's box.
    cell = np.array(grid.patch) * perceiver.kernel
    voxel = hottest * cell + (cell - 1) / 2
    ras = (grid.affine @ np.append(voxel, 1.0))[:3]
    index = volume.ras_to_index(ras)
    row = int(np.clip(np.rint(index[0]), 0, volume.shape[0] - 1))
    x, y, z = (round(float(v), 1) for v in ras)
    return Evidence(support, row, (x, y, z), heat.astype(np.float32))
