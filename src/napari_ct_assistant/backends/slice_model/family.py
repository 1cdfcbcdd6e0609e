"""How slice models are recognised. Importing it brings no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from napari_ct_assistant.backends.family import Family
from napari_ct_assistant.backends.slice_model.sizes import count_folder, is_slice_model

NOTICE: Final = (
    "A general image-text model looked at single slices. It sees no millimetres: trust no size "
    "that it states. Research use only; review every output."
)
# What a download fetches; no Python file is among them.
FILES: Final = (
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "added_tokens.json",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
    "chat_template.json",
    "chat_template.jinja",
    "slice_preset.yaml",
    "model.safetensors",
    "model.safetensors.index.json",
    "model-*-of-*.safetensors",
    "LICENSE*",
    "README.md",
)


def _about(_: Mapping[str, Any]) -> tuple[str, str]:
    return "", NOTICE


SLICE_MODELS: Final = Family(
    name="slice model",
    module="napari_ct_assistant.backends.slice_model.loading",
    matches=is_slice_model,
    about=_about,
    count=count_folder,
    files=FILES,
    slices=True,
)
