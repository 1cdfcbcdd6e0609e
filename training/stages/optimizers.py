"""Muon for the matrices inside a network and AdamW for all other parameters, as one optimizer.

Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/) steps by an orthogonal
matrix near the momentum, so that rare directions learn as fast as common ones. With it, a
language model trained from scratch learns to look things up in about half the steps.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from napari_ct_assistant.support.errors import CTAssistantError
from napari_ct_assistant.training.parallel.sharding import split_like, whole

MOMENTUM = 0.95
# The reference's quintic iteration; five steps bring singular values to between 0.7 and 1.2.
COEFFICIENTS, ITERATIONS = (3.4445, -4.7750, 2.0315), 5


class NoLinearLayerError(CTAssistantError, ValueError):
    """Muon was asked for where no linear layer is trained."""


class Muon(Optimizer):
    """`torch.optim.Muon` with `adjust_lr_fn="match_rms_adamw"`, step for step.

    It differs in one point: torch's iterates in bfloat16 on every device, this one in float32 on
    a CPU. Without bfloat16 instructions, a step of the demonstration's language model takes
    1.96 s in bfloat16 and 0.10 s in float32; forward and backward of 24 texts take 0.7 s.
    """

    def __init__(
        self,
        matrices: Sequence[Tensor] | Sequence[dict[str, Any]],
        *,
        lr: float,
        weight_decay: float = 0.0,
    ):
        super().__init__(matrices, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Step all matrices that have a gradient."""
        with torch.enable_grad():
            loss = None if closure is None else closure()
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(weight.grad)
                mean = state["momentum_buffer"].lerp_(weight.grad, 1 - MOMENTUM)
                dtype = torch.float32 if weight.device.type == "cpu" else torch.bfloat16
                # Under FSDP each process has a part of the matrix; only the whole one can be made
                # orthogonal, by each process for itself.
                direction = whole(weight.grad.lerp(mean, MOMENTUM))
                update = split_like(orthogonal(direction, dtype), weight)
                # As large as AdamW's typical step, so that one learning rate serves both.
                size = 0.2 * max(weight.shape) ** 0.5
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.add_(update, alpha=-group["lr"] * size)
        return loss


def orthogonal(matrix: Tensor, dtype: torch.dtype) -> Tensor:
    """Bring all singular values of a matrix near 1 by Newton-Schulz iterations in `dtype`.

    matrix: [m, n] -> [m, n] in `dtype`
    """
    a, b, c = COEFFICIENTS
    x = matrix.to(dtype)
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = x.T
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x


class MuonWithAdamW(Optimizer):
    """Muon for the weights of linear layers, AdamW for all other parameters.

    Embeddings, the output head, norms, biases and convolutions are left to AdamW.

    Parameters
    ----------
    model : nn.Module
        Its parameters that require a gradient are trained.
    learning_rate : float
    betas : tuple of float
        AdamW's.
    weight_decay : float
    decayed : collection of str, optional
        Names of the parameters that decay; all by default. The Trainer's
        `get_decay_parameter_names` leaves out biases and norms.

    Raises
    ------
    NoLinearLayerError
        If no linear layer is trained: use AdamW then.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        learning_rate: float,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 0.0,
        decayed: Collection[str] | None = None,
    ):
        matrices = {id(weight) for weight in inner_matrices(model)}
        if not matrices:
            raise NoLinearLayerError("Muon: no linear layer is trained; use AdamW")
        trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        decayed = set(trained if decayed is None else decayed)

        def groups(inner: bool) -> list[dict[str, Any]]:
            own = {name: p for name, p in trained.items() if (id(p) in matrices) == inner}
            decay = [p for name, p in own.items() if name in decayed]
            keep = [p for name, p in own.items() if name not in decayed]
            pairs = ((decay, weight_decay), (keep, 0.0))
            return [{"params": group, "weight_decay": value} for group, value in pairs if group]

        self.parts: list[Optimizer] = [Muon(groups(inner=True), lr=learning_rate)]
        if others := groups(inner=False):
            self.parts.append(AdamW(others, lr=learning_rate, betas=betas))
        super().__init__([group for part in self.parts for group in part.param_groups], {})
        self._share()

    def _share(self) -> None:
        """Give both optimizers this one's groups and state, for schedules and checkpoints."""
        groups = iter(self.param_groups)
        for part in self.parts:
            part.param_groups = list(islice(groups, len(part.param_groups)))
            part.state = self.state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a checkpoint."""
        super().load_state_dict(state_dict)
        self._share()

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Step both."""
        with torch.enable_grad():
            loss = None if closure is None else closure()
        for part in self.parts:
            part.step()
        return loss


def inner_matrices(model: nn.Module) -> list[Tensor]:
    """Return the trainable weights [out, in] of linear layers, without the head over the words."""
    outer = [m for m in model.modules() if isinstance(m, nn.Embedding)]
    find_head = getattr(model, "get_output_embeddings", None)
    outer += [find_head()] if find_head is not None else []
    apart = {id(module.weight) for module in outer if module is not None}
    return [
        module.weight
        for module in model.modules()
        if isinstance(module, nn.Linear)
        and module.weight.requires_grad
        and id(module.weight) not in apart
    ]
