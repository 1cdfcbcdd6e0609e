"""How much memory a model needs, counted from its files' headers. Importing it brings no torch.

It needs room for the weights in the precision they are loaded in, for the key-value cache of the
longest prompt (once, and once more for each question of a screen's batch), and a margin for
activations.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from napari_ct_assistant.model.format import upgraded

# Bytes of one value of a linear layer, its share of the block's scale included.
QUANTIZED: Final = {"8bit": 1.05, "4bit": 0.57}
QUESTION_TOKENS: Final = 64
SCREEN_BATCH: Final = 6  # questions at a time; more are faster but copy the cache more often
MARGIN: Final = 1.1  # for activations and fragmentation, on top of the whole
LAYERS: Final = "language_model.model.layers."  # prefix of the matrices that are quantized
LONGEST_HEADER: Final = 100_000_000  # bytes; safetensors' own limit


@dataclass(frozen=True)
class MemoryNeed:
    """Bytes that a loaded model needs."""

    weights: int
    cache: int

    @property
    def total(self) -> int:
        """Both together, with the margin."""
        return round((self.weights + self.cache) * MARGIN)


@dataclass(frozen=True)
class Counts:
    """How many values (parameters and buffers) a model has.

    Attributes
    ----------
    values : int
        In all its tensors.
    linear : int
        In the language model's linear layers, which can be quantized.
    cached : int
        In the key-value cache, for one token.
    copies : int
        Of the cache that are held at a time.
    working : int
        Bytes that reading the longest prompt needs besides.
    """

    values: int
    linear: int
    cached: int
    copies: int = 1 + SCREEN_BATCH
    working: int = 0

    def need(self, itemsize: int, *, quantize: str | None = None, tokens: int = 1024) -> MemoryNeed:
        """Return the bytes needed.

        Parameters
        ----------
        itemsize : int
            Bytes of a value in the precision of the load.
        quantize : "8bit" or "4bit", optional
            The precision of the linear layers, where they are quantized.
        tokens : int
            Of the longest prompt and answer: image, question, report.
        """
        weights = float(self.values * itemsize)
        if quantize is not None:
            weights += self.linear * (QUANTIZED[quantize] - itemsize)
        cache = self.cached * itemsize * tokens * self.copies
        return MemoryNeed(round(weights), cache + self.working)


def count(shapes: Mapping[str, tuple[int, ...]], text: Mapping[str, Any]) -> Counts:
    """Count the values of tensors, given {name: shape} and `text_config` of `config.json`."""
    linear = [s for key, s in shapes.items() if key.startswith(LAYERS) and len(s) == 2]
    heads = text.get("num_attention_heads") or 0
    head_dim = text.get("head_dim") or (text.get("hidden_size") or 0) // max(heads, 1)
    cached = 2 * (text.get("num_hidden_layers") or 0) * head_dim
    return Counts(
        sum(map(math.prod, shapes.values())),
        sum(map(math.prod, linear)),
        cached * (text.get("num_key_value_heads") or heads),
    )


def header_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Return {name: shape} of a folder's tensors; only the headers are read, unchecked.

    A broken file ends in any of OSError, ValueError, KeyError, TypeError and AttributeError.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for file in folder.glob("model*.safetensors"):
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            header = json.loads(stream.read(min(length, LONGEST_HEADER)))
        header.pop("__metadata__", None)
        shapes |= {key: tuple(entry["shape"]) for key, entry in header.items()}
    return shapes


def count_folder(folder: Path) -> tuple[Counts, int] | None:
    """Return the values of a model folder and the tokens of its longest prompt.

    For a list of models: a broken folder gives None here, and an error when it is loaded.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        shapes = header_shapes(folder)
        counts = count(shapes, config["text_config"])
        settings = upgraded(
            json.loads((folder / "processor_config.json").read_text(encoding="utf-8"))
        )
        tokens = settings["num_image_tokens"] + QUESTION_TOKENS + settings["max_new_tokens"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return (counts, int(tokens)) if shapes else None
