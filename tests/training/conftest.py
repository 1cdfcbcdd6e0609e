"""Fixtures of the training tests."""

from __future__ import annotations

import pytest

from napari_ct_assistant.volume import CTVolume
from tests.training.toy import Toy, make_toy


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory, small_volume: CTVolume) -> Toy:
    """Return two small scans with reports, and small models to start from."""
    return make_toy(tmp_path_factory.mktemp("toy"), small_volume)
