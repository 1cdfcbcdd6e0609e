"""The language model's state behind the slices, kept unchanged; each question gets a copy."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import Tensor
from transformers import DynamicCache

from napari_ct_assistant.backends.cache_copies import copied, tensors_of
from napari_ct_assistant.backends.loading.memory import free_bytes
from napari_ct_assistant.backends.protocol import EncodingStopped, Progress
from napari_ct_assistant.backends.slice_model.processor import SliceModelProcessor
from napari_ct_assistant.backends.slice_model.vision import SliceFeatures
from napari_ct_assistant.support.translation import said

ROOM: Final = 4  # a snapshot stays on the device if this many more of it fit there


class Snapshot:
    """The state of the language model behind the slices of a scan.

    Parameters
    ----------
    model
        A stock image-text model.
    processor : SliceModelProcessor
    prefix : list of int
        Token ids up to the end of the last slice.
    features : SliceFeatures
    progress
        Called with a short sentence before each layer.
    cancel
        Set it to stop.

    Attributes
    ----------
    prefix : tuple of int
    length, delta : int
        Tokens of the prefix, and by how much the positions of later tokens are moved.
    bytes : int
        Of its keys and values.

    Raises
    ------
    EncodingStopped
        If `cancel` was set before the end.
    """

    def __init__(
        self,
        model: Any,
        processor: SliceModelProcessor,
        prefix: list[int],
        features: SliceFeatures,
        progress: Progress | None = None,
        cancel: threading.Event | None = None,
    ):
        self._model = model
        self.prefix = tuple(prefix)
        self.length = len(prefix)
        self.delta = 0
        ids = torch.tensor([prefix], device=model.device)
        types = processor.types(prefix).to(model.device)
        self._rows: tuple[int, ...] = (1,)
        positions = torch.arange(self.length)[None]
        if features.grids is not None:
            # Qwen places an image's tokens by row and column.
            grids = features.grids.to(model.device)
            positions, delta = model.model.get_rope_index(ids, types, image_grid_thw=grids)
            self.delta = int(delta)
            self._rows = (3, 1)
        cache = DynamicCache(config=model.config.get_text_config())
        with torch.no_grad(), _watched(model, progress, cancel):
            # The mask by which image tokens see each other both ways is built of the whole
            # prefix, so it runs in one piece; its logits are not wanted.
            model(
                input_ids=ids,
                position_ids=positions.to(model.device),
                mm_encoder_outputs=features.as_output(),
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
                **{processor.special.type_key: types},
            )
        self.bytes = sum(tensor.nbytes for tensor in tensors_of(cache))
        free = free_bytes(model.device)
        # Where memory on the device is short, it is kept in the computer's.
        away = model.device.type == "cuda" and free is not None and free < ROOM * self.bytes
        self._cache = copied(cache, 1, torch.device("cpu")) if away else cache

    @property
    def cache(self) -> DynamicCache:
        """Keys and values; not to be changed."""
        return self._cache

    def copies(self, rows: int = 1) -> DynamicCache:
        """Return a cache with the state in each of several rows, to be extended."""
        return copied(self._cache, rows, self._model.device)

    def positions(self, count: int, start: int = 0, rows: int = 1) -> Tensor:
        """Return the positions of tokens behind the prefix, from the `start`-th.

        [rows, count]; [3, rows, count] where positions have three parts.
        """
        first = self.length + self.delta + start
        line = torch.arange(first, first + count, device=self._model.device)
        return line.expand(*self._rows[:-1], rows, count)

    def forward(self, cache: DynamicCache, ids: Tensor, start: int = 0, *, keep: int = 0) -> Tensor:
        """Feed rows of tokens behind the prefix; return logits [rows, keep or all, vocabulary].

        ids: [rows, count], of which `start` tokens came before.
        """
        out = self._model(
            input_ids=ids.to(self._model.device),
            position_ids=self.positions(ids.shape[1], start, ids.shape[0]),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=keep,
        )
        logits: Tensor = out.logits
        return logits


@contextmanager
def _watched(
    model: Any, progress: Progress | None, cancel: threading.Event | None
) -> Iterator[None]:
    """Tell the layer that is next, and stop before one once `cancel` is set."""
    layers = model.model.language_model.layers

    def before(number: int) -> None:
        if cancel is not None and cancel.is_set():
            raise EncodingStopped(said("stopped while the model read the slices"))
        if progress is not None:
            progress(f"Reading the slices: layer {number} of {len(layers)}")

    hooks = [
        layer.register_forward_pre_hook(lambda *_, number=number: before(number))
        for number, layer in enumerate(layers, 1)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
