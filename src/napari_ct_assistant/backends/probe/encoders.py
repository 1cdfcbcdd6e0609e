"""The encoders that heads can be trained on, each read from a model's folder or its own."""

from __future__ import annotations

from pathlib import Path

from napari_ct_assistant.backends.colipri.configuration import is_colipri
from napari_ct_assistant.backends.i3resnet.folder import is_i3resnet
from napari_ct_assistant.backends.nv_reason_ct.network.configuration import is_nv_reason_ct
from napari_ct_assistant.backends.probe.colipri_encoder import load_colipri_encoder
from napari_ct_assistant.backends.probe.i3resnet_encoder import load_i3resnet_encoder
from napari_ct_assistant.backends.probe.nv_encoder import load_nv_encoder
from napari_ct_assistant.backends.probe.scan_encoder import KIND, NV_REASON_CT, VIT, ScanEncoder
from napari_ct_assistant.backends.probe.vit_encoder import load_vit_encoder
from napari_ct_assistant.model.configuration import VolumeLanguageConfig
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.model.grounded.configuration import GroundedVisionConfig3D
from napari_ct_assistant.model.settings import read_json
from napari_ct_assistant.model.vision_configuration import VisionConfig3D
from napari_ct_assistant.support.translation import said


def load_scan_encoder(
    folder: Path, name: str, *, device: str | None = None, dtype: str | None = None
) -> ScanEncoder:
    """Load the encoder of a model folder, or of one that `ScanEncoder.save` wrote.

    Raises
    ------
    ModelLoadError
        If the folder holds no encoder that heads can be trained on.
    """
    if not (folder / "config.json").is_file():
        raise ModelLoadError(said("{name}: no config.json; give a model's folder", name=name))
    config = read_json(folder / "config.json", name)
    kind = config.get(KIND)
    if is_colipri(config):
        return load_colipri_encoder(folder, name, device=device, dtype=dtype)
    if is_i3resnet(config):
        return load_i3resnet_encoder(folder, name, device=device, dtype=dtype)
    if kind == NV_REASON_CT or is_nv_reason_ct(config):
        return load_nv_encoder(folder, name, config, device=device, dtype=dtype)
    ours = (
        VolumeLanguageConfig.model_type,
        VisionConfig3D.model_type,
        GroundedVisionConfig3D.model_type,
    )
    if kind == VIT or config.get("model_type") in ours:
        return load_vit_encoder(folder, name, device=device, dtype=dtype)
    raise ModelLoadError(
        said(
            "{name}: model_type {value} has no encoder that heads can be trained on; give "
            "COLIPRI, NV-Reason-CT, Merlin, Astra's backbone, or a model or encoder of this "
            "package",
            name=name,
            value=repr(str(config.get("model_type"))[:40]),
        )
    )
