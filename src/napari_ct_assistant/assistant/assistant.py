"""A loaded model that reads scans."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

from napari_ct_assistant.assistant.reading.reading import Reading
from napari_ct_assistant.backends.protocol import Backend, View
from napari_ct_assistant.backends.scan_cache import ScanCache
from napari_ct_assistant.backends.settings import GenerationSettings
from napari_ct_assistant.backends.slices.choice import WHOLE, SliceRange
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.support.translation import said
from napari_ct_assistant.volume import CTVolume


class Assistant:
    """A model on a device. Made by `load_assistant`.

    Parameters
    ----------
    backend : Backend
    cache : ScanCache, optional
        Where encoded scans are kept.

    Attributes
    ----------
    info : ModelInfo
    """

    def __init__(self, backend: Backend, cache: ScanCache | None = None):
        self._backend: Backend | None = backend
        self._cache = cache
        self._readings: WeakSet[Reading] = WeakSet()
        self.info = backend.info

    @property
    def backend(self) -> Backend:
        """The loaded model; `ModelLoadError` once it was closed."""
        if self._backend is None:
            raise ModelLoadError(
                said("{name}: this model was closed; load it again", name=self.info.name)
            )
        return self._backend

    @property
    def model(self) -> Any:
        """The network."""
        return self.backend.model

    @property
    def processor(self) -> Any:
        """What prepares scans and prompts for the network."""
        return self.backend.processor

    @property
    def device(self) -> str:
        """Where the model is, such as "cpu" or "cuda:0"; "closed" after `close`."""
        return "closed" if self._backend is None else self._backend.device

    @property
    def settings(self) -> GenerationSettings:
        """How answers are generated; set it before a scan is read."""
        return self.backend.settings

    @settings.setter
    def settings(self, settings: GenerationSettings) -> None:
        self._backend = self.backend.with_settings(settings)

    def with_preset(self, preset: str | None) -> Assistant:
        """Return the same loaded model with another slice preset.

        Parameters
        ----------
        preset
            Its name or file; None for the model's own.

        Raises
        ------
        ModelLoadError
            If the model does not look at slices, or its presets cannot be changed here.
        PresetError
            If there is no such preset, or the file is invalid.
        """
        change = getattr(self.backend, "with_preset", None)
        if change is None:
            raise ModelLoadError(
                said("{name}: its slices cannot be shown by another preset", name=self.info.name)
            )
        return Assistant(change(preset), self._cache)

    def read(
        self,
        volume: CTVolume,
        *,
        region: str = "",
        centre: tuple[float, float, float] | None = None,
        slices: SliceRange = WHOLE,
        progress: Callable[[str], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> Reading:
        """Encode a scan once; every question to the reading reuses that.

        Parameters
        ----------
        volume : CTVolume
        region
            Region of the body to read, for models that can be pointed to one
            (`backend.capabilities.body_regions`); the model's choice when absent.
        centre : (x, y, z), optional
            RAS mm of the centre of the part that is read; the model's choice when absent.
        slices : SliceRange
            Which slices are shown to a model that looks at single ones
            (`backend.capabilities.slices`); those that its preset chooses when absent.
        progress
            Called with a short sentence before each step.
        cancel
            Set it to stop; `EncodingStopped` is raised.

        Raises
        ------
        ModelLoadError
            If the assistant was closed.
        ValueError
            If the model has no such region, or the slices are not the scan's.
        """
        reading = Reading(
            self.backend,
            volume,
            view=View(region, centre, slices),
            cache=self._cache,
            progress=progress,
            cancel=cancel,
        )
        self._readings.add(reading)
        return reading

    def close(self) -> None:
        """Free the memory of the model and of every reading made with it."""
        backend, self._backend = self._backend, None
        for reading in list(self._readings):
            reading.close()
        end = getattr(backend, "close", None)
        del backend
        if end is not None:
            end()
            del end
        if "torch" in sys.modules:  # a model on a server may need none
            from napari_ct_assistant.backends.loading.memory import free_memory

            free_memory()
