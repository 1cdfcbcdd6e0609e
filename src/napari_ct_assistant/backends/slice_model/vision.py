"""The image features of slices, a few slices at a time."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final

import torch
from torch import Tensor

from napari_ct_assistant.backends.protocol import EncodingStopped, Progress
from napari_ct_assistant.backends.slice_model.processor import SliceModelProcessor
from napari_ct_assistant.backends.slices import RGB
from napari_ct_assistant.support.translation import said

CHUNK: Final = 4  # slices at a time; all 85 of MedGemma's at once take several GB


@dataclass(frozen=True, eq=False)
class SliceFeatures:
    """What the vision tower makes of slices.

    Attributes
    ----------
    pooled : list of Tensor [tokens, hidden_size]
        For each slice, what stands for it in the language model.
    deepstack : list of list of Tensor
        For each of the first layers of a Qwen3-VL, what is added there; () for other models.
    grids : Tensor [n, 3] or None
        Patches (time, rows, columns) of each slice, where positions depend on them.
    alike : bool
        The network takes them as one tensor [n, tokens, hidden_size].
    """

    pooled: list[Tensor]
    deepstack: tuple[list[Tensor], ...] = ()
    grids: Tensor | None = None
    alike: bool = False

    @property
    def tokens(self) -> list[int]:
        """Tokens of each slice."""
        return [len(one) for one in self.pooled]

    def as_output(self) -> dict[str, Any]:
        """Return it as the network takes what its own vision tower gave."""
        pooled: Any = torch.stack(self.pooled) if self.alike else tuple(self.pooled)
        return {
            "image": SimpleNamespace(pooler_output=pooled, deepstack_features=list(self.deepstack))
        }


def encode_slices(
    model: Any,
    processor: SliceModelProcessor,
    images: Sequence[RGB],
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> SliceFeatures:
    """Run the vision tower over slices, `CHUNK` at a time.

    Raises
    ------
    EncodingStopped
        If `cancel` was set before the end.
    """
    tell = progress or (lambda _: None)
    pooled: list[Tensor] = []
    deepstack: list[list[Tensor]] = []
    grids: list[Tensor] = []
    alike = False
    for start in range(0, len(images), CHUNK):
        if cancel is not None and cancel.is_set():
            raise EncodingStopped(said("stopped while the slices were encoded"))
        tell(f"Encoding the slices: {start} of {len(images)}")
        pixels = processor.pixels(images[start : start + CHUNK])
        if "image_grid_thw" in pixels:
            grids.append(pixels["image_grid_thw"])
        there = {key: value.to(model.device) for key, value in pixels.items()}
        there["pixel_values"] = there["pixel_values"].to(model.dtype)
        with torch.no_grad():
            made = model.get_image_features(**there, return_dict=True)
        alike = isinstance(made.pooler_output, Tensor)
        pooled += list(made.pooler_output)
        for layer, parts in enumerate(getattr(made, "deepstack_features", None) or ()):
            if layer == len(deepstack):
                deepstack.append([])
            deepstack[layer] += list(parts)
    return SliceFeatures(pooled, tuple(deepstack), torch.cat(grids) if grids else None, alike)
