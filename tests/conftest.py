"""Fixtures shared by every floor's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).parents[1].parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real public CT, or skip where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("real CT data is absent: no shared/data folder beside the project")
    return SHARED_DATA
