"""Merge low-rank adapters into the weights that they adapt: W + scale * B A.

They come in two kinds of file: the full state of a model that PEFT has wrapped (M3D's
`model_with_lora.bin`), and an adapter folder, whose tensors belong to another model.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import Tensor

from napari_ct_assistant.model.conversion.tensors import Entry
from napari_ct_assistant.model.errors import ModelLoadError, listing

PREFIX = "base_model.model."
_FACTOR = re.compile(r"^(?P<module>.+)\.lora_(?P<side>[AB])(?:\.default)?\.weight$")
_SAVED = re.compile(r"\.modules_to_save(?:\.default)?\.")
# M3D's value (LaMed/src/train/train.py), where no file has another.
DEFAULT_ALPHA = 32.0


def split_lora(
    entries: Mapping[str, Entry],
) -> tuple[dict[str, Entry], dict[str, dict[str, Entry]]]:
    """Undo PEFT's naming.

    Returns
    -------
    plain : whole tensors by their name in the unwrapped model
    factors : {"A": ..., "B": ...} by the name of the weight that they adapt

    Raises
    ------
    ModelLoadError
        If only one of two factors is there.
    """
    plain: dict[str, Entry] = {}
    saved: dict[str, Entry] = {}
    factors: dict[str, dict[str, Entry]] = {}
    for key, entry in entries.items():
        name = key.removeprefix(PREFIX)
        found = _FACTOR.match(name)
        if found:
            factors.setdefault(f"{found['module']}.weight", {})[found["side"]] = entry
        elif ".original_module." in name:
            continue  # the copy from before training
        elif _SAVED.search(name):
            saved[_SAVED.sub(".", name)] = entry
        else:
            plain[name.replace(".base_layer.", ".")] = entry
    single = sorted(name for name, pair in factors.items() if len(pair) < 2)
    if single:
        raise ModelLoadError(f"one of the two LoRA factors is missing: {listing(single)}")
    return plain | saved, factors


def scale_of(config: Mapping[str, Any], rank: int, alpha: float | None = None) -> float:
    """Return the scale of B A.

    Parameters
    ----------
    config : mapping
        `adapter_config.json`, or empty.
    rank : int
    alpha : float, optional
        Instead of the configuration's; M3D's 32 where neither is given.

    Raises
    ------
    ModelLoadError
        If the configuration asks for more than plain LoRA.
    """
    if config.get("peft_type", "LORA") != "LORA":
        raise ModelLoadError(
            f"adapters of type {config['peft_type']!r} are not supported, only 'LORA'"
        )
    more = [
        key
        for key in ("use_dora", "fan_in_fan_out", "alpha_pattern", "rank_pattern", "lora_bias")
        if config.get(key)
    ]
    if more:
        raise ModelLoadError(
            f"adapter_config.json asks for {', '.join(more)}, which is not supported"
        )
    value = alpha if alpha is not None else float(config.get("lora_alpha", DEFAULT_ALPHA))
    return value / (math.sqrt(rank) if config.get("use_rslora") else rank)


def merge(
    entries: dict[str, Entry],
    factors: Mapping[str, Mapping[str, Entry]],
    config: Mapping[str, Any],
    alpha: float | None = None,
) -> dict[str, Entry]:
    """Return the entries with their adapters merged; the sum is computed when an entry is read.

    Raises
    ------
    ModelLoadError
        If an adapter belongs to no weight, or its shape does not fit.
    """
    lost = sorted(set(factors) - set(entries))
    if lost:
        raise ModelLoadError(f"LoRA for {len(lost)} unknown tensor(s): {listing(lost)}")
    merged = dict(entries)
    for name, pair in factors.items():
        entry, a, b = entries[name], pair["A"], pair["B"]
        if (*b.shape[:1], *a.shape[1:]) != entry.shape or b.shape[1:] != a.shape[:1]:
            raise ModelLoadError(
                f"{name}: LoRA of {list(b.shape)} times {list(a.shape)} does not fit "
                f"{list(entry.shape)}"
            )
        scale = scale_of(config, a.shape[0], alpha)
        merged[name] = Entry(entry.shape, entry.dtype, partial(_added, entry, a, b, scale))
    return merged


def _added(weight: Entry, a: Entry, b: Entry, scale: float) -> Tensor:
    """Return W + scale * B A, computed in float32."""
    whole = weight.read()
    delta = b.read().float() @ a.read().float()
    return (whole.float() + scale * delta).to(whole.dtype)
