"""FSDP2: the parts of a model that the processes of a run have split among them.

accelerate splits the model as its configuration says, on GPUs. It leaves processes on CPUs to DDP
without a word, so `shard_on_cpu` asks it for FSDP there as well: what runs on GPUs is then tried,
and tested, on a CPU.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin
from torch import Tensor, nn
from torch.distributed._functional_collectives import AsyncCollectiveTensor
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor, distribute_tensor

from napari_ct_assistant.training.config.errors import RecipeError


def launched_sharded() -> bool:
    """Return whether the launcher asks for FSDP or DeepSpeed."""
    return _asked("ACCELERATE_USE_FSDP") or _asked("ACCELERATE_USE_DEEPSPEED")


def _asked(variable: str) -> bool:
    return os.environ.get(variable, "false").lower() in ("true", "1")


def fsdp_plugin() -> FullyShardedDataParallelPlugin | None:
    """Return what the launcher asks of FSDP; None if it does not ask for it.

    Raises
    ------
    RecipeError
        If it asks for the older FSDP, whose flattened parameters are not supported.
    """
    if not _asked("ACCELERATE_USE_FSDP"):
        return None
    version = os.environ.get("FSDP_VERSION", "1")
    if version != "2":
        raise RecipeError(
            f"fsdp_version: {version} is not supported; set fsdp_version: 2 in accelerate's "
            "configuration"
        )
    return FullyShardedDataParallelPlugin()


def shard_on_cpu(accelerator: Accelerator, plugin: FullyShardedDataParallelPlugin) -> None:
    """Let accelerate split models among CPU processes (gloo), as it does among GPUs."""
    state = accelerator.state
    if state.mixed_precision != "no":
        plugin.set_mixed_precision(state.mixed_precision)
    state.distributed_type = DistributedType.FSDP
    state.fsdp_plugin = plugin


def reshard(model: nn.Module) -> None:
    """Let each process keep only its own part of a model's weights.

    After a forward pass without a backward pass, the outermost layers are still whole.
    """
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def whole(tensor: Tensor) -> Tensor:
    """Return a tensor of which this process may hold a part; every process must call it."""
    tensor = tensor.detach()
    full: Tensor = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
    return full.wait() if isinstance(full, AsyncCollectiveTensor) else full


def gathered(tensors: Mapping[str, Tensor], *, keep: bool) -> dict[str, Tensor]:
    """Return tensors whole, in main memory, one after the other; every process must call it.

    A process that does not keep them gets an empty dict.
    """
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        full = whole(tensor)
        if keep:
            found[name] = full.cpu().contiguous()
    return found


def split_like(tensor: Tensor, reference: Tensor) -> Tensor:
    """Return this process's part of a whole tensor, split as `reference` is."""
    if not isinstance(reference, DTensor) or isinstance(tensor, DTensor):
        return tensor
    mesh, placements = reference.device_mesh, reference.placements
    # Every process has the whole tensor: nothing is sent.
    return distribute_tensor(
        tensor.to(torch.device(mesh.device_type)), mesh, placements, src_data_rank=None
    )
