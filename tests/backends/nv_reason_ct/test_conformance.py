"""NV-Reason-CT keeps the promises of a backend."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.backends.conformance import BackendConformance
from tests.backends.nv_reason_ct.tiny_checkpoint import save_tiny_checkpoint


class TestNVReasonCT(BackendConformance):
    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        return save_tiny_checkpoint(tmp_path_factory.mktemp("nv") / "tiny-nv")
