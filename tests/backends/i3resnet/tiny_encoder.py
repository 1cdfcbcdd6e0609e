"""A tiny I3ResNet with random weights, under the published tensor names."""

from __future__ import annotations

import torch
from torch import Tensor

from napari_ct_assistant.backends.i3resnet.network.sizes import I3ResNetSizes

SIZES = I3ResNetSizes((1, 2, 2, 1), (4, 6, 8, 12), 8)
WITH_HEADS = I3ResNetSizes((1, 2, 2, 1), (4, 6, 8, 12), 8, phenotypes=7, contrastive=16)
INPUT = (48, 48, 40)


def tiny_tensors(sizes: I3ResNetSizes = SIZES, *, seed: int = 0) -> dict[str, Tensor]:
    """Return its tensors; batch norms have statistics as after a training."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for key, shape in sizes.shapes().items():
        drawn = torch.randn(shape, generator=generator)
        if key.endswith("running_var"):
            tensors[key] = drawn.abs() + 0.5
        elif len(shape) == 1:
            tensors[key] = 0.3 * drawn + (1.0 if key.endswith("weight") else 0.0)
        else:
            tensors[key] = drawn * (2 / torch.Size(shape[1:]).numel()) ** 0.5
    return tensors
