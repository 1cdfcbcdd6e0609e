"""A loaded NV-Reason-CT, and what it makes of a volume."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from itertools import count

import torch
from torch import Tensor

from napari_ct_assistant.backends.model_info import ModelInfo
from napari_ct_assistant.backends.nv_reason_ct.network.modeling import NVReasonCT
from napari_ct_assistant.backends.nv_reason_ct.processor import NVReasonCTProcessor
from napari_ct_assistant.backends.nv_reason_ct.snapshot import Snapshot
from napari_ct_assistant.backends.protocol import EncodingStopped, PreparedScan, Progress
from napari_ct_assistant.backends.settings import GenerationSettings
from napari_ct_assistant.support.translation import said


@dataclass(frozen=True, eq=False)
class EncodedVolume:
    """A volume as the language model has read it.

    Attributes
    ----------
    vision_tokens : Tensor [1, N, embed_dim]
        The encoder's output.
    image_tokens : Tensor [1, N, hidden_size]
        The merger's output, which the language model reads.
    snapshot : Snapshot
    seconds : dict
        "encode" and "prefix".
    """

    vision_tokens: Tensor
    image_tokens: Tensor
    snapshot: Snapshot
    seconds: dict[str, float]


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A model on a device, with everything that came with its weights.

    Attributes
    ----------
    model : NVReasonCT
        In evaluation mode.
    processor : NVReasonCTProcessor
    info : ModelInfo
    settings : GenerationSettings
        How answers are generated where a call does not say otherwise.
    """

    model: NVReasonCT
    processor: NVReasonCTProcessor
    info: ModelInfo
    settings: GenerationSettings = field(default_factory=GenerationSettings)
    _blind: list[EncodedVolume] = field(default_factory=list)
    _making: threading.Lock = field(default_factory=threading.Lock)

    def encode_volume(
        self,
        pixel_values: Tensor,
        progress: Progress | None = None,
        cancel: threading.Event | None = None,
        scan: PreparedScan | None = None,
    ) -> EncodedVolume:
        """Run encoder, merger and language model over a volume.

        Parameters
        ----------
        pixel_values : Tensor [1, 1, T, H, W]
        scan : PreparedScan, optional
            Whose cache may hold the encoder's output.

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

        start = time.perf_counter()
        vision = self.model.vision3d

        def run() -> dict[str, Tensor]:
            values = pixel_values.to(self.model.device)
            return {"vision_tokens": vision.sub_vision(values, before_block)}

        with torch.no_grad():
            found = run() if scan is None else scan.encoded({"encoder": vision.sub_vision}, run)
            tokens = found["vision_tokens"].to(self.model.device)
            image = vision.merger(tokens)
        encoded = time.perf_counter()
        snapshot = Snapshot(self.model, self.processor.prefix_ids(), image, progress, cancel)
        seconds = {"encode": encoded - start, "prefix": time.perf_counter() - encoded}
        return EncodedVolume(tokens, image, snapshot, seconds)

    def blind(self) -> EncodedVolume:
        """Return a volume of air; computed once, the same for every scan."""
        with self._making:
            if not self._blind:
                shape = self.processor.sizes.input_shape
                self._blind.append(self.encode_volume(torch.full((1, 1, *shape), -1.0)))
        return self._blind[0]
