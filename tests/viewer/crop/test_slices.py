"""The row of a model that looks at slices: range, number, and what was looked at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from qtpy.QtCore import Qt

from napari_ct_assistant.backends.slices.choice import SliceRange
from napari_ct_assistant.viewer.scan.layers import add_volume
from napari_ct_assistant.volume import CTVolume
from tests.backends.slice_model.tiny_models import save_tiny_model

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from napari_ct_assistant.viewer.panel import CTAssistantPanel


def test_range_and_number_of_the_slices_hold_for_the_next_question(
    make_panel: Callable[..., CTAssistantPanel], ct: CTVolume, qtbot: QtBot, tmp_path: Path
) -> None:
    folder = save_tiny_model(tmp_path / "slices")
    panel = make_panel(show=True)
    add_volume(panel.viewer, ct)
    panel.models.set_model(str(folder))
    row = panel.crop.bar.slices
    assert not row.isVisible()

    def ask() -> tuple[int, ...]:
        assert panel.ask("Is there a pleural effusion? Answer only Yes or No.")
        qtbot.waitUntil(lambda: not panel.conversation.jobs.busy, timeout=60_000)
        assert panel.scans.scan is not None
        return tuple(panel.scans.scan.slices)

    whole = ask()
    assert row.isVisible()
    total = ct.shape[0]
    first, last = min(whole) + 1, max(whole) + 1
    said = f"Looked at {len(whole)} of {total} slices, images {first} to {last}"
    assert row.said.text().startswith(said)
    assert (row.range.text(), row.count.value()) == ("", 0)

    row.range.setFocus()
    qtbot.keyClicks(row.range, "5-9")
    qtbot.keyClick(row.range, Qt.Key.Key_Return)
    scan = panel.scans.scan
    assert scan is not None
    assert scan.view.slices == SliceRange(5, 9)
    some = ask()
    assert some
    assert set(some) <= set(range(4, 9))
    assert row.range.text() == "5-9"

    row.count.setValue(2)
    qtbot.keyClick(row.count, Qt.Key.Key_Return)
    assert scan.view.slices == SliceRange(5, 9, 2)
    assert len(ask()) == 2

    # What is no range, or no part of the scan, is refused in the row.
    for wrong, why in (("40", "slices are '40'"), ("50-60", "50")):
        row.range.setText(wrong)
        qtbot.keyClick(row.range, Qt.Key.Key_Return)
        assert why in panel.crop.bar.said.text()
        assert scan.view.slices == SliceRange(5, 9, 2)


def test_a_department_chooses_its_preset_without_loading_again(
    make_panel: Callable[..., CTAssistantPanel],
    ct: CTVolume,
    qtbot: QtBot,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CT_ASSISTANT_SLICE_PRESETS", str(tmp_path))
    (tmp_path / "two.yaml").write_text(
        "name: two slices\nwindows: [[-160, 240]]\nslices: 2\nrule: even\n"
        "report_question: Describe it.\n"
    )
    (tmp_path / "broken.yaml").write_text("name: broken\nslices: many\n")
    folder = save_tiny_model(tmp_path / "slices")
    panel = make_panel(show=True)
    add_volume(panel.viewer, ct)
    panel.models.set_model(str(folder))
    row = panel.crop.bar.slices
    panel.models.load_or_unload()
    qtbot.waitUntil(lambda: not panel.models.busy, timeout=60_000)
    # Range, number and preset can be chosen before the first reading.
    assert row.isVisible()
    assert not row.said.isVisible()
    names = [row.presets.itemText(i) for i in range(row.presets.count())]
    assert names == ["medgemma-1.5 (usual)", "two slices", "generic-vl"]
    assert str(tmp_path) in row.presets.toolTip()
    assert "broken.yaml" in row.presets.toolTip()
    session = panel.models.session
    assert session is not None
    assert session.assistant is not None
    network = session.assistant.model

    def choose(number: int) -> None:
        row.presets.setCurrentIndex(number)
        row.presets.activated.emit(number)
        qtbot.waitUntil(lambda: not panel.models.busy, timeout=60_000)

    def ask() -> int:
        assert panel.ask("Is there a pleural effusion? Answer only Yes or No.")
        qtbot.waitUntil(lambda: not panel.conversation.jobs.busy, timeout=60_000)
        assert panel.scans.scan is not None
        return len(panel.scans.scan.slices)

    choose(1)
    assert panel.models.is_loaded
    assert ask() == 2
    assert row.presets.currentText() == "two slices"
    assert session.assistant.model is network
    choose(0)
    assert session.assistant.processor.preset.name == "medgemma-1.5"
    assert session.assistant.model is network
    assert ask() > 2
