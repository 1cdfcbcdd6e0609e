"""Puts measurements into the report as sentences, and keeps the two linked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Qt
from qtpy.QtGui import QTextCursor

from napari_ct_assistant.assistant.report.measured_place import known_place, name_in
from napari_ct_assistant.support.translation import _
from napari_ct_assistant.viewer.chat.links import ScanPosition, go_to
from napari_ct_assistant.viewer.measure.measurement_row import MeasurementRow
from napari_ct_assistant.viewer.measure.outlines import OUTLINES_KEY, check_grid, take_outline
from napari_ct_assistant.viewer.measure.shown_outlines import show_outline
from napari_ct_assistant.viewer.scan.belonging import is_foreign
from napari_ct_assistant.viewer.session.background import Background, one_line
from napari_ct_assistant.viewer.texts import (
    MEASURED_PLACE,
    MEASURED_UNNAMED,
    MEASURING_LABEL,
    NO_MEASUREMENT,
    NO_SCAN,
    NOT_IN_SENTENCE,
)
from napari_ct_assistant.viewer.views.planes import current_plane, set_plane

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_ct_assistant.assistant.report.measurement import Measurement
    from napari_ct_assistant.viewer.measure.measure_bar import MeasureBar
    from napari_ct_assistant.viewer.report.report_document import DocumentLine
    from napari_ct_assistant.viewer.report.tab import ReportTab
    from napari_ct_assistant.viewer.scan.scan_picker import ScanPicker
    from napari_ct_assistant.viewer.session.scan_session import ScanSession

HIGHLIGHT = "measurement"


class MeasuredSentences(QObject):
    """Turns the selected measurement into a sentence, and follows either to the other.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    scans : ScanPicker
    tab : ReportTab
    bar : MeasureBar
    """

    def __init__(self, viewer: Viewer, scans: ScanPicker, tab: ReportTab, bar: MeasureBar) -> None:
        super().__init__(tab)
        # napari gives plugins a proxy, whose layers are different objects at each access.
        self._viewer = getattr(viewer, "__wrapped__", viewer)
        self._scans, self._tab, self._bar = scans, tab, bar
        self._measurements = bar.measurements
        self._background = Background(self)
        self._measuring = False
        self._selected: set[str] = set()
        self._changed: tuple[DocumentLine, Measurement] | None = None
        self.row: MeasurementRow = tab.measurement
        self.row.inserted.connect(self.insert)
        self.row.updated.connect(self.update)
        tab.measured.connect(self.show)
        tab.edited.connect(lambda _scan: self._refresh())
        bar.shown.connect(self._on_selected)
        bar.told.connect(tab.status_message)
        scans.chosen.connect(lambda _layer: self._on_scan())

    # -- from the measurement to its sentence

    def insert(self) -> None:
        """Put what is selected into the report: the active label layer, else ruler or region."""
        scan, layer = self._scans.scan, self._scans.layer
        if scan is None or layer is None:
            self._tab.status_message.emit(_(NO_SCAN))
        elif scan.journal == "reading" or self._measuring:
            return
        elif (labels := self._labels()) is not None:
            self._insert_outline(scan, layer, labels)
        else:
            found = self._measurements.selected()
            if found is None:
                self._tab.status_message.emit(_(NO_MEASUREMENT))
            else:
                self._put(scan, found)

    def _labels(self) -> Any:
        """Return the active label layer, None if another kind of layer is active."""
        from napari.layers import Labels

        active = self._viewer.layers.selection.active
        return active if isinstance(active, Labels) else None

    def _insert_outline(self, scan: ScanSession, layer: Any, labels: Any) -> None:
        try:
            check_grid(layer, labels)
        except ValueError as error:
            self._tab.status_message.emit(one_line(error))
            return
        label = int(labels.selected_label)
        self._measuring = True
        self._tab.status_message.emit(_(MEASURING_LABEL).format(name=labels.name))
        self._background.run(
            lambda: take_outline(layer, labels, label),
            returned=lambda found: self._put_outline(scan, found),
            errored=lambda error: self._tab.status_message.emit(one_line(error)),
            finished=self._on_measured,
        )

    def _on_measured(self) -> None:
        self._measuring = False

    def _put_outline(self, scan: ScanSession, found: Measurement) -> None:
        # The reader may have gone on to another scan meanwhile.
        if scan is self._scans.scan:
            self._put(scan, found)

    def _put(self, scan: ScanSession, found: Measurement) -> None:
        tab = self._tab
        line = self._line_of(set(found.keys))
        if line is not None and line.measurement is not None:
            # It has a sentence already: bring that one up to date.
            tab.editor.select_line(line)
            self._restate(line, found)
            return
        here = tab.editor.current_line()
        own, place = self.row.take()
        name = own or ("" if here is None else name_in(here.text))
        said = known_place(name, self._said(scan), found.side) if not place else ""
        text = tab.text_of(scan)
        number = text.add_measurement(found)
        cursor = tab.editor.textCursor()
        end = text.insert_line(cursor.position(), found.sentence(name, place or said), number)
        cursor.setPosition(end)
        tab.editor.setTextCursor(cursor)
        if not name:
            self._select_name()
            self._tab.status_message.emit(_(MEASURED_UNNAMED))
        elif said:
            self._tab.status_message.emit(_(MEASURED_PLACE).format(place=said))
        else:
            self._tab.status_message.emit(f"{scan.name}: {found.figures}")
        tab.editor.ensureCursorVisible()
        self._selected = set()
        self._on_selected()

    def _select_name(self) -> None:
        """Select the word that stands for what was measured, so that typing replaces it."""
        editor = self._tab.editor
        cursor = editor.textCursor()
        start, text = cursor.block().position(), cursor.block().text()
        cursor.setPosition(start)
        cursor.setPosition(start + text.index(","), QTextCursor.MoveMode.KeepAnchor)
        editor.setTextCursor(cursor)
        self._tab.bring_forward.emit()
        editor.setFocus(Qt.FocusReason.OtherFocusReason)

    def _said(self, scan: ScanSession) -> list[str]:
        """Return what the report and the model's answers say, without rejected sentences."""
        lines = self._tab.text_of(scan).document_lines()
        texts = [x.text for x in lines if x.state != "rejected" and x.measurement is None]
        for question, answer in scan.history.exchanges():
            # "In the right upper lobe." names no finding; the question does.
            asked = "" if name_in(answer) else name_in(question)
            texts.append(f"{asked}: {answer}" if asked else answer)
        return texts

    # -- from the sentence to its measurement

    def show(self, measurement: Measurement) -> None:
        """Go to a measurement and select it; shapes that were deleted are drawn again."""
        layer = self._scans.layer
        if layer is None:
            return
        if current_plane(self._viewer) != measurement.plane:
            set_plane(self._viewer, measurement.plane)
        go_to(self._viewer, layer, ScanPosition(measurement.slice, measurement.ras))
        if measurement.kind == "outline":
            show_outline(self._viewer, layer, measurement)
        else:
            self._measurements.show_again(measurement)

    # -- keeping both up to date

    def update(self) -> None:
        """Give the sentence the figures that its measurement has now."""
        if self._changed is not None:
            line, found = self._changed
            self._restate(line, found)

    def _restate(self, line: DocumentLine, found: Measurement) -> None:
        before = line.measurement
        if before is None or _same(before, found):
            return
        text = before.restated(line.text, found)
        document = self._tab.editor.text
        if text is None:
            figures = ", ".join(words for _part, words in before.stated())
            self._tab.status_message.emit(_(NOT_IN_SENTENCE).format(figures=figures))
        # The text is then compared with the new figures.
        document.restate(
            line.block, line.text if text is None else text, document.add_measurement(found)
        )
        self._refresh()

    def _line_of(self, keys: set[str]) -> DocumentLine | None:
        lines = self._tab.editor.text.document_lines() if keys else []
        return next((x for x in lines if x.measurement and keys & set(x.measurement.keys)), None)

    def _on_scan(self) -> None:
        self._selected, self._changed = set(), None
        self.row.clear()
        self._on_selected()

    def _on_selected(self) -> None:
        """Highlight the sentence of the selected measurement, and scroll to it."""
        keys = self._measurements.selected_keys
        labels, layer = self._labels(), self._measurements.layer
        self.row.setVisible(
            self._scans.scan is not None
            and (labels is not None or (layer is not None and len(layer.data) > 0))
        )
        if labels is not None and not is_foreign(labels, self._scans.volume):
            known = labels.metadata.get(OUTLINES_KEY, {})
            keys = {known[labels.selected_label]} if labels.selected_label in known else set()
        new, self._selected = keys != self._selected, keys
        line = self._refresh()
        if new and line is not None:
            self._tab.editor.show_block(line.block)

    def _refresh(self) -> DocumentLine | None:
        line = self._line_of(self._selected)
        self._tab.editor.underlay(HIGHLIGHT, None if line is None else line.block)
        self._changed = None
        if line is not None and line.measurement is not None:
            found = self._measurements.of_keys(line.measurement.keys)
            if found is not None and not _same(line.measurement, found):
                self._changed = line, found
        self.row.offer_update("" if self._changed is None else self._changed[1].figures)
        region = self._bar.region
        side = None if region is None else region.side
        self.row.offer_places([f"{side} lung"] if side in ("left", "right") else [])
        return line


def _same(one: Measurement, other: Measurement) -> bool:
    return one.figures == other.figures
