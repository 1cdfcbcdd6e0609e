"""A loaded COLIPRI, and what it makes of volumes and texts."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

import torch
from torch import Tensor

from napari_ct_assistant.backends.colipri.configuration import ColipriSizes, Preparation
from napari_ct_assistant.backends.colipri.network import Colipri
from napari_ct_assistant.backends.colipri.preparation import AIR, make_cube
from napari_ct_assistant.backends.colipri.words import Words
from napari_ct_assistant.backends.heat_map import PointRAS
from napari_ct_assistant.backends.model_info import ModelInfo
from napari_ct_assistant.backends.prepared_scan import EncodingStopped, PreparedScan, Progress
from napari_ct_assistant.support.translation import said
from napari_ct_assistant.volume import CTVolume, ModelGrid


@dataclass(frozen=True)
class ColipriProcessor:
    """What prepares scans and words for the network.

    Attributes
    ----------
    sizes : ColipriSizes
    preparation : Preparation
    words : Words or None
        None for a folder without a vocabulary.
    """

    sizes: ColipriSizes
    preparation: Preparation
    words: Words | None

    def prepare_volume(
        self, volume: CTVolume, *, centre: PointRAS | None = None
    ) -> tuple[Tensor, ModelGrid]:
        """Return the model's input [1, 1, n, n, n] for a scan, and where it lies."""
        cube = make_cube(volume, self.preparation, self.sizes.patch_size, centre)
        return torch.from_numpy(cube.values)[None, None], cube.grid


@dataclass(frozen=True, eq=False)
class LoadedColipri:
    """A model on a device, with everything that came with its weights.

    Attributes
    ----------
    model : Colipri
        In evaluation mode.
    processor : ColipriProcessor
    info : ModelInfo
    """

    model: Colipri
    processor: ColipriProcessor
    info: ModelInfo
    _texts: dict[str, Tensor] = field(default_factory=dict)
    _air: list[Tensor] = field(default_factory=list)
    _making: threading.Lock = field(default_factory=threading.Lock)

    def tokens(
        self,
        pixel_values: Tensor,
        progress: Progress | None = None,
        cancel: threading.Event | None = None,
    ) -> Tensor:
        """Return the trunk's tokens. [1, 1, n, n, n] -> [1, N, embed_dim].

        Raises
        ------
        EncodingStopped
            If `cancel` was set before the end.
        """
        tell = progress or (lambda _: None)
        blocks, depth = count(1), self.processor.sizes.depth

        def before_block() -> None:
            if cancel is not None and cancel.is_set():
                raise EncodingStopped(said("stopped while the scan was encoded"))
            tell(f"Encoding the scan: layer {next(blocks)} of {depth}")

        with torch.no_grad():
            return self.model.image_tokens(pixel_values, before_block)

    def tokens_of(
        self,
        scan: PreparedScan,
        progress: Progress | None = None,
        cancel: threading.Event | None = None,
    ) -> Tensor:
        """Return the trunk's tokens of a scan, from its cache if they are there."""
        trunk = self.model.image_encoder.backbone
        found = scan.encoded(
            {"backbone": trunk},
            lambda: {"vision_tokens": self.tokens(scan.pixel_values, progress, cancel)},
        )
        tokens: Tensor = found["vision_tokens"].to(self.model.device)
        return tokens

    def air(self) -> Tensor:
        """Return the tokens of a volume of air; computed once, the same for every scan."""
        with self._making:
            if not self._air:
                edge = self.processor.sizes.input_size
                self._air.append(self.tokens(torch.full((1, 1, edge, edge, edge), AIR)))
        return self._air[0]

    def text(self, texts: Sequence[str]) -> Tensor:
        """Return the embeddings of texts, of length 1; each is computed once. [texts, C]."""
        words = self.processor.words
        if words is None:
            raise ValueError(f"{self.info.name}: the folder has no vocabulary")
        new = [text for text in dict.fromkeys(texts) if text not in self._texts]
        if new:
            with torch.no_grad():
                found = self.model.encode_text(*words(new)).float()
            self._texts.update(zip(new, found, strict=True))
        return torch.stack([self._texts[text] for text in texts])
