"""The encoders that heads can be trained on, each read from a model's folder or its own."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_ct_assistant.backends.colipri.configuration import is_colipri
from napari_ct_assistant.backends.nv_reason_ct.network.configuration import is_nv_reason_ct
from napari_ct_assistant.backends.prepared_scan import PreparedScan, Progress, View
from napari_ct_assistant.model.configuration import VolumeLanguageConfig
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.model.grounded.configuration import GroundedVisionConfig3D
from napari_ct_assistant.model.settings import read_json
from napari_ct_assistant.model.vision_configuration import VisionConfig3D
from napari_ct_assistant.volume import CTVolume

Affine = NDArray[np.float64]
# `config.json` of an encoder that was taken out of a model says which kind it is of.
KIND: Final = "encoder_of"
VIT: Final = "volume_language"
NV_REASON_CT: Final = "nv_reason_ct"


class ScanEncoder(ABC):
    """A frozen encoder: it prepares scans and gives one vector for each place.

    Attributes
    ----------
    name : str
        Of the model that it is from.
    network : nn.Module
    trained_on : str
        What it was trained on.
    regions : tuple of str
        Regions of the body that it can be pointed to.
    """

    name: str
    network: nn.Module
    trained_on: str = ""
    regions: tuple[str, ...] = ()

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return next(self.network.parameters()).device

    @abstractmethod
    def prepare(self, volume: CTVolume, view: View) -> PreparedScan:
        """Make the input of a scan."""

    @abstractmethod
    def tokens(
        self,
        pixel_values: Tensor,
        progress: Progress | None = None,
        cancel: threading.Event | None = None,
    ) -> Tensor:
        """Return the vector of each place of an input. [1, 1, D, H, W] -> [N, C], float32.

        Raises
        ------
        EncodingStopped
            If `cancel` was set before the end.
        """

    @abstractmethod
    def air(self) -> Tensor:
        """Return the input of no scan. [1, 1, D, H, W]."""

    @abstractmethod
    def on_scan(self, values: NDArray[Any], scan: PreparedScan) -> tuple[NDArray[Any], Affine]:
        """Lay one value for each place on the scan.

        Returns
        -------
        [d, h, w] along the volume's (I, P, L), and the affine of its indices to RAS mm.
        """

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the encoder alone, so that `load_scan_encoder` reads it."""


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
        raise ModelLoadError(f"{name}: no config.json; give a model's folder")
    config = read_json(folder / "config.json", name)
    kind = config.get(KIND)
    # Imported here: each brings its own network.
    if is_colipri(config):
        from napari_ct_assistant.backends.probe.colipri_encoder import load_colipri_encoder

        return load_colipri_encoder(folder, name, device=device, dtype=dtype)
    if kind == NV_REASON_CT or is_nv_reason_ct(config):
        from napari_ct_assistant.backends.probe.nv_encoder import load_nv_encoder

        return load_nv_encoder(folder, name, config, device=device, dtype=dtype)
    ours = (
        VolumeLanguageConfig.model_type,
        VisionConfig3D.model_type,
        GroundedVisionConfig3D.model_type,
    )
    if kind == VIT or config.get("model_type") in ours:
        from napari_ct_assistant.backends.probe.vit_encoder import load_vit_encoder

        return load_vit_encoder(folder, name, device=device, dtype=dtype)
    raise ModelLoadError(
        f"{name}: model_type {str(config.get('model_type'))[:40]!r} has no encoder that heads can "
        "be trained on; give COLIPRI, NV-Reason-CT, or a model or encoder of this package"
    )
