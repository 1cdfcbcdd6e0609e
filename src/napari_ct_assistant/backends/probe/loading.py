"""Load and write folders of heads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from napari_ct_assistant.backends.loading.options import Quantize
from napari_ct_assistant.backends.loading.shapes import check_shapes
from napari_ct_assistant.backends.model_info import ModelInfo
from napari_ct_assistant.backends.probe.backend import ProbeBackend
from napari_ct_assistant.backends.probe.encoders import load_scan_encoder
from napari_ct_assistant.backends.probe.folder import (
    ENCODER,
    FORMAT_VERSION,
    MODEL_TYPE,
    NOTICE,
    labels_and_pooling,
)
from napari_ct_assistant.backends.probe.heads import POINTS, Heads
from napari_ct_assistant.backends.probe.scan_encoder import ScanEncoder
from napari_ct_assistant.backends.settings import GenerationSettings
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.model.folder import (
    check_hashes,
    refuse_code,
    settings_sha256,
    tensor_headers,
    write_hashes,
)
from napari_ct_assistant.model.settings import check_files, read_json
from napari_ct_assistant.support.translation import said

WEIGHTS = "model.safetensors"


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
    """Load a folder of heads with its encoder; the options are those of `load_assistant`.

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
    check_files(folder, name)
    config = read_json(folder / "config.json", name)
    refuse_code(folder, name)
    labels, pooling = labels_and_pooling(config, name)
    if not (folder / ENCODER / "config.json").is_file():
        raise ModelLoadError(
            said(
                "{name}: the folder {encoder}/ with its encoder is missing; copy the model again",
                name=name,
                encoder=ENCODER,
            )
        )
    heads = read_heads(folder, name, labels, pooling)
    check_hashes(folder, name)
    encoder = load_scan_encoder(folder / ENCODER, f"{name}/{ENCODER}", device=device, dtype=dtype)
    width = len(heads.mean) // (2 if pooling == "mean_max" else 1)
    stated = config.get("encoder")
    tokens = stated.get("width") if isinstance(stated, Mapping) else None
    if tokens != width:
        raise ModelLoadError(
            said(
                "{name}: the heads read {width} channels, config.json says {tokens}; the "
                "folder holds parts of different models",
                name=name,
                width=width,
                tokens=str(tokens)[:20],
            )
        )
    unreliable = config.get("unreliable_findings", [])
    info = ModelInfo(
        name=name,
        trained_on=str(config.get("trained_on", "")),
        notice=str(config.get("notice", NOTICE)),
        findings=labels,
        unreliable_findings=tuple(one for one in unreliable if one in labels)
        if isinstance(unreliable, list)
        else (),
        files=(folder / WEIGHTS, folder / ENCODER / WEIGHTS),
        settings_sha256=settings_sha256(folder),
    )
    region = config.get("region", "")
    if region and region not in encoder.regions:
        raise ModelLoadError(
            said(
                "{name}: config.json says region {region}; the encoder has {value}",
                name=name,
                region=repr(str(region)[:20]),
                value=", ".join(encoder.regions) or "no regions",
            )
        )
    return ProbeBackend(heads, encoder, info, region)


def read_heads(folder: Path, name: str, labels: tuple[str, ...], pooling: str) -> Heads:
    """Read and check the numbers of a folder.

    Raises
    ------
    ModelLoadError
        If tensors are missing, unknown, of the wrong shape or no numbers.
    """
    file = folder / WEIGHTS
    if not file.is_file():
        raise ModelLoadError(
            said(
                "{name}: no {weights} in the folder; copy the model again",
                name=name,
                weights=WEIGHTS,
            )
        )
    shapes = {key: header.shape for key, header in tensor_headers(file, name).items()}
    width = shapes.get("weight", (0, 0))[-1]
    own: dict[str, tuple[int, ...]] = dict.fromkeys(
        ("bias", "slope", "shift", "thresholds"), (len(labels),)
    )
    own |= dict.fromkeys(("mean", "scale"), (width,))
    if any(key in shapes for key in POINTS):
        count = next(shapes[key][-1] for key in POINTS if key in shapes)
        own |= dict.fromkeys(POINTS, (len(labels), count))
    check_shapes(shapes, {"weight": (len(labels), width), **own}, name)
    try:
        stored = load_file(file)
    except (SafetensorError, OSError) as error:
        raise ModelLoadError(
            said("{name}: {name2} is damaged; copy the model again", name=name, name2=file.name)
        ) from error
    tensors = {key: np.asarray(value, dtype=np.float64) for key, value in stored.items()}
    finite = all(np.isfinite(value).all() for value in tensors.values())
    points = (tensors.pop(POINTS[0]), tensors.pop(POINTS[1])) if POINTS[0] in tensors else None
    # Neither logits nor probabilities may fall from one point to the next.
    falling = points is not None and any((np.diff(one) < 0).any() for one in points)
    if not finite or falling or (tensors["scale"] <= 0).any():
        raise ModelLoadError(
            said(
                "{name}: {name2} holds impossible numbers; train the heads again",
                name=name,
                name2=file.name,
            )
        )
    return Heads(labels, pooling, **tensors, points=points)


def save_probe(
    folder: Path, heads: Heads, encoder: ScanEncoder, tokens: int, more: Mapping[str, Any]
) -> None:
    """Write heads and encoder into a folder.

    Parameters
    ----------
    folder : Path
    heads : Heads
    encoder : ScanEncoder
    tokens : int
        Places that the encoder gives for a scan.
    more : mapping
        Further entries of `config.json`: "trained_on", "notice", "region", figures.
    """
    folder.mkdir(parents=True, exist_ok=True)
    width = len(heads.mean) // (2 if heads.pooling == "mean_max" else 1)
    config = {
        "model_type": MODEL_TYPE,
        "format_version": FORMAT_VERSION,
        "labels": list(heads.labels),
        "pooling": heads.pooling,
        "encoder": {"name": encoder.name, "width": width, "tokens": tokens},
        **more,
    }
    encoder.save(folder / ENCODER)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    save_file(heads.tensors(), folder / WEIGHTS, metadata={"format": "pt"})
    write_hashes(folder)
