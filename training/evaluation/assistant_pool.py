"""Several processes that each hold one assistant: phantoms are read one per CPU core."""

from __future__ import annotations

from pathlib import Path

from napari_ct_assistant.assistant import Assistant, load_assistant
from napari_ct_assistant.training.worker_pool import WorkerPool


def assistant_pool(folder: Path, workers: int) -> WorkerPool[Assistant]:
    """Return processes that each load the model of a folder on the CPU."""
    return WorkerPool(workers, _load, folder)


def _load(folder: Path) -> Assistant:
    return load_assistant(folder, device="cpu")
