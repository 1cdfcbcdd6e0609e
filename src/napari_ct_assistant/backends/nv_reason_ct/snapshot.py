"""The cache after a volume, kept unchanged; each question gets a copy.

The linear layers keep one running state, which cannot be cut back to an earlier token as keys and
values can. Questions therefore start from a copy of the state behind the volume.
"""

from __future__ import annotations

import threading
from typing import Final

import torch
from torch import Tensor
from transformers import DynamicCache

from napari_ct_assistant.backends.cache_copies import copied, tensors_of
from napari_ct_assistant.backends.loading.memory import free_bytes
from napari_ct_assistant.backends.nv_reason_ct.network.modeling import NVReasonCT
from napari_ct_assistant.backends.nv_reason_ct.network.positions import prompt_positions
from napari_ct_assistant.backends.protocol import EncodingStopped, Progress
from napari_ct_assistant.support.translation import said

CHUNK: Final = 1024  # tokens at a time; bounds the memory, and stopping takes effect between them
ROOM: Final = 4  # a snapshot stays on the device if this many more of it fit there


class Snapshot:
    """The state of the language model behind a volume.

    Parameters
    ----------
    model : NVReasonCT
    prefix : list of int
        Token ids up to the end of the volume.
    image_tokens : Tensor [1, N, hidden_size]
    progress
        Called with a short sentence before each piece of the prompt.
    cancel
        Set it to stop.

    Attributes
    ----------
    length, delta : int
        Tokens of the prefix, and by how much the positions of later tokens are moved.

    Raises
    ------
    EncodingStopped
        If `cancel` was set before the end.
    """

    def __init__(
        self,
        model: NVReasonCT,
        prefix: list[int],
        image_tokens: Tensor,
        progress: Progress | None = None,
        cancel: threading.Event | None = None,
    ):
        self._model = model
        self.length = len(prefix)
        ids = torch.tensor(prefix)
        positions, self.delta = prompt_positions(ids, model.image_token_id, model.sizes.grid)
        cache = model.new_cache()
        with torch.no_grad():
            embeddings = model.embed(ids[None].to(model.device), image_tokens)
            for start in range(0, self.length, CHUNK):
                if cancel is not None and cancel.is_set():
                    raise EncodingStopped(said("stopped while the model read the image tokens"))
                if progress is not None:
                    progress(f"Reading the image tokens: {start:,} of {self.length:,}")
                part = slice(start, start + CHUNK)
                model(
                    inputs_embeds=embeddings[:, part],
                    position_ids=positions[:, None, part],
                    past_key_values=cache,
                    logits_to_keep=1,
                )
        self.bytes = sum(tensor.nbytes for tensor in tensors_of(cache))
        free = free_bytes(model.device)
        # Where memory on the device is short, it is kept in the computer's.
        away = model.device.type == "cuda" and free is not None and free < ROOM * self.bytes
        self._cache = copied(cache, 1, torch.device("cpu")) if away else cache

    def copies(self, rows: int = 1) -> DynamicCache:
        """Return a cache with the state in each of several rows, to be extended."""
        return copied(self._cache, rows, self._model.device)

    def positions(self, count: int, start: int = 0) -> Tensor:
        """Return the positions [3, 1, count] of tokens behind the prefix, from the `start`-th."""
        first = self.length + self.delta + start
        return torch.arange(first, first + count).expand(3, 1, -1)
