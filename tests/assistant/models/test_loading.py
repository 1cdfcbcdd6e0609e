"""Models that cannot be loaded are refused in one line that says what to do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from napari_ct_assistant import load_assistant
from napari_ct_assistant.assistant import ModelLoadError


def test_no_such_model() -> None:
    with pytest.raises(ModelLoadError, match=r"^nobody/nothing: not a folder .* download"):
        load_assistant("nobody/nothing")


def test_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match=r"no config\.json"):
        load_assistant(tmp_path)


def test_foreign_model(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    with pytest.raises(ModelLoadError, match="model_type 'llama', expected 'ct_volume_language'"):
        load_assistant(tmp_path)


def test_broken_config(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ModelLoadError, match="not valid JSON"):
        load_assistant(tmp_path)


@pytest.mark.parametrize("keep", [0, 100])
def test_truncated_weights(tiny_model_folder: Path, tmp_path: Path, keep: int) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model_folder, folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:keep])
    with pytest.raises(ModelLoadError) as error:
        load_assistant(folder)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(f"{folder.name}: ")


def test_pickled_weights_are_not_read(tiny_model_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model_folder, folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelLoadError, match="no safetensors weights"):
        load_assistant(folder)


def test_the_name_is_the_folders(tiny_model_folder: Path) -> None:
    assert load_assistant(tiny_model_folder, device="cpu").info.name == "tiny-model"


@pytest.mark.parametrize("file", ["processor_config.json", "tokenizer.json"])
def test_a_folder_without_the_settings_of_its_input_is_refused(
    file: str, tiny_model_folder: Path, tmp_path: Path
) -> None:
    # With the defaults that transformers fills in, a model would answer about another picture.
    folder = tmp_path / "model"
    shutil.copytree(tiny_model_folder, folder)
    (folder / file).unlink()
    with pytest.raises(
        ModelLoadError, match=f"^model: no {file.replace('.', '[.]')}.*copy the model again"
    ):
        load_assistant(folder)
