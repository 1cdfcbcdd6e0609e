"""A folder of heads on a tiny COLIPRI, with random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_ct_assistant.backends.probe.encoders import load_scan_encoder
from napari_ct_assistant.backends.probe.heads import Heads
from napari_ct_assistant.backends.probe.loading import save_probe

LABELS = ("Pneumothorax", "Rib fracture")


def save_tiny_probe(
    folder: Path,
    source: Path,
    *,
    pooling: str = "mean_max",
    labels: tuple[str, str] = LABELS,
) -> Path:
    """Write heads on the encoder of a model folder, and return the folder."""
    encoder = load_scan_encoder(source, source.name, device="cpu")
    tokens = encoder.tokens(encoder.air())
    width = tokens.shape[1] * (2 if pooling == "mean_max" else 1)
    rng = np.random.default_rng(4)
    heads = Heads(
        labels,
        pooling,
        weight=rng.normal(size=(2, width)) / width**0.5,
        bias=np.zeros(2),
        mean=rng.normal(size=width),
        scale=np.full(width, 2.0),
        slope=np.ones(2),
        shift=np.array([-0.5, 0.5]),
        thresholds=np.array([0.4, 0.6]),
    )
    more = {"trained_on": "made-up labels", "notice": "Tiny heads for tests."}
    save_probe(folder, heads, encoder, len(tokens), more)
    return folder
