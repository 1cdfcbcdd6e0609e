"""Fixtures shared by every floor's tests."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_ct_assistant.volume import CTVolume

SHARED_DATA = Path(__file__).parents[1].parent / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that read public CT scans: `pytest -m real_ct` runs them alone."""
    for item in items:
        if "shared_data" in getattr(item, "fixturenames", ()):
            item.add_marker("real_ct")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real public CT, or skip where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("real CT data is absent: no shared/data folder beside the project")
    return SHARED_DATA


@pytest.fixture(autouse=True, scope="session")
def models_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep imported models and remembered folders of the tests apart from the user's."""
    home = tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CT_ASSISTANT_MODELS", str(home))
        yield home


@pytest.fixture(autouse=True, scope="session")
def english() -> Iterator[None]:
    """Show English texts, which the tests compare, whatever the machine's locale is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CT_ASSISTANT_LANGUAGE", "en")
        yield


@pytest.fixture(autouse=True)
def data_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a journal of its own, apart from the user's and from other tests'."""
    home = tmp_path / "ct-assistant-data"
    monkeypatch.setenv("CT_ASSISTANT_DATA", str(home))
    monkeypatch.setenv("CT_ASSISTANT_CONFIG", str(tmp_path / "ct-assistant-config"))
    return home


@pytest.fixture(autouse=True)
def transformers_whole() -> Iterator[None]:
    """Fail the test that leaves transformers changed: later ones would have untied weights."""
    yield
    found = sys.modules.get("transformers.modeling_utils")
    if found is not None:
        tie = found.PreTrainedModel.tie_weights
        assert tie.__qualname__ == "PreTrainedModel.tie_weights", tie


@pytest.fixture(scope="session")
def tiny_model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a tiny model with random weights."""
    from tests.tiny_model import save_tiny_model

    return save_tiny_model(tmp_path_factory.mktemp("tiny") / "tiny-model")


@pytest.fixture(scope="session")
def small_volume() -> CTVolume:
    """Return a small CT with an odd geometry: a bright ball in a body of water in air."""
    from napari_ct_assistant.volume import CTVolume

    shape, spacing = (40, 60, 50), (8.0, 5.0, 6.0)
    i, p, left = np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in shape), indexing="ij")
    hu = np.full(shape, -1000, np.int16)
    hu[(p / 24) ** 2 + (left / 20) ** 2 < 1] = 0
    hu[(i - 5) ** 2 + (p + 6) ** 2 + (left - 8) ** 2 < 16] = 300
    affine = np.zeros((4, 4))
    # Index axes run to I, P, L; RAS is the other way round.
    affine[2, 0], affine[1, 1], affine[0, 2] = -spacing[0], -spacing[1], -spacing[2]
    affine[:, 3] = (140.0, 120.0, 30.0, 1.0)
    return CTVolume(hu=hu, affine=affine, series="test")
