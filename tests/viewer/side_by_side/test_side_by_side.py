"""Two reports side by side: blind, in random order, and kept in a table."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from qtpy.QtCore import Qt
from typer.testing import CliRunner

from napari_ct_assistant.assistant import ModelInfo
from napari_ct_assistant.assistant.choices.saved_drafts import read_saved_draft
from napari_ct_assistant.assistant.choices.table import ChoicesError, read_choices
from napari_ct_assistant.cli import app
from napari_ct_assistant.viewer.scan.layers import add_volume
from napari_ct_assistant.viewer.side_by_side.controller import SideBySide
from napari_ct_assistant.viewer.side_by_side.setup_dialog import SetupDialog
from napari_ct_assistant.volume import CTVolume
from tests.assistant.report.report_samples import sample_draft
from tests.viewer.conftest import box_volume
from tests.viewer.scripted import ScriptedModel, ScriptedReading

if TYPE_CHECKING:
    from pathlib import Path

    from pytestqt.qtbot import QtBot

    from napari_ct_assistant.viewer.panel import CTAssistantPanel

Maker = Callable[..., "CTAssistantPanel"]
LEFT = Qt.MouseButton.LeftButton


class Named(ScriptedModel):
    """A model whose reports name nobody; the model's name is in its description only."""

    def __call__(self, model: str, **options: Any) -> Named:
        made = Named()
        made.info = ModelInfo(model, "made-up scans")
        made.info.__dict__["weights_sha256"] = model * 8
        return made

    def read(self, volume: CTVolume, **options: Any) -> NamedReading:
        return NamedReading(volume, self.info)


class NamedReading(ScriptedReading):
    """Drafts in the name of its model."""

    def __init__(self, volume: CTVolume, info: ModelInfo) -> None:
        super().__init__(volume)
        self.info = info

    def draft_report(self, **options: Any) -> Any:
        draft = super().draft_report(**options)
        text = {"alpha": "Report one.", "beta": "Report two."}[self.info.name]
        return replace(draft, model=self.info, sections={"Findings": text})


@pytest.fixture
def panel(make_panel: Maker, ct: CTVolume, qtbot: QtBot) -> CTAssistantPanel:
    made = make_panel(Named(), show=True)
    add_volume(made.viewer, ct)
    qtbot.waitUntil(lambda: not made.report_controller.tab.editor.isReadOnly(), timeout=20_000)
    return made


def flipping(panel: CTAssistantPanel, flip: bool) -> SideBySide:
    """Return the panel's comparison with a known order."""
    panel.side_by_side._flip = lambda: flip
    return panel.side_by_side


@pytest.mark.parametrize("flip", [False, True])
def test_two_models_are_compared_blind(
    panel: CTAssistantPanel, ct: CTVolume, qtbot: QtBot, tmp_path: Path, flip: bool
) -> None:
    pair, table = flipping(panel, flip), tmp_path / "choices.csv"
    before = panel.report_controller.tab.editor.toPlainText()
    pair.compare_models(["alpha", "beta"], table)
    qtbot.waitUntil(lambda: pair.window is not None, timeout=20_000)
    window = pair.window
    assert window is not None
    shown = [text.toPlainText() for text in window.texts]
    expected = ["Findings\nReport one.", "Findings\nReport two."]
    assert shown == (expected[::-1] if flip else expected)
    # Nothing in the window tells the models, and neither report went anywhere else.
    words = " ".join([*shown, *(head.text() for head in window.heads), window.windowTitle()])
    assert "alpha" not in words
    assert "beta" not in words
    assert panel.report_controller.tab.editor.toPlainText() == before
    assert "Report one" not in panel.transcript.plain_text()
    qtbot.keyClicks(window.note, "2 sharper")
    qtbot.keyClick(window.texts[0], Qt.Key.Key_1)
    assert not window.left_button.isEnabled()
    assert "alpha" in " ".join(head.text() for head in window.heads)
    qtbot.waitUntil(lambda: "choices.csv" in window.question.text(), timeout=20_000)
    (row,) = read_choices(table)
    names = ("beta", "alpha") if flip else ("alpha", "beta")
    assert (row.left, row.right, row.choice, row.note) == (*names, "left", "2 sharper")
    assert (row.scan, row.blind) == (ct.fingerprint, "yes")
    assert row.left_weights == names[0] * 8
    assert row.seconds >= 0
    # The command line reads the same table.
    done = CliRunner().invoke(app, ["compare-choices", str(table), "--json", "--bootstraps", "10"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["pairs"], found["left"], found["blind"]) == (1, 1, 1)
    assert found["models"][0]["model"].startswith(names[0])
    # A second choice about the same pair is not possible.
    qtbot.keyClick(window.texts[0], Qt.Key.Key_3)
    assert len(read_choices(table)) == 1


def test_names_are_shown_where_it_is_not_blind(
    panel: CTAssistantPanel, qtbot: QtBot, tmp_path: Path
) -> None:
    pair = flipping(panel, False)
    pair.compare_models(["alpha", "beta"], tmp_path / "c.csv", blind=False)
    qtbot.waitUntil(lambda: pair.window is not None, timeout=20_000)
    assert pair.window is not None
    assert [head.text().split()[3] for head in pair.window.heads] == ["alpha", "beta"]
    question = pair.window.question
    qtbot.mouseClick(pair.window.equal_button, LEFT)
    # The file exists before its row does; the window names it once the row is written.
    qtbot.waitUntil(lambda: "c.csv" in question.text(), timeout=20_000)
    (row,) = read_choices(tmp_path / "c.csv")
    assert (row.choice, row.blind) == ("equal", "no")


def test_the_pair_closes_with_its_scan(
    panel: CTAssistantPanel, qtbot: QtBot, tmp_path: Path
) -> None:
    pair = flipping(panel, False)
    pair.compare_models(["alpha", "beta"], tmp_path / "c.csv")
    qtbot.waitUntil(lambda: pair.window is not None, timeout=20_000)
    add_volume(panel.viewer, box_volume(warnings=("another",)))
    assert pair.window is None
    assert not (tmp_path / "c.csv").exists()


def saved(path: Path, name: str, scan: str) -> Path:
    draft = sample_draft(model=ModelInfo(name, "x"), sections={"Findings": f"<b>{name}</b>"})
    draft.model.__dict__["weights_sha256"] = "ab" * 32
    path.write_text(json.dumps(draft.to_json() | {"scan": scan}))
    return path


def test_saved_drafts_are_compared(
    panel: CTAssistantPanel, ct: CTVolume, qtbot: QtBot, tmp_path: Path
) -> None:
    files = [saved(tmp_path / f"{name}.json", name, ct.fingerprint) for name in ("a", "b")]
    pair = flipping(panel, True)
    pair.compare_files(files, tmp_path / "c.csv")
    qtbot.waitUntil(lambda: pair.window is not None, timeout=20_000)
    assert pair.window is not None
    # Markup of a model is shown as it is.
    assert pair.window.texts[0].toPlainText() == "Findings\n<b>b</b>"
    pair.window.close()


def test_a_draft_about_another_scan_is_refused(
    panel: CTAssistantPanel, ct: CTVolume, qtbot: QtBot, tmp_path: Path
) -> None:
    files = [
        saved(tmp_path / "a.json", "a", ct.fingerprint),
        saved(tmp_path / "b.json", "b", "cd" * 32),
    ]
    pair = flipping(panel, False)
    pair.compare_files(files, tmp_path / "c.csv")
    qtbot.waitUntil(lambda: "b.json" in panel.status.label.text(), timeout=20_000)
    assert "another scan" in panel.status.label.text()
    assert pair.window is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "no draft"),
        ("[1]", "no draft"),
        ('{"model": {"name": "a"}, "sections": {"Findings": 3}}', "no draft"),
        ('{"model": {"name": "a"}, "sections": {}}', "does not say of which scan"),
    ],
)
def test_what_is_no_draft_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(ChoicesError, match=said):
        read_saved_draft(path)


def test_the_dialog_asks_for_two_different_ones(qtbot: QtBot, tmp_path: Path) -> None:
    dialog = SetupDialog(["demo", "other"], tmp_path / "c.csv")
    qtbot.addWidget(dialog)
    assert dialog.blind.isChecked()
    assert not dialog.start_button.isEnabled()
    dialog.models[0].setEditText("demo")
    dialog.models[1].setEditText("demo")
    assert not dialog.start_button.isEnabled()
    dialog.models[1].setEditText("other")
    assert dialog.start_button.isEnabled()
    dialog.by_files.setChecked(True)
    assert not dialog.start_button.isEnabled()
    dialog.files[0].setText("a.json")
    dialog.files[1].setText("b.json")
    assert dialog.start_button.isEnabled()
