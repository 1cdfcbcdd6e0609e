"""A loaded I3ResNet: it prepares scans and makes maps of them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from napari_ct_assistant.backends.i3resnet.folder import (
    EncoderSettings,
    is_i3resnet,
    read_outputs,
    read_settings,
)
from napari_ct_assistant.backends.i3resnet.importing import encoder_sizes
from napari_ct_assistant.backends.i3resnet.input.chains import EncoderInput, make_input
from napari_ct_assistant.backends.i3resnet.network.modeling import FeatureMaps, I3ResNet
from napari_ct_assistant.backends.i3resnet.network.sizes import I3ResNetSizes
from napari_ct_assistant.backends.loading.devices import find_device, find_dtype
from napari_ct_assistant.backends.loading.tensors import read_tensors
from napari_ct_assistant.backends.protocol import EncodingStopped
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.model.folder import check_hashes, weights_of
from napari_ct_assistant.model.format import WEIGHTS
from napari_ct_assistant.model.settings import check_files, check_settings, read_json
from napari_ct_assistant.support.translation import said
from napari_ct_assistant.volume import CTVolume


@dataclass(frozen=True, eq=False)
class Encoder:
    """An encoder on a device.

    Attributes
    ----------
    network : I3ResNet
        Its batch norms folded.
    settings : EncoderSettings
    outputs : tuple of str
        Names of the classifier's outputs; () without a classifier.
    """

    network: I3ResNet
    settings: EncoderSettings
    outputs: tuple[str, ...] = ()

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return self.network.conv1.weight.device

    def prepare(self, volume: CTVolume, chain: str = "") -> EncoderInput:
        """Return the network's input for a scan; the folder's own chain when none is given."""
        return make_input(
            volume,
            chain or self.settings.chain,
            size=self.settings.size,
            spacing=self.settings.spacing,
        )

    def encode(
        self,
        values: Tensor,
        *,
        progress: Callable[[str], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> FeatureMaps:
        """Return the maps of an input [1, 1, x, y, z].

        Raises
        ------
        EncodingStopped
            If `cancel` was set before the end.
        """
        blocks = sum(self.network.sizes.blocks)
        done = 0

        def before_block() -> None:
            nonlocal done
            if cancel is not None and cancel.is_set():
                raise EncodingStopped(said("stopped while the scan was encoded"))
            done += 1
            if progress is not None:
                progress(f"Encoding the scan: block {done} of {blocks}")

        if cancel is not None and cancel.is_set():
            raise EncodingStopped(said("stopped before the scan was encoded"))
        with torch.no_grad():
            return self.network(values.to(self.device), before_block)


def load_encoder(
    folder: str | Path,
    *,
    device: str | None = None,
    dtype: str | None = None,
    name: str = "",
) -> Encoder:
    """Load the folder of an encoder that was imported.

    Parameters
    ----------
    folder
    device, dtype
        As of `load_assistant`.
    name
        For errors; the folder's own when absent.

    Raises
    ------
    ModelLoadError
        One line: which model, what is wrong with it, what to do.
    """
    folder = Path(folder).expanduser()
    name = name or folder.resolve().name
    if not (folder / "config.json").is_file():
        raise ModelLoadError(
            said("{name}: no config.json; give the folder of an imported encoder", name=name)
        )
    check_files(folder, name)
    config = read_json(folder / "config.json", name)
    if not is_i3resnet(config):
        raise ModelLoadError(
            said(
                "{name}: model_type {get} in config.json is no I3ResNet",
                name=name,
                get=repr(config.get("model_type")),
            )
        )
    check_settings(folder, name)
    settings = read_settings(config, name)
    shapes = {key: header.shape for key, header in weights_of(folder, name).items()}
    check_hashes(folder, name)
    sizes = encoder_sizes(shapes, name)
    outputs = read_outputs(folder, sizes.phenotypes, name) if sizes.phenotypes else ()
    network = read_network(sizes, folder, name)
    target = find_device(device, name)
    # In half precision the maps are off by some percent; float32 takes 0.5 GB.
    precision = torch.float32 if dtype is None else find_dtype(dtype, target, name)
    return Encoder(place(network, target, precision), settings, outputs)


def read_network(sizes: I3ResNetSizes, folder: Path, name: str, prefix: str = "") -> I3ResNet:
    """Return the network with the weights of a folder, folded, in float32.

    Parameters
    ----------
    prefix : str
        Before its tensors' names in the folder; other tensors are left out.
    """
    network = I3ResNet(sizes).eval()
    own = network.state_dict()

    def wanted(key: str, _: tuple[int, ...]) -> Tensor | None:
        return own.get(key.removeprefix(prefix)) if key.startswith(prefix) else None

    for file in sorted(folder.glob(WEIGHTS)):
        for _ in read_tensors(file, name, wanted):
            pass
    return network.fold()


def place(network: I3ResNet, device: torch.device, dtype: torch.dtype) -> I3ResNet:
    """Bring a folded network to a device, in the layout that is fastest there."""
    layout = torch.channels_last_3d if device.type == "cpu" else torch.contiguous_format
    placed: I3ResNet = network.to(device=device, dtype=dtype, memory_format=layout)
    return placed.requires_grad_(False)
