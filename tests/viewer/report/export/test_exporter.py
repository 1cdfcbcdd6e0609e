"""What the panel says after an export, and the button that opens the file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from qtpy.QtCore import QObject, Qt, QUrl, Slot
from qtpy.QtGui import QDesktopServices

from napari_ct_assistant.assistant.export import StudyDetails
from napari_ct_assistant.viewer.report.export.exporter import Exporter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytestqt.qtbot import QtBot

    from napari_ct_assistant.viewer.report.tab import ReportTab

LEFT = Qt.MouseButton.LeftButton


class Desktop(QObject):
    """Takes the files that Qt would give to the desktop's programs."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[str] = []

    @Slot(QUrl)
    def open(self, url: QUrl) -> None:
        self.opened.append(url.toLocalFile())


@pytest.fixture
def desktop() -> Iterator[Desktop]:
    made = Desktop()
    QDesktopServices.setUrlHandler("file", made.open)
    yield made
    QDesktopServices.unsetUrlHandler("file")


def test_it_says_what_was_exported_and_opens_it(
    drafted_tab: ReportTab, qtbot: QtBot, tmp_path: Path, desktop: Desktop
) -> None:
    exporter = Exporter(drafted_tab, drafted_tab)
    said: list[str] = []
    exporter.status_message.connect(said.append)
    assert drafted_tab.scan is not None
    report, ct = drafted_tab.editor.text.report(), drafted_tab.scan.volume
    row, path = exporter.row, tmp_path / "mine & <b>yours.txt"
    assert not row.isVisible()
    exporter.export(report, ct, path, study=StudyDetails("2001-02-03"))
    qtbot.waitUntil(lambda: not exporter.busy, timeout=60_000)
    assert row.isVisible()
    assert row.label.text() == f"Exported {path.name}"
    # It is where the reader looks: right below the report's buttons.
    assert row.y() >= drafted_tab.tools.geometry().bottom()
    assert row.geometry().bottom() <= drafted_tab.pages.y()
    assert "Study date: 2001-02-03" in path.read_text()
    qtbot.mouseClick(row.open_button, LEFT)
    assert desktop.opened == [str(path)]
    path.unlink()
    qtbot.mouseClick(row.open_button, LEFT)
    assert desktop.opened == [str(path)]
    assert said[-1] == f"{path.name} is no longer there"

    exporter.export(report, ct, tmp_path / "none" / "a.txt")
    qtbot.waitUntil(lambda: not exporter.busy, timeout=60_000)
    assert row.label.text().startswith("Not exported: a.txt: its folder does not exist")
    assert not row.open_button.isVisible()
    qtbot.mouseClick(row.close_button, LEFT)
    assert not row.isVisible()
    assert row.file is None


def test_another_scan_does_not_show_it(
    drafted_tab: ReportTab, qtbot: QtBot, tmp_path: Path
) -> None:
    exporter = Exporter(drafted_tab, drafted_tab)
    scan = drafted_tab.scan
    assert scan is not None
    exporter.export(drafted_tab.editor.text.report(), scan.volume, tmp_path / "a.txt")
    drafted_tab.show_scan(None)
    exporter.show_scan()
    qtbot.waitUntil(lambda: not exporter.busy, timeout=60_000)
    assert (tmp_path / "a.txt").exists()
    assert not exporter.row.isVisibleTo(drafted_tab)
