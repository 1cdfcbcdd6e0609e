"""An error names a file by its own name: the folders above it may be named for a patient."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from napari_ct_assistant.assistant import load_assistant
from napari_ct_assistant.cli import app
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.volume import CTVolume, write_nifti

PERSON = "DOE_JANE"
COMMANDS = (
    ("info {}/absent.nii", "absent.nii"),
    ("info {}/broken.dcm", "broken.dcm"),
    ("info {}/broken.nii", "broken.nii"),
    ("info {}/broken.zip", "broken.zip"),
    ("info {}/empty", "empty"),
    ("report {}/scan.nii --model {}/absent", "absent"),
    ("report {}/scan.nii --model {}/empty", "empty"),
    ("report {}/scan.nii --model {}/broken.nii", "broken.nii"),
    ("report {}/scan.nii --model {}/damaged", "damaged"),
    ("ask {}/scan.nii why --model {}/cut", "cut"),
    ("report {}/scan.nii --template {}/broken.yaml", "broken.yaml"),
    ("report {}/scan.nii --out {}/absent/report.txt", "report.txt"),
    ("report {}/scan.nii --out {}/report.xyz", "report.xyz"),
    ("phantom {}/phantom.txt", "phantom.txt"),
    ("phantom {}/absent/phantom.nii.gz", "phantom.nii.gz"),
    ("models import {}/absent {}/out", "absent"),
    ("models import {}/empty {}/out", "empty"),
    ("train mae {}/broken.yaml", "broken.yaml"),
    ("recipes check {}/broken.yaml", "broken.yaml"),
)


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory, tiny_model_folder: Path, small_volume: CTVolume
) -> Path:
    """Return a folder with a scan, and with files and models of which each has a fault."""
    folder = tmp_path_factory.mktemp("shared") / PERSON
    (folder / "empty").mkdir(parents=True)
    write_nifti(small_volume, folder / "scan.nii")
    for name in ("broken.dcm", "broken.nii", "broken.zip"):
        (folder / name).write_bytes(b"\0" * 128 + b"DICM, or not")
    (folder / "broken.yaml").write_text("stage: [")
    for name, file in (("damaged", "tokenizer.json"), ("cut", "model.safetensors")):
        shutil.copytree(tiny_model_folder, folder / name)
        (folder / name / file).write_bytes(b'{"a": 1}')
    return folder


@pytest.mark.parametrize(("command", "named"), COMMANDS)
def test_commands(folder: Path, command: str, named: str) -> None:
    result = CliRunner().invoke(app, [part.format(folder) for part in command.split()])
    assert result.exit_code in (1, 2), result.output
    assert named in result.stderr
    assert "error: " in result.stderr or "Error" in result.stderr
    assert PERSON not in result.stderr


@pytest.mark.parametrize("model", ["absent", "empty", "broken.nii", "damaged", "cut"])
def test_models(folder: Path, model: str) -> None:
    with pytest.raises(ModelLoadError, match=f"^{model}") as error:
        load_assistant(folder / model)
    assert PERSON not in str(error.value)
