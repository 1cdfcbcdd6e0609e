"""The list of this machine's models, made without torch and without the hub's client."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from huggingface_hub import constants

from napari_ct_assistant.assistant.models.hub_cache import hub_cache
from napari_ct_assistant.assistant.models.installed import (
    FOLDERS_FILE,
    FOLDERS_KEPT,
    remember_folder,
    used_folders,
)
from napari_ct_assistant.backends.loading.sizes import count, count_folder
from napari_ct_assistant.model.configuration import VolumeLanguageConfig
from napari_ct_assistant.model.folder import check_folder


def test_the_cache_is_where_the_client_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    there = Path(constants.HF_HUB_CACHE)
    monkeypatch.delitem(sys.modules, "huggingface_hub.constants")
    assert hub_cache() == there
    monkeypatch.setenv("HF_HOME", "/elsewhere")
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.delenv("HUGGINGFACE_HUB_CACHE", raising=False)
    assert hub_cache() == Path("/elsewhere/hub")


def test_the_first_look_counts_as_the_load_does(tiny_model_folder: Path) -> None:
    found = count_folder(tiny_model_folder)
    assert found is not None
    counts, tokens = found
    headers = check_folder(tiny_model_folder, "tiny")
    config = VolumeLanguageConfig.from_pretrained(tiny_model_folder)
    shapes = {key: header.shape for key, header in headers.items()}
    assert counts == count(shapes, config.text_config.to_dict())
    assert counts.values == sum(header.elements for header in headers.values())
    assert tokens > 60


def test_folders_are_remembered(
    tiny_model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CT_ASSISTANT_MODELS", str(tmp_path / "models"))
    assert not list(used_folders())
    for number in range(FOLDERS_KEPT + 2):
        remember_folder(tmp_path / f"gone-{number}")
    remember_folder(tiny_model_folder)
    remember_folder(tiny_model_folder)
    assert [model.path for model in used_folders()] == [tiny_model_folder]
    (tmp_path / "models" / FOLDERS_FILE).write_text("[1, {", encoding="utf-8")
    assert not list(used_folders())
