"""The export dialog knows the open scan: its folder, its date, its region."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pydicom
import pytest
from qtpy.QtCore import QSettings

from napari_ct_assistant.viewer.report.export.dialog import ExportDialog
from napari_ct_assistant.viewer.report.export.study_fields import dicom_folder
from napari_ct_assistant.viewer.session.background import calls_running
from napari_ct_assistant.viewer.session.scan_session import ScanSession
from napari_ct_assistant.volume import open_ct

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytestqt.qtbot import QtBot

    from napari_ct_assistant.viewer.panel import CTAssistantPanel
    from napari_ct_assistant.viewer.report.tab import ReportTab


@pytest.fixture
def opened(shared_data: Path, tmp_path: Path) -> ScanSession:
    """Return the session of 12 slices of a real chest CT, opened from a folder."""
    folder = tmp_path / "series"
    folder.mkdir()

    def height(path: Path) -> float:
        header = pydicom.dcmread(path, specific_tags=["ImagePositionPatient"])
        return float(header.ImagePositionPatient[2])

    for path in sorted((shared_data / "chest_lidc_0314").glob("*.dcm"), key=height)[100:112]:
        shutil.copy(path, folder)
    session = ScanSession(open_ct(folder))
    session.files = folder
    return session


def test_all_are_off_at_first_and_filled_from_the_open_scan(
    drafted_tab: ReportTab, qtbot: QtBot, opened: ScanSession
) -> None:
    report = drafted_tab.editor.text.report()
    dialog = ExportDialog(report, drafted_tab, opened)
    qtbot.addWidget(dialog)
    study = dialog.study
    assert [switch.isChecked() for switch, _ in study.rows] == [False] * 3
    assert study.details.rows() == []
    assert dialog.folder.text() == str(opened.files)
    header = pydicom.dcmread(next(opened.files.glob("*.dcm")), stop_before_pixels=True)
    day = f"{header.StudyDate[:4]}-{header.StudyDate[4:6]}-{header.StudyDate[6:]}"
    study.date.setChecked(True)
    assert not dialog.save_button.isEnabled()
    qtbot.waitUntil(lambda: study.date_field.text() == day, timeout=60_000)
    study.region.setChecked(True)
    qtbot.waitUntil(lambda: study.region_field.text() == "Chest", timeout=60_000)
    study.comparison.setChecked(True)
    assert study.comparison_field.text() == "None"
    assert dialog.save_button.isEnabled()
    qtbot.keyClicks(study.comparison_field, "CT of May")
    rows = [("Study date", day), ("Region", "Chest"), ("Comparison", "CT of May")]
    assert study.details.rows() == rows
    study.date.setChecked(False)
    assert study.details.rows() == rows[1:]
    qtbot.waitUntil(lambda: calls_running() == 0)
    # Nothing is kept: not by the report, the scan, the settings, or the next dialog.
    kept = f"{drafted_tab.editor.text.report().to_json()} {opened}"
    assert day not in kept
    assert header.StudyDate not in kept
    assert str(opened.files) not in kept
    settings = QSettings()
    assert day not in str([settings.value(key) for key in settings.allKeys()])
    again = ExportDialog(report, drafted_tab, opened)
    qtbot.addWidget(again)
    assert [field.text() for _, field in again.study.rows] == [""] * 3


def test_what_was_typed_is_not_replaced(
    drafted_tab: ReportTab, qtbot: QtBot, opened: ScanSession
) -> None:
    opened.region_read = "abdomen"
    dialog = ExportDialog(drafted_tab.editor.text.report(), drafted_tab, opened)
    qtbot.addWidget(dialog)
    dialog.study.date.setChecked(True)
    qtbot.keyClicks(dialog.study.date_field, "2001-02-03")
    dialog.study.region.setChecked(True)
    assert dialog.study.region_field.text() == "Abdomen"
    qtbot.waitUntil(lambda: calls_running() == 0, timeout=60_000)
    assert dialog.study.date_field.text() == "2001-02-03"


def test_another_patients_files_give_no_date(
    drafted_tab: ReportTab, qtbot: QtBot, opened: ScanSession, shared_data: Path
) -> None:
    opened.files = shared_data / "head_ge_tilted"
    dialog = ExportDialog(drafted_tab.editor.text.report(), drafted_tab, opened)
    qtbot.addWidget(dialog)
    dialog.study.date.setChecked(True)
    qtbot.waitUntil(lambda: calls_running() == 0, timeout=60_000)
    assert dialog.study.date_field.text() == ""
    assert not dialog.save_button.isEnabled()
    qtbot.keyClicks(dialog.study.date_field, "2001-02-03")
    assert dialog.save_button.isEnabled()


def test_a_scan_keeps_where_it_was_opened_from(
    make_panel: Callable[..., CTAssistantPanel], qtbot: QtBot, opened: ScanSession
) -> None:
    folder = opened.files
    panel = make_panel()
    panel.scans.open(folder)
    qtbot.waitUntil(lambda: panel.scans.scan is not None, timeout=60_000)
    assert panel.scans.scan.files == folder
    viewer = panel.scans._viewer
    viewer.layers.clear()
    viewer.open(str(folder), plugin="napari-ct-assistant")
    assert panel.scans.scan.files == folder


def test_the_folder_is_that_of_dicom_files_only(scan: ScanSession, tmp_path: Path) -> None:
    assert dicom_folder(scan) is None
    for name in ("a.nii.gz", "b.mha", "c.zip"):
        scan.files = tmp_path / name
        assert dicom_folder(scan) is None, name
    for path in (tmp_path, tmp_path / "IM0001"):
        scan.files = path
        assert dicom_folder(scan) == tmp_path
    scan.release()
    assert scan.files is None
