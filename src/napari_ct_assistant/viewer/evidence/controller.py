"""The evidence's desk: joins sentences, findings and links with the heat map and the slices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_ct_assistant.viewer.chat.links import (
    ScanPosition,
    go_to,
    parse_href,
    part_of_href,
    position_of,
)
from napari_ct_assistant.viewer.evidence.heat_bar import HeatBar
from napari_ct_assistant.viewer.evidence.heat_layer import HeatLayer
from napari_ct_assistant.viewer.texts import HEAT_OF, NO_HEAT, SCAN_CLOSED

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_ct_assistant.assistant import ReportDraft, Sentence
    from napari_ct_assistant.assistant.evidence.heat_map import HeatMap
    from napari_ct_assistant.viewer.chat.message import Message
    from napari_ct_assistant.viewer.scan.scan_picker import ScanPicker
    from napari_ct_assistant.viewer.session.jobs import EvidenceResult, ReportResult
    from napari_ct_assistant.volume import CTVolume


class EvidenceController(QObject):
    """Shows where in the scan a sentence comes from.

    Signals
    -------
    status_message : str
        One line for the reader.
    """

    status_message = Signal(str)

    def __init__(self, viewer: Viewer, scans: ScanPicker, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer, self._scans = viewer, scans
        self.layer = HeatLayer(viewer)
        self.bar = HeatBar()
        # Of the drafts made since each scan was opened.
        self._heat: dict[tuple[int, Sentence], HeatMap | None] = {}
        self._shown: CTVolume | None = None
        self.bar.toggled.connect(self.layer.set_visible)
        self.bar.strength.connect(self.layer.set_opacity)
        scans.closed.connect(self.forget)
        scans.chosen.connect(lambda _layer: self._on_scan())

    def take_draft(self, result: ReportResult) -> None:
        """Keep the heat maps of a new draft."""
        self.remember(result.job.volume, result.draft)

    def remember(self, volume: CTVolume, draft: ReportDraft) -> None:
        """Keep a draft's heat maps, so that its sentences can be shown wherever they stand."""
        for sentence, heat in zip(draft.sentences, draft.heat, strict=False):
            self._heat[id(volume), sentence] = heat

    def show_sentence(self, volume: CTVolume, sentence: Sentence) -> bool:
        """Show a drafted sentence's heat map; False where there is none."""
        return self.show(volume, self._heat.get((id(volume), sentence)), sentence.text)

    def follow(self, message: Message, href: str) -> None:
        """Go where a message's link points, and show its sentence's heat map."""
        part = part_of_href(href)
        if part is not None and part < len(message.heat):
            heat, about = message.heat[part]
            self.show(message.source, heat, about)
        self.go(message.source, href)

    def follow_in_report(self, volume: CTVolume, href: str) -> None:
        """Go where a link in the report points, and show the heat map of the sentence there."""
        position = parse_href(href)
        for (scan, sentence), heat in self._heat.items():
            if scan == id(volume) and position is not None and position_of(sentence) == position:
                self.show(volume, heat, sentence.text)
        self.go(volume, href)

    def go(self, volume: CTVolume, href: str) -> None:
        """Go where a link points."""
        position = parse_href(href)
        layer = self._scans.layer_of(volume)
        if layer is None:
            self.status_message.emit(SCAN_CLOSED)
        elif position is not None:
            go_to(self._viewer, layer, position)

    def show(self, volume: CTVolume, heat: HeatMap | None, about: str) -> bool:
        """Lay a heat map over a scan's slices; False where there is nothing to show."""
        layer = self._scans.layer_of(volume)
        if layer is None or heat is None:
            return False
        self.layer.show(layer, heat, about)
        self._shown = volume
        self.bar.tell(about, shown=True)
        return True

    def show_finding(self, result: EvidenceResult) -> None:
        """Show where in the scan a finding comes from."""
        volume, finding, found = result.job.volume, result.job.finding, result.evidence
        layer = self._scans.layer_of(volume)
        if layer is None:
            self.status_message.emit(SCAN_CLOSED)
        elif self.show(volume, found.heat, finding) and found.slice is not None:
            go_to(self._viewer, layer, ScanPosition(found.slice, found.ras))

    def toggle(self) -> None:
        """Show the heat map or hide it (a key)."""
        if self.layer.layer is not None:
            self.bar.check.toggle()

    def forget(self, volume: CTVolume) -> None:
        """Drop a scan that was closed."""
        self._heat = {key: heat for key, heat in self._heat.items() if key[0] != id(volume)}
        if self._shown is volume:
            self._shown = None
            self.layer.remove()
            self.bar.hide()

    def _on_scan(self) -> None:
        """Hide the heat map of another scan than the one that is read now."""
        if self._shown is not None and self._scans.volume is not self._shown:
            self.layer.set_visible(False)
            self.bar.tell(self.bar.label.text(), shown=False)


def evidence_summary(result: EvidenceResult) -> str:
    """Return in one line where a finding's evidence is."""
    finding, found = result.job.finding, result.evidence
    if found.slice is None:
        return NO_HEAT.format(about=finding)
    return HEAT_OF.format(about=finding, slice=found.slice, support=found.support or 0.0)
