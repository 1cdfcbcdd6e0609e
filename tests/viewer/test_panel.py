"""The panel as a person meets it: the real worker, a real (tiny) model, real clicks."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from napari.utils import progress
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QDockWidget

from napari_ct_assistant.viewer.chat.links import ScanPosition
from napari_ct_assistant.viewer.scan.layers import add_volume, world_to_index
from napari_ct_assistant.viewer.session.background import calls_running
from napari_ct_assistant.viewer.texts import BUSY, DEMO_NOTICE, NO_SCAN, REAL_NOTICE
from napari_ct_assistant.volume import CTVolume, write_nifti
from tests.tiny_model import NOTICE, save_tiny_model
from tests.viewer.conftest import box_volume
from tests.viewer.event_loop import EventLoopMonitor

if TYPE_CHECKING:
    from pathlib import Path

    from pytestqt.qtbot import QtBot

    from napari_ct_assistant.viewer.panel import CTAssistantPanel

Maker = Callable[..., "CTAssistantPanel"]
LEFT = Qt.MouseButton.LeftButton
MODEL_SECONDS = 60_000  # the first import of torch on a busy machine


@pytest.fixture
def panel(make_panel: Maker, ct: CTVolume, tiny_model_folder: Path) -> CTAssistantPanel:
    """Return a panel with a scan and the tiny model chosen."""
    panel = make_panel()
    add_volume(panel.viewer, ct)
    panel.models.set_model(str(tiny_model_folder))
    return panel


def wait_idle(panel: CTAssistantPanel, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: not panel.conversation.jobs.busy, timeout=MODEL_SECONDS)


def last_text(panel: CTAssistantPanel) -> str:
    return panel.transcript.messages[-1].plain_text()


def problems() -> list[str]:
    return [record.message for record in notification_manager.records]


def test_draft_then_question_on_one_encoding(panel: CTAssistantPanel, qtbot: QtBot) -> None:
    streamed: list[str] = []
    stages: list[str] = []
    panel.conversation.jobs.text.connect(streamed.append)
    panel.conversation.stage.connect(stages.append)
    qtbot.mouseClick(panel.actions_row.draft_button, LEFT)
    assert panel.actions_row.stop_button.isEnabled()
    assert not panel.actions_row.draft_button.isEnabled()
    wait_idle(panel, qtbot)
    assert len(streamed) >= 1
    first_line = last_text(panel).splitlines()[1]
    assert first_line.partition("  ")[0] in "".join(streamed)
    assert panel.transcript.messages[-1].title == "Report  ·  Chest"
    assert any("Loading" in stage for stage in stages)
    assert any("Encoding" in stage for stage in stages)
    assert "tokens/s" in panel.status.label.text()
    assert "cpu" in panel.status.label.text()
    assert panel.models.notice.text() == NOTICE
    qtbot.mouseClick(panel.transcript_row.copy_button, LEFT)
    copied = QGuiApplication.clipboard().text()
    assert first_line.partition("  ")[0] in copied
    assert copied.endswith(f"[{NOTICE}]")

    stages.clear()
    qtbot.keyClicks(panel.ask_row.box, "Is the heart enlarged?")
    qtbot.keyClick(panel.ask_row.box, Qt.Key.Key_Return)
    assert panel.ask_row.box.toPlainText() == ""
    wait_idle(panel, qtbot)
    assert not any("Loading" in stage or "Encoding" in stage for stage in stages)
    question, answer = panel.transcript.messages[-2:]
    assert (question.speaker, question.plain_text()) == ("you", "Is the heart enlarged?")
    assert (answer.speaker, bool(answer.plain_text())) == ("model", True)


def test_findings_table_is_filled_and_asks(panel: CTAssistantPanel, qtbot: QtBot) -> None:
    qtbot.mouseClick(panel.actions_row.findings_button, LEFT)
    wait_idle(panel, qtbot)
    table = panel.findings
    assert table.rowCount() == 18
    assert table.item(12, 0).text() == "Pleural effusion"
    assert table.item(12, 1).text().endswith("%")
    table.doubleClicked.emit(table.model().index(12, 0))
    wait_idle(panel, qtbot)
    texts = [message.plain_text() for message in panel.transcript.messages]
    assert "Does this image show signs of pleural effusion?" in texts


class SlowModel:
    """The tiny model, really loaded, with a delay at each pass, which are counted in `passes`."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.passes = 0

    def __call__(self, model: str, *, device: str | None = None) -> Any:
        from napari_ct_assistant.assistant import load_assistant

        assistant = load_assistant(model, device=device)
        assistant.settings = type(assistant.settings)()
        assistant.processor.max_new_tokens = 400

        def hold_up(*_: Any) -> None:
            self.passes += 1
            time.sleep(self.seconds)

        # Every way to decode calls the head once a pass.
        assistant.model.language_model.lm_head.register_forward_pre_hook(hold_up)
        return assistant


@pytest.fixture
def slow_model() -> SlowModel:
    return SlowModel(0.02)


@pytest.fixture
def slow_panel(
    make_panel: Maker, ct: CTVolume, tiny_model_folder: Path, slow_model: SlowModel
) -> CTAssistantPanel:
    panel = make_panel(slow_model)
    add_volume(panel.viewer, ct)
    panel.models.set_model(str(tiny_model_folder))
    return panel


def test_stop_keeps_what_was_written(
    slow_panel: CTAssistantPanel, slow_model: SlowModel, qtbot: QtBot
) -> None:
    panel = slow_panel
    qtbot.mouseClick(panel.actions_row.draft_button, LEFT)
    with qtbot.waitSignal(panel.conversation.jobs.text, timeout=MODEL_SECONDS):
        pass
    qtbot.keyClicks(panel.ask_row.box, "And the lungs?")
    qtbot.keyClick(panel.ask_row.box, Qt.Key.Key_Return)
    assert panel.status.label.text().startswith(BUSY)  # seconds may follow
    assert panel.ask_row.box.toPlainText() == "And the lungs?"

    passes = slow_model.passes
    assert passes > 0
    qtbot.mouseClick(panel.actions_row.stop_button, LEFT)
    wait_idle(panel, qtbot)
    print(f"stopped after {slow_model.passes - passes} passes")
    assert slow_model.passes - passes < 20  # of the 400 that a whole draft would take
    said = "INCOMPLETE: this text was stopped before its end; findings may be missing."
    assert last_text(panel).startswith(said)
    assert len(last_text(panel)) > len(said)
    assert panel.ask_row.box.toPlainText() == "And the lungs?"
    assert panel.actions_row.draft_button.isEnabled()


def test_closing_the_scan_stops_its_job(
    slow_panel: CTAssistantPanel, ct: CTVolume, qtbot: QtBot
) -> None:
    panel = slow_panel
    qtbot.mouseClick(panel.actions_row.draft_button, LEFT)
    with qtbot.waitSignal(panel.conversation.jobs.text, timeout=MODEL_SECONDS):
        pass
    panel.viewer.layers.clear()
    wait_idle(panel, qtbot)
    assert panel.scans.layer is None
    assert not panel.actions_row.draft_button.isEnabled()
    assert not panel.conversation.jobs.session.has_read(ct)
    written = last_text(panel)
    assert written.startswith("INCOMPLETE")
    panel.draft_report()
    assert panel.status.label.text() == NO_SCAN
    # The journal has what was written until the end, and the scan finds it when opened again.
    keeper = panel.report_controller.keeper
    assert keeper is not None
    keeper.flush()
    page = keeper.writer.journal.load(ct.fingerprint)
    assert page is not None
    assert page.body["transcript"][-1]["complete"]
    assert page.body["transcript"][-1]["text"].startswith("**INCOMPLETE")
    assert written not in panel.transcript.plain_text()
    add_volume(panel.viewer, ct)
    qtbot.waitUntil(lambda: written in panel.transcript.plain_text(), timeout=20_000)


def test_a_draft_goes_on_when_the_panel_is_closed_or_another_model_is_chosen(
    slow_panel: CTAssistantPanel, qtbot: QtBot
) -> None:
    panel = slow_panel
    qtbot.mouseClick(panel.actions_row.draft_button, LEFT)
    with qtbot.waitSignal(panel.conversation.jobs.text, timeout=MODEL_SECONDS):
        pass
    panel.models.set_model("demo")
    panel.models.load_or_unload()  # does nothing while a model writes
    window = panel.viewer.window
    window.remove_dock_widget(window._qt_window.findChild(QDockWidget, "CT Assistant"))
    assert panel.parent() is None
    panel.transcript.clear()
    wait_idle(panel, qtbot)
    window.add_dock_widget(panel, name="CT Assistant")
    assert panel.transcript.messages[-1].title == "Report  ·  Chest"
    assert last_text(panel).startswith("Findings\n")


def test_event_loop_never_stalls_while_a_report_streams(
    slow_panel: CTAssistantPanel, qtbot: QtBot
) -> None:
    panel = slow_panel
    qtbot.mouseClick(panel.actions_row.draft_button, LEFT)
    with qtbot.waitSignal(panel.conversation.jobs.text, timeout=MODEL_SECONDS):
        pass
    with EventLoopMonitor() as monitor:
        wait_idle(panel, qtbot)
    print(monitor.summary("event loop while a report streams"))
    assert len(monitor.work) > 100
    assert monitor.work_percentile(99) < 50


def test_closing_the_window_stops_the_model(
    slow_panel: CTAssistantPanel, slow_model: SlowModel, qtbot: QtBot
) -> None:
    panel = slow_panel
    jobs = panel.conversation.jobs
    qtbot.mouseClick(panel.actions_row.draft_button, LEFT)
    with qtbot.waitSignal(jobs.text, timeout=MODEL_SECONDS):
        pass
    job = jobs.job
    assert job is not None
    assert not job.cancel.is_set()
    panel.viewer.close()
    qtbot.waitUntil(job.cancel.is_set)
    passes = slow_model.passes
    qtbot.waitUntil(lambda: calls_running() == 0, timeout=MODEL_SECONDS)
    assert slow_model.passes - passes < 20


def test_closing_the_dock_keeps_what_was_written(
    make_napari_viewer: Maker, ct: CTVolume, qtbot: QtBot
) -> None:
    viewer = make_napari_viewer()
    dock, panel = viewer.window.add_plugin_dock_widget("napari-ct-assistant", "CT Assistant")
    layer = add_volume(viewer, ct)
    panel.transcript.add("model", "demo", "An answer.")
    panel.ask_row.box.setPlainText("half a question")
    viewer.window.remove_dock_widget(dock)
    assert "ct_left" not in viewer.canvas.overlays
    viewer.layers.remove(layer)
    add_volume(viewer, ct)
    _, again = viewer.window.add_plugin_dock_widget("napari-ct-assistant", "CT Assistant")
    assert again is panel
    assert "An answer." in again.transcript.plain_text()
    assert again.ask_row.box.toPlainText() == "half a question"
    assert again.scans.volume is ct
    assert viewer.canvas.overlays["ct_left"].visible


def test_a_slice_link_moves_the_viewer(panel: CTAssistantPanel, qtbot: QtBot) -> None:
    viewer, layer = panel.viewer, panel.scans.layer
    volume = panel.scans.volume
    assert volume is not None
    panel.view_bar.show_plane("coronal")
    message = panel.transcript.add("model", "m", "text", scan=panel.scans.scan)
    panel.transcript.linkClicked.emit(message, ScanPosition(7).href)
    assert viewer.dims.order == (0, 1, 2)
    assert world_to_index(layer, viewer.dims.point)[0] == pytest.approx(7)

    panel.view_bar.show_plane("sagittal")
    ras = tuple(volume.index_to_ras((15, 10, 30)))
    panel.transcript.linkClicked.emit(message, ScanPosition(15, ras).href)
    assert viewer.dims.order == (2, 0, 1)
    np.testing.assert_allclose(world_to_index(layer, viewer.dims.point), (15, 10, 30), atol=0.05)

    viewer.layers.clear()
    panel.transcript.linkClicked.emit(message, ScanPosition(7).href)
    assert "no longer open" in panel.status.label.text()


@pytest.mark.parametrize(
    ("name", "contents"),
    [("broken.nii.gz", b"not gzip"), ("truncated.dcm", b"\0" * 128 + b"DICM\x02\0")],
)
def test_bad_file_is_one_line_and_a_notification(
    panel: CTAssistantPanel, qtbot: QtBot, tmp_path: Path, name: str, contents: bytes
) -> None:
    path = tmp_path / name
    path.write_bytes(contents)
    panel.ask_row.box.setPlainText("half a question")
    kept = panel.transcript.add("model", "demo", "An earlier answer.")
    with qtbot.waitSignal(panel.scans.failed, timeout=20_000) as failed:
        panel.scans.open(path)
    qtbot.waitUntil(lambda: not panel.scans.busy)
    (line,) = failed.args
    assert name in line
    assert "\n" not in line
    assert line in problems()
    assert line in last_text(panel)
    assert kept.plain_text() == "An earlier answer."
    assert panel.ask_row.box.toPlainText() == "half a question"
    assert len(panel.viewer.layers) == 1


def test_a_wrong_model_path_turns_everything_off_until_it_is_corrected(
    panel: CTAssistantPanel, qtbot: QtBot, tmp_path: Path
) -> None:
    qtbot.keyClicks(panel.ask_row.box, "Is it there?")
    path = tmp_path / "model"
    panel.models.set_model(str(path))
    assert panel.models.notice.text() == REAL_NOTICE
    actions = panel.actions_row
    said = "There is no model model on this machine. Correct its path in the box"
    for button in (actions.draft_button, actions.findings_button):
        assert not button.isEnabled()
        assert button.toolTip().startswith(said)
    assert not panel.models.problem.isHidden()
    assert panel.models.problem.text.text().startswith(said)
    assert panel.ask_row.ask_button.isHidden()
    assert panel.ask_row.why.text().startswith(said)
    for attempt in (panel.draft_report, panel.screen, lambda: panel.ask("And?")):
        panel.status.show_text("Ready")
        attempt()
        assert panel.status.label.text().startswith(said)
        assert not panel.conversation.jobs.busy
    # The folder comes, for example on a disk that is connected now.
    save_tiny_model(path, learned=False)
    panel.models.problem.retry_button.click()
    assert panel.models.problem.isHidden()
    assert actions.draft_button.isEnabled()
    assert actions.findings_button.isEnabled()
    assert panel.ask_row.box.toPlainText() == "Is it there?"
    qtbot.waitUntil(lambda: not panel.models.busy, timeout=60_000)
    panel.models.set_model(str(path / "nothing"))
    assert not actions.draft_button.isEnabled()
    panel.models.set_model("demo")
    assert actions.draft_button.isEnabled()


def test_a_model_that_cannot_be_loaded_gives_the_question_back_and_is_off(
    panel: CTAssistantPanel, qtbot: QtBot, tmp_path: Path
) -> None:
    folder = save_tiny_model(tmp_path / "broken", learned=False)
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-100])
    panel.models.set_model(str(folder))
    assert panel.actions_row.draft_button.isEnabled()
    qtbot.keyClicks(panel.ask_row.box, "Is it there?")
    qtbot.mouseClick(panel.ask_row.ask_button, LEFT)
    wait_idle(panel, qtbot)
    assert "is damaged" in last_text(panel)
    assert any("is damaged" in text for text in problems())
    texts = [message.plain_text() for message in panel.transcript.messages]
    assert "Is it there?" in texts
    assert not panel.actions_row.draft_button.isEnabled()
    assert not panel.actions_row.findings_button.isEnabled()
    assert panel.actions_row.draft_button.toolTip().startswith("broken cannot be loaded. Choose")
    said = panel.models.problem.text.text()
    assert "is damaged" in said
    assert said.endswith("Choose another model from the list, or mend this one and try again.")
    weights.write_bytes(whole)
    panel.models.problem.retry_button.click()
    qtbot.waitUntil(lambda: panel.models.is_loaded and not panel.models.busy, timeout=60_000)
    assert panel.models.problem.isHidden()
    assert panel.actions_row.draft_button.isEnabled()
    assert panel.ask_row.box.toPlainText() == "Is it there?"


def test_open_reads_off_the_qt_thread_and_shows_the_scan(
    make_panel: Maker, ct: CTVolume, qtbot: QtBot, tmp_path: Path
) -> None:
    path = tmp_path / "scan.nii.gz"
    write_nifti(ct, path)
    panel = make_panel()
    assert panel.models.notice.text() == DEMO_NOTICE
    with qtbot.waitSignal(panel.scans.opened, timeout=20_000):
        panel.scans.open(path)
    qtbot.waitUntil(lambda: not panel.scans.busy)
    volume = panel.scans.volume
    assert volume is not None
    np.testing.assert_array_equal(volume.hu, ct.hu)
    assert panel.view_bar.plane_buttons["axial"].isChecked()
    assert panel.view_bar.window_buttons["Soft tissue"].isChecked()
    assert panel.viewer.canvas.overlays.scale_bar.visible


def test_the_next_scan_is_drafted_as_soon_as_it_is_there(
    make_panel: Maker, ct: CTVolume, tiny_model_folder: Path, qtbot: QtBot, tmp_path: Path
) -> None:
    """What `ct-assistant demo` does."""
    path = tmp_path / "scan.nii.gz"
    write_nifti(ct, path)
    panel = make_panel()
    panel.models.set_model(str(tiny_model_folder))
    panel.draft_next_scan()
    with qtbot.waitSignal(panel.conversation.finished, timeout=MODEL_SECONDS):
        panel.scans.open(path)
    wait_idle(panel, qtbot)
    assert panel.transcript.messages[-1].title.startswith("Report")
    assert last_text(panel)


def test_scan_picker_follows_layers_and_warns(make_panel: Maker, qtbot: QtBot) -> None:
    panel = make_panel(show=True)
    viewer = panel.viewer
    viewer.add_image(np.zeros((4, 8, 8)), units=("mm",) * 3)
    assert panel.scans.box.count() == 0
    first = add_volume(viewer, box_volume(), "first")
    second = add_volume(viewer, box_volume(warnings=("Two slices are missing.",)), "second")
    assert panel.scans.layer is second
    assert "Two slices are missing." in panel.banner.label.text()
    qtbot.waitUntil(panel.banner.isVisible)
    viewer.layers.selection.active = first
    assert panel.scans.layer is first
    assert not panel.banner.isVisible()
    panel.scans.box.setCurrentText("second")
    assert viewer.layers.selection.active is second
    second.name = "renamed"
    assert panel.scans.box.currentText() == "renamed"
    viewer.layers.remove(second)
    assert panel.scans.layer is first


def test_opening_is_shown_in_the_activity_dock(
    make_panel: Maker, qtbot: QtBot, shared_data: Path
) -> None:
    panel = make_panel()
    shown: list[str] = []
    progress._all_instances.events.changed.connect(
        lambda event: shown.extend(str(bar.desc) for bar in event.added)
    )
    with qtbot.waitSignal(panel.scans.opened, timeout=60_000):
        panel.scans.open(shared_data / "chest_lidc_0314")
    qtbot.waitUntil(lambda: not panel.scans.busy)
    assert any("Opening chest_lidc_0314" in text for text in shown)
    assert not progress._all_instances


def test_a_short_scan_is_drafted_from_only_when_asked_again(
    panel: CTAssistantPanel, qtbot: QtBot, ct: CTVolume
) -> None:
    add_volume(panel.viewer, CTVolume(ct.hu[:3].copy(), ct.affine))
    qtbot.mouseClick(panel.actions_row.draft_button, LEFT)
    assert not panel.conversation.jobs.busy
    assert "No report drafted: the scan has only 3 slices" in panel.status.label.text()
    qtbot.mouseClick(panel.actions_row.draft_button, LEFT)
    assert panel.conversation.jobs.busy
    wait_idle(panel, qtbot)
    assert panel.transcript.messages[-1].title.startswith("Report")
