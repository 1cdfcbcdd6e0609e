"""How model folders of E3D-GPT, ViT3D-LLaMA3 and M3D-LaMed are recognised."""

from __future__ import annotations

from napari_ct_assistant.backends.family import Family
from napari_ct_assistant.backends.loading.sizes import count_folder

# The `model_type` of `VolumeLanguageConfig`, whose import would bring torch.
MODEL_TYPE = "ct_volume_language"

VOLUME_LANGUAGE = Family(
    name="volume language model",
    module="napari_ct_assistant.backends.volume_language.loading",
    matches=lambda config: config.get("model_type") == MODEL_TYPE,
    about=lambda config: (str(config.get("trained_on") or ""), str(config.get("notice") or "")),
    count=count_folder,
)
