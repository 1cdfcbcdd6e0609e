"""What an encoder gives for each scan, computed once and kept beside the heads."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from napari_ct_assistant.backends.prepared_scan import View
from napari_ct_assistant.backends.probe.heads import pooled
from napari_ct_assistant.backends.probe.scan_encoder import ScanEncoder
from napari_ct_assistant.support import atomic
from napari_ct_assistant.training.probing.samples import Sample

Floats = NDArray[np.float64]
BOTH = "mean_max"  # kept for every scan, so that another pooling needs no second encoding


class FeatureCache:
    """Mean and maximum of the encoder's places for each scan, float32 [2 C] in a file each.

    Parameters
    ----------
    folder : Path
    encoder : ScanEncoder
    region : str
        Region of the body to read, for encoders that can be pointed to one.
    """

    def __init__(self, folder: Path, encoder: ScanEncoder, region: str = ""):
        self._folder, self._encoder, self._region = folder, encoder, region
        sums = [f"{p.double().sum().item():.6f}" for p in encoder.network.parameters()]
        self._digest = hashlib.sha256(repr((encoder.name, region, sums)).encode()).hexdigest()

    def fill(
        self, samples: Sequence[Sample], progress: Callable[[int, int], None] | None = None
    ) -> Floats:
        """Return the features of scans, [scans, 2 C]; missing ones are computed.

        An interrupted run continues where it was.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        rows = []
        for number, sample in enumerate(samples):
            rows.append(self._of(sample))
            if progress is not None:
                progress(number + 1, len(samples))
        return np.stack(rows)

    def blind(self) -> Floats:
        """Return the features of no scan, [2 C]."""
        return pooled(_array(self._encoder.tokens(self._encoder.air())), BOTH)

    @property
    def places(self) -> int:
        """The number of places that the encoder gives."""
        return len(self._encoder.tokens(self._encoder.air()))

    def _of(self, sample: Sample) -> Floats:
        key = hashlib.sha256(f"{self._digest} {sample.key}".encode()).hexdigest()[:32]
        file = self._folder / f"{key}.npy"
        if file.is_file():
            return np.asarray(np.load(file, allow_pickle=False), dtype=np.float64)
        scan = self._encoder.prepare(sample.read(), View(self._region))
        found = pooled(_array(self._encoder.tokens(scan.pixel_values)), BOTH)
        stream = io.BytesIO()
        np.save(stream, found.astype(np.float32), allow_pickle=False)
        atomic.write_bytes(file, stream.getvalue())
        # As it will be read, so that the first run equals the next.
        return np.asarray(found.astype(np.float32), dtype=np.float64)


def chosen(features: Floats, pooling: str) -> Floats:
    """Return the part of the kept features that a pooling reads. [..., 2 C] -> [..., F]."""
    half = features.shape[-1] // 2
    if pooling == "mean":
        return features[..., :half]
    return features[..., half:] if pooling == "max" else features


def _array(tokens: Tensor) -> Floats:
    return np.asarray(tokens.float().cpu().numpy(), dtype=np.float64)
