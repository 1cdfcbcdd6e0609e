"""Volumes encoded once by a frozen encoder: stages `align` and `instruct` never render twice."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_ct_assistant.model.vit import VisionTransformer3D
from napari_ct_assistant.support import atomic
from napari_ct_assistant.training.data.volume_dataset import to_pixel_values
from napari_ct_assistant.training.data.volume_store import VolumeStore
from napari_ct_assistant.training.worker_pool import WorkerPool


class TokenCache:
    """Encoder tokens of a store's volumes, float16 [count, N, output_size] on disk.

    Parameters
    ----------
    folder : Path
    encoder : VisionTransformer3D
        Encodes missing volumes; its sizes decide the shape.
    store : VolumeStore
    """

    def __init__(self, folder: Path, encoder: VisionTransformer3D, store: VolumeStore):
        self.encoder = encoder
        self.store = store
        self.folder = folder
        d, h, w = encoder.config.grid
        shape = (len(store), d * h * w, encoder.config.output_size)
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "tokens.npy"
        self.progress = folder / "progress.json"
        key = {"shape": list(shape), "store": store.key, "encoder": _digest(encoder)}
        known = json.loads(self.progress.read_text()) if self.progress.exists() else {}
        fresh = {name: known.get(name) for name in key} != key or not file.exists()
        self.state: dict[str, Any] = {**key, "done": 0} if fresh else known
        if fresh:
            # Before the tokens are erased: progress of another encoder must not count for this one.
            atomic.write_text(self.progress, json.dumps(self.state))
        self.tokens = np.lib.format.open_memmap(
            file, mode="w+" if fresh else "r+", dtype=np.float16, shape=shape
        )

    def fill(self) -> None:
        """Encode missing volumes; an interrupted run continues where it was.

        On a CPU, one process per core encodes on one thread each. That is faster than one process
        with several threads, and a busy core does not hold up the others.
        """
        missing = range(self.state["done"], len(self.store))
        workers = 0 if self.encoder.device.type != "cpu" else os.cpu_count() or 1
        if workers < 2 or len(missing) < 8:
            here = _Encoding(self.encoder, self.store)
            for index in missing:
                self._keep(index, here.encode(index))
            return
        with WorkerPool(workers, _Encoding, self.encoder, self.store) as pool:
            for index, tokens in zip(missing, pool.map(_Encoding.encode, missing), strict=True):
                self._keep(index, tokens)

    def _keep(self, index: int, tokens: NDArray[np.float16]) -> None:
        self.tokens[index] = tokens
        self.state["done"] = index + 1
        if index % 50 == 49 or index + 1 == len(self.store):
            atomic.write_text(self.progress, json.dumps(self.state))

    def __getitem__(self, index: int) -> Tensor:
        """Return tokens [N, output_size], float32."""
        return torch.from_numpy(self.tokens[index].astype(np.float32))


class StandInTokens:
    """Tokens without content in place of a cache's, for a check that encodes nothing."""

    def __init__(self, encoder: VisionTransformer3D):
        d, h, w = encoder.config.grid
        self.shape = (d * h * w, encoder.config.output_size)

    def __getitem__(self, index: int) -> Tensor:
        """Return zeros [N, output_size], float32."""
        return torch.zeros(self.shape)


class _Encoding:
    """An encoder with the volumes that it encodes; each process of a pool has one."""

    def __init__(self, encoder: VisionTransformer3D, store: VolumeStore):
        self.encoder = encoder.eval()
        self.store = store

    def encode(self, index: int) -> NDArray[np.float16]:
        """Return the tokens [N, output_size] of a volume."""
        pixel_values = to_pixel_values(self.store.volume(index))[None].to(self.encoder.device)
        with torch.inference_mode():
            tokens = self.encoder(pixel_values)[0]
        return tokens.float().cpu().numpy().astype(np.float16)


def _digest(encoder: VisionTransformer3D) -> str:
    """Return a few sums over the weights: tokens of an earlier encoder must not be used again."""
    sums = [f"{p.double().sum().item():.6f}" for p in encoder.parameters()]
    return "/".join(sums[:: max(1, len(sums) // 8)])
