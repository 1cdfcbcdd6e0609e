"""Load a COLIPRI folder onto a device, without any code of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

import torch
from torch import Tensor, nn

from napari_ct_assistant.backends.colipri.backend import ColipriBackend
from napari_ct_assistant.backends.colipri.configuration import (
    IMAGE,
    TEXT,
    UNUSED,
    colipri_sizes,
    preparation,
)
from napari_ct_assistant.backends.colipri.family import NOTICE, TRAINED_ON, model_counts
from napari_ct_assistant.backends.colipri.loaded_model import ColipriProcessor
from napari_ct_assistant.backends.colipri.network import Colipri
from napari_ct_assistant.backends.colipri.words import VOCABULARY, load_words
from napari_ct_assistant.backends.loading.devices import find_device, find_dtype
from napari_ct_assistant.backends.loading.memory import check_memory
from napari_ct_assistant.backends.loading.options import Quantize
from napari_ct_assistant.backends.loading.shapes import check_shapes
from napari_ct_assistant.backends.loading.tensors import read_tensors
from napari_ct_assistant.backends.model_info import ModelInfo
from napari_ct_assistant.backends.settings import GenerationSettings
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.model.folder import (
    DTYPES,
    check_hashes,
    refuse_code,
    settings_sha256,
    tensor_headers,
)
from napari_ct_assistant.model.layers.onednn import use_onednn
from napari_ct_assistant.model.settings import check_files, check_settings, read_json
from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.support.translation import said

WEIGHTS: Final = "model.safetensors"
STORED: Final = f"{IMAGE}backbone.eva.norm.weight"  # its type stands for the whole file's


def load(
    folder: Path,
    name: str,
    *,
    device: str | None = None,
    settings: GenerationSettings | None = None,  # noqa: ARG001  it writes no text
    dtype: str | None = None,
    quantize: Quantize | None = None,
    device_map: Literal["auto"] | None = None,
) -> ColipriBackend:
    """Load a COLIPRI folder; the options are those of `load_assistant`.

    `quantize` and `device_map` are refused: the encoder is small.

    Raises
    ------
    ModelLoadError
        One line with the model's name and what to do.
    """
    target = find_device(device, name)
    precision = find_dtype(dtype, target, name)
    for option, value in (("quantize", quantize), ("device_map", device_map)):
        if value is not None:
            raise ModelLoadError(
                said(
                    "{name}: {option} is not available for this model; leave it out",
                    name=name,
                    option=option,
                )
            )
    check_files(folder, name)
    config = read_json(folder / "config.json", name)
    refuse_code(folder, name)
    if "_target_" not in config:
        # The package's settings have other keys; what is used of them is checked below.
        check_settings(folder, name)
    file = folder / WEIGHTS
    if not file.is_file():
        raise ModelLoadError(
            said(
                "{name}: no {weights} in the folder; copy the model again",
                name=name,
                weights=WEIGHTS,
            )
        )
    headers = tensor_headers(file, name)
    check_hashes(folder, name)
    shapes = {key: header.shape for key, header in headers.items() if key not in UNUSED}
    sizes = colipri_sizes(config, shapes, name)
    try:
        with torch.device("meta"):
            network = Colipri(sizes)
    except (ValueError, TypeError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:160]
        raise ModelLoadError(
            said("{name}: config.json describes no such model ({reason})", name=name, reason=reason)
        ) from error
    check_shapes(shapes, {key: tuple(p.shape) for key, p in network.state_dict().items()}, name)
    counts, tokens = model_counts(shapes, sizes)
    check_memory(name, counts, target, precision, tokens=tokens)
    words = None if sizes.text is None else load_words(folder, sizes.text, name)
    fill(network, file, name, target, precision)
    network.reset_buffers(target, DTYPES[headers[STORED].dtype])
    notes: tuple[str, ...] = ()
    if words is None:
        notes = (
            f"No {VOCABULARY} in the folder: findings cannot be compared with words. Copy it from "
            "BiomedVLP-CXR-BERT-specialized.",
        )
    info = ModelInfo(
        name=name,
        trained_on=TRAINED_ON,
        notice=NOTICE,
        findings=FINDINGS if words is not None else (),
        files=(file,),
        settings_sha256=settings_sha256(folder),
        notes=notes,
    )
    processor = ColipriProcessor(sizes, preparation(config, name), words)
    return ColipriBackend(use_onednn(network.eval()), processor, info)


def fill(
    network: nn.Module,
    file: Path,
    name: str,
    target: torch.device,
    precision: torch.dtype,
    renamed: Mapping[str, str] | None = None,
) -> None:
    """Read the weights straight to the device; those of neither side stay float32.

    `renamed` gives the network's name of each stored tensor where they differ; others are left out.
    """
    places = {
        f"{module}.{own}".lstrip("."): (owner, own)
        for module, owner in network.named_modules()
        for own, parameter in owner._parameters.items()
        if parameter is not None
    }

    def wanted(stored: str, shape: tuple[int, ...]) -> Tensor | None:
        key = stored if renamed is None else renamed.get(stored, "")
        if key not in places:
            return None
        owner, own = places[key]
        exact = not key.startswith((IMAGE, TEXT))
        tensor = torch.empty(shape, dtype=torch.float32 if exact else precision, device=target)
        owner._parameters[own] = nn.Parameter(tensor, requires_grad=False)
        return tensor

    for _ in read_tensors(file, name, wanted):
        pass
