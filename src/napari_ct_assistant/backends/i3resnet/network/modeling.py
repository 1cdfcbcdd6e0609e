"""I3ResNet: a 2-D ResNet inflated to three dimensions, as Merlin's `merlin.models.i3res`.

Tensors have the published names. The input's one channel is read three times there; here the
first convolution's three input channels are added up instead, which is the same. `fold` puts the
batch norms into the convolutions. Shapes: B volumes, axes (z, x, y), z up, x to the right, y to
the front.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_weights

from napari_ct_assistant.backends.i3resnet.network.sizes import EXPANSION, LAYERS, I3ResNetSizes

STEM_SLICES: Final = 16  # of the stem's result at a time; its own map is the largest of all


@dataclass(frozen=True, eq=False)
class FeatureMaps:
    """What the network makes of a volume.

    Attributes
    ----------
    layer3, layer4 : Tensor [B, C, z, x, y]
    """

    layer3: Tensor
    layer4: Tensor

    @property
    def pooled(self) -> Tensor:
        """The mean of the last map over its places. [B, C]."""
        return self.layer4.mean(dim=(2, 3, 4))


class Bottleneck(nn.Module):
    """Three convolutions beside a shortcut; the middle one has the stride, in all directions."""

    def __init__(self, before: int, planes: int, stride: int, *, first: bool):
        super().__init__()
        widest = planes * EXPANSION
        self.conv1 = nn.Conv3d(before, planes, 1, bias=False)
        self.bn1: nn.Module = nn.BatchNorm3d(planes)
        self.conv2 = nn.Conv3d(planes, planes, 3, stride=stride, padding=1, bias=False)
        self.bn2: nn.Module = nn.BatchNorm3d(planes)
        self.conv3 = nn.Conv3d(planes, widest, 1, bias=False)
        self.bn3: nn.Module = nn.BatchNorm3d(widest)
        self.downsample = (
            nn.Sequential(
                nn.Conv3d(before, widest, 1, stride=stride, bias=False), nn.BatchNorm3d(widest)
            )
            if first
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        """x: [B, C, z, x, y]."""
        shortcut = x if self.downsample is None else self.downsample(x)
        out = functional.relu_(self.bn1(self.conv1(x)))
        out = functional.relu_(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        out += shortcut
        return functional.relu_(out)


class I3ResNet(nn.Module):
    """The encoder, with Merlin's two heads where the sizes have them.

    Parameters
    ----------
    sizes : I3ResNetSizes
    """

    def __init__(self, sizes: I3ResNetSizes):
        super().__init__()
        self.sizes = sizes
        self.conv1 = nn.Conv3d(
            3, sizes.stem, (3, 7, 7), stride=(1, 2, 2), padding=(1, 3, 3), bias=False
        )
        self.bn1: nn.Module = nn.BatchNorm3d(sizes.stem)
        before = sizes.stem
        for number, (layer, count, planes) in enumerate(
            zip(LAYERS, sizes.blocks, sizes.planes, strict=True)
        ):
            blocks = []
            for index in range(count):
                stride = 2 if number and not index else 1
                blocks.append(Bottleneck(before, planes, stride, first=index == 0))
                before = planes * EXPANSION
            self.add_module(layer, nn.Sequential(*blocks))
        self.classifier = nn.Conv3d(before, sizes.phenotypes, 1) if sizes.phenotypes else None
        self.contrastive_head = (
            nn.Conv3d(before, sizes.contrastive, 1) if sizes.contrastive else None
        )

    @torch.no_grad()
    def fold(self) -> I3ResNet:
        """Put every batch norm into the convolution before it, and return the network.

        In evaluation mode the two are one linear map. It cannot be trained further.
        """
        self.eval()
        _fold(self, "conv1", "bn1")
        for layer in LAYERS:
            for block in self.get_submodule(layer).children():
                for number in (1, 2, 3):
                    _fold(block, f"conv{number}", f"bn{number}")
                if isinstance(block, Bottleneck) and block.downsample is not None:
                    _fold(block.downsample, "0", "1")
        return self

    def forward(
        self, volume: Tensor, before_block: Callable[[], None] | None = None
    ) -> FeatureMaps:
        """Return the maps of the last two layers.

        Parameters
        ----------
        volume : Tensor [B, 1, x, y, z]
            From 0 to 1, RAS axes.
        before_block
            Called before each bottleneck.
        """
        tell = before_block or (lambda: None)
        x = self._stem(volume.permute(0, 1, 4, 2, 3).to(self.conv1.weight.dtype))
        maps = {}
        for layer in LAYERS:
            for block in self.get_submodule(layer).children():
                tell()
                x = block(x)
            maps[layer] = x
        return FeatureMaps(maps["layer3"], maps["layer4"])

    def phenotype_logits(self, maps: FeatureMaps) -> Tensor:
        """Return the classifier's logits for the pooled map. [B, phenotypes]."""
        return _head(self.classifier, maps.pooled)

    def contrastive(self, maps: FeatureMaps) -> Tensor:
        """Return the embedding that is compared with that of a report. [B, contrastive]."""
        return _head(self.contrastive_head, maps.pooled)

    def _stem(self, volume: Tensor) -> Tensor:
        """Return the first map, some slices at a time. volume: [B, 1, z, x, y]."""
        weight = self.conv1.weight.sum(1, keepdim=True)
        depth = volume.shape[2]
        parts = []
        count = (depth - 1) // 2 + 1  # of the pooled slices
        for begin in range(0, count, STEM_SLICES):
            end = min(begin + STEM_SLICES, count)
            # Pooled slice k reads slices 2k - 1 to 2k + 1; each reads one more on either side.
            low, high = max(0, 2 * begin - 1), min(depth, 2 * end)
            first, last = max(0, low - 1), min(depth, high + 1)
            part = functional.conv3d(
                volume[:, :, first:last], weight, self.conv1.bias, (1, 2, 2), (1, 3, 3)
            )[:, :, low - first : low - first + high - low]
            part = functional.relu_(self.bn1(part))
            # Padding with 0 is padding with the lowest value: nothing is below 0.
            part = functional.pad(part, (0, 0, 0, 0, int(begin == 0), max(0, 2 * end - depth)))
            parts.append(functional.max_pool3d(part, 3, 2, (0, 1, 1)))
        out = torch.cat(parts, dim=2)
        if out.device.type == "cpu":
            out = out.contiguous(memory_format=torch.channels_last_3d)
        return out


def _fold(owner: nn.Module, convolution: str, norm: str) -> None:
    """Replace a convolution and its batch norm by one convolution with a bias."""
    modules = owner._modules
    conv, batch = modules[convolution], modules[norm]
    if not isinstance(conv, nn.Conv3d) or not isinstance(batch, nn.BatchNorm3d):
        return
    mean, variance = batch.running_mean, batch.running_var
    if mean is None or variance is None:
        raise ValueError(f"{norm} keeps no statistics")
    conv.weight, conv.bias = fuse_conv_bn_weights(
        conv.weight, None, mean, variance, batch.eps,
        batch.weight, batch.bias,
    )  # fmt: skip
    modules[norm] = nn.Identity()


def _head(head: nn.Conv3d | None, pooled: Tensor) -> Tensor:
    if head is None:
        raise ValueError("the network has no such head")
    return functional.linear(pooled, head.weight.flatten(1), head.bias)
