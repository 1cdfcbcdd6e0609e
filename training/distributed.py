"""Several processes on one or more machines, started by torchrun or accelerate.

The main process writes files and prints; the others wait for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import broadcast, reduce
from torch import Tensor

from napari_ct_assistant.support.errors import CTAssistantError

# Preparing a hundred thousand scans takes the main process hours, during which the others wait.
LONGEST_WAIT = timedelta(days=3)
# Within a step the others are waited for: one that hangs ends the run after this time.
LONGEST_STEP = timedelta(minutes=30)


class LostProcessError(CTAssistantError, RuntimeError):
    """Another process of the run has ended or hangs; the last checkpoint is still valid."""


def process_state() -> PartialState:
    """Return which of how many processes this is; the first call joins them (gloo or NCCL)."""
    return PartialState(cpu=not torch.cuda.is_available(), timeout=LONGEST_STEP)


@cache
def _waiting_group() -> Any:
    """A group of all processes for long waits; gloo, so that no GPU is kept busy by them."""
    return torch.distributed.new_group(backend="gloo", timeout=LONGEST_WAIT)


def wait_for_all() -> None:
    """Wait until every process is here, for hours if need be."""
    if process_state().num_processes > 1:
        torch.distributed.barrier(group=_waiting_group())


@contextmanager
def main_first() -> Iterator[None]:
    """Let the main process run the block before the others do."""
    if not process_state().is_main_process:
        wait_for_all()
    yield
    if process_state().is_main_process:
        wait_for_all()


@contextmanager
def naming_lost_processes() -> Iterator[None]:
    """Say in one line that another process has ended, where its connection is found closed.

    Raises
    ------
    LostProcessError
    """
    try:
        yield
    except RuntimeError as error:
        # torch has no class of its own for what gloo says.
        lost = type(error).__name__ == "DistBackendError" or "gloo" in str(error)
        state = process_state()
        if not lost or state.num_processes == 1:
            raise
        raise LostProcessError(
            f"process {state.process_index} of {state.num_processes}: another process has ended "
            "or hangs; the same command continues from the last checkpoint, with any number of "
            "processes that divides the step's samples"
        ) from error


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
