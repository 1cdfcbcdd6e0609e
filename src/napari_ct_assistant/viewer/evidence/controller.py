"""Connects sentences, findings and links with the heat map and the slices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_ct_assistant.support.translation import _, decimal
from napari_ct_assistant.viewer.chat.links import (
    ScanPosition,
    go_to,
    parse_href,
    part_of_href,
    position_of,
)
from napari_ct_assistant.viewer.evidence.heat_bar import HeatBar
from napari_ct_assistant.viewer.evidence.heat_layer import HeatLayer
from napari_ct_assistant.viewer.scan.image_numbers import image_label
from napari_ct_assistant.viewer.texts import HEAT_AT, HEAT_OF, NO_HEAT, SCAN_CLOSED

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_ct_assistant.assistant import ReportDraft, Sentence
    from napari_ct_assistant.backends.heat_map import HeatMap
    from napari_ct_assistant.viewer.chat.message import Message
    from napari_ct_assistant.viewer.scan.scan_picker import ScanPicker
    from napari_ct_assistant.viewer.session.jobs import EvidenceResult, ReportResult
    from napari_ct_assistant.viewer.session.scan_session import ScanSession


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
        self._shown: ScanSession | None = None
        self.bar.toggled.connect(self.layer.set_visible)
        self.bar.strength.connect(self.layer.set_opacity)
        scans.closed.connect(self._on_closed)
        scans.chosen.connect(lambda _layer: self._on_scan())

    def take_draft(self, result: ReportResult) -> None:
        """Keep the heat maps of a new draft."""
        self.keep_heat(result.job.scan, result.draft)

    def keep_heat(self, scan: ScanSession, draft: ReportDraft) -> None:
        """Keep a draft's heat maps, so that a sentence can be shown wherever it stands."""
        if scan.is_open:
            scan.heat.update(zip(draft.sentences, draft.heat, strict=False))

    def show_sentence(self, scan: ScanSession, sentence: Sentence) -> bool:
        """Show a drafted sentence's heat map; return False if there is none."""
        return self.show(scan, scan.heat.get(sentence), sentence.text)

    def follow(self, message: Message, href: str) -> None:
        """Follow a link in a message, and show the heat map of its sentence."""
        if message.scan is None:
            return
        part = part_of_href(href)
        if part is not None and part < len(message.heat):
            heat, about = message.heat[part]
            self.show(message.scan, heat, about)
        self.go(message.scan, href)

    def follow_in_report(self, scan: ScanSession, href: str) -> None:
        """Follow a link in the report, and show the heat map of its sentence."""
        position = parse_href(href)
        if position is None:
            # The sentence on screen comes from no place in the scan.
            self.layer.blank()
            self.bar.hide()
            return
        # Several sentences may come from one place: the one at the cursor is meant.
        same = [one for one in scan.heat if position_of(one) == position]
        meant = scan.followed if scan.followed in same else next(iter(same), None)
        if meant is not None:
            self.show(scan, scan.heat[meant], meant.text)
        self.go(scan, href)

    def _hide(self) -> None:
        """Hide the heat map."""
        self.layer.set_visible(False)
        self.bar.hide()

    def go(self, scan: ScanSession, href: str) -> None:
        """Move the viewer to where a link points."""
        position = parse_href(href)
        layer = self._scans.choose(scan)
        if layer is None:
            self.status_message.emit(_(SCAN_CLOSED))
        elif position is not None:
            go_to(self._viewer, layer, position)

    def go_to_place(self, place: ScanPosition) -> None:
        """Move the viewer to a place in the scan on screen."""
        layer = None if self._scans.scan is None else self._scans.layer_of(self._scans.scan)
        if layer is not None:
            go_to(self._viewer, layer, place)

    def show(self, scan: ScanSession, heat: HeatMap | None, about: str) -> bool:
        """Choose a scan and show a heat map over it; return False if there is nothing to show."""
        if scan.hidden:
            return False
        layer = None if heat is None else self._scans.choose(scan)
        if layer is None or heat is None:
            return False
        self.layer.show(layer, heat, about)
        self._shown = scan
        self.bar.show_heat(f"{scan.name}: {about}", visible=True)
        return True

    def show_finding(self, result: EvidenceResult) -> None:
        """Show where in the scan a finding comes from."""
        scan, finding, found = result.job.scan, result.job.finding, result.evidence
        layer = self._scans.layer_of(scan)
        if layer is None:
            self.status_message.emit(_(SCAN_CLOSED))
        elif scan is not self._scans.scan:
            # The reader went on to another scan meanwhile, which stays on screen.
            return
        elif self.show(scan, found.heat, finding) and found.slice is not None:
            go_to(self._viewer, layer, ScanPosition(found.slice, found.ras))

    def toggle(self) -> None:
        """Show or hide the heat map (a key)."""
        if self.layer.layer is not None and self._shown is self._scans.scan:
            self.bar.check.toggle()

    def _on_closed(self, scan: ScanSession) -> None:
        """Remove the heat map of a scan that was closed."""
        if self._shown is scan:
            self._shown = None
            self.layer.remove()
            self.bar.hide()

    def _on_scan(self) -> None:
        """Hide the heat map while another scan is chosen."""
        if self._shown is None:
            return
        if self._scans.scan is self._shown:
            self.bar.show_heat(self.bar.label.text(), visible=self.layer.visible)
        else:
            self._hide()


def evidence_summary(result: EvidenceResult) -> str:
    """Return one line that says where a finding's evidence is."""
    finding, found = result.job.finding, result.evidence
    if found.slice is None:
        return _(NO_HEAT).format(about=finding)
    image = image_label(found.slice, result.job.scan.volume.archive_number(found.slice))
    if found.support is None:
        return _(HEAT_AT).format(about=finding, image=image)
    support = decimal(found.support, 1, "+")
    return _(HEAT_OF).format(about=finding, image=image, support=support)
