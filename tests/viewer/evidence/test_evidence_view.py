"""Heat maps, marked sentences and the findings table, in a real viewer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from napari_ct_assistant.assistant import FindingProbability, ReportDraft, Sentence
from napari_ct_assistant.backends.heat_map import HeatMap
from napari_ct_assistant.backends.model_info import ModelInfo
from napari_ct_assistant.viewer.chat.links import UNSUPPORTED, report_markdown
from napari_ct_assistant.viewer.evidence.findings_table import BASELINE, FindingsTable
from napari_ct_assistant.viewer.evidence.heat_layer import HEAT_KEY, HeatLayer, heat_kwargs
from napari_ct_assistant.viewer.scan.layers import add_volume, world_to_index
from napari_ct_assistant.volume import CTVolume, ModelGrid
from tests.viewer.conftest import box_volume

if TYPE_CHECKING:
    from pathlib import Path

    from pytestqt.qtbot import QtBot

    from napari_ct_assistant.viewer.panel import CTAssistantPanel

Maker = Callable[..., Any]


def heat_at(volume: CTVolume, token: tuple[int, int, int], mm: float = 1.0) -> HeatMap:
    """Return a heat map of one hot token on a grid of 5 x 5 x 5; `mm` 3 reaches beyond the scan."""
    spacing = (2 * mm, mm, mm)
    grid = ModelGrid.centred(volume, shape=(40, 80, 80), spacing=spacing, patch=(8, 16, 16))
    values = np.zeros(grid.tokens, np.float32)
    values[token] = 2.0
    heat = HeatMap.from_attributions(values, grid.token_affine)
    assert heat is not None
    return heat


class Shown:
    """A layer as napari would hold it, without a viewer."""

    def __init__(self, volume: CTVolume) -> None:
        from napari_ct_assistant.viewer.scan.layers import layer_kwargs

        kwargs = layer_kwargs(volume)
        self.scale, self.translate = kwargs["scale"], kwargs["translate"]
        self.metadata = kwargs["metadata"]


@pytest.mark.parametrize("token", [(1, 1, 1), (2, 3, 1), (3, 2, 2)])
@pytest.mark.parametrize("degrees", [0, 12])
def test_the_hottest_place_on_screen_is_where_the_heat_map_says(
    token: tuple[int, int, int], degrees: float
) -> None:
    volume = box_volume()
    if degrees:  # a tilted gantry
        angle = np.radians(degrees)
        turn = np.eye(4)
        turn[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        volume = CTVolume(volume.hu, turn @ volume.affine, "Tilted", ())
    layer, heat = Shown(volume), heat_at(volume, token)
    placed = heat_kwargs(layer, heat)
    # The middle of what is hot: interpolation is symmetric around the token.
    hot = np.argwhere(placed["data"] > 0.99 * placed["data"].max())
    world = placed["translate"] + placed["scale"] * hot.mean(0)
    expected = volume.ras_to_index(heat.hottest)
    np.testing.assert_allclose(world_to_index(layer, world), expected, atol=0.35)
    # The map is as large as the model's box: 80 mm along each axis.
    np.testing.assert_allclose(placed["scale"] * placed["data"].shape, 80, rtol=1e-6)


def test_a_box_larger_than_the_scan_is_cut_to_it() -> None:
    volume = box_volume()
    layer = Shown(volume)
    placed = heat_kwargs(layer, heat_at(volume, (2, 2, 2), mm=3.0))
    edges = placed["translate"] + placed["scale"] * (np.array(placed["data"].shape) - 0.5)
    assert (world_to_index(layer, edges) <= np.array(volume.shape) - 0.5 + 1e-6).all()
    start = placed["translate"] - placed["scale"] / 2
    assert (world_to_index(layer, start) >= -0.5 - 1e-6).all()
    assert placed["data"].max() > 0.7


def test_one_layer_is_used_again_and_the_scan_stays_selected(make_napari_viewer: Maker) -> None:
    viewer = make_napari_viewer()
    volume = box_volume()
    scan = add_volume(viewer, volume)
    heat = HeatLayer(viewer)
    first = heat.show(scan, heat_at(volume, (0, 0, 0)), "one")
    assert viewer.layers.selection.active is scan
    before = first.data.copy()
    heat.set_opacity(0.3)
    heat.set_visible(False)
    again = heat.show(scan, heat_at(volume, (2, 2, 2)), "two")
    assert again is first
    assert len(viewer.layers) == 2
    assert not np.array_equal(before, again.data)
    assert again.visible
    assert again.opacity == pytest.approx(0.3)
    assert again.metadata[HEAT_KEY] == "two"
    # What the reader deletes comes back with the next sentence.
    viewer.layers.remove(again)
    assert not heat.visible
    assert heat.show(scan, heat_at(volume, (1, 1, 1)), "three") in viewer.layers


def draft_of(volume: CTVolume) -> ReportDraft:
    heat = heat_at(volume, (2, 2, 2))
    sentences = (
        Sentence(
            "The heart is enlarged.", "findings", 2.5, heat.hottest_slice(volume), heat.hottest
        ),
        Sentence("There is a pleural effusion.", "findings", -0.4),
    )
    return ReportDraft(
        {"findings": "..."}, sentences, ModelInfo("m"), {}, 9, False, "now", heat=(heat, None)
    )


def test_an_unsupported_sentence_is_marked_and_stays() -> None:
    text = report_markdown(draft_of(box_volume()), 20)
    marked = [line for line in text.splitlines() if UNSUPPORTED in line]
    assert len(marked) == 1
    assert "pleural effusion" in marked[0]
    assert UNSUPPORTED.startswith("\u26a0")


def test_a_click_on_a_sentence_shows_its_heat_map(make_panel: Maker, qtbot: QtBot) -> None:
    panel: CTAssistantPanel = make_panel()
    viewer, volume = panel.viewer, box_volume()
    add_volume(viewer, volume)
    draft = draft_of(volume)
    message = panel.transcript.add("model", "Report", scan=panel.scans.scan)
    message.finish(report_markdown(draft, volume.shape[0]))
    message.heat = [(heat, one.text) for heat, one in zip(draft.heat, draft.sentences, strict=True)]
    blocks = [message.part_of_block(n) for n in range(message.document.blockCount())]
    assert [href is not None for href in blocks].count(True) == 1
    message.body.pressed.emit(next(n for n, href in enumerate(blocks) if href is not None))
    layer = panel.evidence_controller.layer.layer
    assert layer is not None
    assert layer.metadata[HEAT_KEY] == "The heart is enlarged."
    assert panel.evidence_controller.bar.label.text() == "Chest: The heart is enlarged."
    index = world_to_index(panel.scans.layer, viewer.dims.point)
    assert index[0] == pytest.approx(draft.sentences[0].slice, abs=0.6)
    panel.evidence_controller.toggle()
    assert not layer.visible
    # A sentence of the report tab finds its map by itself.
    scan = panel.scans.scan
    assert scan is not None
    panel.evidence_controller.keep_heat(scan, draft)
    panel.evidence_controller.show_sentence(scan, draft.sentences[0])
    assert layer.visible
    assert not panel.evidence_controller.show_sentence(scan, draft.sentences[1])
    # Closing the scan takes the map along.
    viewer.layers.remove(panel.scans.layer)
    assert panel.evidence_controller.layer.layer is None


def test_a_finding_shows_where_it_comes_from(
    make_panel: Maker, ct: CTVolume, tiny_model_folder: Path, qtbot: QtBot
) -> None:
    panel: CTAssistantPanel = make_panel()
    add_volume(panel.viewer, ct)
    panel.models.set_model(str(tiny_model_folder))
    panel.screen()
    qtbot.waitUntil(lambda: not panel.conversation.jobs.busy, timeout=60_000)
    assert panel.findings.item(0, BASELINE).text().endswith("%")
    messages = len(panel.transcript.messages)
    panel.findings.setCurrentCell(12, 0)
    qtbot.keyClick(panel.findings, Qt.Key.Key_Return)
    assert panel.conversation.jobs.busy
    qtbot.waitUntil(lambda: not panel.conversation.jobs.busy, timeout=60_000)
    assert "Pleural effusion" in panel.status.label.text()
    shown = panel.evidence_controller.layer.layer
    assert shown is None or shown.metadata[HEAT_KEY] == "Pleural effusion"
    assert len(panel.transcript.messages) == messages


def test_a_double_click_asks_and_does_not_also_trace(qtbot: QtBot) -> None:
    table = FindingsTable()
    qtbot.addWidget(table)
    rows = [
        FindingProbability("Emphysema", 0.9, baseline=0.1, threshold=0.4),
        FindingProbability("Lung nodule", 0.2, assessable=False, baseline=0.3),
    ]
    table.show_findings(rows)
    assert [table.item(0, n).text() for n in (1, 3, 4)] == ["90%", "10%", "40%"]
    assert table.item(0, 0).font().bold()
    assert table.item(1, 1).text() == "not assessable"
    chosen: list[str] = []
    asked: list[str] = []
    table.chosen.connect(chosen.append)
    table.asked.connect(asked.append)
    table.setCurrentCell(0, 0)
    table.clicked.emit(table.model().index(0, 0))
    table.doubleClicked.emit(table.model().index(0, 0))
    qtbot.wait(2 * QApplication.doubleClickInterval())
    assert (chosen, asked) == ([], ["Emphysema"])
    table.clicked.emit(table.model().index(0, 0))
    qtbot.waitUntil(lambda: chosen == ["Emphysema"])
    qtbot.keyClick(table, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    assert asked == ["Emphysema"] * 2


def test_the_next_map_only_changes_what_differs(make_napari_viewer: Maker) -> None:
    """napari builds all shaders again whenever it is told that a layer is shown or moved."""
    viewer = make_napari_viewer()
    volume = box_volume()
    scan = add_volume(viewer, volume)
    heat = HeatLayer(viewer)
    layer = heat.show(scan, heat_at(volume, (0, 0, 0)), "one")
    told: list[str] = []
    for name in ("visible", "scale", "translate"):
        getattr(layer.events, name).connect(lambda _event=None, name=name: told.append(name))
    heat.show(scan, heat_at(volume, (2, 2, 2)), "two")
    assert told == []
    # Between two sentences with a map, one that comes from no place: nothing is drawn.
    heat.blank()
    assert told == []
    assert not heat.visible
    assert layer.data.max() == 0
    heat.show(scan, heat_at(volume, (1, 1, 1)), "three")
    assert told == []
    assert heat.visible
    assert layer.data.max() > 0
    # A reader who hides the map and goes on sees the next one, as before.
    heat.set_visible(False)
    heat.show(scan, heat_at(volume, (0, 1, 1)), "four")
    assert told == ["visible", "visible"]
