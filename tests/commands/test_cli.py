"""The commands on scans: output, files written, and errors for bad input."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from typer.testing import CliRunner

from napari_ct_assistant import CTReadError, __version__, commands
from napari_ct_assistant.cli import app
from napari_ct_assistant.commands import display_check
from napari_ct_assistant.commands.system_libraries import (
    SystemLibrary,
    describe,
    missing_libraries,
)
from napari_ct_assistant.report_text.findings import FINDINGS
from tests.support.full_disk import full_disk
from tests.volume.samples import save_series

run = CliRunner().invoke
PATH_VERBS = {
    "info": [],
    "view": [],
    "report": [],
    "ask": ["Is there a pleural effusion?"],
    "screen": [],
    "demo": ["--terminal"],
}


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a phantom that the command line wrote, with one finding."""
    out = tmp_path_factory.mktemp("phantom") / "p.nii.gz"
    done = run(
        app,
        [
            "phantom",
            str(out),
            "--seed",
            "7",
            "--finding",
            "pleural effusion",
            "--resolution",
            "model",
        ],
    )
    assert done.exit_code == 0, done.output
    return out


def test_help_and_version() -> None:
    shown = run(app, ["--help"])
    assert shown.exit_code == 0
    for verb in (*PATH_VERBS, "phantom", "models", "prepare", "instructions", "train", "audit"):
        assert f"\n  {verb} " in shown.stdout
    assert run(app, ["--version"]).stdout == f"ct-assistant {__version__}\n"


@pytest.mark.parametrize(
    "verb", [*PATH_VERBS, "phantom", "models", "prepare", "instructions", "train", "audit"]
)
def test_every_verb_has_help(verb: str) -> None:
    shown = run(app, [verb, "--help"])
    assert shown.exit_code == 0
    assert shown.stdout.startswith("Usage:")


def test_both_ways_to_start() -> None:
    for module in ("napari_ct_assistant", "napari_ct_assistant.cli"):
        done = subprocess.run(
            [sys.executable, "-m", module, "--version"], capture_output=True, text=True, check=True
        )
        assert done.stdout == f"ct-assistant {__version__}\n"


def test_phantom_writes_the_truth_beside_it(phantom: Path) -> None:
    truth = json.loads((phantom.parent / "p.json").read_text(encoding="utf-8"))
    assert truth["seed"] == 7
    assert list(truth["labels"]) == list(FINDINGS)
    assert [name for name, label in truth["labels"].items() if label] == ["Pleural effusion"]
    assert "effusion" in truth["report"].lower()
    assert {"question", "answer", "kind"} <= set(truth["questions"][0])
    assert nib.load(phantom).shape


@pytest.mark.skipif(sys.platform == "win32", reason="the size of files cannot be limited there")
def test_a_full_disk_leaves_no_part_of_a_phantom(tmp_path: Path) -> None:
    arguments = ["phantom", str(tmp_path / "p.nii.gz"), "--resolution", "model"]
    with full_disk(10_000):
        done = run(app, arguments)
    assert done.exit_code == 1
    assert re.fullmatch(r"error: p\.nii\.gz: [\w ]+\n", done.stderr)
    assert list(tmp_path.iterdir()) == []


def test_phantom_prints_its_truth_as_json(tmp_path: Path) -> None:
    done = run(
        app, ["phantom", str(tmp_path / "h.nii"), "--healthy", "--resolution", "model", "--json"]
    )
    assert done.exit_code == 0, done.output
    assert not any(json.loads(done.stdout)["labels"].values())
    assert (tmp_path / "h.json").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["p.nii.gz", "--finding", "hangnail"], "unknown finding 'hangnail'"),
        (["p.png"], "p.png: phantoms are written as NIfTI"),
        (["absent/p.nii.gz"], "its folder does not exist"),
        (["p.nii.gz", "--healthy", "--finding", "Emphysema"], "contradict"),
    ],
)
def test_phantom_refuses(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(app, ["phantom", *arguments])
    assert done.exit_code == 1
    assert done.stderr.startswith("error: ")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_info_json_equals_nibabel(phantom: Path) -> None:
    done = run(app, ["info", str(phantom), "--json"])
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert set(facts) >= {
        "shape",
        "spacing_mm",
        "affine_ras",
        "hu_min",
        "hu_max",
        "orientation",
        "series",
        "warnings",
    }
    stored = nib.load(phantom)
    voxels = np.asarray(stored.dataobj)
    assert sorted(facts["shape"]) == sorted(stored.shape)
    assert sorted(facts["spacing_mm"]) == pytest.approx(sorted(stored.header.get_zooms()))
    assert (facts["hu_min"], facts["hu_max"]) == (voxels.min(), voxels.max())
    assert facts["orientation"] == "".join(nib.aff2axcodes(stored.affine))
    # The corner voxels have the same coordinates, whatever the order of the axes.
    corners = {(i, p, s) for i in (0, 1) for p in (0, 1) for s in (0, 1)}

    def box(affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        far = [np.array(corner) * (np.array(shape) - 1) for corner in corners]
        return np.sort([(affine @ [*point, 1])[:3] for point in far], axis=0)

    np.testing.assert_allclose(
        box(np.array(facts["affine_ras"]), facts["shape"]),
        box(stored.affine, stored.shape),
        atol=1e-3,
    )


def test_info_in_words(phantom: Path) -> None:
    shown = run(app, ["info", str(phantom)]).stdout
    assert "spacing" in shown
    assert "HU" in shown


def test_info_on_a_real_dicom_series(shared_data: Path) -> None:
    done = run(app, ["info", str(shared_data / "chest_lidc_0314"), "--json"])
    facts = json.loads(done.stdout)
    assert facts["shape"] == [275, 512, 512]
    assert facts["spacing_mm"] == pytest.approx([1.0, 0.781, 0.781], abs=1e-3)


def make_empty_folder(folder: Path) -> Path:
    return folder


def make_missing(folder: Path) -> Path:
    return folder / "absent.nii.gz"


def make_text(folder: Path) -> Path:
    (folder / "notes.txt").write_text("not a scan", encoding="utf-8")
    return folder / "notes.txt"


def make_flat(folder: Path) -> Path:
    nib.save(nib.Nifti1Image(np.zeros((16, 16), np.int16), np.eye(4)), folder / "flat.nii.gz")
    return folder / "flat.nii.gz"


def make_truncated(folder: Path) -> Path:
    whole = folder / "whole.nii"
    nib.save(nib.Nifti1Image(np.zeros((16, 16, 16), np.int16), np.eye(4)), whole)
    cut = folder / "cut.nii"
    cut.write_bytes(whole.read_bytes()[:1000])
    return cut


@pytest.mark.parametrize(
    "make", [make_empty_folder, make_missing, make_text, make_flat, make_truncated]
)
def test_bad_scans_get_one_line(make: object, tmp_path: Path) -> None:
    path = make(tmp_path)  # type: ignore[operator]
    done = run(app, ["info", str(path), "--json"])
    assert done.exit_code == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert path.name in done.stderr  # type: ignore[attr-defined]
    assert str(tmp_path.parent) not in done.stderr


@pytest.mark.parametrize("verb", PATH_VERBS)
def test_every_verb_refuses_a_missing_scan(verb: str, tmp_path: Path) -> None:
    """A separate process shows no traceback; the error comes before any model is loaded."""
    path = tmp_path / "absent"
    # Qt accepts this platform, so `view` reaches the scan even without a display.
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    done = subprocess.run(
        [sys.executable, "-m", "napari_ct_assistant", verb, str(path), *PATH_VERBS[verb]],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=environment,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"error: {path.name}")


def test_faults_of_ours_keep_their_traceback(
    phantom: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only errors that the package raises on purpose become one line."""

    def broken(*_: object, **__: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr("napari_ct_assistant.volume.open_ct", broken)
    done = run(app, ["info", str(phantom)])
    assert isinstance(done.exception, ValueError)
    assert not isinstance(done.exception, CTReadError)


def test_ctrl_c_before_anything_is_drafted(phantom: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("napari_ct_assistant.volume.open_ct", interrupted)
    done = run(app, ["report", str(phantom)])
    assert done.exit_code == 130
    assert done.stderr.splitlines()[-1] == "stopped"


def test_window_problem_names_the_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    assert "neither DISPLAY nor WAYLAND_DISPLAY is set" in str(display_check.window_problem())


def test_window_problem_survives_a_dead_display(monkeypatch: pytest.MonkeyPatch) -> None:
    """Qt aborts its process if the display does not answer; the command must survive that."""
    if sys.platform != "linux":
        pytest.skip("only Linux has displays by number")
    monkeypatch.setenv("DISPLAY", ":9876")
    monkeypatch.setenv("QT_QPA_PLATFORM", "xcb")
    assert "Qt does not start" in str(display_check.window_problem())


def test_the_window_of_the_tests_opens() -> None:
    """In CI a window must open; otherwise the viewer's tests would be skipped unnoticed."""
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("CI")):
        pytest.skip("no display: install xvfb, or set DISPLAY")
    assert display_check.window_problem() is None


def test_missing_libraries_are_named() -> None:
    absent = SystemLibrary("libabsent.so.9", "libabsent9")
    assert not absent.present()
    assert describe([absent]) == (
        "missing system libraries: libabsent.so.9; on Debian: apt-get install libabsent9"
    )
    if os.environ.get("CI"):
        assert missing_libraries(tests=True) == []


@pytest.fixture
def two_series(tmp_path: Path) -> Path:
    """Return a folder with a thick and a thin series of one acquisition."""
    for name, step, count in (("Chest 5.0", 5.0, 12), ("Lung 2.0", 2.0, 30)):
        save_series(
            tmp_path / "study" / name,
            [(0, 0, step * k) for k in range(count)],
            series=f"1.2.{count}",
            SeriesDescription=name,
            SliceThickness=step,
            ConvolutionKernel=name.split()[0],
        )
    return tmp_path / "study"


def test_info_lists_every_series_and_what_to_give(two_series: Path) -> None:
    shown = run(app, ["info", str(two_series)]).stdout
    assert "Lung 2.0: 30 slices, 60 mm, one every 2 mm, kernel Lung, the default:" in shown
    facts = json.loads(run(app, ["info", str(two_series), "--json"]).stdout)
    listed = facts["series_list"]
    assert [one["name"] for one in listed] == ["Lung 2.0", "Chest 5.0"]
    assert [one["default"] for one in listed] == [True, False]
    assert listed[0]["reason"]
    assert listed[1]["key"] in shown
    for name in (listed[1]["key"], "2", "chest"):
        done = run(app, ["info", str(two_series), "--series", name, "--json"])
        assert json.loads(done.stdout)["shape"][0] == 12


def test_a_series_that_is_not_clear_is_one_line(two_series: Path) -> None:
    done = run(app, ["info", str(two_series), "--series", ".0", "--json"])
    assert done.exit_code == 1
    assert "'.0' names 2 series" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_short_scan_is_not_drafted_from_unasked(tmp_path: Path) -> None:
    folder = save_series(tmp_path / "s", [(0, 0, 3.0 * k) for k in range(4)])
    done = run(app, ["report", str(folder)])
    assert done.exit_code == 1
    assert "only 4 slices over 12 mm; add --short-scan" in done.stderr.splitlines()[-1]


def test_a_terminal_cannot_be_steered_by_a_file_name(tmp_path: Path) -> None:
    path = tmp_path / "scan\x1b]0;owned\x07\x1b[2J\u202e.nii"
    path.write_bytes(b"no scan")
    done = run(app, ["info", str(path)])
    assert done.exit_code == 1
    assert "scan" in done.stderr
    assert not set(done.stderr) & set("\x1b\x07\u202e")


def test_every_result_passes_the_filter() -> None:
    folder = Path(str(commands.__file__)).parent
    for file in [*folder.glob("*.py"), folder.parent / "cli.py"]:
        assert "typer.echo" not in file.read_text(), file.name
        assert not re.search(r"(?<![\w.])print\(", file.read_text()), file.name
