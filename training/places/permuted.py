"""A control: the same network with its convolutions' weights in random order."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from napari_ct_assistant.backends.i3resnet.network.modeling import I3ResNet


@torch.no_grad()
def permute_weights(network: I3ResNet, example: Tensor, seed: int = 0) -> None:
    """Permute the weights within each convolution of an unfolded network, in place.

    What remains is the architecture with each layer's distribution of weights. The batch norms'
    statistics are estimated anew on an example, or every map would be out of scale.

    Parameters
    ----------
    network : I3ResNet
    example : Tensor [1, 1, x, y, z]
        An input of the network.
    seed : int
    """
    generator = torch.Generator().manual_seed(seed)
    norms = []
    for module in network.modules():
        if isinstance(module, nn.Conv3d):
            flat = module.weight.view(-1)
            flat.copy_(flat[torch.randperm(flat.numel(), generator=generator)])
        elif isinstance(module, nn.BatchNorm3d):
            norms.append(module)
    for norm in norms:
        norm.momentum = 1.0
    network.train()
    network(example)
    network.eval()
