"""Two scans of different patients are open: nothing of one appears with the other."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_ct_assistant.backends.scan_notes import OUTSIDE
from napari_ct_assistant.viewer.measure.regions import selected_region, shape_region
from napari_ct_assistant.viewer.scan.belonging import is_foreign, mark_layer
from napari_ct_assistant.viewer.scan.layers import add_volume, volume_of, world_to_index
from napari_ct_assistant.viewer.views.fitting import body_box, fit_scan
from napari_ct_assistant.viewer.views.scan_display import CAPTION
from napari_ct_assistant.volume import CTVolume

if TYPE_CHECKING:
    from pathlib import Path

    from napari.viewer import Viewer
    from pytestqt.qtbot import QtBot

    from napari_ct_assistant.viewer.panel import CTAssistantPanel

Maker = Callable[..., Any]


def patient(series: str, slices: int = 20, head_mm: float = 60.0, hu: int = 20) -> CTVolume:
    """Return a scan of one patient; `hu` is that patient's tissue everywhere in the body."""
    voxels = np.full((slices, 40, 48), -1000, np.int16)
    voxels[:, 4:-4, 4:-4] = hu
    affine = np.array(
        [[0, 0, -2.5, 60], [0, -2, 0, 35], [-5, 0, 0, head_mm], [0, 0, 0, 1]], dtype=float
    )
    return CTVolume(voxels, affine, series)


@pytest.fixture
def two(make_panel: Maker) -> tuple[CTAssistantPanel, Any, Any]:
    """Return a panel, an abdomen and, chosen, a chest whose slices lie above the abdomen's."""
    panel = make_panel()
    abdomen = add_volume(panel.viewer, patient("Abdomen", 12, head_mm=-100.0, hu=40))
    chest = add_volume(panel.viewer, patient("Chest", 20, head_mm=200.0, hu=70))
    return panel, abdomen, chest


def choose(panel: CTAssistantPanel, layer: Any) -> None:
    panel.viewer.layers.selection.active = layer


def index_on_screen(viewer: Viewer, layer: Any) -> list[int]:
    return [round(float(value)) for value in world_to_index(layer, viewer.dims.point)]


def caption(panel: CTAssistantPanel) -> str:
    return str(panel.viewer.canvas.overlays[CAPTION].text)


def test_the_chosen_scan_alone_is_shown_at_its_middle(two: Any) -> None:
    panel, abdomen, chest = two
    viewer = panel.viewer
    assert (abdomen.visible, chest.visible) == (False, True)
    assert index_on_screen(viewer, chest) == [10, 20, 24]
    assert caption(panel) == "Chest\nimage 11 of 20"
    choose(panel, abdomen)
    assert (abdomen.visible, chest.visible) == (True, False)
    assert index_on_screen(viewer, abdomen) == [6, 20, 24]
    assert caption(panel) == "Abdomen\nimage 7 of 12"
    assert "image 7 of 12" in panel.view_bar.slice_line.text()
    viewer.layers.remove(abdomen)
    assert chest.visible
    assert caption(panel).startswith("Chest\n")
    viewer.layers.remove(chest)
    assert caption(panel) == ""
    assert not viewer.canvas.overlays[CAPTION].visible


def test_a_copy_of_the_same_scan_keeps_the_slice(two: Any) -> None:
    panel, _, chest = two
    panel.viewer.dims.set_point(0, chest.translate[0])
    copy = add_volume(panel.viewer, volume_of(chest))
    assert panel.scans.layer is copy
    assert index_on_screen(panel.viewer, copy)[0] == 0
    assert not chest.visible


def test_no_slice_outside_the_scan_is_shown(two: Any) -> None:
    panel, abdomen, chest = two
    viewer = panel.viewer
    low, high, _ = viewer.dims.range[0]
    for layer, last in ((chest, 19), (abdomen, 11)):
        choose(panel, layer)
        for end, expected in ((low, 0), (high, last)):
            viewer.dims.set_point(0, end)
            assert index_on_screen(viewer, layer)[0] == expected
            assert f"image {expected + 1} of {last + 1}" in caption(panel)


def test_an_overlay_is_shown_when_the_reader_asks_for_it(two: Any) -> None:
    panel, abdomen, chest = two
    abdomen.visible = True
    panel.viewer.dims.set_point(0, chest.translate[0])
    assert abdomen.visible
    assert panel.scans.layer is chest


def test_the_body_of_the_chosen_scan_fills_the_canvas(two: Any) -> None:
    panel, abdomen, chest = two
    viewer = panel.viewer
    for layer in (chest, abdomen):
        choose(panel, layer)
        for plane in ("axial", "coronal", "sagittal"):
            panel.view_bar.show_plane(plane)
            box = body_box(volume_of(layer)) * np.asarray(layer.scale) + layer.translate
            shown = list(viewer.dims.displayed)
            body = (np.diff(box, axis=0)[0] + layer.scale)[shown]
            share = body * viewer.scene.camera.zoom / np.asarray(viewer.canvas.size)
            assert 0.85 < share.max() <= 1
            assert viewer.scene.camera.center[-2:] == pytest.approx(box.mean(axis=0)[shown])


def test_the_body_is_found_without_the_table() -> None:
    volume = patient("Chest")
    volume.hu[:, 39, :1] = 300
    assert body_box(volume).tolist() == [[0, 4, 4], [19, 35, 43]]
    volume.hu[:] = -1000
    assert body_box(volume).tolist() == [[0, 0, 0], [19, 39, 47]]


def test_without_a_scan_the_camera_fits_whatever_there_is(make_napari_viewer: Maker) -> None:
    viewer = make_napari_viewer()
    viewer.add_image(np.zeros((8, 10, 10)))
    viewer.scene.camera.zoom = 0.01
    fit_scan(viewer)
    assert viewer.scene.camera.zoom > 1


SQUARE = [[10, 10, 10], [10, 10, 20], [10, 20, 20], [10, 20, 10]]


def draw(panel: CTAssistantPanel) -> Any:
    """Draw a polygon on the chosen scan with the panel's own tool and select it."""
    measurements = panel.reading_bar.measure.measurements
    measurements.select_tool("polygon")
    layer = measurements.layer
    layer.add_polygons([SQUARE])
    measurements.select_tool("")
    layer.selected_data = {0}
    measurements.measure()
    return layer


def test_a_shape_is_measured_in_its_own_scan_only(two: Any) -> None:
    panel, abdomen, chest = two
    viewer = panel.viewer
    drawn = draw(panel)
    bar = panel.reading_bar.measure
    assert bar.region is not None
    assert bar.region.statistics.mean_hu == 70
    choose(panel, abdomen)
    assert not drawn.visible
    assert bar.region is None
    assert bar.text.text() == ""
    # Not even where the reader shows and selects the shape itself.
    drawn.visible = True
    viewer.layers.selection.active = drawn
    assert panel.scans.layer is abdomen
    assert selected_region(viewer, abdomen) is None
    assert shape_region(viewer, abdomen, drawn, 0) is None
    assert panel.chat_controller.region_for("What is in the region I drew?") == ""
    choose(panel, chest)
    assert drawn.visible
    assert selected_region(viewer, chest) is not None


def test_a_layer_of_another_plugin_belongs_to_the_scan_it_was_added_to(two: Any) -> None:
    panel, abdomen, chest = two
    viewer = panel.viewer
    labels = viewer.add_labels(
        np.ones((20, 40, 48), np.uint8), scale=chest.scale, translate=chest.translate
    )
    labels.selected_label = 1
    viewer.layers.selection.active = labels
    assert selected_region(viewer, chest) is not None
    choose(panel, abdomen)
    assert not labels.visible
    viewer.layers.selection.active = labels
    assert selected_region(viewer, abdomen) is None


def test_shapes_go_when_their_scan_goes(two: Any) -> None:
    panel, abdomen, chest = two
    viewer = panel.viewer
    drawn = draw(panel)
    labels = viewer.add_labels(np.ones((20, 40, 48), np.uint8))
    choose(panel, abdomen)
    kept = draw(panel)
    viewer.layers.remove(chest)
    assert drawn not in viewer.layers
    # Labels may be hours of work: they stay in the list, hidden, and belong to no other scan.
    assert labels in viewer.layers
    assert not labels.visible
    assert is_foreign(labels, volume_of(abdomen))
    assert kept in viewer.layers
    assert kept.visible


def test_a_mark_does_not_keep_the_voxels_alive(make_napari_viewer: Maker) -> None:
    viewer = make_napari_viewer()
    labels = viewer.add_labels(np.ones((4, 4, 4), np.uint8))
    mark_layer(labels, patient("Chest"))
    assert is_foreign(labels, patient("Chest"))
    assert is_foreign(labels, None)


def test_two_scans_removed_while_the_panel_was_closed(two: Any) -> None:
    panel, abdomen, chest = two
    draw(panel)
    choose(panel, abdomen)
    draw(panel)
    sessions = list(panel.scans.open_scans)
    panel.scans.detach()
    for layer in (abdomen, chest):
        panel.viewer.layers.remove(layer)
    panel.scans.attach()
    assert not any(scan.is_open for scan in sessions)
    assert len(panel.viewer.layers) == 0


def screened(panel: CTAssistantPanel, qtbot: QtBot) -> None:
    panel.screen()
    qtbot.waitUntil(lambda: not panel.conversation.jobs.busy, timeout=60_000)


def shown_texts(panel: CTAssistantPanel) -> list[str]:
    return [m.plain_text() for m in panel.transcript.messages if not m.isHidden()]


def test_findings_transcript_suggestions_and_status_belong_to_a_scan(
    two: Any, tiny_model_folder: Path, qtbot: QtBot
) -> None:
    panel, abdomen, chest = two
    panel.models.set_model(str(tiny_model_folder))
    screened(panel, qtbot)
    table, chips = panel.findings, panel.chat_controller.chips
    assert table.rowCount() == 18
    assert table.horizontalHeaderItem(0).text() == "Finding  ·  Chest"
    assert panel.status.label.text().startswith("Chest: ")
    panel.scans.scan.last_text = ("There is a pleural effusion.", ())
    panel.chat_controller.refresh()
    assert "Where is the pleural effusion?" in [each.text() for each in chips.buttons]
    assert panel.ask("Is the heart enlarged?")
    qtbot.waitUntil(lambda: not panel.conversation.jobs.busy, timeout=60_000)
    assert "Is the heart enlarged?" in shown_texts(panel)
    titles = [m.title for m in panel.transcript.messages if m.job]
    assert titles
    assert all("Chest" in title for title in titles)

    choose(panel, abdomen)
    assert table.rowCount() == 0
    assert table.horizontalHeaderItem(0).text() == "Finding"
    assert "Chest" not in panel.status.label.text()
    assert "Is the heart enlarged?" not in shown_texts(panel)
    assert "Is the heart enlarged?" not in panel.transcript.plain_text()
    assert panel.conversation.last is None
    panel.transcript.clear()

    choose(panel, chest)
    assert table.rowCount() == 18
    assert panel.status.label.text().startswith("Chest: ")
    assert "Is the heart enlarged?" in shown_texts(panel)
    assert panel.conversation.last is not None
    panel.viewer.layers.remove(chest)
    assert table.rowCount() == 0
    assert "Is the heart enlarged?" not in shown_texts(panel)


def test_a_result_for_another_scan_waits_for_it(
    two: Any, tiny_model_folder: Path, qtbot: QtBot
) -> None:
    panel, abdomen, chest = two
    panel.models.set_model(str(tiny_model_folder))
    panel.screen()
    choose(panel, abdomen)
    qtbot.waitUntil(lambda: not panel.conversation.jobs.busy, timeout=60_000)
    assert panel.findings.rowCount() == 0
    # The status belongs to the scan on screen, too.
    assert panel.status.label.text() == "Ready"
    panel.show_finding("Pleural effusion")
    choose(panel, chest)
    qtbot.waitUntil(lambda: not panel.conversation.jobs.busy, timeout=60_000)
    assert panel.scans.layer is chest
    assert chest.visible
    assert not abdomen.visible
    assert not panel.evidence_controller.layer.visible
    assert panel.findings.rowCount() == 18


def test_a_scan_outside_the_training_distribution_keeps_its_banner(
    two: Any, tiny_model_folder: Path, qtbot: QtBot
) -> None:
    panel, abdomen, chest = two
    panel.models.set_model(str(tiny_model_folder))
    text = f"{OUTSIDE}, chest scans (3.0x the threshold); treat the output as unreliable."
    results: list[Any] = []
    panel.conversation.finished.connect(results.append)
    screened(panel, qtbot)
    assert panel.outside_banner.isHidden()
    result = results[0]
    record = dataclasses.replace(result.record, warnings=("Other.", text))
    panel.conversation.finished.emit(dataclasses.replace(result, record=record))
    assert not panel.outside_banner.isHidden()
    assert panel.outside_banner.banner.label.text() == text
    panel.tabs.setCurrentWidget(panel.report_controller.tab)
    assert not panel.outside_banner.isHidden()
    choose(panel, abdomen)
    assert panel.outside_banner.isHidden()
    choose(panel, chest)
    assert not panel.outside_banner.isHidden()
