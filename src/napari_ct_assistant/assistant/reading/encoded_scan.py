"""A scan that a model has encoded: what every question to a reading shares."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Self

from napari_ct_assistant.backends.protocol import Backend, ImageContext, PreparedScan, View
from napari_ct_assistant.backends.scan_cache import ScanCache
from napari_ct_assistant.backends.screening import ScreeningContext, WritesNoTextError
from napari_ct_assistant.backends.slices.choice import WHOLE
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.support.translation import said
from napari_ct_assistant.volume import CTVolume


class EncodedScan:
    """A scan, prepared and encoded once; `Reading` asks it.

    Attributes
    ----------
    info : ModelInfo
    volume : CTVolume
    grid : ModelGrid
        Where the model's input lies in the scan.
    warnings : tuple of str
        What the reader should know before trusting an answer.
    seconds : dict
        Time to prepare, encode and fill the image context.
    """

    def __init__(
        self,
        backend: Backend,
        volume: CTVolume,
        *,
        view: View | None = None,
        cache: ScanCache | None = None,
        progress: Callable[[str], None] | None = None,
        cancel: threading.Event | None = None,
    ):
        tell = progress or (lambda _: None)
        self.info = backend.info
        self.volume = volume
        self._busy = threading.Lock()
        self._backend: Backend | None = backend
        start = time.perf_counter()
        tell("Preparing the scan")
        wanted = view or View()
        if wanted.slices != WHOLE and not backend.capabilities.slices:
            raise ValueError(
                f"{self.info.name}: reads the scan as a volume; leave out the range of slices"
            )
        scan = replace(backend.prepare(volume, wanted), cache=cache)
        self.grid = scan.grid
        prepared = time.perf_counter() - start
        self._encoded: ImageContext | ScreeningContext | None = backend.encode(
            scan, progress=progress, cancel=cancel
        )
        self.seconds = {"prepare": prepared, **self._encoded.seconds}
        self.warnings = scan.notes + self._encoded.notes

    @property
    def encoded(self) -> ImageContext | ScreeningContext:
        """What the model made of the scan; `ModelLoadError` once it was closed."""
        if self._encoded is None:
            raise ModelLoadError(
                said("{name}: this model was closed; load it again", name=self.info.name)
            )
        return self._encoded

    @property
    def context(self) -> ImageContext:
        """The image context that all questions share.

        Raises
        ------
        ModelLoadError
            Once the model was closed.
        WritesNoTextError
            If the model only screens for findings.
        """
        encoded = self.encoded
        if isinstance(encoded, ScreeningContext):
            raise WritesNoTextError(self.info.name)
        return encoded

    @property
    def backend(self) -> Backend:
        """The model that reads the scan; `ModelLoadError` once it was closed."""
        if self._backend is None:
            raise ModelLoadError(
                said("{name}: this model was closed; load it again", name=self.info.name)
            )
        return self._backend

    @property
    def scan(self) -> PreparedScan:
        """The scan as the model reads it."""
        return self.encoded.scan

    @property
    def vision_tokens(self) -> Any:
        """The encoder's output for the scan, a Tensor [1, N, C]; None on a server."""
        return self.encoded.vision_tokens

    @property
    def image_tokens(self) -> Any:
        """What stands for the scan in the language model, a Tensor [1, n, hidden_size]."""
        return self.context.image_tokens

    def without_image(self) -> Self:
        """Return the same reading without the image: what the model says of no scan."""
        blind = copy.copy(self)
        blind._encoded = self.encoded.without_image()
        return blind

    def close(self) -> None:
        """Let go of the model and of the image context; the next question is an error."""
        self._encoded = self._backend = None
