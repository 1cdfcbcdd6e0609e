"""The validation loss: on patients that are not trained on, and what it decides."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from napari_ct_assistant.model.encoders import load_encoder
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.load import load_recipe
from napari_ct_assistant.training.data.datasets.record import ScanRecord, patient_hash
from napari_ct_assistant.training.data.datasets.validation import choose_patients
from napari_ct_assistant.training.data.stores import open_store
from napari_ct_assistant.training.run import run_stage
from napari_ct_assistant.training.stages.trainer import StageTrainer
from tests.training.toy import Toy, losses

SMALL_MAE = "mae={decoder_embed_dim: 24, decoder_depth: 1, decoder_num_heads: 2}"
HALF = "validation.share=0.5"
# Runs whose validation loss grows, on any processor: only their first steps can be the best. A high
# learning rate alone is chaotic: rounding decides which step has the lowest loss. A weight decay of
# 3 per step makes the weights -2 times what they were; and a language model that learns one text
# unlearns another that shares no letter with it.
CONSTANT = ["training.learning_rate=0.01", "training.schedule=constant", "validation.times=8"]
RUIN = [*CONSTANT, "training.weight_decay=300"]


def records(count: int, dataset: str = "table x", **more: Any) -> list[ScanRecord]:
    return [
        ScanRecord(dataset, f"{n}.nii.gz", Path(f"{n}"), patient_hash("table", str(n)), **more)
        for n in range(count)
    ]


def run(toy: Toy, output: Path, stage: str, *more: str, samples: int = 8, **training: Any) -> Path:
    start = {"mae": [toy.encoder, SMALL_MAE], "align": toy.align, "instruct": toy.instruct}[stage]
    options = [*toy.options(output, samples, **training), *start, HALF, *more]
    run_stage(stage, f"e3d_gpt/{stage}", options)
    return output


def validation(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "validation.json").read_text())
    return content


def test_a_share_of_the_patients_is_held_out() -> None:
    own = records(100)
    held = choose_patients(own, 0.2)
    assert 10 <= len(held) <= 30
    assert choose_patients(own[::-1], 0.2) == held, "whatever the order"
    # A patient that is added or removed moves nobody else.
    assert choose_patients(own[:60], 0.2) == held & {r.patient for r in own[:60]}
    assert len(choose_patients(own[:3], 0.01)) == 1
    assert len(choose_patients(own[:2], 0.5)) == 1, "somebody is left to train on"
    assert choose_patients(own, 0) == frozenset()
    with pytest.raises(RecipeError, match=r"validation\.share: 0\.5, but there is only 1 patient"):
        choose_patients(own[:1], 0.5)


def test_the_default_is_for_tables_of_ten_patients_and_more() -> None:
    assert len(choose_patients(records(10), None)) >= 1
    assert not choose_patients(records(9), None)
    assert not choose_patients(records(100, "ct_rate"), None), "the papers train on all"
    rows = [*records(3, split="train"), *(replace(r, split="validation") for r in records(5)[3:])]
    assert choose_patients(rows, None) == {r.patient for r in rows[3:]}
    assert choose_patients(rows, 0) == frozenset()


def test_no_patient_is_on_both_sides(toy: Toy, tmp_path: Path) -> None:
    table = tmp_path / "scans.csv"
    lines = ["image,report,patient"]
    lines += [f"{n}.nii.gz,Report {n}.,p{n // 2}" for n in range(24)]
    for number in range(24):
        (tmp_path / f"{number}.nii.gz").touch()
    table.write_text("\n".join(lines) + "\n")
    data = f"data={{kind: table, table: {table}, split: all}}"
    store = open_store(load_recipe("e3d_gpt/mae", [data, toy.encoder, "validation.share=0.3"]))
    assert len(store.validation) >= 2
    assert len(store.training) + len(store.validation) == 24
    sides = [
        {store.records[i].patient for i in part}  # type: ignore[attr-defined]
        for part in (store.training, store.validation)
    ]
    assert not sides[0] & sides[1]
    assert len(sides[0] | sides[1]) == 12


@pytest.mark.parametrize("stage", ["mae", "instruct"])
def test_the_weights_with_the_lowest_loss_are_kept(toy: Toy, tmp_path: Path, stage: str) -> None:
    """A learning rate that ruins the weights: the first steps are the best."""
    ruin = RUIN
    if stage == "instruct":
        # The split stands in the table; otherwise it hangs on the table's path.
        table = toy.folder / "no_letter_in_common.csv"
        rows = f"0.nii.gz,{'ae' * 100},train\n1.nii.gz,{'oi' * 100},validation\n"
        table.write_text(f"image,report,split\n{rows}")
        data = toy.data(table=str(table), store=str(tmp_path / "store"))
        ruin = [*CONSTANT, "training.learning_rate=0.05", data, "validation.share=null"]
        ruin.append("lora={r: 2, alpha: 4, dropout: 0.1}")
    whole = "training.epochs=8"  # whose order is that of fewer epochs
    best = run(toy, tmp_path / "best", stage, *ruin, whole)
    last = run(toy, tmp_path / "last", stage, *ruin, whole, "validation.keep=last")
    found, other = validation(best), validation(last)
    assert found["losses"] == other["losses"], "what is kept changes no step"
    steps = [row["step"] for row in found["losses"]]
    assert steps == list(range(1, 9))
    lowest = min(found["losses"], key=lambda row: row["loss"])
    assert lowest["step"] < 8
    assert found["kept_step"] == lowest["step"]
    assert other["kept_step"] == 8
    # The weights are those of a run that ends at that step.
    fewer = f"training.epochs={lowest['step']}"
    short = run(toy, tmp_path / "short", stage, *ruin, fewer, "validation.keep=last")
    one, two, three = (weights(folder, stage) for folder in (best, short, last))
    assert all(torch.allclose(one[k], two[k], atol=1e-5) for k in one)
    assert not all(torch.allclose(one[k], three[k], atol=1e-5) for k in one)
    assert (best / "losses.png").stat().st_size > 10_000
    assert not (best / "checkpoints").exists()


def weights(folder: Path, stage: str) -> dict[str, torch.Tensor]:
    if stage == "mae":
        return load_encoder(folder).state_dict()
    from napari_ct_assistant.model import VolumeLanguageModel

    return VolumeLanguageModel.from_pretrained(folder).state_dict()


def test_a_run_that_no_longer_improves_ends(toy: Toy, tmp_path: Path) -> None:
    whole = run(toy, tmp_path / "whole", "mae", *RUIN)
    rows = [row["loss"] for row in validation(whole)["losses"]]
    # The first step after which two in a row are not lower than the lowest so far.
    end = next(n for n in range(3, 9) if rows.index(min(rows[:n])) + 1 == n - 2)
    assert end < 8
    output = run(toy, tmp_path / "ended", "mae", *RUIN, "validation.patience=2")
    assert [row["loss"] for row in validation(output)["losses"]] == rows[:end]
    assert len(losses(output)) == end
    assert validation(output)["kept_step"] == end - 2


def test_what_cannot_be_measured_is_refused(toy: Toy, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"validation\.patience: 2, but nobody is held out"):
        run(toy, tmp_path / "a", "mae", "validation.share=0", "validation.patience=2")
    with pytest.raises(RecipeError, match="stage language has no patients to hold out"):
        load_recipe("demo/language", [HALF])


class Killed(BaseException):
    """Simulates a power cut."""


def test_a_killed_run_continues_with_the_same_validation(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = ["lora={r: 2, alpha: 4, dropout: 0.3}", "validation.times=4"]
    expected = run(toy, tmp_path / "whole", "instruct", *more)
    killed = tmp_path / "killed"
    step = StageTrainer.training_step

    def training_step(self: StageTrainer, *args: Any, **kwargs: Any) -> Any:
        if self.state.global_step == 5:
            raise Killed
        return step(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(StageTrainer, "training_step", training_step)
        with pytest.raises(Killed):
            run(toy, killed, "instruct", *more, save_minutes=1e-9)
    assert (killed / "losses.png").is_file(), "drawn while it runs"
    run(toy, killed, "instruct", *more, save_minutes=1e-9)
    assert losses(killed) == pytest.approx(losses(expected), rel=1e-5)
    one, other = validation(killed), validation(expected)
    assert one["kept_step"] == other["kept_step"]
    assert [r["loss"] for r in one["losses"]] == pytest.approx(
        [r["loss"] for r in other["losses"]], rel=1e-5
    )


def test_training_is_the_same_with_and_without_measuring(toy: Toy, tmp_path: Path) -> None:
    more = ["lora={r: 2, alpha: 4, dropout: 0.3}"]
    often = run(toy, tmp_path / "often", "instruct", *more, "validation.times=8")
    once = run(toy, tmp_path / "once", "instruct", *more, "validation.times=1")
    assert losses(often) == losses(once)


def test_validation_patients_are_no_test_patients(toy: Toy, tmp_path: Path) -> None:
    output = run(toy, tmp_path / "out", "mae", samples=2)
    content = json.loads((output / "training_data.json").read_text())
    assert len(content["patients"]) == len(content["validation_patients"]) == 1
    assert set(content["patients"]).isdisjoint(content["validation_patients"])
    assert len(content["scans"]) == 1
