"""Which parts of a model are quantized: the language model, never what the image passes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForImageTextToText
from transformers.quantizers.quantizers_utils import should_convert_module

from napari_ct_assistant.backends.loading.quantization import NOT_QUANTIZED
from napari_ct_assistant.model.modeling import VolumeLanguageModel
from tests.backends.slice_model.tiny_models import save_tiny_model as save_slice_model


def quantized(model: nn.Module) -> tuple[set[str], set[str]]:
    """Return the linear layers that transformers quantizes with our list, and the others."""
    linear = {name for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    chosen = {name for name in linear if should_convert_module(name, NOT_QUANTIZED)}
    return chosen, linear - chosen


@pytest.mark.parametrize("kind", ["gemma3", "gemma4", "qwen2_5_vl", "qwen3_vl"])
def test_the_image_path_of_a_slice_model_keeps_its_precision(kind: str, tmp_path: Path) -> None:
    config = AutoConfig.from_pretrained(save_slice_model(tmp_path / "tiny", kind))
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config)
    chosen, kept = quantized(model)
    assert chosen
    assert kept
    assert all("language_model.layers." in name for name in chosen)
    assert not any("language_model.layers." in name for name in kept)


def test_the_image_path_of_a_volume_model_keeps_its_precision(tiny_model_folder: Path) -> None:
    model = VolumeLanguageModel.from_pretrained(tiny_model_folder)
    chosen, kept = quantized(model)
    assert all(name.startswith("language_model.") for name in chosen)
    assert any(name.startswith("vision_tower.") for name in kept)
