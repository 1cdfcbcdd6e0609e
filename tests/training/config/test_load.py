"""A wrong recipe fails before any data is read, in one line that quotes file and line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from napari_ct_assistant.training.config.bundled import bundled_recipes
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.load import check_recipe, load_recipe
from napari_ct_assistant.training.run import run_stage

GOOD = """\
stage: mae
output: out
encoder: {preset: demo}
training:
  samples: 4
  learning_rate: 1.0e-3
"""


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (
            GOOD + "  learning_rat: 1\n",
            7,
            "training.learning_rat: unknown key; is learning_rate meant",
        ),
        (GOOD.replace("samples: 4", "samples: many"), 5, "training.samples: .*got 'many'"),
        (GOOD.replace("samples: 4", "samples: 0"), 5, "training.samples: .*got 0"),
        (GOOD.replace("stage: mae", "stage: dream"), 1, "stage: .*'mae', 'ground'"),
        (GOOD.replace("{preset: demo}", "{}"), 3, "encoder: .*exactly one of preset and start"),
        (GOOD.replace("encoder: {preset: demo}\n", ""), 1, "stage mae needs `encoder`"),
        (
            GOOD.replace("  learning_rate: 1.0e-3\n", ""),
            4,
            "training.learning_rate is missing",
        ),
    ],
)
def test_errors_name_line_and_key(tmp_path: Path, text: str, line: int, message: str) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(text)
    with pytest.raises(RecipeError, match=message) as error:
        load_recipe(file)
    assert str(error.value).startswith(f"{file.name} line {line}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (GOOD.replace("stage: mae", "stage: maps"), 1, "stage maps is called oracle_maps now"),
        (GOOD + "maps: {hidden: 0.1}\n", 7, "maps is called oracle_maps now"),
        (
            GOOD + "mae: {decoder_width: 96}\n",
            7,
            "mae.decoder_width is called decoder_embed_dim now",
        ),
        (
            GOOD + "perceiver: {position: 0.04}\n",
            7,
            "perceiver.position is called pos_embed_scale now",
        ),
    ],
)
def test_an_old_name_is_an_error_with_the_new_one(
    tmp_path: Path, text: str, line: int, message: str
) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(text)
    with pytest.raises(RecipeError, match=f"line {line}: {message}"):
        load_recipe(file)


def test_broken_yaml(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text("stage: [mae\n")
    with pytest.raises(RecipeError, match=r"line 2: not valid YAML"):
        load_recipe(file)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("demo/instructs", "no such recipe; is demo/instruct or demo/instruct_again"),
        ("e3d_gpt/ct-rate/align", "no such recipe; is e3d_gpt/ct_rate/align or .* meant"),
        ("dream", "no such recipe; `ct-assistant recipes list` shows the bundled ones"),
        ("absent.yaml", "absent.yaml: no such recipe file"),
    ],
)
def test_an_unknown_recipe_is_told_with_the_nearest(name: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        load_recipe(name)


def test_a_recipe_by_its_earlier_name() -> None:
    assert load_recipe("vit3d_llama3/instruct") == load_recipe("vit3d_llama3/mrg")


LIKE = """\
# One of mine.
like: e3d_gpt/align
data: {kind: ct_rate, root: CT-RATE}
training: {learning_rate: 2.0e-5}
"""


def test_a_recipe_like_another_changes_only_what_it_says(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(LIKE)
    own, base = load_recipe(file), load_recipe("e3d_gpt/align")
    assert own.training.learning_rate == 2e-5
    assert own.data.kind == "ct_rate", "a group of another kind is replaced, not mixed"
    same = {"data": base.data, "training": base.training}
    assert own.model_copy(update=same) == base
    assert own.training.model_copy(update={"learning_rate": 1e-4}) == base.training


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LIKE.replace("root: CT", "rot: CT"), r"own.yaml line 3: data.rot: unknown key"),
        (LIKE.replace("{learning_rate: 2.0e-5}", "{epochs: 0}"), r"own.yaml line 4: training.epo"),
        (LIKE.replace("{learning_rate: 2.0e-5}", "{samples: 3}"), "exactly one of samples and"),
        (LIKE + "perceiver: {kernel: 99}\nencoder: {preset: e3d_gpt}\n", "line 5: perceiver.ker"),
        (LIKE.replace("e3d_gpt/align", "e3d_gpt/alig"), r"line 2: like: .* is e3d_gpt/align or"),
        (LIKE.replace("e3d_gpt/align", "own.yaml"), "line 2: like: own.yaml is like this recipe"),
        (LIKE.replace("e3d_gpt/align", "7"), "line 2: like: expected the name of a recipe"),
    ],
)
def test_an_error_is_told_at_the_line_of_its_file(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(text)
    with pytest.raises(RecipeError, match=said):
        load_recipe(file)


def test_an_error_of_the_other_recipe_is_told_at_its_line(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("stage: mae\ntraining: {epochs: none}\n")
    (tmp_path / "own.yaml").write_text("like: base.yaml\noutput: mae\nencoder: {preset: demo}\n")
    with pytest.raises(RecipeError, match=r"base.yaml line 2: training.epochs: .* \[training:"):
        load_recipe(tmp_path / "own.yaml")


def test_overrides(tmp_path: Path) -> None:
    recipe = load_recipe("demo/mae", [f"root={tmp_path}", "training.learning_rate=2e-4"])
    assert recipe.training.learning_rate == pytest.approx(2e-4)
    assert recipe.folder == tmp_path / "1-mae"
    with pytest.raises(RecipeError, match="write key=value"):
        load_recipe("demo/mae", ["training.samples"])


@pytest.mark.parametrize("name", [source.name for source in bundled_recipes()])
def test_every_bundled_recipe_is_valid(name: str) -> None:
    assert check_recipe(name)[1] == []


def test_all_errors_are_found_at_once(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(GOOD.replace("samples: 4", "samples: none") + "colour: red\n")
    recipe, problems = check_recipe(file)
    assert recipe is None
    assert problems == [
        f"{file.name} line 7: colour: unknown key [colour: red]",
        f"{file.name} line 5: training.samples: Input should be a valid integer, unable to parse "
        "string as an integer (got 'none') [samples: none]",
    ]


def test_a_recipe_of_another_stage_is_refused() -> None:
    with pytest.raises(RecipeError, match="is a recipe of stage mae, not align"):
        run_stage("align", "demo/mae")


def test_the_docs_name_only_folders_that_recipes_write() -> None:
    root = Path(__file__).parents[3]
    written = {str(load_recipe(source.name).output) for source in bundled_recipes()}
    named = {
        (page.name, folder)
        for page in [root / "README.md", *(root / "docs").glob("*.md")]
        for folder in re.findall(
            r"\b(?:model|encoder\.start|language\.start)=(\w[\w/-]*)", page.read_text()
        )
    }
    assert ("evaluation.md", "5-language") in named
    assert {folder for _, folder in named} <= written, named
