"""The audit of a model on phantoms of seeds that no training used: does it look at the scan?"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from napari_ct_assistant.assistant import Assistant
from napari_ct_assistant.training.evaluation.assistant_pool import assistant_pool
from napari_ct_assistant.training.evaluation.audit.observation import PhantomObservation, observe
from napari_ct_assistant.training.evaluation.audit.phantom_figures import figures


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
    with assistant_pool(assistant.info.files[0].parent, workers) as pool:
        return figures(_gather(pool.map(observe, seeds), count, progress))


def _gather(
    observed: Iterable[PhantomObservation],
    count: int,
    progress: Callable[[int, int], None] | None,
) -> list[PhantomObservation]:
    observations = []
    for number, observation in enumerate(observed, start=1):
        observations.append(observation)
        if progress is not None:
            progress(number, count)
    return observations
