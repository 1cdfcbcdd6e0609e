"""What patches say of a finding, agreed upon over the volume: where it lies, and its degree.

A patch knows whether it shows a finding; in which lobe most of the finding lies, or how much of
it there is, no patch can tell alone. The language model reads the same answer from each.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

# Edge of the box of patches around one that vote on its finding's place.
NEIGHBOURHOOD = 5
# How quiet a place becomes that holds less of a finding than another: (share / largest)^4.
SHARPNESS = 4


def with_places(
    probability: Tensor, pairs: Sequence[Sequence[int]], grid: tuple[int, int, int]
) -> Tensor:
    """Append, for each pair of a finding and a place, where the finding says that place.

    Around each patch the finding's patches vote, the surer ones more. A nodule whose rim
    touches a second lobe so says the lobe that most of it lies in; one spread evenly over both
    says both.

    Parameters
    ----------
    probability : Tensor [..., d*h*w, concepts]
    pairs
        (finding, place), indices of concepts.
    grid
        (d, h, w).

    Returns
    -------
    Tensor [..., d*h*w, concepts + pairs]
    """
    if not len(pairs):
        return probability
    first, second = (list(one) for one in zip(*pairs, strict=True))
    finding = probability[..., first]
    weight = finding.square()
    votes = _around(torch.cat([weight * probability[..., second], weight], dim=-1), grid)
    share = votes[..., : len(first)] / votes[..., len(first) :].clamp_min(1e-8)
    largest = torch.empty_like(share)
    for one in set(first):
        places = [n for n, other in enumerate(first) if other == one]
        largest[..., places] = share[..., places].amax(-1, keepdim=True)
    return torch.cat([probability, finding * (share / largest.clamp_min(1e-8)) ** SHARPNESS], -1)


def _around(maps: Tensor, grid: tuple[int, int, int]) -> Tensor:
    """Average over each patch's neighbourhood. maps: [..., d*h*w, C] -> the same shape."""
    volume = maps.flatten(0, -3) if maps.dim() > 2 else maps[None]
    volume = volume.transpose(1, 2).unflatten(2, grid)
    padded = nn.functional.pad(volume, [NEIGHBOURHOOD // 2] * 6)  # a grid may be smaller
    pooled = nn.functional.avg_pool3d(padded, NEIGHBOURHOOD, stride=1)
    return pooled.flatten(2).transpose(1, 2).reshape(maps.shape)


class DetailReadout(nn.Module):
    """Judge degrees and kinds of a finding from all of its patches, and write them onto them.

    One logistic regression a detail. Its inputs: how much of the volume shows the finding, and
    what share of that shows each of the finding's details.

    Parameters
    ----------
    owners : list of int
        For each concept the finding that it is a detail of; itself for all others.
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
        """Believe the patches: a detail is what most of its finding's patches show."""
        nn.init.zeros_(self.extent)
        with torch.no_grad():
            self.share.copy_(8.0 * torch.eye(len(self.owners)))
        nn.init.constant_(self.bias, -4.0)

    def related(self) -> Tensor:
        """Return bool [concepts, concepts]: which details are of one finding, each with itself."""
        owner = torch.tensor(self.owners, device=self.share.device)
        is_detail = owner != torch.arange(len(owner), device=owner.device)
        return (owner[:, None] == owner) & is_detail & is_detail[:, None]

    def siblings(self, concept: int) -> list[int]:
        """Return the details of a detail's finding, itself included; none of a finding."""
        found: list[int] = self.related()[concept].nonzero()[:, 0].tolist()
        return found

    def summarize(self, probability: Tensor) -> tuple[Tensor, Tensor]:
        """Return what a volume's patches add up to.

        probability: [B, N, concepts] -> extents [B, concepts, 3], the logarithms of a concept's
        sum, sum of squares and maximum; shares [B, concepts], that of its finding's patches.
        """
        probability = probability.clamp_min(1e-4)
        squares = probability.square()
        sums = [probability.sum(1), squares.sum(1), probability.amax(1)]
        extents = torch.stack(sums, dim=-1).log()
        weight = squares[..., self.owners]
        shares = (weight * probability).sum(1) / weight.sum(1)
        return extents, shares

    def forward(self, probability: Tensor) -> Tensor:
        """probability: [B, N, concepts] -> the same, details replaced by the volume's."""
        extents, shares = self.summarize(probability)
        related = self.related()
        logits = (extents[:, self.owners] * self.extent).sum(-1) + self.bias
        logits = logits + shares @ (self.share * related).T
        detail = probability[..., self.owners] * logits.sigmoid()[:, None]
        return torch.where(related.any(dim=1), detail, probability)
