"""A model as it was loaded: the value that caches and evidence work with."""

from __future__ import annotations

from dataclasses import dataclass, field

from napari_ct_assistant.backends.model_info import ModelInfo
from napari_ct_assistant.backends.ood import OutOfDistributionDetector
from napari_ct_assistant.backends.settings import GenerationSettings
from napari_ct_assistant.model.modeling import VolumeLanguageModel
from napari_ct_assistant.model.processor import VolumeLanguageProcessor


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A model on a device, with everything that came with its weights.

    Attributes
    ----------
    model : VolumeLanguageModel
        In evaluation mode.
    processor : VolumeLanguageProcessor
    info : ModelInfo
    ood : OutOfDistributionDetector or None
        None where the model's folder has none.
    settings : GenerationSettings
        How answers are generated where a call does not say otherwise.
    """

    model: VolumeLanguageModel
    processor: VolumeLanguageProcessor
    info: ModelInfo
    ood: OutOfDistributionDetector | None = None
    settings: GenerationSettings = field(default_factory=GenerationSettings)
