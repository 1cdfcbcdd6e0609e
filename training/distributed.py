"""Several processes on one or more machines, started by torchrun or accelerate.

Rank 0 writes files and prints; the others wait for it. With one process nothing here does
anything, and torch.distributed is not touched.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
from torch import Tensor

# Preparing a hundred thousand scans takes rank 0 hours, during which the others wait.
LONGEST_WAIT = timedelta(days=3)


def count() -> int:
    """Return the number of processes that train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def use_threads(number: int) -> None:
    """Let this process compute on so many threads, numpy's BLAS included.

    Of several processes on as many cores each takes one: BLAS would else start a thread for
    every core in each, and those wait for each other at full speed.
    """
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(number)
    threadpool_limits(number, user_api="blas")


def join() -> None:
    """Meet the other processes (gloo without a GPU, NCCL with one); done once."""
    if count() > 1:
        from accelerate import PartialState

        PartialState(cpu=not torch.cuda.is_available(), timeout=LONGEST_WAIT)


def is_main() -> bool:
    """Tell whether this process is the one that writes."""
    return int(os.environ.get("RANK", "0")) == 0


def barrier() -> None:
    """Wait until every process is here."""
    if count() > 1:
        join()
        torch.distributed.barrier()


@contextmanager
def main_first() -> Iterator[None]:
    """Let rank 0 do something before the others do it, e.g. write a file they then read."""
    if not is_main():
        barrier()
    yield
    if is_main():
        barrier()


def share(decision: bool) -> bool:
    """Return rank 0's decision in every process."""
    if count() == 1:
        return decision
    join()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    flag = torch.tensor([float(decision)], device=device)
    torch.distributed.broadcast(flag, 0)
    return bool(flag.item())


def mean_over_processes(value: Tensor) -> Tensor:
    """Return the mean of a tensor over all processes, without gradient.

    A sum divided by this instead of its own process's count has, after the processes'
    gradients are averaged, the gradient of the whole batch's mean.
    """
    if count() == 1 or not torch.distributed.is_initialized():
        return value
    total = value.detach().clone()
    torch.distributed.all_reduce(total)
    return total / count()
