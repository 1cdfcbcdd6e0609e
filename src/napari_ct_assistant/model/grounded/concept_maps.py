"""Concept maps over the patches of a volume: where a finding lies, and of which degree it is.

A single patch can tell whether it shows a finding, but not in which lobe most of the finding lies
or how much of it there is. Both are decided over the neighbourhood or the whole volume here, so
that the language model reads the same answer from every patch.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

# Edge of the box of patches, centred on a patch, that vote on its finding's place.
NEIGHBOURHOOD = 5
# Exponent that suppresses a place with a smaller share of the finding: (share / largest)^4.
SHARPNESS = 4


def with_places(
    probability: Tensor, pairs: Sequence[Sequence[int]], grid: tuple[int, int, int]
) -> Tensor:
    """Append, for each pair of a finding and a place, the probability that it lies there.

    The finding's patches around each patch vote, weighted by their squared probability. A nodule
    whose rim touches a second lobe is thus placed in the lobe that holds most of it; one that
    is spread evenly over two lobes is placed in both.

    Parameters
    ----------
    probability : Tensor [..., d*h*w, concepts]
    pairs : list of (finding, place)
        Indices of concepts.
    grid : (d, h, w)

    Returns
    -------
    Tensor [..., d*h*w, concepts + pairs]
    """
    if not len(pairs):
        return probability
    first, second = (list(column) for column in zip(*pairs, strict=True))
    finding = probability[..., first]
    weight = finding.square()
    votes = _around(torch.cat([weight * probability[..., second], weight], dim=-1), grid)
    share = votes[..., : len(first)] / votes[..., len(first) :].clamp_min(1e-8)
    largest = torch.empty_like(share)
    for concept in set(first):
        places = [n for n, owner in enumerate(first) if owner == concept]
        largest[..., places] = share[..., places].amax(-1, keepdim=True)
    return torch.cat([probability, finding * (share / largest.clamp_min(1e-8)) ** SHARPNESS], -1)


def _around(maps: Tensor, grid: tuple[int, int, int]) -> Tensor:
    """Average over each patch's neighbourhood. maps: [..., d*h*w, C] -> the same shape."""
    volume = maps.flatten(0, -3) if maps.dim() > 2 else maps[None]
    volume = volume.transpose(1, 2).unflatten(2, grid)
    padded = nn.functional.pad(volume, [NEIGHBOURHOOD // 2] * 6)  # the grid may be smaller
    pooled = nn.functional.avg_pool3d(padded, NEIGHBOURHOOD, stride=1)
    return pooled.flatten(2).transpose(1, 2).reshape(maps.shape)


class DetailReadout(nn.Module):
    """Decide a finding's details (degree, kind) from all its patches, and write them to each.

    Each detail has a logistic regression. Its inputs are how much of the volume shows the finding,
    and which share of that shows each of the finding's details.

    Parameters
    ----------
    owners : list of int
        For each concept, the index of the finding that it is a detail of; its own index for all
        others.
    """

    EXTENTS = 3

    def __init__(self, owners: Sequence[int]):
        super().__init__()
        self.owners = list(owners)
        count = len(owners)
        self.extent = nn.Parameter(torch.empty(count, self.EXTENTS))
        self.share = nn.Parameter(torch.empty(count, count))
        self.bias = nn.Parameter(torch.empty(count))
        self.reset()

    def reset(self) -> None:
        """Start from a majority vote: a detail is what most of its finding's patches show."""
        nn.init.zeros_(self.extent)
        with torch.no_grad():
            self.share.copy_(8.0 * torch.eye(len(self.owners)))
        nn.init.constant_(self.bias, -4.0)

    def related(self) -> Tensor:
        """Return bool [concepts, concepts]: which details belong to the same finding."""
        owner = torch.tensor(self.owners, device=self.share.device)
        is_detail = owner != torch.arange(len(owner), device=owner.device)
        return (owner[:, None] == owner) & is_detail & is_detail[:, None]

    def siblings(self, concept: int) -> list[int]:
        """Return all details of a detail's finding, itself included; none for a finding."""
        found: list[int] = self.related()[concept].nonzero()[:, 0].tolist()
        return found

    def summarize(self, probability: Tensor) -> tuple[Tensor, Tensor]:
        """Summarise the patches of a volume.

        Parameters
        ----------
        probability : Tensor [B, N, concepts]

        Returns
        -------
        extents : Tensor [B, concepts, 3]
            Logarithms of each concept's sum, sum of squares and maximum.
        shares : Tensor [B, concepts]
            Mean of each concept over its finding's patches, weighted as the finding is sure.
        """
        probability = probability.clamp_min(1e-4)
        squares = probability.square()
        sums = [probability.sum(1), squares.sum(1), probability.amax(1)]
        extents = torch.stack(sums, dim=-1).log()
        weight = squares[..., self.owners]
        shares = (weight * probability).sum(1) / weight.sum(1)
        return extents, shares

    def forward(self, probability: Tensor) -> Tensor:
        """probability: [B, N, concepts] -> the same with the details decided for the volume."""
        extents, shares = self.summarize(probability)
        related = self.related()
        logits = (extents[:, self.owners] * self.extent).sum(-1) + self.bias
        logits = logits + shares @ (self.share * related).T
        detail = probability[..., self.owners] * logits.sigmoid()[:, None]
        return torch.where(related.any(dim=1), detail, probability)
