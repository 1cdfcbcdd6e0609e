"""Load an NV-Reason-CT folder onto a device, without any code of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers.models.qwen3_5.configuration_qwen3_5 import Qwen3_5TextConfig

from napari_ct_assistant.backends.loading.devices import find_device, find_dtype
from napari_ct_assistant.backends.loading.failures import load_failures
from napari_ct_assistant.backends.loading.int8 import BLOCK, Int8Linear
from napari_ct_assistant.backends.loading.memory import check_memory
from napari_ct_assistant.backends.loading.options import Quantize
from napari_ct_assistant.backends.loading.shapes import check_shapes
from napari_ct_assistant.backends.loading.tensors import read_tensors
from napari_ct_assistant.backends.model_info import ModelInfo
from napari_ct_assistant.backends.nv_reason_ct.backend import NVReasonCTBackend
from napari_ct_assistant.backends.nv_reason_ct.checks import (
    check_folder,
    check_vocabulary,
    left_aside,
)
from napari_ct_assistant.backends.nv_reason_ct.conversation.labels import CHEST_LABELS
from napari_ct_assistant.backends.nv_reason_ct.conversation.tokens import load_tokenizer
from napari_ct_assistant.backends.nv_reason_ct.memory import LINEAR, model_counts
from napari_ct_assistant.backends.nv_reason_ct.network.configuration import (
    LANGUAGE,
    UNUSED,
    EncoderSizes,
    encoder_sizes,
    image_processor_sizes,
)
from napari_ct_assistant.backends.nv_reason_ct.network.modeling import NVReasonCT
from napari_ct_assistant.backends.nv_reason_ct.processor import NVReasonCTProcessor
from napari_ct_assistant.backends.nv_reason_ct.provenance import (
    IMAGE_PROCESSOR,
    NOTICE,
    TRAINED_ON,
)
from napari_ct_assistant.backends.settings import GenerationSettings
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.model.folder import settings_sha256
from napari_ct_assistant.model.format import WEIGHTS
from napari_ct_assistant.model.layers.onednn import use_onednn
from napari_ct_assistant.model.settings import read_json
from napari_ct_assistant.support.translation import said

PREFIX = "model."
# What Qwen3.5's text configuration is made of; nothing else of `text_config` is used.
TEXT_KEYS = (
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "head_dim", "hidden_act", "max_position_embeddings", "rms_norm_eps",
    "layer_types", "full_attention_interval", "attention_bias", "linear_conv_kernel_dim",
    "linear_key_head_dim", "linear_num_key_heads", "linear_num_value_heads",
    "linear_value_head_dim", "rope_parameters", "pad_token_id",
)  # fmt: skip


def load(
    folder: Path,
    name: str,
    *,
    device: str | None = None,
    settings: GenerationSettings | None = None,
    dtype: str | None = None,
    quantize: Quantize | None = None,
    device_map: Literal["auto"] | None = None,
) -> NVReasonCTBackend:
    """Load an NV-Reason-CT folder; the options are those of `load_assistant`.

    `quantize="8bit"` needs no further library. "4bit" and `device_map` are refused.

    Raises
    ------
    ModelLoadError
        One line with the model's name and what to do; `NotEnoughMemoryError` where it does not
        fit in memory.
    """
    target = find_device(device, name)
    precision = find_dtype(dtype, target, name)
    if quantize not in (None, "8bit"):
        raise ModelLoadError(
            said(
                "{name}: {quantize} weights change this model's findings and are not offered; "
                "use quantize='8bit'",
                name=name,
                quantize=quantize,
            )
        )
    if device_map is not None:
        raise ModelLoadError(
            said(
                "{name}: device_map is not available for this model; use quantize='8bit' or "
                "device='cpu'",
                name=name,
            )
        )
    config, headers = check_folder(folder, name)
    shapes = {key: header.shape for key, header in headers.items()}
    sizes = encoder_sizes(config, shapes, name)
    pixdim = image_processor_sizes(read_json(folder / IMAGE_PROCESSOR, name), sizes, name)
    text = text_config(config, sizes, name)
    try:
        network = build(sizes, text, int(config.get("image_token_id", 0)))
    except (ValueError, TypeError, KeyError, RuntimeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelLoadError(
            said("{name}: config.json describes no such model ({reason})", name=name, reason=reason)
        ) from error
    expected = {PREFIX + key: tuple(t.shape) for key, t in network.state_dict().items()}
    check_shapes(shapes, expected, name)
    check_vocabulary(folder, text.vocab_size, name)
    tokenizer, special = load_tokenizer(folder, config, text.vocab_size, name)
    network.image_token_id = special.image
    processor = NVReasonCTProcessor(tokenizer, special, sizes, pixdim)
    counts, tokens = model_counts(shapes, config, sizes)
    with load_failures(name, folder, target, eight_bit=quantize is None):
        check_memory(name, counts, target, precision, quantize=quantize, tokens=tokens)
        _fill(network, folder, name, target, precision, quantize=quantize)
    info = ModelInfo(
        name=name,
        trained_on=TRAINED_ON,
        notice=NOTICE,
        findings=CHEST_LABELS,
        files=tuple(sorted(folder.glob(WEIGHTS))),
        settings_sha256=settings_sha256(folder),
        notes=left_aside(folder, config),
    )
    return NVReasonCTBackend(
        use_onednn(network.eval()), processor, info, settings or GenerationSettings()
    )


def text_config(config: Mapping[str, Any], sizes: EncoderSizes, name: str) -> Qwen3_5TextConfig:
    """Return the configuration of the language model.

    Raises
    ------
    ModelLoadError
        If it is missing, impossible, or does not fit the merger.
    """
    stated = config.get("text_config")
    if not isinstance(stated, Mapping):
        raise ModelLoadError(
            said("{name}: config.json has no text_config; download the model again", name=name)
        )
    try:
        text = Qwen3_5TextConfig(**{key: stated[key] for key in TEXT_KEYS if key in stated})
    except Exception as error:
        reason = " ".join(str(error).split())[:160]
        raise ModelLoadError(
            said("{name}: text_config in config.json is wrong: {reason}", name=name, reason=reason)
        ) from error
    text._attn_implementation = "sdpa"
    if text.hidden_size != sizes.out_hidden_size:
        raise ModelLoadError(
            said(
                "{name}: the merger gives {out_hidden_size} channels, the language model has "
                "{hidden_size}; the folder holds parts of different models",
                name=name,
                out_hidden_size=sizes.out_hidden_size,
                hidden_size=text.hidden_size,
            )
        )
    if not (stated.get("tie_word_embeddings", True) and config.get("tie_word_embeddings", True)):
        raise ModelLoadError(
            said(
                "{name}: config.json unties the head from the embeddings; the head is not "
                "read, so this model cannot be loaded",
                name=name,
            )
        )
    return text


def build(sizes: EncoderSizes, text: Qwen3_5TextConfig, image_token_id: int) -> NVReasonCT:
    """Return the network without memory for its weights."""
    with torch.device("meta"):
        return NVReasonCT(sizes, text, image_token_id)


def _fill(
    network: NVReasonCT,
    folder: Path,
    name: str,
    target: torch.device,
    precision: torch.dtype,
    *,
    quantize: str | None,
) -> None:
    """Read the weights straight to the device."""
    small: dict[str, Int8Linear] = {}
    if quantize is not None:
        small = _quantized_layers(network, target, precision)
    places = {
        key: (owner, own)
        for module, owner in network.named_modules()
        for own in owner._parameters
        if owner._parameters[own] is not None and (key := f"{module}.{own}".lstrip("."))
    }
    waiting: dict[str, Tensor] = {}

    def wanted(stored: str, shape: tuple[int, ...]) -> Tensor | None:
        if stored.startswith(UNUSED):
            return None
        key = stored.removeprefix(PREFIX)
        if key.removesuffix(".weight") in small:
            waiting[stored] = torch.empty(shape, dtype=precision)
            return waiting[stored]
        owner, own = places[key]
        tensor = torch.empty(shape, dtype=precision, device=target)
        owner._parameters[own] = nn.Parameter(tensor, requires_grad=False)
        return tensor

    for file in sorted(folder.glob(WEIGHTS)):
        for stored in read_tensors(file, name, wanted):
            if stored in waiting:
                layer = stored.removeprefix(PREFIX).removesuffix(".weight")
                small[layer].quantize(waiting.pop(stored))
    network.reset_buffers(target)


def _quantized_layers(
    network: NVReasonCT, target: torch.device, precision: torch.dtype
) -> dict[str, Int8Linear]:
    """Put 8-bit layers in the place of the language model's large linear layers."""
    made: dict[str, Int8Linear] = {}
    for key, layer in list(network.named_modules()):
        large = key.startswith(LANGUAGE.removeprefix(PREFIX)) and key.endswith(LINEAR)
        if large and isinstance(layer, nn.Linear) and layer.in_features % BLOCK == 0:
            with torch.device(target):
                made[key] = Int8Linear(layer.in_features, layer.out_features, precision)
            parent, _, own = key.rpartition(".")
            setattr(network.get_submodule(parent), own, made[key])
    return made
