"""A recipe whose network cannot be built is refused before any data is read; its line is quoted."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from napari_ct_assistant.cli import app
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.load import load_recipe

MAE = """\
stage: mae
output: out
data: {kind: table, table: absent.csv}
encoder:
  preset: e3d_gpt
  changes:
    patch_size: [8, 16, 16]
    num_attention_heads: 12
mae:
  decoder_embed_dim: 512
  decoder_num_heads: 16
training:
  samples: 4
  learning_rate: 1.0e-3
"""
ALIGN = """\
stage: align
output: out
data: {kind: table, table: absent.csv}
encoder: {preset: e3d_gpt}
model: llm
perceiver:
  kind: convolution
  kernel: 2
prompt: "{image}{question}"
training: {samples: 4, learning_rate: 1.0e-3}
"""


@pytest.mark.parametrize(
    ("text", "old", "new", "line", "message"),
    [
        (
            MAE,
            "[8, 16, 16]",
            "[8, 16, 15]",
            7,
            "patch_size 15 must divide image_size 224 on axis W",
        ),
        (MAE, "[8, 16, 16]", "[8, 16]", 7, r"three numbers each"),
        (MAE, "[8, 16, 16]", "large", 7, "patch_size"),
        (MAE, "num_attention_heads: 12", "num_attention_heads: 7", 8, r"\(7\) must divide"),
        (MAE, "num_attention_heads: 12", "num_attention_heads: many", 8, "num_attention_heads"),
        (MAE, "num_attention_heads: 12", "heads: 12", 8, "heads: is no setting of the encoder"),
        (
            MAE,
            "decoder_num_heads: 16",
            "decoder_num_heads: 10",
            11,
            r"\(10\) must divide decoder_embed_dim",
        ),
        (
            MAE,
            "decoder_num_heads: 16",
            "decoder_num_heads: [16]",
            11,
            "mae.decoder_num_heads: .*integer",
        ),
        (
            MAE,
            "training:\n",
            "train_encoder: true\ntraining:\n",
            12,
            "train_encoder: is for stages align and instruct, not mae",
        ),
        (MAE, "samples: 4", "sample: 4", 13, "training.sample: unknown key; is samples meant"),
        (ALIGN, "convolution", "telepathy", 7, "'telepathy' is none of convolution, "),
        (ALIGN, "kernel: 2", "kernel: 15", 8, "perceiver_kernel 15 is larger than"),
        (ALIGN, "{image}{question}", "{question}", 9, "the prompt needs {image} and {question}"),
        (ALIGN, "{preset: e3d_gpt}", "{start: mae, changes: {depth: 1}}", 4, "keeps its sizes"),
    ],
)
def test_the_line_is_quoted(
    tmp_path: Path, text: str, old: str, new: str, line: int, message: str
) -> None:
    file = tmp_path / "recipe.yaml"
    assert old in text
    file.write_text(text.replace(old, new))
    with pytest.raises(RecipeError, match=message) as error:
        load_recipe(file)
    said = str(error.value)
    assert said.startswith(f"{file.name} line {line}: ")
    assert "\n" not in said
    assert said.endswith(f"[{file.read_text().splitlines()[line - 1].strip()}]")


def test_good_ones_pass(tmp_path: Path) -> None:
    for text in (MAE, ALIGN, ALIGN.replace('"{image}{question}"', "chat")):
        file = tmp_path / "recipe.yaml"
        file.write_text(text)
        assert load_recipe(file).output == Path("out")


def test_an_override_is_quoted_itself() -> None:
    option = "encoder.changes={patch_size: [8, 16, 15]}"
    with pytest.raises(RecipeError) as error:
        load_recipe("e3d_gpt/mae", [option])
    assert str(error.value).startswith(f"override {option}: encoder.changes.patch_size: ")


def test_nothing_is_read_or_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table does not exist either, but the recipe is refused first."""
    monkeypatch.chdir(tmp_path)
    Path("recipe.yaml").write_text(MAE.replace("[8, 16, 16]", "[8, 16, 15]"))
    done = CliRunner().invoke(app, ["train", "mae", "recipe.yaml"])
    assert done.exit_code == 1
    assert "recipe.yaml line 7: " in done.stderr
    assert "absent.csv" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.yaml"]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("training.precision=fp16", "training.precision: fp16 needs a GPU; use auto, bf16 or fp32"),
        ("training.tensorboard=true", r"training.tensorboard: run pip install .*\[tensorboard\]"),
    ],
)
def test_what_this_machine_cannot_run_is_refused_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str, message: str
) -> None:
    import importlib.util

    import torch

    from napari_ct_assistant.training.run import run_stage

    find = importlib.util.find_spec
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *more: None if name == "tensorboard" else find(name, *more),
    )
    with pytest.raises(RecipeError, match=message):
        run_stage("mae", "demo/mae", [f"root={tmp_path}", option])
    assert not list(tmp_path.iterdir())
