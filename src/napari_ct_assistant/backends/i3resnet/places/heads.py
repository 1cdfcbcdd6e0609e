"""Linear heads on a layer's map: how much each cell looks like a finding.

They were trained on phantoms. What they say can be compared between places of one scan; between
scans, levels mean nothing (docs/astra-merlin.md).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from napari_ct_assistant.backends.i3resnet.network.modeling import FeatureMaps
from napari_ct_assistant.backends.i3resnet.network.sizes import STRIDES
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.support.translation import said

HEADS_FILE: Final = "places.safetensors"
RECORD: Final = "places"  # entry of the file's metadata
Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class PlaceHeads:
    """Heads of several findings.

    Attributes
    ----------
    layer : "layer3" or "layer4"
    findings : tuple of str
    weight : float32 [C, findings]
    bias : float32 [findings]
    backbone : str
        `backbone_digest` of the weights that they belong to.
    record : mapping
        How they were trained.
    """

    layer: str
    findings: tuple[str, ...]
    weight: Floats
    bias: Floats
    backbone: str
    record: Mapping[str, Any]

    def scores(self, maps: FeatureMaps) -> Floats:
        """Return the score of each cell. [findings, x, y, z]."""
        features = getattr(maps, self.layer)[0].float().cpu().numpy()
        found = np.tensordot(self.weight, features, axes=(0, 0)) + self.bias[:, None, None, None]
        return np.ascontiguousarray(found.transpose(0, 2, 3, 1), dtype=np.float32)

    def save(self, file: Path) -> None:
        """Write them to a file; the weights in half precision."""
        stated = {
            "layer": self.layer,
            "findings": list(self.findings),
            "backbone": self.backbone,
            "record": dict(self.record),
        }
        tensors = {"weight": self.weight.astype(np.float16), "bias": self.bias}
        save_file(tensors, file, metadata={RECORD: json.dumps(stated)})


def read_heads(file: Path, name: str) -> PlaceHeads:
    """Read a file of heads.

    Raises
    ------
    ModelLoadError
        If it is damaged.
    """
    try:
        with safe_open(file, framework="np") as stream:
            stated = json.loads((stream.metadata() or {})[RECORD])
            weight = stream.get_tensor("weight").astype(np.float32)
            bias = stream.get_tensor("bias").astype(np.float32)
        findings = tuple(str(one) for one in stated["findings"])
        layer, backbone, record = stated["layer"], str(stated["backbone"]), dict(stated["record"])
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise ModelLoadError(
            said("{name}: {name2} is damaged; train the heads again", name=name, name2=file.name)
        ) from error
    if (
        layer not in STRIDES
        or weight.shape[1:] != (len(findings),)
        or bias.shape != weight.shape[1:]
    ):
        raise ModelLoadError(
            said(
                "{name}: {name2} does not fit its own list of findings", name=name, name2=file.name
            )
        )
    return PlaceHeads(layer, findings, weight, bias, backbone, record)


def backbone_digest(folder: Path) -> str:
    """Return what tells one set of weights from another: a hash of the first convolution."""
    with safe_open(folder / "model.safetensors", framework="pt") as stream:
        first = stream.get_tensor("conv1.weight").to(torch.bfloat16).view(torch.int16)
    return hashlib.sha256(first.contiguous().numpy().tobytes()).hexdigest()


def heads_for(folder: Path, name: str) -> PlaceHeads | None:
    """Return the heads in a model's folder, or those of this package that belong to its weights.

    Raises
    ------
    ModelLoadError
        If the folder's own belong to other weights.
    """
    if not (folder / "model.safetensors").is_file():
        return None
    digest = backbone_digest(folder)
    own = folder / HEADS_FILE
    if own.is_file():
        heads = read_heads(own, name)
        if heads.backbone != digest:
            raise ModelLoadError(
                said(
                    "{name}: {heads_file} was trained on other weights; delete it, or train it "
                    "anew",
                    name=name,
                    heads_file=HEADS_FILE,
                )
            )
        return heads
    bundled = Path(str(files("napari_ct_assistant").joinpath("bundled", "places")))
    for file in sorted(bundled.glob("*.safetensors")):
        heads = read_heads(file, name)
        if heads.backbone == digest:
            return heads
    return None
