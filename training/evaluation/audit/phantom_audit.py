"""The audit of a model on phantoms of seeds that no training used: does it look at the scan?"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from napari_ct_assistant.assistant import Assistant, load_assistant
from napari_ct_assistant.training.evaluation.audit.observation import PhantomObservation, observe
from napari_ct_assistant.training.evaluation.audit.phantom_figures import figures
from napari_ct_assistant.training.worker_pool import use_threads


def audit(
    assistant: Assistant,
    *,
    first_seed: int = 0,
    count: int = 100,
    progress: Callable[[int, int], None] | None = None,
    workers: int = 1,
) -> dict[str, Any]:
    """Audit a model on `count` phantoms from `first_seed` on.

    Training uses seeds from 1,000,000 on, so no model of ours was trained on smaller ones.

    Parameters
    ----------
    assistant : Assistant
    first_seed, count : int
    progress
        Called with (phantoms done, phantoms wanted).
    workers : int
        With several, each process loads the model's folder anew, on the CPU.

    Returns
    -------
    dict
        See `figures`.
    """
    seeds = range(first_seed, first_seed + count)
    if workers < 2:
        return figures(_gather((observe(assistant, seed) for seed in seeds), count, progress))
    with ProcessPoolExecutor(
        workers,
        mp_context=get_context("spawn"),
        initializer=_start_worker,
        initargs=(assistant.info.files[0].parent,),
    ) as pool:
        return figures(_gather(pool.map(_observe_in_worker, seeds), count, progress))


def _gather(
    observed: Iterable[PhantomObservation],
    count: int,
    progress: Callable[[int, int], None] | None,
) -> list[PhantomObservation]:
    observations = []
    for number, one in enumerate(observed, start=1):
        observations.append(one)
        if progress is not None:
            progress(number, count)
    return observations


_worker: dict[str, Assistant] = {}


def _start_worker(folder: Path) -> None:
    use_threads(1)
    _worker["assistant"] = load_assistant(folder, device="cpu")


def _observe_in_worker(seed: int) -> PhantomObservation:
    return observe(_worker["assistant"], seed)
