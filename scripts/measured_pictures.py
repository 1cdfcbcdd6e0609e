"""Pictures of measurements in the report, of typing, of reading first, of two reports compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtGui import QTextCursor
from qtpy.QtTest import QTest

from napari_ct_assistant.assistant.choices.saved_drafts import SavedDraft
from napari_ct_assistant.assistant.report.read_first import ReadFirst
from napari_ct_assistant.viewer.side_by_side.pair_window import PairWindow

# Index (i, p, l) of the chest's one nodule, as four radiologists marked it.
NODULE = (115, 243, 184)


def take(visitor: Any, chest: Path, out: Path, model: str) -> None:
    """Measure the nodule of the chest, name a label layer, type, read first, compare."""
    if not chest.exists():
        return
    visit = visitor(chest, out, "measured", model)
    panel, viewer = visit.panel, visit.viewer
    tab, editor = panel.report_controller.tab, panel.report_controller.tab.editor
    layer, tools = panel.scans.layer, panel.reading_bar
    visit.draft()
    panel.tabs.setCurrentWidget(tab)
    nodule = np.array(layer.data_to_world(NODULE))
    visit.click(panel.view_bar.window_buttons["Lung"])
    viewer.dims.set_point((0, 1, 2), nodule)
    camera = viewer.scene.camera
    camera.center, camera.zoom = nodule, 2.5 * camera.zoom
    visit.pause()
    for along in ((0, 0, 8), (0, 6, 0)):
        visit.click(tools.measure.buttons["line"])
        visit.drag(nodule - along, nodule + np.array(along))
    tab.measurement.name.setEditText("nodule")
    tab.measurement.place.setEditText("right upper lobe")
    visit.click(tab.measurement.insert_button)
    visit.shot("sentence")
    grid = np.indices((15, 30, 30)).reshape(3, -1).T - (7, 15, 15)
    inside = grid[((grid * np.asarray(layer.scale)) ** 2).sum(axis=1) < 7**2] + NODULE
    data = np.zeros(layer.data.shape, np.uint8)
    data[tuple(inside.T)] = 1
    labels = viewer.add_labels(
        data,
        name="nnInteractive",
        scale=layer.scale,
        translate=layer.translate,
        units=layer.units,
    )
    viewer.layers.selection.active = labels
    tab.measurement.name.setEditText("nodule")
    tab.measurement.insert_button.click()
    visit.wait(lambda: sum(1 for _ in editor.text.report().measured()) == 2)
    visit.shot("outline")
    viewer.layers.selection.active = layer
    tools.measure.measurements.layer.selected_data = {0}
    cursor = QTextCursor(editor.document().find("Lungs"))
    cursor.setPosition(editor.text.insert_line(cursor.position(), ""))
    editor.setTextCursor(cursor)
    editor.setFocus()
    QTest.keyClicks(editor, tab.template.phrases("findings/lungs")[0][:6])
    visit.shot("typing")
    scan = panel.scans.scan
    scan.read_first = ReadFirst()
    panel.first_read.bar.show()
    panel.first_read.revealed.emit(scan)
    panel.tabs.setCurrentWidget(panel.transcript)
    visit.shot("read-first")
    texts = editor.text.report().text.split("\n\n")
    sections = tuple(
        (head, body) for head, _, body in (text.partition("\n") for text in texts) if body
    )
    drafts = [SavedDraft(sections, name, "ab" * 32, "") for name in ("demo", "other")]
    window = PairWindow(drafts, blind=True, parent=panel)
    window.show()
    visit.pause()
    window.grab().save(str(out / "measured-pair.png"))
    window.close()
    visit.close()
