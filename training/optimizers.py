"""Muon for the matrices inside a network, AdamW for all else, as one optimizer.

Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/) steps by an orthogonal
matrix near the momentum, so that rare directions learn as fast as common ones. A language model
from nothing learns to look things up in about half the steps by it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Muon, Optimizer


class MuonWithAdamW(Optimizer):
    """`torch.optim.Muon` on the weights of linear layers, `AdamW` on everything else.

    Embeddings, the head, norms, biases and convolutions are AdamW's. Muon's steps are scaled to
    AdamW's size, so one learning rate serves both.

    Parameters
    ----------
    model : nn.Module
        What of it requires a gradient is trained.
    learning_rate : float
    betas : AdamW's
    weight_decay : float

    Raises
    ------
    ValueError
        If no linear layer is to be trained: AdamW alone is meant then.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        learning_rate: float,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 0.0,
    ):
        matrices = inner_matrices(model)
        if not matrices:
            raise ValueError("optimizer muon: no linear layer is trained; use adamw")
        taken = {id(weight) for weight in matrices}
        others = [p for p in model.parameters() if p.requires_grad and id(p) not in taken]
        muon = Muon(
            matrices,
            lr=learning_rate,
            weight_decay=weight_decay,
            adjust_lr_fn="match_rms_adamw",
        )
        self.parts: list[Optimizer] = [muon]
        if others:
            self.parts.append(
                AdamW(others, lr=learning_rate, betas=betas, weight_decay=weight_decay)
            )
        super().__init__([group for part in self.parts for group in part.param_groups], {})
        self._share()

    def _share(self) -> None:
        """Let both work on this optimizer's groups and state: schedules and checkpoints see one."""
        for part, group in zip(self.parts, self.param_groups, strict=True):
            part.param_groups = [group]
            part.state = self.state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        super().load_state_dict(state_dict)
        self._share()

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Step both."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
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
