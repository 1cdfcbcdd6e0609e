"""Copies of a language model's cache: the scan's stays as it is, each question extends a copy."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache


def copied(cache: DynamicCache, rows: int = 1, device: torch.device | None = None) -> DynamicCache:
    """Return a copy with the first row of each tensor `rows` times, on a device if one is given."""
    made = copy.copy(cache)
    made.layers = [_layer_copy(layer, rows, device) for layer in cache.layers]
    return made


def tensors_of(cache: DynamicCache) -> Iterator[Tensor]:
    """Yield each tensor of a cache."""
    for layer in cache.layers:
        for value in vars(layer).values():
            if isinstance(value, Tensor):
                yield value
            elif isinstance(value, dict):
                yield from (v for v in value.values() if isinstance(v, Tensor))


def _layer_copy(layer: Any, rows: int, device: torch.device | None) -> Any:
    one = copy.copy(layer)
    for key, value in vars(layer).items():
        if isinstance(value, Tensor):
            setattr(one, key, _repeated(value, rows, device))
        elif isinstance(value, dict):
            own = {
                k: _repeated(v, rows, device) if isinstance(v, Tensor) else v
                for k, v in value.items()
            }
            setattr(one, key, own)
    if device is not None:
        one.device = device
    return one


def _repeated(tensor: Tensor, rows: int, device: torch.device | None) -> Tensor:
    """Return a copy with the first row `rows` times."""
    return tensor.to(device or tensor.device).repeat(rows, *[1] * (tensor.ndim - 1))
