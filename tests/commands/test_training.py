"""`train` and `audit`: errors for bad input, and figures printed as text."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from napari_ct_assistant.cli import app
from napari_ct_assistant.commands.figures import figures_as_text
from napari_ct_assistant.commands.terminal.output import print_json

if TYPE_CHECKING:
    from pathlib import Path

run = CliRunner().invoke


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "mae", "absent.yaml"], "absent.yaml: no such recipe"),
        (["train", "mae"], "mae: name a recipe of this stage, a .yaml file or one of demo/mae, "),
        (["train", "maee"], "maee: no such stage; is mae meant?"),
        (["train", "e3d_gpt/aling"], "e3d_gpt/aling: no such recipe; is e3d_gpt/align "),
        (["train", "align", "e3d_gpt/aling"], "no such recipe; is e3d_gpt/align "),
        (["train", "dream"], "dream: no such stage; stages are mae, ground, language, "),
        (["train", "demo", "--check"], "--check: train demo has many stages"),
        (["train", "mae", "demo/mae", "lr=1"], "lr: unknown key; is training.learning_rate meant"),
        (
            ["train", "mae", "demo/mae", "learning_rate=1"],
            "learning_rate: unknown key; is training.learning_rate meant?",
        ),
        (["train", "demo/mae", "data.cuont=3"], "data.cuont: unknown key; is count meant?"),
        (["train", "align", "demo/mae"], "is a recipe of stage mae, not align"),
        (["train", "mae", "demo/mae", "training.samples=none"], "training.samples"),
        (["train", "mae", "demo/mae", "colour=red"], "colour"),
        (["train", "demo", "colour=red"], "colour"),
        (["audit", "demo", "--seeds", "4:2"], "--seeds 4:2: write A:B"),
        (["audit", "demo", "--seeds", "all"], "--seeds all: write A:B"),
        (["audit", "nobody/nothing"], "nobody/nothing"),
    ],
)
def test_bad_input_gets_one_line(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(app, arguments)
    assert done.exit_code == 1, done.exception
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    assert said in last
    assert not list(tmp_path.iterdir()), "something was written before the recipe was checked"


def test_a_recipe_names_its_line(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("stage: mae\noutput: out\ntraining:\n  samples: -1\n  learning_rate: 1e-3\n")
    done = run(app, ["train", "mae", str(recipe)])
    assert done.exit_code == 1
    assert "mine.yaml line 4" in done.stderr


OWN = ("napari_ct_assistant.training.run", "napari_ct_assistant.training.config")


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(OWN)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "yaml", None)
    done = run(app, ["train", "mae", "demo/mae"])
    assert done.exit_code == 1, done.exception
    assert "pip install 'napari-ct-assistant[train]'" in done.stderr


def test_figures_as_text() -> None:
    figures = {
        "seeds": [0, 100],
        "screen": [{"name": "Nodule", "auroc": 0.75}, {"name": "Effusion", "auroc": 1.0}],
        "places": {"side": {"right": 0.5}},
        "nothing": {},
    }
    assert figures_as_text(figures) == (
        "seeds: 0 to 100\n"
        "screen:\n"
        "  name      auroc\n"
        "  Nodule    0.750\n"
        "  Effusion  1.000\n"
        "places:\n"
        "  side:\n"
        "    right: 0.500\n"
        "nothing: none"
    )


def test_json_has_no_nan(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"auroc": float("nan"), "rows": [{"low": float("inf"), "high": 1.5}]})
    assert json.loads(capsys.readouterr().out) == {
        "auroc": None,
        "rows": [{"low": None, "high": 1.5}],
    }
