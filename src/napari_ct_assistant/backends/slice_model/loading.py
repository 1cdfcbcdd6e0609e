"""Load a stock image-text model, without any code of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForImageTextToText,
)
from transformers.utils import logging as transformers_logging

from napari_ct_assistant.backends.loading.devices import (
    check_device_map,
    find_device,
    find_dtype,
)
from napari_ct_assistant.backends.loading.failures import load_failures
from napari_ct_assistant.backends.loading.memory import check_memory
from napari_ct_assistant.backends.loading.options import Quantize
from napari_ct_assistant.backends.loading.pretrained import check_loaded, keep_token_ids
from napari_ct_assistant.backends.loading.quantization import quantization_config
from napari_ct_assistant.backends.model_info import ModelInfo
from napari_ct_assistant.backends.settings import GenerationSettings
from napari_ct_assistant.backends.slice_model.backend import SliceModelBackend
from napari_ct_assistant.backends.slice_model.checks import check_folder
from napari_ct_assistant.backends.slice_model.family import NOTICE
from napari_ct_assistant.backends.slice_model.processor import SliceModelProcessor
from napari_ct_assistant.backends.slice_model.sizes import (
    image_settings,
    longest_prompt,
    model_counts,
    preset_of,
)
from napari_ct_assistant.backends.slice_model.tokens import load_tokenizer
from napari_ct_assistant.backends.slices import PresetError, SlicePreset, find_preset
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.model.folder import settings_sha256
from napari_ct_assistant.model.format import WEIGHTS
from napari_ct_assistant.model.layers.onednn import use_onednn
from napari_ct_assistant.support.translation import said


def load(
    folder: Path,
    name: str,
    *,
    device: str | None = None,
    settings: GenerationSettings | None = None,
    dtype: str | None = None,
    quantize: Quantize | None = None,
    device_map: Literal["auto"] | None = None,
    preset: SlicePreset | str | None = None,
) -> SliceModelBackend:
    """Load a slice model's folder; the options are those of `load_assistant`.

    Parameters
    ----------
    preset
        Name or file of the preset that says how scans are shown; the folder's own, else the
        family's when absent.

    Raises
    ------
    ModelLoadError
        One line with the model's name and what to do; `NotEnoughMemoryError` where it does not
        fit in memory.
    """
    target = find_device(device, name)
    precision = find_dtype(dtype, target, name)
    config, headers = check_folder(folder, name)
    shown = _preset(folder, config, preset, name)
    how: dict[str, Any] = {}
    if quantize is not None:
        how["quantization_config"] = quantization_config(quantize, precision, name)
        how["device_map"] = {"": target}
    if device_map is not None:
        check_device_map(device_map, device, name)
        how["device_map"] = device_map
    shapes = {key: header.shape for key, header in headers.items()}
    tokens = longest_prompt(config, image_settings(folder), shown)
    transformers_logging.disable_progress_bar()
    with load_failures(name, folder, target, eight_bit=quantize is None, spread=device_map is None):
        described = AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        images = _image_processor(folder, name)
        rows = int(described.get_text_config().vocab_size)
        tokenizer, special = load_tokenizer(folder, config, rows, name)
        usual = _usual(folder, config, shown)
        processor = SliceModelProcessor(tokenizer, images, special, described, shown, usual)
        check_memory(
            name,
            model_counts(shapes, config, tokens),
            target,
            precision,
            quantize=quantize,
            offload=device_map is not None,
            tokens=tokens,
        )
        network = _network(name, folder, precision, target, how)
    info = ModelInfo(
        name=name,
        notice=NOTICE,
        findings=shown.labels(shown.regions[0]),
        files=tuple(sorted(folder.glob(WEIGHTS))),
        settings_sha256=settings_sha256(folder),
    )
    return SliceModelBackend(
        use_onednn(network.eval()), processor, info, settings or GenerationSettings()
    )


def _preset(
    folder: Path, config: Mapping[str, Any], preset: SlicePreset | str | None, name: str
) -> SlicePreset:
    try:
        if isinstance(preset, str):
            return find_preset(preset)
        return preset_of(folder, config) if preset is None else preset
    except PresetError as error:
        raise ModelLoadError(said("{name}: {error}", name=name, error=error)) from error


def _usual(folder: Path, config: Mapping[str, Any], chosen: SlicePreset) -> SlicePreset:
    """Return the model's own preset; the chosen one where its file cannot be read."""
    try:
        return preset_of(folder, config)
    except PresetError:
        return chosen


def _image_processor(folder: Path, name: str) -> Any:
    """Return transformers' Pillow class: without torchvision, and the same where it is there."""
    try:
        return AutoImageProcessor.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, backend="pil"
        )
    except (ImportError, ValueError, OSError) as error:
        kind = str(image_settings(folder).get("image_processor_type"))[:60]
        stated = " ".join(str(error).split())
        if "orchvision" in stated:
            raise ModelLoadError(
                said(
                    "{name}: its image processor {kind} needs torchvision: pip install "
                    "torchvision, or download the model in a newer format",
                    name=name,
                    kind=kind,
                )
            ) from error
        raise ModelLoadError(
            said(
                "{name}: its image processor {kind} is not one of transformers' ({stated})",
                name=name,
                kind=kind,
                stated=stated[:120],
            )
        ) from error


def _network(
    name: str, folder: Path, dtype: torch.dtype, target: torch.device, how: dict[str, Any]
) -> Any:
    """Build the network, in a frame of its own so that an interrupted load keeps no tensor."""
    network, loaded = AutoModelForImageTextToText.from_pretrained(
        folder,
        dtype=dtype,
        use_safetensors=True,
        local_files_only=True,
        trust_remote_code=False,
        attn_implementation="sdpa",
        output_loading_info=True,
        **how,
    )
    check_loaded(loaded, name)
    keep_token_ids(network)
    return network if how else network.to(target)
