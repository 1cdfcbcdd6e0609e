"""What an encoder does so that heads can be trained on it."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_ct_assistant.backends.prepared_scan import PreparedScan, Progress, View
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
