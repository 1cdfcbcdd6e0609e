"""What is published of NV-Reason-CT: files, data, terms. Importing it brings no torch."""

from __future__ import annotations

from typing import Final

HUB_ID: Final = "nvidia/NV-Reason-CT"
TRAINED_ON: Final = "CT-RATE, CancerVerse and scans of the NIH (70,111 CT volumes)"
NOTICE: Final = (
    "NV-Reason-CT is for research and education. It is no medical device; every output has to be "
    "reviewed."
)

IMAGE_PROCESSOR: Final = "image_processor_3d/preprocessor_config.json"
# What a download fetches; no Python file is among them.
FILES: Final = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    IMAGE_PROCESSOR,
    "model.safetensors",
    "model.safetensors.index.json",
    "model-*-of-*.safetensors",
    "LICENSE*",
    "README.md",
)
