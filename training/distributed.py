"""Several processes on one or more machines, started by torchrun or accelerate.

The main process writes files and prints; the others wait for it.
"""

from __future__ import annotations

from datetime import timedelta

import torch
from accelerate import PartialState
from accelerate.utils import broadcast, reduce
from torch import Tensor

# Preparing a hundred thousand scans takes the main process hours, during which the others wait.
LONGEST_WAIT = timedelta(days=3)


def process_state() -> PartialState:
    """Return which of how many processes this is; the first call joins them (gloo or NCCL)."""
    return PartialState(cpu=not torch.cuda.is_available(), timeout=LONGEST_WAIT)


def agree(decision: bool) -> bool:
    """Return the main process's decision in every process."""
    flag = torch.tensor([float(decision)], device=process_state().device)
    return bool(broadcast(flag).item())


def mean_over_processes(value: Tensor) -> Tensor:
    """Return the mean of a tensor over all processes, without gradient.

    A sum divided by this, instead of by the process's own count, has the gradient of the whole
    batch's mean once the gradients of the processes are averaged.
    """
    process_state()
    mean: Tensor = reduce(value.detach(), "mean")
    return mean
