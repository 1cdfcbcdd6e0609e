"""Before the first step: what a run trains on, needs and takes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from transformers import Trainer, TrainingArguments
from typer.testing import CliRunner

from napari_ct_assistant.cli import app
from napari_ct_assistant.report_text.questions import SCAN_REPORT_QUESTION
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.load import load_recipe
from napari_ct_assistant.training.config.recipe import ConversationSettings
from napari_ct_assistant.training.data.volume_dataset import VolumeDataset
from napari_ct_assistant.training.monitoring.preflight import memory_parts
from napari_ct_assistant.training.monitoring.timed_steps import TimedSteps, time_steps
from napari_ct_assistant.training.run import run_stage
from napari_ct_assistant.training.sequences.packing import pack_sequence, shortened
from napari_ct_assistant.training.sequences.turns import Turn
from napari_ct_assistant.training.stages.assemble import assemble
from tests.tiny_model import tiny_model
from tests.training.toy import REPORTS, Toy, losses

SMALL_MAE = "mae={decoder_embed_dim: 24, decoder_depth: 1, decoder_num_heads: 2}"


def mae(toy: Toy, output: Path, *more: str, **training: object) -> list[str]:
    return [*toy.options(output, 4, timed_steps=3, **training), toy.encoder, SMALL_MAE, *more]


def test_the_block_comes_before_the_first_step(
    toy: Toy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_stage("mae", "e3d_gpt/mae", [*mae(toy, tmp_path / "mae"), "validation.share=0.5"])
    lines = capsys.readouterr().out.splitlines()
    start = lines.index(f"{tmp_path / 'mae'}: stage mae")
    rows = dict(re.findall(r"^  (scans|length|device|memory|time) +(.*)$", "\n".join(lines), re.M))
    assert rows["scans"] == "1 of 1 patient; validation loss on 1 scan of 1 other patient"
    assert rows["length"] == "4.0 samples for each scan, 4 samples, 4 steps of 1"
    assert rows["device"].endswith(", fp32, 0 reading processes")
    assert re.fullmatch(
        r"about \S+ .B of \S+ GB: weights \S+ MB, gradients \S+ MB, optimizer \S+ MB, "
        r"activations \S+ MB",
        rows["memory"],
    )
    assert re.fullmatch(r"about \S+ s: \S+ s a step \(3 timed\)", rows["time"])
    first = next(n for n, line in enumerate(lines) if "step 1 of 4, loss" in line)
    assert start < first
    assert any("step 4 of 4, validation loss" in line for line in lines)
    # A warning about a scan is never hidden, here that its values are cut off.
    assert any(line.startswith("warning: values are cut off at 300 HU") for line in lines)


def test_turns_are_counted_by_data_set_and_kind(
    toy: Toy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "align"
    options = [*toy.options(output, 4), *toy.align, "training={epochs: 2, learning_rate: 1e-3}"]
    run_stage("align", "e3d_gpt/align", options)
    printed = capsys.readouterr().out
    assert "\n  turns     table: 4 reports\n" in printed
    assert "\n  length    2 epochs, 4 samples, 4 steps of 1\n" in printed
    assert "\n  too long  no answer, at 768 tokens\n" in printed
    assert (output / "turns.csv").read_text() == (
        "data_set,kind,turns,share,shortened,left_out\ntable,report,4,1.0000,0,0\n"
    )


def test_answers_beyond_the_limit_are_told(
    toy: Toy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    room = room_for_all_but_one(toy)
    output = tmp_path / "align"
    options = [*toy.options(output, 2), *toy.align, f"conversation.max_length={room}"]
    run_stage("align", "e3d_gpt/align", options)
    told = (
        f"  too long  at {room} tokens (conversation.max_length, .cut): 1 report of table: their "
        "findings are shortened"
    )
    assert told in capsys.readouterr().out
    assert "table,report,2,1.0000,1,0" in (output / "turns.csv").read_text()
    refused = [*options, f"output={tmp_path / 'refused'}"]
    with pytest.raises(RecipeError, match=r"max_length: \d+ tokens are too few for 1 of 2 answers"):
        run_stage(
            "align",
            "e3d_gpt/align",
            [*refused, "conversation.cut=refuse"],
        )
    # It left nothing that another recipe would have to remove.
    run_stage("align", "e3d_gpt/align", [*refused, "conversation.cut=end"])
    few = "conversation.max_length=70"
    with pytest.raises(RecipeError, match="leave no room for an answer"):
        run_stage("align", "e3d_gpt/align", [*options, f"output={tmp_path / 'none'}", few])


def room_for_all_but_one(toy: Toy) -> int:
    """Return a limit that the longer of the two reports passes by one token."""
    recipe = load_recipe("e3d_gpt/align", [*toy.options(Path("unused"), 2), *toy.align])
    _, processor = assemble(recipe)
    asked = len(processor.prefix_ids()) + len(processor.question_ids(SCAN_REPORT_QUESTION))
    return asked + max(len(processor.answer_ids(report)) for report in REPORTS) - 1


REPORT = (
    "Findings: The heart is enlarged. There is a small nodule. The liver is normal. "
    "Impression: Enlarged heart."
)


def test_the_impression_is_kept_and_the_findings_are_shortened() -> None:
    _, processor = tiny_model()
    whole = processor.answer_ids(REPORT)

    def kept(room: int, cut: str = "findings", text: str = REPORT) -> str:
        ids = shortened(text, room, processor, cut)
        assert len(ids) <= room
        return str(processor.tokenizer.decode(ids, skip_special_tokens=True)).strip()

    assert kept(len(whole) - 1) == (
        "Findings: The heart is enlarged. There is a small nodule. Impression: Enlarged heart."
    )
    least = len(processor.answer_ids("Findings: Impression: Enlarged heart."))
    assert kept(least) == "Findings: Impression: Enlarged heart."
    # The token that ends an answer is kept too, so that a model learns to stop.
    assert shortened(REPORT, len(whole) - 1, processor, "findings")[-1] == whole[-1]
    assert "Impression" not in kept(len(whole) // 2, "end")
    plain = "The heart is enlarged. There is a small nodule."
    size = len(processor.answer_ids(plain))
    assert kept(size - 1, text=plain) == "The heart is enlarged."


def test_a_sequence_refuses_an_answer_that_is_too_long() -> None:
    _, processor = tiny_model()
    settings = ConversationSettings(max_length=20, cut="refuse")
    with pytest.raises(RecipeError, match=r"too few for the answer to 'Q\?'; raise it"):
        pack_sequence([1], [Turn("Q?", REPORT)], processor, settings)


def test_timed_steps_change_nothing_of_the_run(toy: Toy, tmp_path: Path) -> None:
    """Weights, the optimizer's state and LoRA's dropout are those of a run without them."""
    more = [*toy.instruct, "lora={r: 2, alpha: 4, dropout: 0.3}", "training.learning_rate=1e-2"]
    for steps in (0, 3):
        options = [*toy.options(tmp_path / str(steps), 4, timed_steps=steps), *more]
        run_stage("instruct", "e3d_gpt/instruct", options)
    assert losses(tmp_path / "3") == losses(tmp_path / "0")
    one, two = ((tmp_path / steps / "model.safetensors").read_bytes() for steps in ("0", "3"))
    assert one == two


class Normed(nn.Module):
    """A module with batch statistics, and one loss that is not finite."""

    def __init__(self, factor: float):
        super().__init__()
        self.norm = nn.BatchNorm1d(4)
        self.linear = nn.Linear(4, 1)
        self.factor = factor

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return the loss of [B, 4]."""
        return {"loss": self.linear(self.norm(x)).square().mean() * self.factor}


@pytest.mark.parametrize("factor", [1.0, float("inf")])
def test_timed_steps_restore_batch_statistics_and_weights(tmp_path: Path, factor: float) -> None:
    model = Normed(factor)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    data = [{"x": torch.randn(4)} for _ in range(8)]
    arguments = TrainingArguments(
        str(tmp_path), per_device_train_batch_size=4, use_cpu=True, report_to=[]
    )
    trainer = Trainer(model, arguments, train_dataset=data)  # type: ignore[arg-type]
    state = torch.random.get_rng_state()
    found = time_steps(trainer, data, torch.utils.data.default_collate, 2)  # type: ignore[arg-type]
    assert found.count == 2
    assert found.seconds > 0
    assert found.activations > 0
    assert torch.equal(torch.random.get_rng_state(), state)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert trainer.optimizer is None


def test_memory_counts_what_is_trained() -> None:
    model = nn.Sequential(nn.Linear(10, 10, bias=False), nn.Linear(10, 5, bias=False))
    model[0].requires_grad_(False)
    assert memory_parts(model, TimedSteps(3, 1.0, 1000)) == {
        "weights": 150 * 4,
        "gradients": 50 * 4,
        "optimizer": 50 * 8,
        "activations": 1000,
    }


def test_a_check_writes_nothing(toy: Toy, tmp_path: Path) -> None:
    """Nothing is prepared either; noise stands in for the scans."""
    output, store = tmp_path / "out", tmp_path / "store"
    more = [*mae(toy, output), f"data.store={store}"]
    done = CliRunner().invoke(app, ["train", "e3d_gpt/mae", *more, "--check"])
    assert done.exit_code == 0, (done.stderr, done.exception)
    assert "2 of 2 scan(s) are not prepared yet; the check uses noise instead" in done.stdout
    assert re.search(r"time +about \S+ s: \S+ s a step \(3 timed\)", done.stdout)
    assert not output.exists()
    assert not store.exists()
    align = [*toy.options(output, 4, timed_steps=2), *toy.align, f"data.store={store}"]
    align.append("conversation.cache_tokens=true")
    done = CliRunner().invoke(app, ["train", "e3d_gpt/align", *align, "--check"])
    assert done.exit_code == 0, (done.stderr, done.exception)
    assert "(2 timed)" in done.stdout
    assert not output.exists()
    assert not store.exists()


def test_a_run_prints_nothing_of_other_libraries(toy: Toy, tmp_path: Path) -> None:
    """No progress bar, no warning, and no dictionary of the Trainer between the lines."""
    options = [*toy.options(tmp_path / "out", 2, timed_steps=1), *toy.instruct]
    done = CliRunner().invoke(app, ["train", "e3d_gpt/instruct", *options, "lora={r: 2}"])
    assert done.exit_code == 0, (done.stderr, done.exception)
    assert done.stderr == ""
    known = (str(tmp_path / "out"), "  ", "volumes: ", "warning: values are cut off at ")
    assert [line for line in done.stdout.splitlines() if not line.startswith(known)] == []


def test_prepare_tells_what_reading_the_scans_warned_about(toy: Toy, tmp_path: Path) -> None:
    options = [f"root={tmp_path}", toy.data(store=str(tmp_path / "store")), toy.encoder]
    done = CliRunner().invoke(app, ["prepare", "e3d_gpt/mae", *options, "--json"])
    assert done.exit_code == 0, (done.stderr, done.exception)
    warnings = json.loads(done.stdout)["warnings"]
    assert len(warnings) == 2
    for text, scans in warnings.items():
        assert text.startswith("values are cut off at ")
        assert scans in ("0.nii.gz", "1.nii.gz")
        assert f"warning: {text} ({scans})" in done.stderr


def test_small_runs_have_a_curve_and_losses(toy: Toy, tmp_path: Path) -> None:
    """With fewer steps than `log_steps`, the losses are logged all the same."""
    options = [o for o in mae(toy, tmp_path / "out") if "log_steps" not in o]
    run_stage("mae", "e3d_gpt/mae", options)
    assert len(json.loads((tmp_path / "out" / "losses.json").read_text())) == 4
    assert (tmp_path / "out" / "losses.png").is_file()


def test_volumes_come_from_the_training_part(toy: Toy, tmp_path: Path) -> None:
    from tests.training.balls import Balls

    store = Balls(tmp_path)
    dataset = VolumeDataset(store, 6, 0, volumes=range(1, 3))
    assert {int(dataset[k]["volume"]) for k in range(6)} == {1, 2}
