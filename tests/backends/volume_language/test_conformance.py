"""Volume language models keep the promises of a backend."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.backends.conformance import BackendConformance


class TestVolumeLanguage(BackendConformance):
    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tiny_model_folder: Path) -> Path:
        return tiny_model_folder
