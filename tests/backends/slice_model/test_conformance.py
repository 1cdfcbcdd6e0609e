"""Slice models keep the promises of a backend: two whose image tokens see each other, one not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.backends.conformance import BackendConformance
from tests.backends.slice_model.tiny_models import save_tiny_model


class TestGemma3(BackendConformance):
    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        return save_tiny_model(tmp_path_factory.mktemp("gemma") / "tiny-gemma", "gemma3")


class TestQwen(BackendConformance):
    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        return save_tiny_model(tmp_path_factory.mktemp("qwen") / "tiny-qwen", "qwen2_5_vl")
