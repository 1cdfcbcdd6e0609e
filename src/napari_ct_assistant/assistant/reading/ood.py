"""Does a scan look like what the model was trained on?

The encoder's tokens of a scan are averaged to one vector; its distance to the training scans'
mean, in their own spread (Mahalanobis), says how unlike them it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from napari_ct_assistant.model.format import file_in

FILE = "ood.safetensors"
QUANTILE = 0.999


def summary(tokens: Tensor) -> Tensor:
    """Return mean and spread over a scan's tokens. tokens: [N, C] -> [2 C]."""
    tokens = tokens.float()
    return torch.cat([tokens.mean(0), tokens.std(0)])


@dataclass(frozen=True)
class OutOfDistributionDetector:
    """Mean [F] and whitening [F, F] of the training scans, and the farthest of them."""

    mean: Tensor
    whitening: Tensor
    limit: float

    @classmethod
    def fit(cls, summaries: Tensor) -> OutOfDistributionDetector:
        """Measure the training scans. summaries: [scans, F]."""
        summaries = summaries.double()
        mean = summaries.mean(0)
        centred = summaries - mean
        covariance = centred.T @ centred / len(summaries)
        # Shrunk: with few scans, directions that never varied must not count as infinite.
        covariance += torch.eye(len(mean)).double() * covariance.diagonal().mean() * 0.01
        whitening = torch.linalg.inv(torch.linalg.cholesky(covariance))
        distance = (centred @ whitening.T).norm(dim=1)
        limit = 1.5 * float(distance.quantile(QUANTILE))
        return cls(mean.float(), whitening.float(), limit)

    def distance(self, tokens: Tensor) -> float:
        """Return a scan's distance from the training scans in units of the limit."""
        gap = (summary(tokens).cpu() - self.mean) @ self.whitening.T
        return float(gap.norm()) / self.limit

    def save(self, folder: Path) -> None:
        """Write beside the model's weights."""
        tensors = {"mean": self.mean, "whitening": self.whitening.contiguous()}
        save_file(tensors | {"limit": torch.tensor([self.limit])}, folder / FILE)

    @classmethod
    def load(cls, folder: Path) -> OutOfDistributionDetector | None:
        """Read from a model's folder; None where the model does not bring it."""
        file = file_in(folder, FILE)
        if file is None:
            return None
        tensors = load_file(file)
        return cls(tensors["mean"], tensors["whitening"], float(tensors["limit"]))
