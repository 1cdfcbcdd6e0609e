"""A scan unlike the training scans is told apart from one like them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from napari_ct_assistant.backends.ood import OutOfDistributionDetector, summary


def scans(count: int, shift: float = 0.0, seed: int = 0) -> torch.Tensor:
    """Encoder tokens [count, 50, 8] whose mean differs a little from scan to scan."""
    generator = torch.Generator().manual_seed(seed)
    own = torch.randn(count, 1, 8, generator=generator) * 0.3
    return torch.randn(count, 50, 8, generator=generator) + own + shift


def test_distance_grows_with_unlikeness(tmp_path: Path) -> None:
    fitted = OutOfDistributionDetector.fit(torch.stack([summary(t) for t in scans(200)]))
    fitted.save(tmp_path)
    loaded = OutOfDistributionDetector.load(tmp_path)
    assert loaded is not None
    alike = [loaded.distance(t) for t in scans(20, seed=1)]
    unlike = [loaded.distance(t) for t in scans(20, shift=3.0, seed=2)]
    assert max(alike) < 1
    assert min(unlike) > 2
    assert loaded.distance(scans(1, seed=3)[0]) == pytest.approx(
        fitted.distance(scans(1, seed=3)[0]), rel=1e-5
    )


def test_a_model_without_it_says_nothing(tmp_path: Path) -> None:
    assert OutOfDistributionDetector.load(tmp_path) is None
