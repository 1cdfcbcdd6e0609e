"""The part of a scan that a model reads: frame, region, moving it, reading it again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.viewer import Viewer
from qtpy.QtWidgets import QSizePolicy

from napari_ct_assistant.backends.nv_reason_ct.conversation.labels import ABDOMEN_LABELS
from napari_ct_assistant.backends.protocol import View
from napari_ct_assistant.viewer.crop.crop_layer import CropLayer, frame_kwargs
from napari_ct_assistant.viewer.crop.region_bar import NAMES
from napari_ct_assistant.viewer.panel import CTAssistantPanel
from napari_ct_assistant.viewer.scan.layers import add_volume, index_to_world
from napari_ct_assistant.volume import CTVolume, ModelGrid
from tests.backends.nv_reason_ct.tiny_checkpoint import save_tiny_checkpoint


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_checkpoint(tmp_path_factory.mktemp("nv") / "tiny-nv")


def shown(make_panel: Callable[..., CTAssistantPanel], ct: CTVolume) -> CTAssistantPanel:
    """Return a panel with a scan chosen."""
    panel = make_panel()
    add_volume(panel.viewer, ct, "scan")
    return panel


def box_at(volume: CTVolume, index: tuple[float, float, float], mm: float = 40.0) -> ModelGrid:
    """Return a box of 2 mm voxels about an index, its slices counted from the feet."""
    n = round(mm / 2)
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = 2.0, -2.0, -2.0, 1.0
    middle = affine[:3, :3] @ np.full(3, (n - 1) / 2)
    affine[:3, 3] = volume.index_to_ras(index) - middle
    return ModelGrid((n, n, n), (2, 2, 2), affine)


def test_the_frame_is_where_the_box_is(make_panel: Callable[..., Any], ct: CTVolume) -> None:
    panel = shown(make_panel, ct)
    layer = panel.scans.layer
    box = box_at(ct, (9.5, 19.5, 23.5))
    placed = frame_kwargs(layer, box)
    edges = np.array(placed["data"].shape) * placed["scale"]
    middle = placed["translate"] + edges / 2 - placed["scale"] / 2
    np.testing.assert_allclose(edges, 40.0, atol=1e-3)
    np.testing.assert_allclose(middle, index_to_world(layer, (9.5, 19.5, 23.5)), atol=1e-3)
    assert (placed["scale"] >= np.abs(layer.scale)[-3:] - 1e-6).all()
    # Its faces are drawn, and nothing else.
    assert placed["data"][0].all()
    assert not placed["data"][1:-1, 1:-1, 1:-1].any()


def test_a_box_beyond_the_scan_is_cut(make_panel: Callable[..., Any], ct: CTVolume) -> None:
    panel = shown(make_panel, ct)
    layer = panel.scans.layer
    placed = frame_kwargs(layer, box_at(ct, (0.0, 19.5, 23.5)))
    first = placed["translate"] - placed["scale"] / 2
    assert (first >= np.array(index_to_world(layer, (-0.5, -0.5, -0.5))) - 1e-3).all()
    assert not placed["data"][0].all()


def test_showing_the_frame_keeps_slice_and_steps(
    make_panel: Callable[..., Any], ct: CTVolume
) -> None:
    panel = shown(make_panel, ct)
    viewer: Viewer = panel.viewer
    viewer.dims.set_point(0, index_to_world(panel.scans.layer, (7, 0, 0))[0])
    point, steps = viewer.dims.point, viewer.dims.nsteps
    frame = CropLayer(viewer)
    drawn = frame.show(panel.scans.layer, box_at(ct, (9.5, 19.5, 23.5)))
    assert viewer.dims.point == pytest.approx(point)
    assert viewer.dims.nsteps == steps
    assert frame.show(panel.scans.layer, box_at(ct, (9.5, 19.5, 23.5))) is drawn
    assert viewer.layers.selection.active is panel.scans.layer


def test_a_reader_moves_the_box_and_reads_again(
    make_panel: Callable[..., Any],
    ct: CTVolume,
    checkpoint: Path,
    qtbot: Any,
) -> None:
    panel = shown(make_panel, ct)
    panel.models.set_model(str(checkpoint))
    assert panel.crop.bar.isHidden()

    def ask() -> None:
        panel.ask("Is there a pleural effusion? Answer only Yes or No.")
        qtbot.waitUntil(lambda: not panel.conversation.jobs.busy, timeout=60_000)

    panel.conversation.jobs.session.load(str(checkpoint), panel.models.options)
    assistant = panel.conversation.jobs.session.assistant
    assert assistant is not None
    assistant.processor.max_new_tokens = 5
    ask()
    scan = panel.scans.scan
    assert scan is not None
    assert not panel.crop.bar.isHidden()
    assert scan.regions == ("chest", "abdomen", "none")
    assert scan.box is not None
    assert panel.crop.layer.layer is not None
    assert panel.crop.bar.regions.currentText() == NAMES[""]
    first = scan.box.affine.copy()
    panel.viewer.dims.point = index_to_world(panel.scans.layer, (11, 21, 26))
    panel.crop.bar.move_button.click()
    assert not scan.history.turns(str(checkpoint))
    assert panel.crop.bar.said.sizePolicy().horizontalPolicy() == QSizePolicy.Policy.Ignored
    ask()
    middle = scan.box.affine @ np.append((np.array(scan.box.shape) - 1) / 2, 1.0)
    wanted = ct.index_to_ras((11, 21, 26))
    assert np.abs(middle[:3] - wanted).max() <= 1.5  # half a voxel of the model's grid
    assert np.abs(scan.box.affine - first).max() > 1
    assert scan.view.centre == pytest.approx(tuple(wanted))
    panel.crop.bar.regions.setCurrentIndex(panel.crop.bar.regions.findData("abdomen"))
    panel.crop.bar.regions.activated.emit(panel.crop.bar.regions.currentIndex())
    assert scan.view == View("abdomen")
    ask()
    assert scan.region_read == "abdomen"
    # What is offered follows the findings of the region.
    examples = [action.text() for action in panel.ask_row.examples_button.menu().actions()]
    assert tuple(examples) == scan.finding_names == ABDOMEN_LABELS


def test_reasoning_is_folded_and_no_part_of_the_text(
    make_panel: Callable[..., Any], ct: CTVolume
) -> None:
    panel = shown(make_panel, ct)
    message = panel.transcript.add("model", "Report")
    assert message.reasoning.isHidden()
    message.append_reasoning("First the lungs.")
    message.append("No nodule.")
    assert not message.reasoning.isHidden()
    assert message.reasoning.body.isHidden()
    assert "3 words" in message.reasoning.button.text()
    assert message.plain_text() == "No nodule."
    assert "lungs" not in panel.transcript.plain_text()
    message.reasoning.button.click()
    assert not message.reasoning.body.isHidden()
    assert message.reasoning.text() == "First the lungs."
