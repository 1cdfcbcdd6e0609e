"""How the samples of an optimizer step are divided among processes, the same step for any number.

Step s of a run takes the samples s * G to (s + 1) * G - 1 of its order, G being the batch of all
processes together, however many there are. So a run can continue with another number of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.recipe import TrainingSettings

# The key of a batch's share in its step's loss, where the samples have no weights of their own.
SHARE = "share"


@dataclass(frozen=True)
class Batches:
    """The division of a step's samples.

    Parameters
    ----------
    size : int
        Samples of a process's forward pass.
    accumulate : int
        Its forward passes in a step.
    processes : int
    """

    size: int
    accumulate: int
    processes: int

    @property
    def whole(self) -> int:
        """Samples of a step."""
        return self.size * self.accumulate * self.processes

    def real(self, step: int, batch: int, process: int, samples: int) -> int:
        """Return how many samples of a process's batch are within the run.

        At the end of a run, the processes' batches are filled up from its start.
        """
        first = step * self.whole + (batch * self.processes + process) * self.size
        return min(max(samples - first, 0), self.size)

    def real_in_step(self, step: int, samples: int) -> int:
        """Return how many samples of a step are within the run."""
        return min(self.whole, samples - step * self.whole)


def divide(training: TrainingSettings, processes: int, whole: int | None = None) -> Batches:
    """Return how a step's samples are divided among processes.

    Parameters
    ----------
    training
        Its `batch_size` is the most samples of a forward pass.
    processes
    whole
        The samples of a step of the run that is continued; by default the recipe's batches in each
        process.

    Raises
    ------
    RecipeError
        If the processes cannot have equal parts of the step.
    """
    if whole is None or whole == training.batch_size * training.accumulate * processes:
        return Batches(training.batch_size, training.accumulate, processes)
    each, rest = divmod(whole, processes)
    if rest:
        fit = [str(n) for n in range(1, whole + 1) if whole % n == 0]
        raise RecipeError(
            f"{processes} processes cannot divide a step of {whole} samples, with which this run "
            f"was begun; continue with {', '.join(fit[:-1])} or {fit[-1]}"
        )
    size = max(n for n in range(1, training.batch_size + 1) if each % n == 0)
    return Batches(size, each // size, processes)


def weigh(batches: list[dict[str, Any]], real: list[int], total: int, processes: int) -> None:
    """Let each sample of a step count once: those that fill up its batches count nothing.

    Parameters
    ----------
    batches
        A process's batches of a step; they are changed.
    real
        How many samples of each batch are within the run.
    total
        The same over all batches of all processes.
    processes
    """
    for batch, count in zip(batches, real, strict=True):
        rows = len(next(iter(batch.values())))
        if "loss_weights" in batch:
            if count < rows:
                batch["loss_weights"][count:] = 0
            continue
        if "patch_labels" in batch:
            # Their loss is divided by counts over all processes; the filled batch stays as it is.
            continue
        if 0 < count < rows:
            for name, value in batch.items():
                batch[name] = value[:count]
        # The Trainer takes the mean over the batches of a step, and that over the processes.
        share = count * len(batches) * processes / total
        if share != 1:
            batch[SHARE] = torch.tensor(share)
