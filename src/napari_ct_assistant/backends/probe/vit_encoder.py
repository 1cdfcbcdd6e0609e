"""The vision transformers of this package under heads."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor

from napari_ct_assistant.backends.loading.devices import find_device, find_dtype
from napari_ct_assistant.backends.prepared_scan import (
    EncodingStopped,
    PreparedScan,
    Progress,
    View,
)
from napari_ct_assistant.backends.probe.scan_encoder import Affine, ScanEncoder
from napari_ct_assistant.backends.scan_notes import cut_note
from napari_ct_assistant.model.encoders import load_encoder
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.model.folder import check_hashes, refuse_code, write_hashes
from napari_ct_assistant.model.format import upgraded
from napari_ct_assistant.model.settings import check_files, check_settings, read_json
from napari_ct_assistant.model.vit import VisionTransformer3D
from napari_ct_assistant.support.translation import said
from napari_ct_assistant.volume import CTVolume, prepare_as

PROCESSOR: Final = "processor_config.json"


@dataclass(frozen=True)
class VitPreparation:
    """How scans are prepared; the defaults are E3D-GPT's, as in `VolumeLanguageProcessor`."""

    image_size: tuple[int, int, int]
    patch_size: tuple[int, int, int]
    preparation: str = "spacing"
    spacing: tuple[float, ...] = (3.0, 1.5, 1.5)
    hu_range: tuple[float, float] = (-1000.0, 1000.0)
    value_range: tuple[float, float] = (0.0, 1.0)
    antialias: bool = False


class VitEncoder(ScanEncoder):
    """A `VisionTransformer3D` with its preparation."""

    def __init__(
        self, network: VisionTransformer3D, how: VitPreparation, name: str, trained_on: str
    ):
        self.network = network
        self._vit, self._how = network, how
        self.name, self.trained_on = name, trained_on

    def prepare(self, volume: CTVolume, view: View) -> PreparedScan:
        """Make the input of the middle of a scan.

        Raises
        ------
        ValueError
            If a region or another place is asked for.
        """
        if view.region or view.centre is not None:
            raise ValueError(
                f"{self.name}: reads the middle of every scan; leave out region and crop"
            )
        values, grid = prepare_as(volume, self._how)
        pixels = torch.from_numpy(np.ascontiguousarray(values))[None, None]
        note = cut_note(volume, grid)
        return PreparedScan(volume, pixels, grid, notes=(note,) if note else ())

    def tokens(
        self,
        pixel_values: Tensor,
        progress: Progress | None = None,
        cancel: threading.Event | None = None,
    ) -> Tensor:
        """Return the encoder's tokens. [N, C]."""
        if progress is not None:
            progress("Encoding the scan")
        if cancel is not None and cancel.is_set():
            raise EncodingStopped(said("stopped before the scan was encoded"))
        with torch.no_grad():
            tokens: Tensor = self._vit(pixel_values.to(self.device))[0].float()
        return tokens

    def air(self) -> Tensor:
        """Return a box of air."""
        return torch.full((1, 1, *self._how.image_size), self._how.value_range[0])

    def on_scan(self, values: NDArray[Any], scan: PreparedScan) -> tuple[NDArray[Any], Affine]:
        """Return the values as they are: the box runs along the volume's axes."""
        return values.reshape(scan.grid.tokens), scan.grid.token_affine

    def save(self, folder: Path) -> None:
        """Write weights and preparation."""
        folder.mkdir(parents=True)
        self._vit.save_pretrained(folder)
        content = asdict(self._how) | {"trained_on": self.trained_on}
        (folder / PROCESSOR).write_text(json.dumps(content, indent=2), encoding="utf-8")
        write_hashes(folder)


def load_vit_encoder(
    folder: Path, name: str, *, device: str | None = None, dtype: str | None = None
) -> VitEncoder:
    """Load the encoder in its own folder or in that of a whole model.

    Raises
    ------
    ModelLoadError
        One line: what is wrong with the folder.
    """
    target = find_device(device, name)
    precision = find_dtype(dtype, target, name)
    check_files(folder, name)
    refuse_code(folder, name)
    check_settings(folder, name)
    check_hashes(folder, name)
    config = read_json(folder / "config.json", name)
    file = folder / PROCESSOR
    stated = upgraded(read_json(file, name)) if file.is_file() else {}
    try:
        network = load_encoder(folder)
    except (OSError, ValueError, TypeError, RuntimeError, KeyError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:160]
        raise ModelLoadError(
            said("{name}: its encoder cannot be loaded ({reason})", name=name, reason=reason)
        ) from error
    how = _preparation(stated, network)
    trained = str(config.get("trained_on") or stated.get("trained_on") or "")
    network = network.to(device=target, dtype=precision).eval().requires_grad_(False)
    return VitEncoder(network, how, name, trained)


def _preparation(stated: Mapping[str, Any], network: VisionTransformer3D) -> VitPreparation:
    """Return how a folder's scans are prepared; an encoder without a processor takes defaults."""
    a, b, c = network.config.image_size
    d, e, f = network.config.patch_size
    known: dict[str, Any] = {
        key: tuple(stated[key]) if isinstance(stated[key], list) else stated[key]
        for key in ("preparation", "spacing", "hu_range", "value_range", "antialias")
        if key in stated
    }
    return VitPreparation((a, b, c), (d, e, f), **known)
