"""A convolution pyramid in place of the linear patch embedding."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from napari_ct_assistant.model.grounded.configuration import GroundedVisionConfig3D
from napari_ct_assistant.model.vit import take


class ConvolutionStem(nn.Module):
    """A convolution pyramid, every level max-pooled into the token grid.

    A finding smaller than a patch is one bright or dark spot at a fine level. Strided
    convolutions average it away; the maximum over the patch keeps it.

    Raises
    ------
    ValueError
        If there is more than one input channel, or the levels' strides cannot make the patch size.
    """

    def __init__(self, config: GroundedVisionConfig3D):
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
        self.proj = nn.Linear(sum(channels[1:]), config.hidden_size)

    def forward(self, x: Tensor, ids_keep: Tensor | None = None) -> Tensor:
        """x: [B, 1, D, H, W], ids_keep: [B, L] -> [B, L, C], or [B, N, C] without `ids_keep`."""
        d, h, w = (size // patch for size, patch in zip(x.shape[2:], self.patch_size, strict=True))
        if ids_keep is not None:
            x = x * self._kept_voxels(ids_keep, (d, h, w))
        channels = [((x - low) / (high - low)).clamp(0, 1) for low, high in self.windows]
        x = torch.cat(channels, dim=1)  # [B, windows, D, H, W]
        # Channels last is 1.3x faster for few channels on CPU.
        x = x.contiguous(memory_format=torch.channels_last_3d)
        pooled = []
        for level in self.levels:
            x = level(x)
            window = [size // cells for size, cells in zip(x.shape[2:], (d, h, w), strict=True)]
            pooled.append(nn.functional.max_pool3d(x, window))
        tokens = torch.cat(pooled, dim=1).flatten(2).transpose(1, 2)
        if ids_keep is not None:
            tokens = take(tokens, ids_keep)
        return self.proj(self.norm(tokens))

    def _kept_voxels(self, ids_keep: Tensor, grid: tuple[int, int, int]) -> Tensor:
        """Return 1 in the kept patches' voxels and 0 elsewhere, [B, 1, D, H, W].

        The convolutions reach over the border of a patch: what a masked autoencoder removes must
        be gone before them, or it would leak into the tokens that it keeps.
        """
        d, h, w = grid
        kept = torch.zeros(len(ids_keep), d * h * w, device=ids_keep.device)
        kept = kept.scatter_(1, ids_keep, 1.0).reshape(-1, 1, d, h, w)
        pd, ph, pw = self.patch_size
        return kept.repeat_interleave(pd, 2).repeat_interleave(ph, 3).repeat_interleave(pw, 4)


def _strides(patch: tuple[int, ...], levels: int) -> list[tuple[int, ...]]:
    """Split a patch size into `levels` strides of 1 or 2; a longer axis is halved earlier."""
    strides = []
    remaining = list(patch)
    for level in range(levels):
        later = 2 ** (levels - 1 - level)  # what the later levels can still divide by
        stride = tuple(2 if size > later else 1 for size in remaining)
        remaining = [size // step for size, step in zip(remaining, stride, strict=True)]
        strides.append(stride)
    if any(size != 1 for size in remaining):
        raise ValueError(
            f"patch_size {patch} is not reached by {levels} stem levels of stride 1 or 2; "
            f"what remains is {tuple(remaining)}"
        )
    return strides


def _level(inputs: int, outputs: int, stride: tuple[int, ...], depth: int) -> nn.Sequential:
    """`depth` convolutions with BatchNorm and ReLU, the first of them strided."""
    layers: list[nn.Module] = []
    for i in range(depth):
        layers += [
            nn.Conv3d(inputs, outputs, 3, stride=stride if i == 0 else 1, padding=1, bias=False),
            nn.BatchNorm3d(outputs),
            nn.ReLU(inplace=True),
        ]
        inputs = outputs
    return nn.Sequential(*layers)
