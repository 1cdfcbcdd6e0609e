"""Before a scan leaves the desk for a server for the first time, the reader agrees."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from qtpy.QtCore import Qt

from napari_ct_assistant.backends.server.agreements import agree, agreements
from napari_ct_assistant.backends.server.errors import AgreementNeededError
from napari_ct_assistant.backends.server.profiles import SavedServer, save_profile, user_file
from napari_ct_assistant.model.conversion.language_export import (
    ExportedLanguageModel,
    export_language_model,
)
from napari_ct_assistant.viewer.models.sending_dialog import SendingDialog
from napari_ct_assistant.viewer.scan.layers import add_volume
from napari_ct_assistant.viewer.session.jobs import RewriteJob
from napari_ct_assistant.viewer.session.run_record import RunRecord
from napari_ct_assistant.viewer.session.scan_session import ScanSession
from napari_ct_assistant.volume import CTVolume
from tests.backends.server.vllm_rules import VllmRules, serving
from tests.viewer.scripted import INFO

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from napari_ct_assistant.viewer.panel import CTAssistantPanel

MODEL_SECONDS = 60_000
QUESTION = "Is there a pleural effusion?"


@pytest.fixture(scope="module")
def exported(
    tiny_model_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> ExportedLanguageModel:
    return export_language_model(tiny_model_folder, tmp_path_factory.mktemp("out") / "llm", "tiny")


@pytest.fixture
def rules(exported: ExportedLanguageModel) -> Iterator[VllmRules]:
    with serving(VllmRules(exported.served.served_name, exported.folder)) as running:
        saved = SavedServer(address=running.address, encoder=str(exported.encoder), timeout=2.0)
        save_profile("gpu1", saved)
        yield running


@pytest.fixture
def panel(
    make_panel: Callable[..., CTAssistantPanel], ct: CTVolume, rules: VllmRules
) -> CTAssistantPanel:
    panel = make_panel(show=True)
    add_volume(panel.viewer, ct)
    panel.models.set_model("gpu1")
    return panel


def dialog(panel: CTAssistantPanel, qtbot: QtBot) -> SendingDialog:
    """Wait until the panel asks."""
    guard = panel.models.guard
    qtbot.waitUntil(lambda: guard.dialog is not None, timeout=MODEL_SECONDS)
    assert guard.dialog is not None
    return guard.dialog


def wait_idle(panel: CTAssistantPanel, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: not panel.conversation.jobs.busy, timeout=MODEL_SECONDS)


def speakers(panel: CTAssistantPanel) -> list[str]:
    return [m.speaker for m in panel.transcript.messages if m.speaker != "note"]


def test_the_reader_sees_what_is_sent_and_agrees_once(
    panel: CTAssistantPanel, rules: VllmRules, qtbot: QtBot
) -> None:
    assert panel.ask(QUESTION)
    shown = dialog(panel, qtbot)
    texts = " ".join(shown.sending.details)
    assert shown.sending.address == rules.address
    assert "Never sent: names" in texts
    assert rules.requests == []
    qtbot.mouseClick(shown.agree_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: len(rules.requests) > 0, timeout=MODEL_SECONDS)
    wait_idle(panel, qtbot)
    assert speakers(panel) == ["you", "model"]
    assert list(agreements()) == [f"{rules.address} embeddings"]
    assert panel.ask("And where?")
    wait_idle(panel, qtbot)
    assert panel.models.guard.dialog is None
    assert speakers(panel) == ["you", "model"] * 2
    notes = [m.plain_text() for m in panel.transcript.messages if m.speaker == "note"]
    assert any("no links to places" in note for note in notes)


def test_who_does_not_agree_gets_the_question_back(
    panel: CTAssistantPanel, rules: VllmRules, qtbot: QtBot
) -> None:
    panel.ask_row.box.setPlainText(QUESTION)
    assert panel.ask(QUESTION)
    qtbot.keyClick(dialog(panel, qtbot), Qt.Key.Key_Escape)
    assert panel.ask_row.box.toPlainText() == QUESTION
    assert speakers(panel) == ["you"]
    assert rules.requests == []
    assert agreements() == {}
    assert not panel.conversation.resume()


def test_trouble_keeps_what_was_written_and_gives_the_question_back(
    panel: CTAssistantPanel, rules: VllmRules, qtbot: QtBot
) -> None:
    assert panel.ask(QUESTION)
    dialog(panel, qtbot).accept()
    wait_idle(panel, qtbot)
    rules.fault = "die"
    assert panel.ask("And where?")
    wait_idle(panel, qtbot)
    texts = [m.plain_text() for m in panel.transcript.messages]
    assert any("INCOMPLETE" in text for text in texts)
    assert any("the connection broke" in text for text in texts)
    assert panel.ask_row.box.toPlainText() == "And where?"
    rules.fault = ""
    assert panel.ask("And where?")
    wait_idle(panel, qtbot)
    assert "INCOMPLETE" not in panel.transcript.messages[-1].plain_text()


def test_the_box_offers_the_saved_servers(panel: CTAssistantPanel, rules: VllmRules) -> None:
    panel.models.box.fill(panel.models._survey.__class__(servers=[]))
    from napari_ct_assistant.viewer.models.available_models import survey_models

    panel.models.box.fill(survey_models())
    rows = panel.models.box.model()
    names = [rows.item(row).text() for row in range(rows.rowCount())]
    assert "gpu1" in names
    panel.models.set_model("gpu1")
    assert panel.models.facts.text() == (
        f"{rules.address}  ·  you are asked before a scan is sent there"
    )


def test_a_text_model_on_a_server_rewrites_passages(scan: ScanSession) -> None:
    with serving(VllmRules("some/text-model", chat=lambda _: "No effusion.")) as rules:
        save_profile("words", SavedServer(address=rules.address, reads="text"))
        with user_file().open("a", encoding="utf-8") as stream:
            stream.write("rewriting: words\n")
        job = RewriteJob(scan, "demo", "shorten", "Shorten this: There is no pleural effusion.")
        texts: list[str] = []
        with pytest.raises(AgreementNeededError, match="text of the report") as error:
            job.run(None, RunRecord(INFO), texts.append)  # type: ignore[arg-type]
        assert rules.requests == []
        agree(error.value.sending)
        result = job.run(None, RunRecord(INFO), texts.append)  # type: ignore[arg-type]
        assert result.answer.text == "".join(texts) == "No effusion."
        assert result.answer.model.server == rules.address
