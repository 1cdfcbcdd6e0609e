"""Load a RevCT folder: COLIPRI's image encoder and the heads that its settings describe."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors import safe_open

from napari_ct_assistant.backends.colipri.backend import ColipriBackend
from napari_ct_assistant.backends.colipri.configuration import (
    IMAGE,
    TEMPERATURE,
    colipri_sizes,
    preparation,
)
from napari_ct_assistant.backends.colipri.loaded_model import ColipriProcessor
from napari_ct_assistant.backends.colipri.loading import STORED, WEIGHTS, fill
from napari_ct_assistant.backends.colipri.network import Colipri
from napari_ct_assistant.backends.loading.devices import find_device, find_dtype
from napari_ct_assistant.backends.loading.options import Quantize
from napari_ct_assistant.backends.loading.shapes import check_shapes
from napari_ct_assistant.backends.model_info import ModelInfo
from napari_ct_assistant.backends.probe.backend import ProbeBackend
from napari_ct_assistant.backends.probe.colipri_encoder import ColipriEncoder
from napari_ct_assistant.backends.probe.heads import Heads
from napari_ct_assistant.backends.rev_ct.family import NOTICE, TRAINED_ON
from napari_ct_assistant.backends.rev_ct.layout import HEADS_FILE, HeadLayout, head_layout
from napari_ct_assistant.backends.settings import GenerationSettings
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.model.folder import (
    DTYPES,
    check_hashes,
    settings_sha256,
    tensor_headers,
)
from napari_ct_assistant.model.settings import check_files, read_json
from napari_ct_assistant.support.translation import said


def load(
    folder: Path,
    name: str,
    *,
    device: str | None = None,
    settings: GenerationSettings | None = None,  # noqa: ARG001  it writes no text
    dtype: str | None = None,
    quantize: Quantize | None = None,
    device_map: Literal["auto"] | None = None,
) -> ProbeBackend:
    """Load a RevCT folder; the options are those of `load_assistant`.

    Code that `config.json` names is not run.

    Raises
    ------
    ModelLoadError
        One line with the model's name and what to do.
    """
    for option, value in (("quantize", quantize), ("device_map", device_map)):
        if value is not None:
            raise ModelLoadError(
                said(
                    "{name}: {option} is not available for this model; leave it out",
                    name=name,
                    option=option,
                )
            )
    target = find_device(device, name)
    precision = find_dtype(dtype, target, name)
    check_files(folder, name)
    stated = read_json(folder / "config.json", name)
    if (folder / HEADS_FILE).is_file():
        stated = {**stated, **read_json(folder / HEADS_FILE, name)}
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
    shapes = {key: header.shape for key, header in headers.items()}
    layout = head_layout(stated, shapes, name)
    # The encoder's tensors under the names that COLIPRI has.
    own = {
        key: IMAGE + key.removeprefix(layout.prefix)
        for key in shapes
        if key.startswith(layout.prefix) and not key.endswith("mask_token")
    }
    image = {ours: shapes[key] for key, ours in own.items()}
    sizes = colipri_sizes(stated, image, name)
    with torch.device("meta"):
        network = Colipri(sizes)
    expected = {k: tuple(t.shape) for k, t in network.state_dict().items() if k != TEMPERATURE}
    check_shapes(image, expected, name)
    fill(network, file, name, target, precision, own)
    network.softmax_temperature = torch.nn.Parameter(
        torch.ones((), device=target), requires_grad=False
    )
    stored = next(key for key, ours in own.items() if ours == STORED)
    network.reset_buffers(target, DTYPES[headers[stored].dtype])
    info = ModelInfo(
        name=name,
        trained_on=TRAINED_ON,
        notice=NOTICE,
        findings=layout.labels,
        files=(file,),
        settings_sha256=settings_sha256(folder),
    )
    processor = ColipriProcessor(sizes, preparation(stated, name), None)
    encoder = ColipriEncoder(ColipriBackend(network.eval(), processor, info))
    heads = _heads(file, layout, sizes.embed_dim, name)
    return ProbeBackend(heads, encoder, info)


def _heads(file: Path, layout: HeadLayout, width: int, name: str) -> Heads:
    with safe_open(file, framework="pt") as stream:
        weight, bias = (
            np.asarray(stream.get_tensor(key).float().numpy(), dtype=np.float64)
            for key in (layout.weight, layout.bias)
        )
    features = width * (2 if layout.pooling == "mean_max" else 1)
    shape: Mapping[str, Any] = {"weight": (len(layout.labels), features)}
    if weight.shape != shape["weight"] or bias.shape != (len(layout.labels),):
        raise ModelLoadError(
            said(
                "{name}: {weight} is {list}; {count} labels on {pooling} of {width} channels "
                "need {list2}",
                name=name,
                weight=layout.weight,
                list=list(weight.shape),
                count=len(layout.labels),
                pooling=layout.pooling,
                width=width,
                list2=list(shape["weight"]),
            )
        )
    return Heads(
        layout.labels,
        layout.pooling,
        weight,
        bias,
        mean=np.zeros(features),
        scale=np.ones(features),
        slope=np.array(layout.slope),
        shift=np.array(layout.shift),
        thresholds=np.array(layout.thresholds),
    )
