"""The panel in German: its texts and numbers, that they fit, and that files stay English."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractButton, QApplication, QLabel

from napari_ct_assistant.assistant.export import FORMATS, export_report
from napari_ct_assistant.assistant.export.errors import ExportError
from napari_ct_assistant.assistant.export.formats import format_of
from napari_ct_assistant.assistant.reading.results import FindingProbability
from napari_ct_assistant.assistant.reading.rewriting import prompt
from napari_ct_assistant.assistant.report.document import ReportDocument
from napari_ct_assistant.assistant.report.template import find_template
from napari_ct_assistant.backends.loading.options import NotEnoughMemoryError
from napari_ct_assistant.backends.scan_notes import OUTSIDE
from napari_ct_assistant.backends.slices.choice import SliceRange
from napari_ct_assistant.support.translation import VARIABLE, language, said, use_language
from napari_ct_assistant.viewer.chat.chips import Chips
from napari_ct_assistant.viewer.chat.suggestions import suggest
from napari_ct_assistant.viewer.report.export.dialog import ExportDialog
from napari_ct_assistant.viewer.scan.details import DetailsDialog
from napari_ct_assistant.viewer.scan.layers import add_volume
from napari_ct_assistant.viewer.session.background import one_line
from napari_ct_assistant.volume import CTReadError, open_ct
from tests.assistant.report.report_samples import sample_draft
from tests.viewer.conftest import box_volume
from tests.volume.samples import dataset, ramp, save

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from napari_ct_assistant.viewer.panel import CTAssistantPanel

WARNING = said(
    "slices of {thickness} mm lie {step} mm apart: what lies between them was not scanned",
    thickness="1.5",
    step="2.50",
)


@pytest.fixture(autouse=True)
def german(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(VARIABLE, "de")
    yield
    use_language("en")


@pytest.fixture
def panel(make_panel: Callable[..., CTAssistantPanel]) -> CTAssistantPanel:
    """Return a panel that shows a scan with a warning."""
    panel = make_panel()
    add_volume(panel.viewer, replace(box_volume(), warnings=(WARNING,)))
    panel.report_controller.flush()
    return panel


def test_texts_and_numbers_are_german(panel: CTAssistantPanel) -> None:
    assert language() == "de"
    assert panel.actions_row.draft_button.text() == "Befund entwerfen"
    assert panel.actions_row.draft_button.toolTip().endswith("(Strg+Umschalt+R)")
    tabs = panel.tabs
    assert [tabs.tabText(n) for n in range(tabs.count())] == ["Verlauf", "Befund", "Einzelbefunde"]
    assert "von" in panel.view_bar.slice_line.text()
    assert panel.view_bar.window_buttons["Lung"].text() == "Lunge"
    assert panel.findings.horizontalHeaderItem(3).text() == "Ohne Bild"
    assert panel.locale().decimalPoint() == ","


def test_a_ruler_has_the_decimal_comma_and_its_sentence_the_point(panel: CTAssistantPanel) -> None:
    measurements = panel.reading_bar.measure.measurements
    measurements.select_tool("select")
    layer = measurements.layer
    assert layer is not None
    layer.add([[3, 6, 6], [3, 6, 9]], shape_type="line")
    measurements.measure()
    assert list(layer.features["label"]) == ["7,5 mm"]
    # As the report writes it, which this is compared with.
    assert measurements.lengths == ("7.5 mm",)


def test_a_warning_is_german_and_its_file_english(panel: CTAssistantPanel) -> None:
    shown = panel.banner.label.text()
    assert shown.startswith("Schichten von 1,5 mm Dicke liegen 2,50 mm auseinander")
    volume = panel.scans.volume
    assert volume is not None
    assert volume.warnings == (WARNING,)
    assert WARNING.startswith("slices of 1.5 mm lie 2.50 mm apart")


def test_details_have_the_decimal_comma(panel: CTAssistantPanel, qtbot: QtBot) -> None:
    volume = panel.scans.volume
    assert volume is not None
    dialog = DetailsDialog(volume)
    qtbot.addWidget(dialog)
    assert dialog.values["Pixel spacing"].text() == "2,000 × 2,500 mm"
    assert dialog.values["Warnings"].text().startswith("Schichten von 1,5 mm")
    qtbot.waitUntil(lambda: "bis" in dialog.values["HU range"].text())


def test_no_button_is_narrower_than_its_text(panel: CTAssistantPanel) -> None:
    window = panel.window()
    window.resize(1366, 768)
    for tab in range(panel.tabs.count()):
        panel.tabs.setCurrentIndex(tab)
        QApplication.processEvents()
        cut = [
            button.text()
            for button in panel.findChildren(QAbstractButton)
            if button.isVisible()
            and button.icon().isNull()
            and button.objectName() != "chip"
            and button.width() < button.fontMetrics().horizontalAdvance(button.text())
        ]
        assert not cut, panel.tabs.tabText(tab)


def test_the_long_texts_of_the_export_are_whole(panel: CTAssistantPanel, qtbot: QtBot) -> None:
    warned = replace(sample_draft(), warnings=(f"{OUTSIDE}: " + "treat it as unreliable; " * 12,))
    report = ReportDocument.from_draft(warned, find_template())
    assert OUTSIDE in report.notice
    dialog = ExportDialog(report, panel.report_controller.tab)
    qtbot.addWidget(dialog)
    with qtbot.waitExposed(dialog):
        dialog.show()
    long = [label for label in dialog.findChildren(QLabel) if label.wordWrap()]
    assert len(long) == 3
    assert not [one.text() for one in long if one.height() < one.heightForWidth(one.width())]


def test_an_export_is_in_the_language_that_the_dialog_shows(
    panel: CTAssistantPanel, qtbot: QtBot, tmp_path: Path
) -> None:
    report = ReportDocument.from_draft(sample_draft(), find_template())
    dialog = ExportDialog(report, panel.report_controller.tab)
    qtbot.addWidget(dialog)
    assert (dialog.language.currentText(), dialog.words) == ("Deutsch", "de")
    dialog.study.comparison.setChecked(True)
    assert dialog.study.comparison_field.text() == "Keine"
    # What the dialog filled in is written in the language of the file.
    for words, expected in (("de", "Vergleich: Keine"), ("en", "Comparison: None")):
        dialog.language.setCurrentIndex(dialog.language.findData(words))
        file = tmp_path / f"{words}.txt"
        export_report(report, file, study=dialog.study.details, language=dialog.words)
        assert expected in file.read_text(encoding="utf-8")
    # Files for machines have no choice.
    for number, known in enumerate(FORMATS):
        dialog.format.setCurrentIndex(number)
        assert dialog.language.isEnabled() == known.worded


def test_findings_and_questions_are_german_and_the_model_is_asked_in_english(
    panel: CTAssistantPanel, qtbot: QtBot
) -> None:
    table = panel.findings
    table.show_findings([FindingProbability("Pleural effusion", 0.7, baseline=0.1)])
    name = table.item(0, 0)
    assert name.text() == "Pleuraerguss"
    assert name.toolTip().startswith("Pleuraerguss\nPleural effusion")
    table.selectRow(0)
    with qtbot.waitSignal(table.asked) as asked:
        qtbot.keyClick(table, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    assert asked.args == ["Pleural effusion"]
    chips = Chips()
    qtbot.addWidget(chips)
    chips.show()
    chips.offer(suggest("There is a pleural effusion."))
    assert [chip.text() for chip in chips.buttons[:2]] == [
        "Pleuraerguss: wo?",
        "Pleuraerguss: wie groß?",
    ]
    assert "Where is the pleural effusion?" in chips.buttons[0].toolTip()
    with qtbot.waitSignal(chips.chosen) as chosen:
        qtbot.mouseClick(chips.buttons[0], Qt.MouseButton.LeftButton)
    assert chosen.args == ["Where is the pleural effusion?"]


def test_errors_are_german_and_files_keep_them_in_english(tmp_path: Path) -> None:
    use_language("de")
    (tmp_path / "empty").mkdir()
    (tmp_path / "page.nii").write_bytes(b"<html>not found</html>")
    for k in range(2):
        pixels = ramp(k)
        save(tmp_path / "two" / f"{k}.dcm", dataset(pixels, Modality="MR"), pixels)
    for name, english, german in (
        ("absent.nii", "does not exist; check the path", "existiert nicht; prüfen Sie den Pfad"),
        (
            "empty",
            "an empty folder; give a folder of CT slices or a NIfTI file",
            "ein leerer Ordner; geben Sie einen Ordner mit CT-Schichten oder eine NIfTI-Datei an",
        ),
        (
            "page.nii",
            "an HTML page, perhaps a failed download; download the scan again",
            "eine HTML-Seite, vielleicht ein misslungener Download; laden Sie",
        ),
        (
            "two",
            "no CT volume here, only 2 x an image of modality MR, not CT",
            "hier ist kein CT-Volumen, nur 2 x ein Bild der Modalität MR, kein CT",
        ),
    ):
        with pytest.raises(CTReadError) as caught:
            open_ct(tmp_path / name)
        assert str(caught.value).startswith(f"{name}: {english}")
        assert one_line(caught.value).startswith(f"{name}: {german}")
        copied = pickle.loads(pickle.dumps(caught.value))
        assert one_line(copied) == one_line(caught.value)
    with pytest.raises(ExportError) as refused:
        format_of(tmp_path / "report.xyz")
    assert "unknown format" in str(refused.value)
    assert one_line(refused.value).startswith("report.xyz: unbekanntes Format")


def test_refusals_within_the_panel_are_german(panel: CTAssistantPanel) -> None:
    with pytest.raises(ValueError, match="give first and last image") as slices:
        SliceRange.parse("much", None)
    assert one_line(slices.value).startswith("die Schichten sind 'much'; geben Sie")
    with pytest.raises(ValueError, match="no findings to summarise") as empty:
        prompt("impression", "")
    assert one_line(empty.value) == "der Befund enthält noch nichts zum Zusammenfassen"
    needs = NotEnoughMemoryError(
        said(
            "{name}: does not fit in the memory of {type}; close other programs",
            name="m",
            type="cpu",
        )
    )
    panel.models.problem.show_error(needs, one_line(needs))
    assert panel.models.problem.text.text().startswith("m: passt nicht in den Speicher von cpu")
