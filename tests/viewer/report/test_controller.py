"""The report in the docked panel: from the model into the tab, into the journal, and back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_ct_assistant.assistant.journal.store import FILE, Journal
from napari_ct_assistant.viewer.scan.layers import add_volume, world_to_index
from napari_ct_assistant.volume import CTVolume

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from napari_ct_assistant.viewer.panel import CTAssistantPanel

Maker = Callable[..., "CTAssistantPanel"]
LEFT = Qt.MouseButton.LeftButton
MODEL_SECONDS = 60_000


def ready(panel: CTAssistantPanel, qtbot: QtBot) -> None:
    """Wait until it is known what was kept of the scan."""
    qtbot.waitUntil(lambda: not panel.report_controller.tab.editor.isReadOnly(), timeout=20_000)


def copy_of(ct: CTVolume) -> CTVolume:
    """Return the same scan, opened a second time."""
    return CTVolume(ct.hu.copy(), ct.affine, ct.series)


@pytest.fixture
def drafted(make_panel: Maker, ct: CTVolume, tiny_model_folder: Path, qtbot: QtBot) -> Maker:
    """Return a panel whose tab holds the tiny model's draft."""
    panel = make_panel()
    add_volume(panel.viewer, ct)
    panel.models.set_model(str(tiny_model_folder))
    ready(panel, qtbot)
    qtbot.mouseClick(panel.actions_row.draft_button, LEFT)
    qtbot.waitUntil(lambda: not panel.conversation.jobs.busy, timeout=MODEL_SECONDS)
    return panel  # type: ignore[return-value]


def test_a_draft_is_reviewed_journalled_and_restored(
    drafted: CTAssistantPanel, make_panel: Maker, ct: CTVolume, qtbot: QtBot, data_home: Path
) -> None:
    panel = drafted
    tab = panel.report_controller.tab
    report = tab.editor.text.report()
    assert "The heart is enlarged." in report.text
    assert report.unreviewed == 3
    qtbot.waitUntil(
        lambda: len(tab.editor.text.report().drafts[0].model["weights_sha256"]) == 64,
        timeout=20_000,
    )
    # A slice link of the report moves the viewer.
    line = next(
        line
        for line in tab.editor.text.document_lines()
        if line.sentence and line.sentence.slice is not None
    )
    tab.editor.select_line(line)
    tab.editor.follow()
    assert line.sentence is not None
    assert line.sentence.ras is not None
    shown = world_to_index(panel.scans.layer, panel.viewer.dims.point[-3:])
    # The viewer stays within the scan where the evidence lies beside it.
    wanted = np.clip(ct.ras_to_index(line.sentence.ras), 0, np.array(ct.shape) - 1)
    assert shown[0] == pytest.approx(wanted[0], abs=1)

    tab.editor.next_unreviewed()
    tab.editor.accept()
    qtbot.keyClicks(tab.editor, " Mine.")
    qtbot.keyClicks(panel.ask_row.box, "half a ques")
    assert panel.report_controller.keeper is not None
    panel.report_controller.flush()
    on_disk = (data_home / FILE).read_bytes() + (data_home / (FILE + "-wal")).read_bytes()
    assert b"Mine." in on_disk
    # The name of the scan may be that of a person; it is on screen only.
    shown_name = panel.scans.layer.name
    assert any(shown_name in message.title for message in panel.transcript.messages)
    page = Journal(data_home / FILE).load(ct.fingerprint)
    assert page is not None
    titles = [message["title"] for message in page.body["transcript"]]
    assert "Report" in titles
    assert not any(shown_name in title for title in titles)

    # As after a crash: another panel, the same scan opened anew.
    again = make_panel()
    add_volume(again.viewer, copy_of(ct))
    ready(again, qtbot)
    restored = again.report_controller.tab.editor.text.report()
    assert restored == tab.editor.text.report()
    assert again.ask_row.box.toPlainText() == "half a ques"
    texts = [message.plain_text() for message in again.transcript.messages]
    assert any("The heart is enlarged." in text for text in texts)
    assert "Restored from the journal" in texts[-1]

    # One button deletes it.
    panel.report_controller.keeper.delete(None)
    panel.report_controller.keeper.writer.flush()
    assert Journal(data_home / FILE).pages() == []
    assert b"Mine." not in (data_home / FILE).read_bytes()


def test_a_scan_closed_and_opened_again_goes_on(
    drafted: CTAssistantPanel, ct: CTVolume, qtbot: QtBot
) -> None:
    panel = drafted
    panel.report_controller.tab.editor.next_unreviewed()
    qtbot.keyClicks(panel.report_controller.tab.editor, " Mine.")
    messages = len(panel.transcript.messages)
    panel.viewer.layers.clear()
    assert not panel.report_controller.tab.isEnabled()
    again = copy_of(ct)
    add_volume(panel.viewer, again)
    ready(panel, qtbot)
    assert "Mine." in panel.report_controller.tab.editor.text.report().text
    assert len(panel.transcript.messages) == messages
    assert any(
        message.scan is not None and message.scan.volume is again
        for message in panel.transcript.messages
    )


def test_shorten_asks_the_model_off_the_qt_thread(drafted: CTAssistantPanel, qtbot: QtBot) -> None:
    panel = drafted
    tab = panel.report_controller.tab
    before = len(panel.transcript.messages)
    panel.tabs.setCurrentWidget(tab)
    tab.editor.next_unreviewed()
    tab.sentence.shorten_button.click()
    assert panel.conversation.jobs.busy
    assert panel.tabs.currentWidget() is tab
    qtbot.waitUntil(lambda: not panel.conversation.jobs.busy, timeout=MODEL_SECONDS)
    assert tab.passage.isVisibleTo(tab)
    assert "tiny-model was not trained to shorten text" in tab.passage.doubts.text()
    assert len(panel.transcript.messages) == before
    assert panel.ask_row.box.toPlainText() == ""


def test_no_journal_where_it_is_off(
    make_panel: Maker, ct: CTVolume, qtbot: QtBot, data_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_ct_assistant.viewer import panel as module
    from napari_ct_assistant.viewer.preferences import Preferences

    monkeypatch.setattr(module, "load_preferences", lambda: Preferences(journal=False))
    panel = make_panel()
    add_volume(panel.viewer, ct)
    qtbot.keyClicks(panel.report_controller.tab.editor, "typed")
    panel.report_controller.flush()
    assert panel.report_controller.keeper is None
    assert not panel.report_controller.tab.tools.forget_button.isVisibleTo(
        panel.report_controller.tab
    )
    assert not data_home.exists()


def test_the_report_in_a_window_of_its_own(make_panel: Maker, ct: CTVolume, qtbot: QtBot) -> None:
    panel = make_panel()
    add_volume(panel.viewer, ct)
    ready(panel, qtbot)
    tab = panel.report_controller.tab
    qtbot.keyClicks(tab.editor, "typed ")
    tab.tools.window_button.click()
    assert tab.isWindow()
    assert tab.isVisible()
    assert panel.tabs.indexOf(tab) == -1
    assert "typed" in tab.editor.toPlainText()
    tab.close()
    assert not tab.isWindow()
    assert panel.tabs.indexOf(tab) == 1
    assert panel.tabs.tabText(1) == "Report"
    tab.editor.undo()
    assert "typed" not in tab.editor.toPlainText()
