"""A loaded slice model, and what it makes of slices."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from napari_ct_assistant.backends.model_info import ModelInfo
from napari_ct_assistant.backends.protocol import Progress
from napari_ct_assistant.backends.settings import GenerationSettings
from napari_ct_assistant.backends.slice_model.processor import SliceModelProcessor
from napari_ct_assistant.backends.slice_model.snapshot import Snapshot
from napari_ct_assistant.backends.slice_model.vision import SliceFeatures, encode_slices
from napari_ct_assistant.backends.slices import RGB, blank_images


@dataclass(eq=False)
class EncodedSlices:
    """Slices as the language model has read them.

    Attributes
    ----------
    features : SliceFeatures
    snapshot : Snapshot
        Of the prefix that was used last: where questions stand before the slices, each has one
        of its own.
    seconds : dict
        "encode" and "prefix".
    """

    features: SliceFeatures
    snapshot: Snapshot
    seconds: dict[str, float]


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A model on a device, with everything that came with its weights.

    Attributes
    ----------
    model
        A stock image-text model of transformers, in evaluation mode.
    processor : SliceModelProcessor
    info : ModelInfo
    settings : GenerationSettings
        How answers are generated where a call does not say otherwise.
    """

    model: Any
    processor: SliceModelProcessor
    info: ModelInfo
    settings: GenerationSettings = field(default_factory=GenerationSettings)
    _blind: list[tuple[list[tuple[int, int]], EncodedSlices]] = field(default_factory=list)
    _making: threading.Lock = field(default_factory=threading.Lock)

    def encode_images(
        self,
        images: Sequence[RGB],
        prefix: list[int],
        progress: Progress | None = None,
        cancel: threading.Event | None = None,
    ) -> EncodedSlices:
        """Run vision tower and language model over slices.

        Parameters
        ----------
        images
            uint8 [rows, columns, 3] each.
        prefix : list of int
            Token ids up to the end of the last slice.

        Raises
        ------
        EncodingStopped
            If `cancel` was set before the end.
        """
        start = time.perf_counter()
        features = encode_slices(self.model, self.processor, images, progress, cancel)
        encoded = time.perf_counter()
        snapshot = Snapshot(self.model, self.processor, prefix, features, progress, cancel)
        seconds = {"encode": encoded - start, "prefix": time.perf_counter() - encoded}
        return EncodedSlices(features, snapshot, seconds)

    def snapshot_for(self, encoded: EncodedSlices, prefix: tuple[int, ...]) -> Snapshot:
        """Return the snapshot behind a prefix; made anew if it is not the last one's."""
        if encoded.snapshot.prefix != prefix:
            encoded.snapshot = Snapshot(self.model, self.processor, list(prefix), encoded.features)
        return encoded.snapshot

    def blind(self, sizes: Sequence[tuple[int, int]], prefix: tuple[int, ...]) -> EncodedSlices:
        """Return slices without content, of the same sizes (rows, columns); the last are kept.

        The same for every scan of as many slices of this size.
        """
        with self._making:
            if not self._blind or self._blind[0][0] != list(sizes):
                once = dict.fromkeys(sizes)
                made = encode_slices(self.model, self.processor, blank_images(list(once)))
                place = {size: number for number, size in enumerate(once)}
                order = [place[size] for size in sizes]
                features = SliceFeatures(
                    [made.pooled[i] for i in order],
                    tuple([layer[i] for i in order] for layer in made.deepstack),
                    None if made.grids is None else made.grids[order],
                    made.alike,
                )
                snapshot = Snapshot(self.model, self.processor, list(prefix), features)
                self._blind[:] = [(list(sizes), EncodedSlices(features, snapshot, {}))]
            encoded = self._blind[0][1]
            self.snapshot_for(encoded, prefix)
            return encoded
