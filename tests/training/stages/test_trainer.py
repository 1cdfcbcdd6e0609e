"""The Trainer: interrupted runs continue with the same losses; a bad loss stops with its scan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from napari_ct_assistant.model import VolumeLanguageModel
from napari_ct_assistant.model.vit import Mlp
from napari_ct_assistant.training.config.load import load_recipe
from napari_ct_assistant.training.config.recipe import ConversationSettings
from napari_ct_assistant.training.monitoring.callbacks import NonFiniteLossError
from napari_ct_assistant.training.run import run_stage
from napari_ct_assistant.training.sequences.collator import Collator
from napari_ct_assistant.training.sequences.packing import pack_sequence
from napari_ct_assistant.training.sequences.turns import Turn
from napari_ct_assistant.training.stages import conversations, ground
from napari_ct_assistant.training.stages.job import run_job
from napari_ct_assistant.training.stages.trainer import StageTrainer, by_length
from tests.tiny_model import tiny_model
from tests.training.balls import Balls
from tests.training.data.datasets import layouts
from tests.training.toy import Toy, losses

# Each stage, with its source of random numbers: masks, LoRA's dropout, order of scans.
STAGES = {
    "mae": ["mae.decoder_embed_dim=24", "mae.decoder_depth=1", "mae.decoder_num_heads=2"],
    "ground": [],
    "align": [],
    "instruct": ["lora={r: 2, alpha: 4, dropout: 0.3}", "training.schedule=exponential"],
    "instruct-muon": ["lora=null", "training.optimizer=muon"],
    "instruct-encoder": ["train_encoder=true", "lora={r: 2, alpha: 4, dropout: 0.3}"],
}


def run(toy: Toy, kind: str, output: Path, samples: int = 5, *more: str, **training: Any) -> Path:
    """Run a stage at toy size and return its folder."""
    stage = kind.partition("-")[0]
    start = {"mae": [toy.encoder], "align": toy.align, "instruct": toy.instruct}.get(stage, [])
    recipe = {"ground": "demo/ground"}.get(stage, f"e3d_gpt/{stage}")
    options = [*toy.options(output, samples, **training), *start, *STAGES[kind], *more]
    options.append("training.learning_rate=1e-2")
    if stage == "ground":
        changes = [
            f"encoder={{start: {toy.folder / 'encoder'}}}",
            "ground={}",
            "data={kind: phantoms}",
        ]
        one = load_recipe(recipe, [*options, *changes])
        run_job(one, ground.job(one, Balls(output)))
    else:
        run_stage(stage, recipe, options)
    return output


@pytest.mark.parametrize("kind", ["mae", "instruct-encoder"])
def test_gradient_checkpointing_learns_the_same(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    expected = losses(run(toy, kind, tmp_path / "plain", 3))
    calls: list[bool] = []
    forward = Mlp.forward

    def counted(self: Mlp, x: torch.Tensor) -> torch.Tensor:
        calls.append(self.training)
        return forward(self, x)

    monkeypatch.setattr(Mlp, "forward", counted)
    assert losses(run(toy, kind, tmp_path / "checkpointed", 3, gradient_checkpointing=True)) == (
        expected
    )
    blocks = {"mae": 1 + 1, "instruct-encoder": 1}[kind]  # of encoder and decoder
    assert sum(calls) == 3 * 2 * blocks, "each block once forward, and again backward"


class Killed(BaseException):
    """Simulates a power cut: nothing in the run catches it."""


def kill_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    whole = StageTrainer.training_step

    def training_step(self: StageTrainer, *args: Any, **kwargs: Any) -> Any:
        if self.state.global_step == step:
            raise Killed
        return whole(self, *args, **kwargs)

    monkeypatch.setattr(StageTrainer, "training_step", training_step)


@pytest.mark.parametrize("kind", STAGES)
def test_a_killed_run_continues_with_the_same_losses(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    accumulate = 2 if kind == "instruct" else 1
    samples = 5 * accumulate
    whole = run(toy, kind, tmp_path / "whole", samples, accumulate=accumulate)
    expected = losses(whole)
    assert len(expected) == 5
    assert len(set(expected)) == 5
    killed = tmp_path / "killed"
    often = {"accumulate": accumulate, "save_minutes": 1e-9}
    with monkeypatch.context() as patch:
        kill_at(patch, 3)
        with pytest.raises(Killed):
            run(toy, kind, killed, samples, **often)
    # Two checkpoints are kept, the last of them at the step before the kill.
    names = sorted(path.name for path in (killed / "checkpoints").glob("checkpoint-*"))
    assert names == ["checkpoint-2", "checkpoint-3"]
    assert not (killed / "losses.json").exists()
    run(toy, kind, killed, samples, **often)
    assert losses(killed) == pytest.approx(expected, rel=1e-5)
    assert not (killed / "checkpoints").exists()
    if kind.startswith("instruct"):
        one, other = (VolumeLanguageModel.from_pretrained(f).state_dict() for f in (whole, killed))
        for name, tensor in one.items():
            torch.testing.assert_close(tensor, other[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_pass_that_is_killed_twice_has_every_pair_once(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    """12 pairs in two passes, in steps of 5: one step holds the end of a pass and the next."""
    root = layouts.write_ct_rate(tmp_path / "CT-RATE")
    data = f"data={{kind: ct_rate, root: {root}, store: {tmp_path / 'store'}, spacing: [10, 6, 6]}}"
    options = [*toy.options(tmp_path / "align", 1, batch_size=5, workers=workers), *toy.align, data]
    options += ["training.epochs=2", "training.save_minutes=1e-9"]
    seen: dict[int, list[tuple[int, ...]]] = {}
    whole = StageTrainer.training_step
    last_step = {"is": 1}

    def training_step(self: StageTrainer, model: Any, inputs: Any, *args: Any) -> Any:
        step = self.state.global_step
        if step == last_step["is"]:
            raise Killed
        rows = zip(inputs["volume"].tolist(), inputs["input_ids"], strict=True)
        seen.setdefault(step, []).extend((scan, *ids[ids != 0].tolist()) for scan, ids in rows)
        return whole(self, model, inputs, *args)

    monkeypatch.setattr(StageTrainer, "training_step", training_step)
    for last_step["is"] in (1, 3):
        with pytest.raises(Killed):
            run_stage("align", "e3d_gpt/align", options)
    last_step["is"] = -1
    run_stage("align", "e3d_gpt/align", options)
    assert sorted(seen) == [0, 1, 2, 3, 4]
    order = [pair for step in sorted(seen) for pair in seen[step]]
    assert len(order) == 24
    first, second = order[:12], order[12:]
    assert len(set(first)) == 12
    assert sorted(first) == sorted(second)
    assert first != second


def test_accumulated_batches_are_one_large_batch(toy: Toy, tmp_path: Path) -> None:
    """The two reports differ in length, so a mean of means would not be the mean."""
    large = run(toy, "align", tmp_path / "large", 8, batch_size=2)
    small = run(toy, "align", tmp_path / "small", 8, accumulate=2)
    assert losses(small) == pytest.approx(losses(large), rel=1e-5)


def test_rows_of_a_step_are_grouped_by_length() -> None:
    answers = ["No.", "The heart is enlarged.", "Yes.", "There is no nodule in the right lung."]
    _, processor = tiny_model()
    rows = [
        pack_sequence([1], [Turn("What?", answer)], processor, ConversationSettings())
        for answer in answers
    ]
    lengths = sorted(len(row["input_ids"]) for row in rows)
    collate = Collator(0, packed=False)
    for number, row in enumerate(rows):
        row["volume"] = torch.tensor(number)
    batches = [collate(rows[:2]), collate(rows[2:])]
    dealt = by_length(batches, 0)
    assert [batch["input_ids"].shape for batch in dealt] == [(2, lengths[1]), (2, lengths[3])]
    order = torch.cat([batch["volume"] for batch in dealt]).tolist()
    assert sorted(order) == [0, 1, 2, 3]
    # Each row is unchanged apart from its padding.
    for batch, of in zip(dealt, (order[:2], order[2:]), strict=True):
        expected = collate([rows[number] for number in of])
        assert expected.keys() == batch.keys()
        for name, values in batch.items():
            torch.testing.assert_close(values, expected[name])
    packed = [Collator(0, packed=True)([row]) for row in rows]
    assert all(one is other for one, other in zip(by_length(packed, 0), packed, strict=True))


def test_a_text_only_row_keeps_its_end_when_grouped() -> None:
    """Its image stands before it, unattended: its tokens end later than their number says."""
    _, processor = tiny_model()
    settings = ConversationSettings(packed=False)
    prefix = [1, *[2] * 20]
    turn = Turn("What?", "The heart is enlarged.", text_only=True)
    rows = [pack_sequence(prefix, [turn], processor, settings) for _ in range(2)]
    collate = Collator(0, packed=False)
    batches = [collate([row]) for row in rows]
    for whole, dealt in zip(batches, by_length(batches, 0), strict=True):
        for name, values in whole.items():
            torch.testing.assert_close(dealt[name], values)


def test_half_precision_learns_the_same(toy: Toy, tmp_path: Path) -> None:
    single = losses(run(toy, "align", tmp_path / "single"))
    half = losses(run(toy, "align", tmp_path / "half", precision="bf16"))
    assert half == pytest.approx(single, rel=0.02)
    assert half != single
    packed = ["conversation={questions: 0, packed: true, cache_tokens: false}"]
    half = losses(run(toy, "align", tmp_path / "packed", 5, *packed, precision="bf16"))
    assert half == pytest.approx(single, rel=0.02)


def test_tensorboard_has_every_loss(toy: Toy, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    output = run(toy, "align", tmp_path / "out", tensorboard="true")
    written = EventAccumulator(str(output / "tensorboard")).Reload().Scalars("train/loss")
    assert [event.step for event in written] == [1, 2, 3, 4, 5]
    assert [event.value for event in written] == pytest.approx(losses(output), rel=1e-5)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_the_first_bad_loss_is_named(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: float
) -> None:
    """A broken scan: its voxels become `bad` in the third step."""
    seen: list[int] = []
    whole = StageTrainer.compute_loss

    def compute_loss(self: StageTrainer, model: Any, inputs: Any, *args: Any, **more: Any) -> Any:
        seen.append(1)
        if len(seen) == 3:
            inputs["pixel_values"] = inputs["pixel_values"] * bad
        return whole(self, model, inputs, *args, **more)

    monkeypatch.setattr(StageTrainer, "compute_loss", compute_loss)
    with pytest.raises(NonFiniteLossError) as error:
        # Before the first line of the log.
        run(toy, "mae", tmp_path / "out", 5, log_steps=100, save_minutes=1e-9)
    text = str(error.value)
    assert "\n" not in text
    assert "loss is nan at step 3 on " in text
    assert "the same command continues from the last checkpoint" in text
    assert (tmp_path / "out" / "checkpoints" / "checkpoint-2").is_dir()


def test_weights_gathered_from_shards_are_saved_alike(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FSDP and DeepSpeed hand over a state dict instead of a model; LoRA is merged from it."""
    kind = "instruct-encoder"
    whole = run(toy, kind, tmp_path / "whole", 2)

    def gathered(trainer: StageTrainer) -> dict[str, torch.Tensor]:
        return {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}

    monkeypatch.setattr(conversations, "whole_weights", gathered)
    sharded = run(toy, kind, tmp_path / "sharded", 2)
    one, other = (VolumeLanguageModel.from_pretrained(f).state_dict() for f in (whole, sharded))
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, other[name], msg=name)
