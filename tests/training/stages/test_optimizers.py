"""Muon with AdamW: which weights each gets, one schedule, one checkpoint."""

from __future__ import annotations

import copy
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import TrainingArguments
from typer.testing import CliRunner

from napari_ct_assistant.cli import app
from napari_ct_assistant.training.stages import optimizers
from napari_ct_assistant.training.stages.optimizers import (
    Muon,
    MuonWithAdamW,
    NoLinearLayerError,
    inner_matrices,
    orthogonal,
)
from napari_ct_assistant.training.stages.trainer import StageTrainer
from tests.tiny_model import tiny_model
from tests.training.toy import Toy


def test_steps_are_those_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        optimizers, "orthogonal", lambda matrix, _: orthogonal(matrix, torch.bfloat16)
    )
    torch.manual_seed(0)
    start = [torch.randn(12, 30), torch.randn(30, 12), torch.randn(8, 8)]
    gradients = [[torch.randn_like(w) for w in start] for _ in range(3)]
    reached = []
    for kind in (Muon, partial(torch.optim.Muon, adjust_lr_fn="match_rms_adamw")):
        weights = [nn.Parameter(w.clone()) for w in start]
        optimizer = kind(weights, lr=1e-2, weight_decay=0.1)
        for step in gradients:
            for weight, gradient in zip(weights, step, strict=True):
                weight.grad = gradient.clone()
            optimizer.step()
        reached.append(weights)
    for ours, theirs in zip(*reached, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", [(20, 50), (50, 20), (30, 30)])
def test_singular_values_come_near_one_in_either_precision(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    matrix = torch.randn(shape)
    for dtype in (torch.float32, torch.bfloat16):
        values = torch.linalg.svdvals(orthogonal(matrix, dtype).float())
        assert 0.5 < values.min() <= values.max() < 1.3, dtype


def test_muon_gets_the_matrices_between_embedding_and_head() -> None:
    model, _ = tiny_model()
    model.requires_grad_(True)
    model.vision_tower.requires_grad_(False)
    inner = {id(weight) for weight in inner_matrices(model)}
    names = {name for name, p in model.named_parameters() if id(p) in inner}
    layers = len(model.language_model.model.layers)
    language = [n for n in names if n.startswith("language_model.model.layers.")]
    assert len(language) == 7 * layers, "q, k, v, o and the three of the feed-forward"
    assert not any("embed" in n or "lm_head" in n or "norm" in n for n in names)
    assert not any(n.startswith("vision_tower") for n in names)


def test_every_trainable_weight_is_optimized_once() -> None:
    model, _ = tiny_model()
    model.requires_grad_(True)
    optimizer = MuonWithAdamW(model, learning_rate=1e-3)
    given = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(given) == sorted({id(p) for p in model.parameters()})


def test_a_model_without_a_linear_layer_is_refused() -> None:
    with pytest.raises(NoLinearLayerError, match="use AdamW"):
        MuonWithAdamW(nn.Embedding(4, 4), learning_rate=1e-3)


def test_biases_and_norms_do_not_decay_like_the_trainer_s_adamw(tmp_path: Path) -> None:
    model, _ = tiny_model()
    model.requires_grad_(True)
    decays = []
    for muon in (False, True):
        arguments = TrainingArguments(str(tmp_path), weight_decay=0.1, use_cpu=True, report_to=[])
        trainer = StageTrainer(model=model, args=arguments)
        trainer.muon = muon
        names = {id(p): name for name, p in model.named_parameters()}
        groups = trainer.create_optimizer().param_groups
        decays.append({names[id(p)]: g["weight_decay"] for g in groups for p in g["params"]})
    adamw, muon_too = decays
    assert muon_too == adamw
    assert set(adamw.values()) == {0.0, 0.1}


def test_muon_without_a_linear_layer_is_one_line(toy: Toy, tmp_path: Path) -> None:
    """Stage align trains the convolution perceiver only, which has none."""
    options = [*toy.options(tmp_path / "out", 2, optimizer="muon"), *toy.align]
    done = CliRunner().invoke(app, ["train", "align", "e3d_gpt/align", *options])
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1].startswith("error: training.optimizer: muon is for linear")
    assert "Traceback" not in done.stderr


def _problem() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 4))
    x = torch.randn(64, 8)
    return model, x, x[:, :4].sin()


def _steps(
    model: nn.Module, optimizer: MuonWithAdamW, x: torch.Tensor, y: torch.Tensor, count: int
) -> float:
    for _ in range(count):
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return float(loss.detach())


def test_it_learns_and_a_schedule_reaches_both() -> None:
    model, x, y = _problem()
    optimizer = MuonWithAdamW(model, learning_rate=1e-2)
    before = _steps(model, optimizer, x, y, 1)
    assert _steps(model, optimizer, x, y, 150) < 0.1 * before
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    kept = copy.deepcopy(model.state_dict())
    _steps(model, optimizer, x, y, 1)
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, kept[name]), f"{name} moved at a learning rate of 0"


def test_a_resumed_run_equals_an_uninterrupted_one() -> None:
    model, x, y = _problem()
    optimizer = MuonWithAdamW(model, learning_rate=1e-2, weight_decay=0.1)
    _steps(model, optimizer, x, y, 5)
    weights, state = copy.deepcopy(model.state_dict()), copy.deepcopy(optimizer.state_dict())
    whole = _steps(model, optimizer, x, y, 5)
    again, _, _ = _problem()
    again.load_state_dict(weights)
    resumed = MuonWithAdamW(again, learning_rate=1.0)
    resumed.load_state_dict(state)
    assert _steps(again, resumed, x, y, 5) == whole
