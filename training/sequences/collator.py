"""Make a batch of training sequences."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from napari_ct_assistant.training.sequences.packing import IGNORED, PADDING, block_mask


class Collator:
    """Pad sequences on the right and add their attention mask.

    Parameters
    ----------
    pad_id : int
        The tokenizer's padding token.
    packed : bool
        Make the block mask [B, 1, T, T] of packed sequences instead of a mask [B, T].
    """

    def __init__(self, pad_id: int, *, packed: bool):
        self.pad_id = pad_id
        self.packed = packed

    def __call__(self, samples: list[dict[str, Any]]) -> dict[str, Tensor]:
        """Make a batch of samples of a `ConversationDataset`."""
        fill = {
            "input_ids": self.pad_id,
            "labels": IGNORED,
            "position_ids": 0,
            "segment_ids": PADDING,
            "loss_weights": 0.0,
        }
        batch = {
            name: torch.nn.utils.rnn.pad_sequence(
                [sample[name] for sample in samples], batch_first=True, padding_value=value
            )
            for name, value in fill.items()
        }
        segment_ids = batch.pop("segment_ids")
        batch["attention_mask"] = (
            block_mask(segment_ids) if self.packed else (segment_ids > PADDING).long()
        )
        for name in ("pixel_values", "vision_tokens", "volume"):
            if name in samples[0]:
                batch[name] = torch.stack([sample[name] for sample in samples])
        return batch
