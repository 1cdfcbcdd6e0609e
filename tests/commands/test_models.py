"""`models list` shows the bundled model and those in the Hugging Face cache."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from napari_ct_assistant.assistant.models.installed import describe_model
from napari_ct_assistant.backends.volume_language.family import MODEL_TYPE
from napari_ct_assistant.cli import app
from napari_ct_assistant.model.configuration import VolumeLanguageConfig

run = CliRunner().invoke


def put_in_cache(cache: Path, repo: str, config: dict[str, str]) -> Path:
    """Write a repository in the layout of the hub's client: a snapshot that `main` refers to."""
    home = cache / f"models--{repo.replace('/', '--')}"
    folder = home / "snapshots" / ("0" * 40)
    folder.mkdir(parents=True)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text("0" * 40, encoding="utf-8")
    (home / "blobs").mkdir()
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "model.safetensors").write_bytes(b"0" * 2_000_000)
    return folder


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty Hugging Face cache and hide the models of this computer."""
    for module in ("huggingface_hub.constants", "huggingface_hub.utils._cache_manager"):
        monkeypatch.setattr(f"{module}.HF_HUB_CACHE", str(tmp_path / "hub"), raising=False)
    monkeypatch.setenv("CT_ASSISTANT_MODELS", str(tmp_path / "models"))
    return tmp_path / "hub"


def listed() -> dict[str, dict[str, object]]:
    done = run(app, ["models", "list", "--json"])
    assert done.exit_code == 0, done.output
    return {model["name"]: model for model in json.loads(done.stdout)["models"]}


def test_model_type_is_the_configurations() -> None:
    assert VolumeLanguageConfig.model_type == MODEL_TYPE


def test_bundled_model_is_listed(cache: Path) -> None:
    models = listed()
    assert list(models) == ["demo"]
    demo = models["demo"]
    assert demo["source"] == "bundled"
    assert 0 < int(str(demo["bytes"])) <= 25 * 1024 * 1024
    assert "phantom" in str(demo["trained_on"])
    assert "Not for clinical use" in str(demo["notice"])


def test_downloaded_models_are_listed_and_others_not(cache: Path) -> None:
    ours = put_in_cache(
        cache, "somebody/ct-reader", {"model_type": MODEL_TYPE, "trained_on": "CT-RATE"}
    )
    put_in_cache(cache, "somebody/bert", {"model_type": "bert"})
    models = listed()
    assert list(models) == ["demo", "somebody/ct-reader"]
    assert models["somebody/ct-reader"] == {
        "name": "somebody/ct-reader",
        "source": "downloaded",
        "path": str(ours),
        "bytes": 2_000_000,
        "trained_on": "CT-RATE",
        "notice": "",
        "writes_text": True,
    }
    words = run(app, ["models", "list"]).stdout
    assert "somebody/ct-reader  (downloaded, 2.0 MB)" in words
    assert "CT-RATE" in words


def test_a_folder_without_weights_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": MODEL_TYPE}), encoding="utf-8")
    assert describe_model("x", "bundled", tmp_path) is None
    (tmp_path / "config.json").write_text("{", encoding="utf-8")
    assert describe_model("x", "bundled", tmp_path) is None
