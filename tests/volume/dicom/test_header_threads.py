"""Headers are read one by one where the files are at hand, by threads from a slow drive."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from napari_ct_assistant.volume.dicom import series
from napari_ct_assistant.volume.dicom.series import _read_headers

PATHS = [Path(f"{n}.dcm") for n in range(60)]


@pytest.mark.parametrize("seconds", [0.0, 0.002])
def test_headers_come_in_order_by_threads_only_if_the_drive_is_slow(
    seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    by: list[int] = []

    def read_header(path: Path) -> Any:
        by.append(threading.get_ident())
        time.sleep(seconds)
        return path.name

    monkeypatch.setattr(series, "read_header", read_header)
    if not seconds:  # however busy the machine is
        monkeypatch.setattr(series, "AT_HAND", 60.0)
    found = list(_read_headers(PATHS, None))
    assert found == [(path, path.name) for path in PATHS]
    assert by[:16] == [threading.get_ident()] * 16
    others = set(by[16:]) - {threading.get_ident()}
    assert bool(others) == bool(seconds)
