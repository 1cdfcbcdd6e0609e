"""`evaluate --choices`: the rows that the panel writes, beside the figures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from napari_ct_assistant.assistant.choices.table import Choice, Preference, append_choice
from napari_ct_assistant.cli import app
from napari_ct_assistant.volume import write_nifti
from tests.backends.colipri.tiny_colipri import save_tiny_colipri
from tests.training.probing.scans import scan_of

run = CliRunner().invoke


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Path]:
    """Return the command of a small evaluation, and its folder."""
    folder = tmp_path_factory.mktemp("data")
    save_tiny_colipri(folder / "model")
    rows = ["image,patient,Emphysema"]
    for number in range(2):
        write_nifti(scan_of(number, number == 0), folder / f"{number}.nii.gz")
        rows.append(f"{number}.nii.gz,p{number},{number}")
    (folder / "scans.csv").write_text("\n".join(rows) + "\n")
    out = folder / "out"
    command = ["evaluate", str(folder / "model"), str(folder / "scans.csv"), "--out", str(out)]
    return command, out


def written(path: Path, choices: list[tuple[str, str, Preference]]) -> Path:
    """Write a table row by row, as the panel does after each choice."""
    for number, (left, right, choice) in enumerate(choices):
        append_choice(
            path,
            Choice(f"scan{number}", left, f"{left}00", right, f"{right}00", choice, 12.5),
        )
    return path


def test_readers_choices_stand_beside_the_figures(
    evaluated: tuple[list[str], Path], tmp_path: Path
) -> None:
    command, out = evaluated
    table = written(
        tmp_path / "choices.csv",
        [("new", "old", "left"), ("old", "new", "right"), ("old", "new", "equal")],
    )
    done = run(app, [*command, "--choices", str(table), "--json"])
    assert done.exit_code == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    alone = json.loads(run(app, ["compare-choices", str(table), "--json"]).stdout)
    assert found["choices"] == alone
    assert [one["model"] for one in alone["models"]] == ["new new00", "old old00"]
    assert alone["models"][0]["strength"] > 0 > alone["models"][1]["strength"]
    text = (out / "figures.md").read_text()
    assert text.count("## Readers' choices") == 1
    assert "3 pairs on 3 scans, 3 of them blind" in text
    assert "AUROC" in text
    # Again, with more choices: the figures are written anew, so the table stands there once.
    written(table, [("new", "old", "left")])
    again = run(app, [*command, "--choices", str(table)])
    assert again.exit_code == 0, again.stderr[-2000:]
    text = (out / "figures.md").read_text()
    assert text.count("## Readers' choices") == 1
    assert "4 pairs" in text


def test_a_table_that_is_none_is_refused_before_the_model_is_asked(
    evaluated: tuple[list[str], Path], tmp_path: Path
) -> None:
    (tmp_path / "choices.csv").write_text("a,b\n1,2\n")
    command, _ = evaluated
    out = tmp_path / "other"
    command = [*command[:-1], str(out)]
    done = run(app, [*command, "--choices", str(tmp_path / "choices.csv")])
    assert done.exit_code == 1
    assert "choices.csv" in done.stderr.splitlines()[-1]
    assert not out.exists()
