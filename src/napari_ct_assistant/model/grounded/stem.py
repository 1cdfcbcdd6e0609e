"""From voxels to tokens: linear patches as in the papers, or a convolution pyramid."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from napari_ct_assistant.model.configuration import VisionConfig3D


class LinearStem(nn.Module):
    """Cut the volume into patches and project each linearly (ViT, E3D-GPT, M3D)."""

    def __init__(self, config: VisionConfig3D):
        super().__init__()
        patch = tuple(config.patch_size)
        self.projection = nn.Conv3d(
            config.in_channels, config.hidden_size, kernel_size=patch, stride=patch
        )

    def forward(self, x: Tensor) -> Tensor:
        """x: [B, 1, D, H, W] -> tokens [B, d, h, w, C]."""
        return self.projection(x).permute(0, 2, 3, 4, 1)


class ConvolutionStem(nn.Module):
    """A convolution pyramid, every level max-pooled into the token grid.

    A finding smaller than a patch is one bright or dark spot at a fine level. Strided
    convolutions average it away; the maximum over the patch keeps it.
    """

    def __init__(self, config: VisionConfig3D):
        super().__init__()
        if config.in_channels != 1:
            raise ValueError(f"the convolution stem reads one channel, got {config.in_channels}")
        self.windows = [(float(low), float(high)) for low, high in config.stem_windows]
        channels = [len(self.windows), *config.stem_channels]
        strides = _strides(tuple(config.patch_size), len(config.stem_channels))
        self.levels = nn.ModuleList(
            _level(channels[i], channels[i + 1], stride, depth)
            for i, (stride, depth) in enumerate(zip(strides, config.stem_depths, strict=True))
        )
        self.patch_size = tuple(config.patch_size)
        self.norm = nn.LayerNorm(sum(channels[1:]), eps=config.layer_norm_eps)
        self.projection = nn.Linear(sum(channels[1:]), config.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        """x: [B, 1, D, H, W] -> tokens [B, d, h, w, C]."""
        grid = tuple(
            size // patch for size, patch in zip(x.shape[2:], self.patch_size, strict=True)
        )
        channels = [((x - low) / (high - low)).clamp(0, 1) for low, high in self.windows]
        x = torch.cat(channels, dim=1)  # [B, windows, D, H, W]
        # Channels last is 1.3x faster for few channels on CPU.
        x = x.contiguous(memory_format=torch.channels_last_3d)
        pooled = []
        for level in self.levels:
            x = level(x)
            window = [size // cells for size, cells in zip(x.shape[2:], grid, strict=True)]
            pooled.append(nn.functional.max_pool3d(x, window))
        tokens = torch.cat(pooled, dim=1).permute(0, 2, 3, 4, 1)
        return self.projection(self.norm(tokens))


def _strides(patch: tuple[int, ...], levels: int) -> list[tuple[int, ...]]:
    """Split a patch size into `levels` strides of 1 or 2, the finer axes halved first."""
    strides = []
    left = list(patch)
    for level in range(levels):
        later = 2 ** (levels - 1 - level)  # what the later levels can still divide by
        stride = tuple(2 if size > later else 1 for size in left)
        left = [size // step for size, step in zip(left, stride, strict=True)]
        strides.append(stride)
    if any(size != 1 for size in left):
        raise ValueError(
            f"patch_size {patch} is not reached by {levels} stem levels of stride 1 or 2; "
            f"what remains is {tuple(left)}"
        )
    return strides


def _level(inputs: int, outputs: int, stride: tuple[int, ...], depth: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i in range(depth):
        layers += [
            nn.Conv3d(inputs, outputs, 3, stride=stride if i == 0 else 1, padding=1, bias=False),
            nn.BatchNorm3d(outputs),
            nn.ReLU(inplace=True),
        ]
        inputs = outputs
    return nn.Sequential(*layers)


STEMS = {"linear": LinearStem, "convolution": ConvolutionStem}
