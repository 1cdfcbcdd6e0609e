"""An exported tiny model, and a server that runs its language model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from napari_ct_assistant.model.conversion.language_export import (
    ExportedLanguageModel,
    export_language_model,
)
from tests.backends.server.vllm_rules import VllmRules, serving
from tests.tiny_model import save_tiny_model


@pytest.fixture(scope="session")
def taught_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the tiny model that learned two texts by heart."""
    return save_tiny_model(tmp_path_factory.mktemp("taught") / "taught-model")


@pytest.fixture(scope="session")
def exported(
    taught_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> ExportedLanguageModel:
    """Return its two halves."""
    return export_language_model(taught_folder, tmp_path_factory.mktemp("out") / "llm", "taught")


@pytest.fixture
def rules(exported: ExportedLanguageModel) -> Iterator[VllmRules]:
    """Serve the language model; each test has a server of its own."""
    with serving(VllmRules(exported.served.served_name, exported.folder)) as running:
        yield running
