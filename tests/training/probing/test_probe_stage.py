"""Stage `probe`: heads are trained from the command line, measured, and read scans."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from napari_ct_assistant import load_assistant
from napari_ct_assistant.cli import app
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.data.csv_labels import read_labels_table
from napari_ct_assistant.training.probing.figures import head_figures, unreliable
from napari_ct_assistant.training.probing.fit import Calibration, fit_heads, fold_of, isotonic
from napari_ct_assistant.volume import write_nifti
from tests.backends.colipri.tiny_colipri import save_tiny_colipri
from tests.training.probing.scans import scan_of

PATIENTS = 30


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with scans, their table, own labels, and an encoder."""
    folder = tmp_path_factory.mktemp("labelled")
    save_tiny_colipri(folder / "encoder")
    with (
        (folder / "scans.csv").open("w", newline="") as one,
        (folder / "labels.csv").open("w", newline="") as two,
    ):
        scans, labels = csv.writer(one), csv.writer(two)
        scans.writerow(["image", "patient"])
        labels.writerow(["image", "Bright block", "Coin"])
        for number in range(PATIENTS):
            bright = number % 2 == 0
            name = f"{number}.nii.gz"
            write_nifti(scan_of(number, bright), folder / name)
            scans.writerow([name, f"p{number}"])
            coin = "" if number < 4 else int(np.random.default_rng(number).random() < 0.5)
            labels.writerow([name, int(bright), coin])
    return folder


def train(data: Path, out: Path, *more: str) -> str:
    done = CliRunner().invoke(
        app,
        ["train", "probe", "probe/your_labels", f"root={out}", "output=heads",
         f"data.table={data / 'scans.csv'}", f"probe.labels={data / 'labels.csv'}",
         f"probe.encoder={data / 'encoder'}", "validation.share=0.4", *more],
    )  # fmt: skip
    assert done.exit_code == 0, (done.stderr[-2000:], done.exception)
    return done.stdout


@pytest.fixture(scope="module")
def heads(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out")
    printed = train(data, out)
    assert "stage probe" in printed
    assert "encoded: 30 of 30" in printed
    return out / "heads"


def test_the_heads_find_what_the_labels_say(heads: Path) -> None:
    assistant = load_assistant(heads, device="cpu")
    assert assistant.info.findings == ("Bright block", "Coin")
    with_it = assistant.read(scan_of(100, True))
    without = assistant.read(scan_of(101, False))
    assert with_it.screen()[0].positive
    assert not without.screen()[0].positive
    heat = with_it.finding_evidence("Bright block").heat
    assert heat is not None


def test_figures_are_of_held_out_patients_beside_baselines(heads: Path) -> None:
    found = json.loads((heads / "figures.json").read_text())
    seen = json.loads((heads / "training_data.json").read_text())
    assert found["patients"] == len(seen["validation_patients"])
    assert len(seen["patients"]) + found["patients"] == PATIENTS
    assert not set(seen["patients"]) & set(seen["validation_patients"])
    bright, coin = found["findings"]
    assert bright["auroc"] == 1.0
    assert bright["auroc_interval"] == [1.0, 1.0]
    assert bright["brier"] < bright["brier_base_rate"]
    assert bright["auroc_another_scan"] < 0.9
    assert coin["auroc_interval"][0] <= 0.5
    card = (heads / "README.md").read_text()
    for words in ("Bright block", "Majority", "Another scan", "Base rate", "held-out patient"):
        assert words in card
    # A finding that is not told better than by chance is not assessable.
    config = json.loads((heads / "config.json").read_text())
    assert "Coin" in config["unreliable_findings"]
    assert "Bright block" not in config["unreliable_findings"]


def test_features_are_kept(heads: Path, data: Path) -> None:
    files = sorted((heads / "features").glob("*.npy"))
    assert len(files) == PATIENTS
    before = [file.stat().st_mtime_ns for file in files]
    printed = train(data, heads.parent, "probe.pooling=mean", "--restart")
    assert "encoded: 30 of 30" in printed
    assert [file.stat().st_mtime_ns for file in files] == before
    assert json.loads((heads / "config.json").read_text())["pooling"] == "mean"


def test_a_check_writes_nothing(data: Path, tmp_path: Path) -> None:
    printed = train(data, tmp_path, "--check")
    assert "held-out patients" in printed
    assert not (tmp_path / "heads").exists()


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("validation.share=0", "nobody is held out"),
        ("probe.findings=[Gravel]", "column Gravel is missing"),
        ("probe.region=chest", "no regions"),
        ("probe.encoder=nowhere", "nowhere"),
    ],
)
def test_what_cannot_be_trained_is_one_line(
    data: Path, tmp_path: Path, override: str, words: str
) -> None:
    done = CliRunner().invoke(
        app,
        ["train", "probe", "probe/your_labels", f"root={tmp_path}",
         f"data.table={data / 'scans.csv'}", f"probe.labels={data / 'labels.csv'}",
         f"probe.encoder={data / 'encoder'}", override],
    )  # fmt: skip
    assert done.exit_code != 0
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_cell_that_is_no_label_is_named(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("image,Stone\na.nii,maybe\n")
    with pytest.raises(RecipeError, match="row 2: Stone is 'maybe'"):
        read_labels_table(tmp_path / "labels.csv")
    (tmp_path / "labels.csv").write_text("image,Stone,Mass\na.nii,1,\nb.nii,0,yes\n")
    found = read_labels_table(tmp_path / "labels.csv")
    assert found == {
        (tmp_path / "a.nii").resolve(): {"Stone": 1},
        (tmp_path / "b.nii").resolve(): {"Stone": 0, "Mass": 1},
    }


# ---- the fit


def test_all_scans_of_a_patient_are_in_one_fold() -> None:
    patients = [f"p{n // 3}" for n in range(60)]
    folds = fold_of(patients, 5)
    assert all(len(set(folds[n * 3 : n * 3 + 3])) == 1 for n in range(20))
    assert set(np.bincount(folds)) == {12}


@pytest.mark.parametrize(("calibration", "count"), [("platt", 400), ("isotonic", 1500)])
def test_probabilities_are_calibrated_on_new_patients(calibration: Calibration, count: int) -> None:
    rng = np.random.default_rng(1)

    def draw(count: int) -> tuple[np.ndarray, np.ndarray]:
        x = rng.normal(size=(count, 6))
        p = 1 / (1 + np.exp(-(1.5 * x[:, 0] - 0.5)))
        return x, (rng.random(count) < p).astype(float)

    x, y = draw(count)
    fitted = fit_heads(
        x, y[:, None], ["a"], [str(n) for n in range(count)], pooling="mean",
        strengths=(0.01, 0.1, 1.0), folds=5, calibration=calibration,
    )  # fmt: skip
    new, truth = draw(4000)
    p = fitted.heads.probabilities(new)[:, 0]
    for low, high in ((0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1)):
        inside = (p >= low) & (p < high)
        assert abs(p[inside].mean() - truth[inside].mean()) < 0.08


def test_isotonic_calibration_follows_what_no_slope_can() -> None:
    """Scores below 0 are right in one of five, above in half, however far away they are."""
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 3, 4000)
    truth = rng.random(4000) < np.where(logits > 0, 0.5, 0.2)
    x, y = isotonic(logits, truth)
    assert (np.diff(x) > 0).all()
    assert (np.diff(y) >= 0).all()
    found = np.interp([-5.0, -1.0, 1.0, 5.0], x, y)
    np.testing.assert_allclose(found, [0.2, 0.2, 0.5, 0.5], atol=0.06)
    # A few scans on which the logits separate the classes are no certainty.
    x, y = isotonic(np.arange(6.0), np.arange(6) >= 3)
    np.testing.assert_allclose(y[[0, -1]], [1 / 5, 4 / 5])


def test_a_rare_finding_is_left_out_and_named() -> None:
    labels = np.zeros((20, 2))
    labels[::2, 0] = 1
    labels[0, 1] = 1
    x = np.random.default_rng(0).normal(size=(20, 3))
    fitted = fit_heads(
        x, labels, ["common", "rare"], [str(n) for n in range(20)], pooling="mean",
        strengths=(0.1,), folds=4,
    )  # fmt: skip
    assert fitted.heads.labels == ("common",)
    assert fitted.left_out == {"rare": "1 training patient(s) with it, 19 without"}


def test_a_head_without_a_signal_is_unreliable() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(60, 4)), (rng.random((60, 1)) < 0.5).astype(float)
    patients = [str(n) for n in range(60)]
    fitted = fit_heads(x, y, ["noise"], patients, pooling="mean", strengths=(0.01, 0.1), folds=5)
    new, truth = rng.normal(size=(80, 4)), (rng.random((80, 1)) < 0.5).astype(float)
    found = head_figures(fitted.heads, new, truth, [str(n) for n in range(80)], np.array([0.5]))
    assert unreliable(found) == ["noise"]
    assert found["findings"][0]["accuracy_majority"] >= 0.5
