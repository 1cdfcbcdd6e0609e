"""NV-Reason-CT's encoder under heads; its language model is not loaded."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import Any, Final

import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from napari_ct_assistant.backends.loading.devices import find_device, find_dtype
from napari_ct_assistant.backends.loading.shapes import check_shapes
from napari_ct_assistant.backends.loading.tensors import read_tensors
from napari_ct_assistant.backends.nv_reason_ct.image_grid import head_first
from napari_ct_assistant.backends.nv_reason_ct.input.preparation import REGIONS
from napari_ct_assistant.backends.nv_reason_ct.input.scan_input import ScanInput
from napari_ct_assistant.backends.nv_reason_ct.network.configuration import (
    ENCODER,
    UNUSED,
    EncoderSizes,
    encoder_sizes,
    image_processor_sizes,
)
from napari_ct_assistant.backends.nv_reason_ct.provenance import IMAGE_PROCESSOR, TRAINED_ON
from napari_ct_assistant.backends.prepared_scan import (
    EncodingStopped,
    PreparedScan,
    Progress,
    View,
)
from napari_ct_assistant.backends.primus.network import Primus
from napari_ct_assistant.backends.probe.scan_encoder import KIND, NV_REASON_CT, Affine, ScanEncoder
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.model.folder import (
    check_hashes,
    refuse_code,
    weights_of,
    write_hashes,
)
from napari_ct_assistant.model.format import WEIGHTS
from napari_ct_assistant.model.settings import check_files, read_json
from napari_ct_assistant.support.translation import said
from napari_ct_assistant.volume import CTVolume

AIR: Final = -1.0


class NVEncoder(ScanEncoder):
    """The Primus encoder, before the merger."""

    regions = REGIONS
    trained_on = TRAINED_ON

    def __init__(self, network: Primus, made_by: ScanInput, name: str):
        self.network = network
        self._primus, self._input = network, made_by
        self.name = name

    def prepare(self, volume: CTVolume, view: View) -> PreparedScan:
        """Make the input for a region of a scan."""
        if view.region and view.region not in REGIONS:
            raise ValueError(
                f"{self.name}: region is {view.region!r}; give one of {', '.join(REGIONS)}"
            )
        return self._input.prepare(volume, region=view.region, centre=view.centre)

    def tokens(
        self,
        pixel_values: Tensor,
        progress: Progress | None = None,
        cancel: threading.Event | None = None,
    ) -> Tensor:
        """Return the encoder's tokens. [N, C]."""
        blocks, depth = count(1), self._input.sizes.depth

        def before_block() -> None:
            if cancel is not None and cancel.is_set():
                raise EncodingStopped(said("stopped while the scan was encoded"))
            if progress is not None:
                progress(f"Encoding the scan: layer {next(blocks)} of {depth}")

        with torch.no_grad():
            return self._primus(pixel_values.to(self.device), before_block)[0].float()

    def air(self) -> Tensor:
        """Return a box of air."""
        return torch.full((1, 1, *self._input.sizes.input_shape), AIR)

    def on_scan(self, values: NDArray[Any], scan: PreparedScan) -> tuple[NDArray[Any], Affine]:
        """Turn slices from the feet up into slices from the head down."""
        return values.reshape(scan.grid.tokens)[::-1], head_first(scan.grid)

    def save(self, folder: Path) -> None:
        """Write the encoder without merger and language model."""
        folder.mkdir(parents=True)
        content = {KIND: NV_REASON_CT, "pixdim": self._input.pixdim, **asdict(self._input.sizes)}
        (folder / "config.json").write_text(json.dumps(content, indent=2), encoding="utf-8")
        tensors = {k: t.contiguous().cpu() for k, t in self._primus.state_dict().items()}
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        write_hashes(folder)


def load_nv_encoder(
    folder: Path,
    name: str,
    config: Mapping[str, Any],
    *,
    device: str | None = None,
    dtype: str | None = None,
) -> NVEncoder:
    """Load the encoder of an NV-Reason-CT folder, or of one that `NVEncoder.save` wrote.

    Raises
    ------
    ModelLoadError
        One line: what is wrong with the folder.
    """
    target = find_device(device, name)
    precision = find_dtype(dtype, target, name)
    check_files(folder, name)
    refuse = KIND in config
    if refuse:
        refuse_code(folder, name)
    shapes = {key: header.shape for key, header in weights_of(folder, name).items()}
    check_hashes(folder, name)
    prefix = "" if KIND in config else ENCODER
    sizes, pixdim = _sizes(folder, name, config, shapes)
    with torch.device("meta"):
        network = Primus(
            sizes.input_shape,
            sizes.patch_size,
            sizes.embed_dim,
            sizes.depth,
            sizes.num_heads,
            sizes.mlp_hidden,
        )
    own = {k: s for k, s in shapes.items() if k.startswith(prefix) and k not in UNUSED}
    expected = {prefix + key: tuple(t.shape) for key, t in network.state_dict().items()}
    check_shapes(own, expected, name)
    network = network.to_empty(device=target).to(precision)
    state = network.state_dict()

    def wanted(key: str, _: tuple[int, ...]) -> Tensor | None:
        return state.get(key.removeprefix(prefix)) if key in expected else None

    for file in sorted(folder.glob(WEIGHTS)):
        for _ in read_tensors(file, name, wanted):
            pass
    network.eva.reset_rope(target)
    network = network.eval().requires_grad_(False)
    return NVEncoder(network, ScanInput(sizes, pixdim), name)


def _sizes(
    folder: Path, name: str, config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]
) -> tuple[EncoderSizes, tuple[float, float, float]]:
    if KIND not in config:
        sizes = encoder_sizes(config, shapes, name)
        settings = read_json(folder / IMAGE_PROCESSOR, name)
        return sizes, image_processor_sizes(settings, sizes, name)
    try:
        a, b, c = (int(n) for n in config["input_shape"])
        d, e, f = (int(n) for n in config["patch_size"])
        x, y, z = (float(n) for n in config["pixdim"])
        dim, depth, heads, hidden = (
            int(config[key]) for key in ("embed_dim", "depth", "num_heads", "mlp_hidden")
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelLoadError(
            said(
                "{name}: config.json of the encoder lacks sizes ({error}); train the heads again",
                name=name,
                error=error,
            )
        ) from error
    if heads < 1 or dim % heads or (dim // heads) % 6 or min(x, y, z) <= 0:
        raise ModelLoadError(
            said("{name}: config.json of the encoder holds impossible sizes", name=name)
        )
    return EncoderSizes((a, b, c), (d, e, f), dim, depth, heads, hidden, 0), (x, y, z)
