"""A scan that was closed leaves memory, whatever was done with it."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from napari_ct_assistant.volume import CTVolume, write_nifti
from tests.viewer.conftest import box_volume

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from napari_ct_assistant.viewer.panel import CTAssistantPanel

SECONDS = 60_000


@pytest.fixture
def panel(make_panel: Callable[..., CTAssistantPanel], tiny_model_folder: Path) -> CTAssistantPanel:
    panel = make_panel()
    panel.models.set_model(str(tiny_model_folder))
    return panel


@pytest.mark.parametrize("scans", [6, pytest.param(20, marks=pytest.mark.slow)])
def test_scans_leave_memory_when_they_are_closed(
    scans: int, panel: CTAssistantPanel, tmp_path: Path, qtbot: QtBot
) -> None:
    def idle() -> bool:
        return not (panel.conversation.jobs.busy or panel.scans.busy)

    volumes: list[weakref.ref[CTVolume]] = []
    voxels: list[weakref.ref[Any]] = []
    for n in range(scans):
        scan = box_volume()
        scan.hu[0, 0, 0] = n
        path = tmp_path / f"{n}.nii.gz"
        write_nifti(scan, path)
        panel.scans.open(path)
        qtbot.waitUntil(lambda n=n: idle() and len(panel.viewer.layers) == 1, timeout=SECONDS)
        volume = panel.scans.volume
        assert volume is not None
        assert volume.hu[0, 0, 0] == n
        volumes.append(weakref.ref(volume))
        voxels.append(weakref.ref(volume.hu))
        # What a reader does with it, a different thing with each scan.
        if n % 4 == 0:
            panel.draft_report()
        elif n % 4 == 1:
            panel.ask("Is there a pleural effusion?")
        elif n % 4 == 2:
            panel.screen()
        qtbot.waitUntil(idle, timeout=SECONDS)
        if n % 8 == 0:
            panel.report_controller.tab.editor.setFocus()
        del volume, scan
        panel.viewer.layers.clear()
        qtbot.wait(5)
    assert panel.scans.scan is None
    gc.collect()
    kept = [n for n, ref in enumerate(volumes) if ref() is not None]
    kept_voxels = [n for n, ref in enumerate(voxels) if ref() is not None]
    assert (kept, kept_voxels) == ([], [])
