"""A small CT whose every voxel tells where it is, and a viewer with the panel docked."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_ct_assistant.support.collector import collect_anywhere, collect_here_only
from napari_ct_assistant.viewer.garbage import collect_in_this_thread
from napari_ct_assistant.viewer.preferences import remember_width
from napari_ct_assistant.viewer.session.background import calls_running
from napari_ct_assistant.viewer.session.scan_session import ScanSession
from napari_ct_assistant.volume import CTVolume

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari.viewer import Viewer
    from pytestqt.qtbot import QtBot

    from napari_ct_assistant.viewer.models.picker import ModelPicker
    from napari_ct_assistant.viewer.panel import CTAssistantPanel
    from napari_ct_assistant.viewer.report.tab import ReportTab

os.environ["NAPARI_STRICT_QT"] = "1"

SPACING = (5.0, 2.0, 2.5)
PANEL = "napari_ct_assistant.viewer.panel"


def box_volume(
    shape: tuple[int, int, int] = (20, 40, 48), warnings: tuple[str, ...] = ()
) -> CTVolume:
    """Return a body of water in air with a bright block in front, to the right, near the head."""
    hu = np.full(shape, -1000, np.int16)
    hu[:, 4:-4, 4:-4] = 20
    hu[2:5, 6:12, 6:14] = 700
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2] = -SPACING[0], -SPACING[1], -SPACING[2]
    affine[:3, 3] = (60.0, 35.0, 110.0)
    affine[3, 3] = 1
    return CTVolume(hu, affine, "Chest", warnings)


@pytest.fixture(autouse=True)
def automatic_widths() -> None:
    """Forget the panel widths that another test dragged: napari keeps them for the process."""
    remember_width(reading=True, width=0)
    remember_width(reading=False, width=0)


@pytest.fixture(autouse=True)
def collections(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Collect in this thread only, with or without a panel, as widgets need it.

    Exempt nothing from it: Hypothesis looks for referrers, which would be hidden.
    """
    monkeypatch.setattr(f"{PANEL}.keep_collections_short", lambda _: None)
    collect_here_only()
    yield
    collect_anywhere()


@pytest.fixture
def ct() -> CTVolume:
    return box_volume()


@pytest.fixture
def scan(ct: CTVolume) -> ScanSession:
    """Return the session of an open scan."""
    return ScanSession(ct)


@pytest.fixture
def make_panel(
    make_napari_viewer: Callable[..., Viewer], qtbot: QtBot
) -> Iterator[Callable[..., CTAssistantPanel]]:
    """Return a maker of panels docked in a viewer, as a person meets them."""
    made: list[CTAssistantPanel] = []

    def make(load: Any = None, **kwargs: Any) -> CTAssistantPanel:
        from napari_ct_assistant.viewer.panel import CTAssistantPanel

        viewer = make_napari_viewer(**kwargs)
        panel = CTAssistantPanel(viewer) if load is None else CTAssistantPanel(viewer, load)
        viewer.window.add_dock_widget(panel, name="CT Assistant", area="right")
        made.append(panel)
        return panel

    yield make
    for panel in made:
        job = panel.conversation.jobs.job
        if job is not None:
            job.cancel.set()
    qtbot.waitUntil(lambda: calls_running() == 0, timeout=60_000)


@pytest.fixture
def picker(qtbot: QtBot) -> Iterator[ModelPicker]:
    """Return a model box with a real model session behind it."""
    from napari_ct_assistant.viewer.models.picker import ModelPicker
    from napari_ct_assistant.viewer.session.model_session import ModelSession
    from napari_ct_assistant.viewer.session.runner import JobRunner

    collect_in_this_thread()
    picker = ModelPicker()
    qtbot.addWidget(picker)
    picker.join(JobRunner(ModelSession(), picker))
    picker.show()
    yield picker
    qtbot.waitUntil(lambda: calls_running() == 0, timeout=60_000)


@pytest.fixture
def tab(qtbot: QtBot, scan: ScanSession) -> ReportTab:
    """Return a report tab with a scan."""
    from napari_ct_assistant.viewer.report.tab import ReportTab

    tab = ReportTab(open_scans=[scan])
    qtbot.addWidget(tab)
    tab.resize(440, 640)
    tab.show_scan(scan)
    with qtbot.waitExposed(tab):
        tab.show()
    tab.activateWindow()
    tab.editor.setFocus()
    return tab


@pytest.fixture
def drafted_tab(tab: ReportTab, scan: ScanSession) -> ReportTab:
    """Return a report tab with an untouched draft."""
    from tests.assistant.report.report_samples import sample_draft

    tab.take_draft(scan, sample_draft())
    return tab


def states(tab: ReportTab) -> list[str]:
    """Return the state of each line that is not blank."""
    return [line.state for line in tab.editor.text.document_lines()]


def said(tab: ReportTab) -> list[str]:
    """Return the lines that are not blank."""
    return [line.text for line in tab.editor.text.document_lines()]
