"""The panel with a model that offers places: names without numbers, a list, a click goes there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari_ct_assistant.assistant import Assistant
from napari_ct_assistant.backends.heat_map import Evidence
from napari_ct_assistant.backends.screening import FindingScore
from napari_ct_assistant.viewer.evidence.findings_table import (
    BASELINE,
    FINDING,
    PROBABILITY,
    THRESHOLD,
)
from napari_ct_assistant.viewer.scan.layers import add_volume
from napari_ct_assistant.volume import CTVolume
from tests.backends.brightness_model import WORDS, BrightnessBackend, BrightnessContext

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytestqt.qtbot import QtBot

    from napari_ct_assistant.viewer.panel import CTAssistantPanel


class PlacesContext(BrightnessContext):
    def scores(self, findings: Any = (), *, cancel: Any = None) -> list[FindingScore]:
        return [FindingScore(name) for name in WORDS]

    def locate(self, finding: str) -> Evidence:
        found, volume = super().locate(finding), self.scan.volume
        points = [volume.index_to_ras([i, 30, 10]) for i in (7, 31)]
        return replace(found, places=tuple((float(x), float(y), float(z)) for x, y, z in points))


class PlacesBackend(BrightnessBackend):
    def encode(self, scan: Any, **_: Any) -> PlacesContext:
        return PlacesContext(scan, 0.5, ranked=True)


def test_a_click_on_a_place_goes_there(
    make_panel: Callable[..., CTAssistantPanel], ct: CTVolume, qtbot: QtBot
) -> None:
    panel = make_panel(lambda _model, **_: Assistant(PlacesBackend()))
    add_volume(panel.viewer, ct)
    panel.models.set_model("places")
    panel.models.load_button.setEnabled(True)
    panel.models.load_or_unload()
    qtbot.waitUntil(lambda: panel.models.is_loaded and not panel.models.busy)
    panel.screen()
    qtbot.waitUntil(lambda: not panel.conversation.jobs.busy)
    table, places = panel.findings, panel.findings_controller.tab.places
    assert [table.item(row, FINDING).text() for row in range(2)] == list(WORDS)
    assert all(table.isColumnHidden(n) for n in (PROBABILITY, BASELINE, THRESHOLD))
    assert places.isHidden()
    panel.show_finding(WORDS[0])
    qtbot.waitUntil(lambda: not panel.conversation.jobs.busy)
    assert not places.isHidden()
    assert WORDS[0] in places.title.text()
    lines = [places.list.item(n).text() for n in range(places.list.count())]
    assert [line[:2] for line in lines] == ["1.", "2."]
    places.list.setCurrentRow(1)
    at = panel.viewer.dims.point[-3]
    places.list.setCurrentRow(0)
    assert panel.viewer.dims.point[-3] != at
    # Other findings, or none, take the list away.
    panel.screen()
    qtbot.waitUntil(lambda: not panel.conversation.jobs.busy)
    assert places.isHidden()
