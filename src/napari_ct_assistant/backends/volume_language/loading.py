"""Load a model folder of this family onto a device."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
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
from napari_ct_assistant.backends.loading.sizes import QUESTION_TOKENS, count
from napari_ct_assistant.backends.model_info import ModelInfo
from napari_ct_assistant.backends.ood import OutOfDistributionDetector
from napari_ct_assistant.backends.settings import GenerationSettings
from napari_ct_assistant.backends.volume_language.backend import VolumeLanguageBackend
from napari_ct_assistant.backends.volume_language.decoding import join_weights
from napari_ct_assistant.model.configuration import VolumeLanguageConfig
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.model.folder import (
    check_folder,
    check_tensors,
    settings_sha256,
)
from napari_ct_assistant.model.format import WEIGHTS
from napari_ct_assistant.model.layers.onednn import use_onednn
from napari_ct_assistant.model.modeling import VolumeLanguageModel
from napari_ct_assistant.model.processor import VolumeLanguageProcessor
from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.support.translation import said

PROBE = "Is there a pleural effusion?"


def load(
    folder: Path,
    name: str,
    *,
    device: str | None = None,
    settings: GenerationSettings | None = None,
    dtype: str | None = None,
    quantize: Quantize | None = None,
    device_map: Literal["auto"] | None = None,
) -> VolumeLanguageBackend:
    """Load a model folder of this family; the options are those of `load_assistant`.

    Parameters
    ----------
    folder
    name
        As the user chose the model, for errors.

    Raises
    ------
    ModelLoadError
        One line with the model's name and what to do; `NotEnoughMemoryError` where it does not
        fit in memory.
    """
    target = find_device(device, name)
    precision = find_dtype(dtype, target, name)
    headers = check_folder(folder, name)
    _check_complete(folder, name)
    settings_hash = settings_sha256(folder)
    how: dict[str, Any] = {}
    if quantize is not None:
        how["quantization_config"] = quantization_config(quantize, precision, name)
        how["device_map"] = {"": target}
    if device_map is not None:
        check_device_map(device_map, device, name)
        how["device_map"] = device_map
    # Weights are read in about a second: a progress bar would only clutter terminals and logs.
    transformers_logging.disable_progress_bar()
    with load_failures(name, folder, target, eight_bit=quantize is None, spread=device_map is None):
        config = VolumeLanguageConfig.from_pretrained(folder, local_files_only=True)
        shapes = {key: header.shape for key, header in headers.items()}
        check_tensors(shapes, config, name)
        processor = VolumeLanguageProcessor.from_pretrained(folder, local_files_only=True)
        # A tokenizer that cannot do its work is told now, not in the middle of a draft.
        processor.prefix_ids()
        processor.question_ids(PROBE)
        check_memory(
            name,
            count(shapes, config.text_config.to_dict()),
            target,
            precision,
            quantize=quantize,
            offload=device_map is not None,
            tokens=processor.num_image_tokens + QUESTION_TOKENS + processor.max_new_tokens,
        )
        network = _network(name, folder, config, precision, target, how)
    info = ModelInfo(
        name=name,
        trained_on=config.trained_on,
        notice=config.notice,
        findings=FINDINGS,
        unreliable_findings=tuple(config.unreliable_findings),
        files=tuple(sorted(folder.glob(WEIGHTS))),
        skills=tuple(config.skills),
        settings_sha256=settings_hash,
        untaught=processor.untaught,
    )
    return VolumeLanguageBackend(
        for_inference(network),
        processor,
        info,
        OutOfDistributionDetector.load(folder),
        settings or GenerationSettings(),
    )


def for_inference(network: VolumeLanguageModel) -> VolumeLanguageModel:
    """Return a network as it answers: not training, and laid out for the fastest products."""
    use_onednn(network.eval())
    join_weights(network.language_model)
    return network


def _check_complete(folder: Path, name: str) -> None:
    """Refuse a folder without the files that say how a scan is prepared and text is read.

    transformers fills in defaults for a missing one, and the model then answers another question
    about another picture.
    """
    for choice in (("processor_config.json",), ("tokenizer.json", "tokenizer.model")):
        if not any((folder / file).is_file() for file in choice):
            raise ModelLoadError(
                said(
                    "{name}: no {list} in the folder; copy the model again",
                    name=name,
                    list=" or ".join(choice),
                )
            )


def _network(
    name: str,
    folder: Path,
    config: VolumeLanguageConfig,
    dtype: torch.dtype,
    target: torch.device,
    how: dict[str, Any],
) -> VolumeLanguageModel:
    """Build the network, in a frame of its own so that an interrupted load keeps no tensor."""
    network, loaded = VolumeLanguageModel.from_pretrained(
        folder,
        config=config,
        dtype=dtype,
        use_safetensors=True,
        local_files_only=True,
        output_loading_info=True,
        **how,
    )
    check_loaded(loaded, name)
    keep_token_ids(network)
    return network if how else network.to(target)
