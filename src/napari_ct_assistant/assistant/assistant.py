"""A loaded model that reads scans."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from weakref import WeakSet

from napari_ct_assistant.assistant.models.loaded_model import LoadedModel
from napari_ct_assistant.assistant.models.memory import free_memory
from napari_ct_assistant.assistant.reading.reading import Reading
from napari_ct_assistant.assistant.reading.settings import GenerationSettings
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.model.modeling import VolumeLanguageModel
from napari_ct_assistant.model.processor import VolumeLanguageProcessor
from napari_ct_assistant.volume import CTVolume


class Assistant:
    """A model on a device. Made by `load_assistant`.

    Parameters
    ----------
    loaded : LoadedModel

    Attributes
    ----------
    info : ModelInfo
    """

    def __init__(self, loaded: LoadedModel):
        self._loaded: LoadedModel | None = loaded
        self._readings: WeakSet[Reading] = WeakSet()
        self.info = loaded.info

    @property
    def loaded(self) -> LoadedModel:
        """The loaded model; `ModelLoadError` once it was closed."""
        if self._loaded is None:
            raise ModelLoadError(f"{self.info.name}: this model was closed; load it again")
        return self._loaded

    @property
    def model(self) -> VolumeLanguageModel:
        """The network."""
        return self.loaded.model

    @property
    def processor(self) -> VolumeLanguageProcessor:
        """What prepares scans and prompts for the network."""
        return self.loaded.processor

    @property
    def device(self) -> str:
        """Where the model is, such as "cpu" or "cuda:0"; "closed" after `close`."""
        return "closed" if self._loaded is None else str(self._loaded.model.device)

    @property
    def settings(self) -> GenerationSettings:
        """How answers are generated; set it before a scan is read."""
        return self.loaded.settings

    @settings.setter
    def settings(self, settings: GenerationSettings) -> None:
        self._loaded = replace(self.loaded, settings=settings)

    def read(self, volume: CTVolume, *, progress: Callable[[str], None] | None = None) -> Reading:
        """Encode a scan once; every question to the reading reuses that.

        Parameters
        ----------
        volume : CTVolume
        progress
            Called with a short sentence before each step.

        Raises
        ------
        ModelLoadError
            If the assistant was closed.
        """
        reading = Reading(self.loaded, volume, progress=progress)
        self._readings.add(reading)
        return reading

    def close(self) -> None:
        """Free the memory of the model and of every reading made with it."""
        self._loaded = None
        for reading in list(self._readings):
            reading.close()
        free_memory()
