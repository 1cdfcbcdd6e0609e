"""The network is an inflated ResNet, folded or not, in pieces or whole."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from napari_ct_assistant.backends.i3resnet.network.modeling import I3ResNet
from napari_ct_assistant.backends.i3resnet.network.sizes import (
    RESNET_152,
    is_counter,
    read_sizes,
    values,
)
from tests.backends.i3resnet.tiny_encoder import SIZES, WITH_HEADS, tiny_tensors


def reference(tensors: dict[str, Tensor], volume: Tensor) -> Tensor:
    """Return layer 4's map as the release computes it, written out. volume: [1, 1, x, y, z]."""

    def conv(x: Tensor, key: str, stride: int | tuple[int, ...] = 1, pad: object = 0) -> Tensor:
        return functional.conv3d(x, tensors[f"{key}.weight"], None, stride, pad)  # type: ignore[arg-type]

    def norm(x: Tensor, key: str) -> Tensor:
        kinds = ("running_mean", "running_var", "weight", "bias")
        return functional.batch_norm(x, *(tensors[f"{key}.{kind}"] for kind in kinds))

    x = volume.permute(0, 1, 4, 2, 3).repeat(1, 3, 1, 1, 1)
    x = norm(conv(x, "conv1", (1, 2, 2), (1, 3, 3)), "bn1").relu()
    x = functional.max_pool3d(x, 3, 2, 1)
    for layer, count in enumerate(SIZES.blocks, start=1):
        for index in range(count):
            name, stride = f"layer{layer}.{index}", 2 if layer > 1 and index == 0 else 1
            out = norm(conv(x, f"{name}.conv1"), f"{name}.bn1").relu()
            out = norm(conv(out, f"{name}.conv2", stride, 1), f"{name}.bn2").relu()
            out = norm(conv(out, f"{name}.conv3"), f"{name}.bn3")
            if index == 0:
                x = norm(conv(x, f"{name}.downsample.0", stride), f"{name}.downsample.1")
            x = (out + x).relu()
    return x


@pytest.mark.parametrize("size", [(48, 48, 40), (40, 56, 33), (33, 32, 70)])
@pytest.mark.parametrize("folded", [False, True])
def test_it_computes_what_the_release_computes(size: tuple[int, ...], folded: bool) -> None:
    tensors = tiny_tensors()
    network = I3ResNet(SIZES).eval()
    network.load_state_dict(tensors, strict=False)
    if folded:
        network.fold()
    volume = torch.rand((1, 1, *size), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found = network(volume).layer4
    torch.testing.assert_close(found, reference(tensors, volume), atol=2e-5, rtol=1e-5)


def test_folding_leaves_no_batch_norm() -> None:
    network = I3ResNet(SIZES)
    network.load_state_dict(tiny_tensors(), strict=False)
    names = [name for name, _ in network.fold().named_parameters()]
    assert not any("bn" in name for name in names)
    assert sum(name.endswith("bias") for name in names) == 1 + 3 * 6 + 4


def test_sizes_are_read_off_the_tensors() -> None:
    shapes = {key: tuple(tensor.shape) for key, tensor in tiny_tensors(WITH_HEADS).items()}
    assert read_sizes(shapes) == WITH_HEADS
    with torch.device("meta"):
        own = I3ResNet(WITH_HEADS).state_dict()
    counters = [key for key in own if is_counter(key)]
    assert {key: tuple(t.shape) for key, t in own.items() if key not in counters} == shapes


def test_the_published_size() -> None:
    """930 tensors with 117,517,632 floats, the batch counters aside."""
    shapes = RESNET_152.shapes()
    counters = sum(key.endswith("running_mean") for key in shapes)
    assert len(shapes) + counters == 930
    assert values(shapes) == 117_517_632


def test_each_block_can_stop_the_run() -> None:
    calls = 0

    def stop() -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt

    network = I3ResNet(SIZES).fold()
    with torch.no_grad(), pytest.raises(KeyboardInterrupt):
        network(torch.zeros(1, 1, 32, 32, 16), stop)
    assert calls == 3
