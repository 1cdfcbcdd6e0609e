"""Will the model fit? What it needs, from its files' headers, against what is free.

Needed is counted, not measured: weights in the precision they are loaded in, the key-value
cache of the longest prompt (once, and once for each question of a screen's batch), and a margin
for activations. Free is what the device (or the computer) reports at this moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import psutil
import torch

from napari_ct_assistant.assistant.reading import SCREEN_BATCH
from napari_ct_assistant.model.configuration import VolumeLanguageConfig
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.model.folder import TensorHeader

# Bytes of one value of a linear layer: the value, and its block's scale.
QUANTIZED: Final = {"8bit": 1.05, "4bit": 0.57}
QUESTION_TOKENS: Final = 64
MARGIN: Final = 1.1  # activations, fragments; of the whole


@dataclass(frozen=True)
class Need:
    """Bytes that a loaded model takes."""

    weights: int
    cache: int

    @property
    def total(self) -> int:
        """With the margin."""
        return round((self.weights + self.cache) * MARGIN)


def estimate(
    headers: Mapping[str, TensorHeader],
    config: VolumeLanguageConfig,
    dtype: torch.dtype,
    *,
    quantize: str | None = None,
    tokens: int = 1024,
) -> Need:
    """Return what a model needs.

    Parameters
    ----------
    headers : mapping
        Of its tensors, as `check_folder` returns them.
    config : VolumeLanguageConfig
    dtype : torch.dtype
        In which it is loaded.
    quantize : "8bit" or "4bit", optional
        Then the language model's linear layers take this much.
    tokens : int
        Of the longest prompt and answer: image, question, report.
    """
    size = float(dtype.itemsize)
    weights = 0.0
    for key, header in headers.items():
        small = (
            quantize is not None
            and key.startswith("language_model.model.layers.")
            and len(header.shape) == 2
        )
        weights += header.elements * (QUANTIZED[str(quantize)] if small else size)
    text = config.text_config
    heads = text.num_attention_heads
    kv = getattr(text, "num_key_value_heads", None) or heads
    width = getattr(text, "head_dim", None) or text.hidden_size // heads
    per_token = 2 * text.num_hidden_layers * kv * width * dtype.itemsize
    return Need(round(weights), per_token * (tokens + SCREEN_BATCH * tokens))


def free_bytes(device: torch.device) -> int | None:
    """Return the free memory of a device in bytes; None where it cannot be asked."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        # What torch holds and does not use is as good as free.
        return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))
    if device.type in {"cpu", "mps"}:  # Apple's GPUs share the computer's memory
        return int(psutil.virtual_memory().available)
    return None


def check_room(
    name: str,
    headers: Mapping[str, TensorHeader],
    config: VolumeLanguageConfig,
    device: torch.device,
    dtype: torch.dtype,
    *,
    quantize: str | None = None,
    offload: bool = False,
    tokens: int = 1024,
) -> None:
    """Refuse a model that does not fit, and say what would.

    Parameters
    ----------
    offload : bool
        What the device cannot hold goes to the computer's memory (`device_map="auto"`).

    Raises
    ------
    ModelLoadError
        With what it needs, what is free, and the ways that fit.
    """
    free = free_bytes(device)
    if free is None:
        return
    computer = int(psutil.virtual_memory().available)
    if offload and device.type == "cuda":
        free += computer
    need = estimate(headers, config, dtype, quantize=quantize, tokens=tokens).total
    if need <= free:
        return
    kind = quantize or str(dtype).removeprefix("torch.")
    ways = _ways(headers, config, device, dtype, quantize, offload, tokens, free, computer)
    raise ModelLoadError(
        f"{name}: needs about {need / 1e9:.1f} GB in {kind} on {device.type}, "
        f"{free / 1e9:.1f} GB are free; {ways}"
    )


def _ways(
    headers: Mapping[str, TensorHeader],
    config: VolumeLanguageConfig,
    device: torch.device,
    dtype: torch.dtype,
    quantize: str | None,
    offload: bool,
    tokens: int,
    free: int,
    computer: int,
) -> str:
    """Say which precision, quantization or place would hold the model."""
    found = []
    half = estimate(headers, config, torch.bfloat16, tokens=tokens).total
    if quantize is None and dtype == torch.float32 and half <= free:
        found.append(f'dtype="bfloat16" ({half / 1e9:.1f} GB)')
    for smaller in QUANTIZED:
        size = estimate(headers, config, torch.bfloat16, quantize=smaller, tokens=tokens).total
        if quantize is None and size <= free:
            found.append(f'quantize="{smaller}" ({size / 1e9:.1f} GB)')
            break
    if device.type == "cuda" and not offload and half <= free + computer:
        found.append('device_map="auto", which keeps a part in the computer\'s memory (slow)')
    ask = "close other programs or use a smaller model"
    return f"{ask}, or load it with {' or '.join(found)}" if found else ask
