"""A few steps before the run, which change no weight: how long one takes, what memory it needs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import Trainer

from napari_ct_assistant.training.config.errors import RecipeError


@dataclass(frozen=True)
class TimedSteps:
    """What the steps measured.

    Parameters
    ----------
    count : int
        How many there were.
    seconds : float
        Of one optimizer step, the median.
    activations : int
        Bytes of the largest batch that are kept from its forward to its backward pass.
    """

    count: int
    seconds: float
    activations: int


def time_steps(
    trainer: Trainer,
    dataset: Dataset[Any],
    collate: Callable[[list[Any]], dict[str, Tensor]],
    count: int,
) -> TimedSteps:
    """Run `count` optimizer steps with a learning rate of 0 on the run's first samples.

    Weights, the statistics of normalizations and the random generators are the same afterwards.
    Every process must call it, because some losses are computed over all processes.

    Raises
    ------
    RecipeError
        If the device has too little memory for a step.
    """
    model, args = trainer.model, trainer.args
    assert model is not None  # noqa: S101  the trainer was made with one
    buffers = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    devices = [args.device] if args.device.type == "cuda" else []
    kept = _Kept(model)
    seconds = []
    try:
        with torch.random.fork_rng(devices):
            model.train()
            optimizer: Any = trainer.create_optimizer()
            for group in optimizer.param_groups:
                group["lr"] = 0.0
            for number in range(count):
                start = time.monotonic()
                for part in range(args.gradient_accumulation_steps):
                    first = (number * args.gradient_accumulation_steps + part) * (
                        args.per_device_train_batch_size
                    )
                    rows = range(first, first + args.per_device_train_batch_size)
                    batch = collate([dataset[k % len(dataset)] for k in rows])
                    batch.pop("volume", None)
                    inputs = trainer._prepare_inputs(batch)
                    with kept.counting(), trainer.accelerator.autocast():
                        loss = trainer.compute_loss(model, inputs)
                    loss.backward()
                _step(model, optimizer)
                if devices:
                    torch.cuda.synchronize(args.device)
                seconds.append(time.monotonic() - start)
    except torch.OutOfMemoryError:
        raise RecipeError(
            "training.batch_size: the device has too little memory for "
            f"{args.per_device_train_batch_size}; lower it and raise training.accumulate, or set "
            "training.gradient_checkpointing=true"
        ) from None
    finally:
        trainer.optimizer = None
        model.zero_grad(set_to_none=True)
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)
    if devices:
        torch.cuda.empty_cache()
    return TimedSteps(count, statistics.median(seconds), kept.most)


def _step(model: nn.Module, optimizer: Any) -> None:
    """Step with a learning rate of 0, unless that would multiply it by infinity."""
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    if all(bool(torch.isfinite(gradient).all()) for gradient in gradients):
        optimizer.step()
    model.zero_grad(set_to_none=True)


class _Kept:
    """Counts the bytes that are kept for the backward pass, without those of the weights."""

    def __init__(self, model: nn.Module):
        self.weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
        self.most = 0

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count within a forward pass."""
        sizes: dict[int, int] = {}

        def keep(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in self.weights:
                sizes[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            yield
        self.most = max(self.most, sum(sizes.values()))
