"""The loss on held-out patients, the same for one process and for several."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from accelerate.utils import reduce
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset
from transformers import Trainer

from napari_ct_assistant.training.distributed import process_state


def validation_loss(
    trainer: Trainer, dataset: Dataset[Any], collate: Callable[[list[Any]], dict[str, Tensor]]
) -> float:
    """Return the mean loss of a data set's samples, a sample weighted by its learned tokens.

    Dropout is off. Every process must call it.
    """
    state = process_state()
    size = trainer.args.per_device_train_batch_size
    count = len(dataset)
    each = size * state.num_processes
    batches = -(-count // each)
    # Every process runs as many batches, because the parts of a sharded model need each other. The
    # samples that fill up the last batch count nothing.
    places = [
        batch * each + state.process_index * size + row
        for batch in range(batches)
        for row in range(size)
    ]
    loader = DataLoader(
        Subset(dataset, [place % count for place in places]),
        batch_size=size,
        collate_fn=collate,
        num_workers=trainer.args.dataloader_num_workers,
        # Its own, so that a run with validation trains on the same random numbers as one without.
        generator=torch.Generator(),
    )
    model = trainer.model
    assert model is not None  # noqa: S101  the trainer was made with one
    model.eval()
    total = weight = 0.0
    with torch.no_grad(), trainer.accelerator.autocast():
        for number, batch in enumerate(loader):
            real = sum(place < count for place in places[number * size : (number + 1) * size])
            batch.pop("volume", None)
            kept = batch if not 0 < real < size else {k: v[:real] for k, v in batch.items()}
            inputs = trainer._prepare_inputs(kept)
            learned = _learned(inputs, min(real, size))
            loss = float(trainer.compute_loss(model, inputs))
            if real:
                total += loss * learned
                weight += learned
    model.train()
    sums = reduce(torch.tensor([total, weight], device=trainer.args.device), "sum")
    return float(sums[0] / sums[1])


def _learned(inputs: dict[str, Any], rows: int) -> float:
    """Return the sum of the weights of the tokens that are learned; without text, the rows."""
    if "loss_weights" not in inputs:
        return float(rows)
    weights: Tensor = inputs["loss_weights"][:, 1:]
    return float((weights * (inputs["labels"][:, 1:] != -100)).sum())
