"""Sizes of an I3ResNet, read off its tensors. Importing it brings no torch."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

Shapes = Mapping[str, tuple[int, ...]]

EXPANSION: Final = 4  # of a bottleneck's channels
LAYERS: Final = ("layer1", "layer2", "layer3", "layer4")
# Voxels (x, y, z) from one place of a layer's map to the next.
STRIDES: Final = {"layer3": (16, 16, 8), "layer4": (32, 32, 16)}
# Heads of Merlin's own class.
CLASSIFIER: Final = "classifier"
CONTRASTIVE: Final = "contrastive_head"
_NORM: Final = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True)
class I3ResNetSizes:
    """Sizes of the network.

    Attributes
    ----------
    blocks : four ints
        Bottlenecks of each layer; (3, 8, 36, 3) in ResNet-152.
    planes : four ints
        Inner channels of each layer's bottlenecks; the layer gives four times as many.
    stem : int
        Channels of the first convolution.
    phenotypes : int
        Outputs of the classifier; 0 without one.
    contrastive : int
        Channels of the image-text embedding; 0 without its head.
    """

    blocks: tuple[int, int, int, int]
    planes: tuple[int, int, int, int]
    stem: int = 64
    phenotypes: int = 0
    contrastive: int = 0

    @property
    def channels(self) -> int:
        """Channels of the last layer's map."""
        return self.planes[3] * EXPANSION

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return name and shape of each tensor as published, without batch counters."""
        found: dict[str, tuple[int, ...]] = {"conv1.weight": (self.stem, 3, 3, 7, 7)}
        found |= {f"bn1.{kind}": (self.stem,) for kind in _NORM}
        before = self.stem
        for layer, count, planes in zip(LAYERS, self.blocks, self.planes, strict=True):
            for index in range(count):
                found |= _bottleneck(f"{layer}.{index}", before, planes, first=index == 0)
                before = planes * EXPANSION
        for head, outputs in ((CLASSIFIER, self.phenotypes), (CONTRASTIVE, self.contrastive)):
            if outputs:
                found[f"{head}.weight"] = (outputs, before, 1, 1, 1)
                found[f"{head}.bias"] = (outputs,)
        return found


RESNET_152: Final = I3ResNetSizes((3, 8, 36, 3), (64, 128, 256, 512))


def read_sizes(shapes: Shapes) -> I3ResNetSizes:
    """Return the sizes of the network that tensors describe; they are not compared with it.

    Raises
    ------
    KeyError
        With the name of a tensor that is missing.
    """
    blocks = [
        len({match[1] for key in shapes if (match := re.match(rf"{layer}\.(\d+)\.", key))})
        for layer in LAYERS
    ]
    planes = [shapes[f"{layer}.0.conv1.weight"][0] for layer in LAYERS]
    outputs = [shapes.get(f"{head}.weight", (0,))[0] for head in (CLASSIFIER, CONTRASTIVE)]
    return I3ResNetSizes(
        (blocks[0], blocks[1], blocks[2], blocks[3]),
        (planes[0], planes[1], planes[2], planes[3]),
        shapes["conv1.weight"][0],
        *outputs,
    )


def is_counter(key: str) -> bool:
    """Return whether a tensor counts the batches of the training, which nothing reads."""
    return key.endswith("num_batches_tracked")


def values(shapes: Shapes) -> int:
    """Return how many values tensors hold."""
    return sum(math.prod(shape) for key, shape in shapes.items() if not is_counter(key))


def _bottleneck(
    name: str, before: int, planes: int, *, first: bool
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield name and shape of each tensor of a bottleneck."""
    widest = planes * EXPANSION
    convolutions = [
        ("conv1", "bn1", (planes, before, 1, 1, 1)),
        ("conv2", "bn2", (planes, planes, 3, 3, 3)),
        ("conv3", "bn3", (widest, planes, 1, 1, 1)),
    ]
    if first:
        convolutions.append(("downsample.0", "downsample.1", (widest, before, 1, 1, 1)))
    for convolution, norm, shape in convolutions:
        yield f"{name}.{convolution}.weight", shape
        for kind in _NORM:
            yield f"{name}.{norm}.{kind}", shape[:1]
