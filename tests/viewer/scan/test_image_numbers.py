"""An image is named by its place in the scan, and by its DICOM number where that differs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from qtpy.QtCore import Qt

from napari_ct_assistant.assistant.report.measurement import Measurement
from napari_ct_assistant.support.translation import shown, use_language
from napari_ct_assistant.viewer.measure.regions import selected_region
from napari_ct_assistant.viewer.scan.image_numbers import image_of
from napari_ct_assistant.viewer.scan.layers import add_volume
from napari_ct_assistant.viewer.views.scan_display import CAPTION
from napari_ct_assistant.volume import CTVolume
from napari_ct_assistant.volume.dicom.instance_numbers import ArchiveNumber, InstanceNumbers
from tests.viewer.scripted import ScriptedModel

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from napari_ct_assistant.viewer.panel import CTAssistantPanel


@pytest.fixture
def numbered(ct: CTVolume) -> CTVolume:
    """Return a scan whose files are numbered from the feet, from 401 on."""
    numbers = tuple(ArchiveNumber(401 + k) for k in reversed(range(ct.shape[0])))
    return replace(ct, instance_numbers=InstanceNumbers(0, numbers))


@pytest.fixture
def panel(make_panel: Callable[..., Any], numbered: CTVolume) -> CTAssistantPanel:
    made: CTAssistantPanel = make_panel(ScriptedModel(), show=True)
    made.models.set_model("scripted")
    add_volume(made.viewer, numbered)
    return made


def test_both_numbers_stand_where_people_read(
    panel: CTAssistantPanel, numbered: CTVolume, qtbot: QtBot
) -> None:
    panel.view_bar.show_plane("axial")
    panel.viewer.dims.set_point(0, panel.scans.layer.data_to_world((4, 0, 0))[0])
    assert "image 5 of 20 (instance 416)" in panel.viewer.canvas.overlays[CAPTION].text
    assert "image 5 of 20 (instance 416)" in panel.view_bar.slice_line.text()
    panel.view_bar.show_plane("coronal")
    assert "instance" not in panel.view_bar.slice_line.text()
    scan = panel.scans.scan
    qtbot.waitUntil(lambda: scan.journal == "read", timeout=20_000)
    qtbot.mouseClick(panel.actions_row.draft_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not panel.conversation.jobs.busy, timeout=60_000)
    source = scan.text.report().sources[-1].sentence
    words = f"image {source.slice + 1} (instance {420 - source.slice})"
    text = panel.transcript.messages[-1].plain_text().replace("\u00a0", " ")
    assert words in text
    tab = panel.report_controller.tab
    tab.editor.next_unreviewed()
    qtbot.waitUntil(lambda: words in tab.sentence.label.text())
    panel.show_finding("Lung nodule")
    qtbot.waitUntil(lambda: not panel.conversation.jobs.busy, timeout=60_000)
    assert words in panel.status.label.text()


def test_the_sentence_of_a_measurement_has_both_numbers(panel: CTAssistantPanel) -> None:
    measurements = panel.reading_bar.measure.measurements
    measurements.select_tool("select")
    layer = measurements.layer
    assert layer is not None
    layer.add([[4, 6, 6], [4, 6, 9]], shape_type="line")
    found = measurements.selected()
    assert found is not None
    assert found.sentence("nodule").endswith(", image 5 (instance 416).")
    assert Measurement.from_json(found.to_json()) == found
    # A coronal image was not stored: it has no number in the archive.
    panel.view_bar.show_plane("coronal")
    layer.add([[4, 6, 6], [9, 6, 9]], shape_type="line")
    layer.selected_data = {1}
    across = measurements.selected()
    assert across is not None
    assert across.image == "coronal image 7"


def test_the_index_is_limited_to_the_scan(numbered: CTVolume) -> None:
    assert image_of(numbered, 0, -3.0) == "image 1 of 20 (instance 420)"
    assert image_of(numbered, 0, 99.0) == "image 20 of 20 (instance 401)"
    assert image_of(numbered, 1, 3.0) == "image 4 of 40"


def test_a_region_names_both_numbers(panel: CTAssistantPanel) -> None:
    measurements = panel.reading_bar.measure.measurements
    measurements.select_tool("select")
    layer = measurements.layer
    assert layer is not None
    layer.add([[4, 6, 6], [4, 6, 12], [4, 12, 12], [4, 12, 6]], shape_type="rectangle")
    region = selected_region(panel.viewer, panel.scans.layer)
    assert region is not None
    assert ", image 5 (instance 416) (" in region.text
    use_language("de")
    try:
        assert ", Bild 5 (Instanz 416) (" in shown(region.text)
    finally:
        use_language("en")
