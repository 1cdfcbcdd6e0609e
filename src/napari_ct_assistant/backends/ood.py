"""Does a scan resemble the scans that the model was trained on?

The encoder's tokens of a scan are summarised as one vector. Its Mahalanobis distance from the
training scans tells how far the scan lies outside their distribution.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.model.format import file_in
from napari_ct_assistant.support.translation import said

FILE = "ood.safetensors"
QUANTILE = 0.999
MAX_BYTES = 1 << 30


def summary(tokens: Tensor) -> Tensor:
    """Return mean and standard deviation over a scan's tokens. tokens: [N, C] -> [2 C]."""
    tokens = tokens.float()
    return torch.cat([tokens.mean(0), tokens.std(0)])


@dataclass(frozen=True)
class OutOfDistributionDetector:
    """The training scans' summaries, as a Gaussian.

    Attributes
    ----------
    mean : Tensor [F]
    whitening : Tensor [F, F]
        Inverse of the covariance's Cholesky factor.
    threshold : float
        The distance from which on a scan counts as outside the distribution.
    """

    mean: Tensor
    whitening: Tensor
    threshold: float

    @classmethod
    def fit(cls, summaries: Tensor) -> OutOfDistributionDetector:
        """Fit to the summaries of the training scans. summaries: [scans, F]."""
        summaries = summaries.double()
        mean = summaries.mean(0)
        centred = summaries - mean
        covariance = centred.T @ centred / len(summaries)
        # Shrinkage: with few scans, a direction that never varied must not count as infinite.
        covariance += torch.eye(len(mean)).double() * covariance.diagonal().mean() * 0.01
        whitening = torch.linalg.inv(torch.linalg.cholesky(covariance))
        distance = (centred @ whitening.T).norm(dim=1)
        threshold = 1.5 * float(distance.quantile(QUANTILE))
        return cls(mean.float(), whitening.float(), threshold)

    def distance(self, tokens: Tensor) -> float:
        """Return a scan's distance from the training scans, in units of the threshold."""
        gap = (summary(tokens).cpu() - self.mean) @ self.whitening.T
        return float(gap.norm()) / self.threshold

    def save(self, folder: Path) -> None:
        """Write the detector into a model's folder."""
        tensors = {"mean": self.mean, "whitening": self.whitening.contiguous()}
        save_file(tensors | {"limit": torch.tensor([self.threshold])}, folder / FILE)

    @classmethod
    def load(cls, folder: Path) -> OutOfDistributionDetector | None:
        """Read the detector from a model's folder; None where it has none."""
        file = file_in(folder, FILE)
        if file is None:
            return None
        named = f"{folder.name}: {file.name}"
        try:
            if file.stat().st_size > MAX_BYTES:
                raise ModelLoadError(
                    said(
                        "{named} is larger than {number} MB; refused",
                        named=named,
                        number=MAX_BYTES >> 20,
                    )
                )
            tensors = load_file(file)
            mean, whitening, limit = (tensors[key] for key in ("mean", "whitening", "limit"))
        except (SafetensorError, KeyError, OSError) as error:
            raise ModelLoadError(
                said("{named} is damaged; copy the model again", named=named)
            ) from error
        shaped = mean.ndim == 1 and whitening.shape == (len(mean), len(mean)) and limit.numel() == 1
        # With NaN, no distance would ever reach the threshold, and no scan be warned of.
        numbers = shaped and all(bool(t.isfinite().all()) for t in (mean, whitening, limit))
        if not numbers or float(limit) <= 0:
            raise ModelLoadError(
                said("{named} holds impossible numbers; copy the model again", named=named)
            )
        return cls(mean, whitening, float(limit))
