"""No text that comes from elsewhere is rendered as HTML, and none opens a file."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from qtpy.QtCore import Qt, QUrl
from qtpy.QtGui import QImage, QTextDocument
from qtpy.QtWidgets import QTextEdit

import napari_ct_assistant.viewer
from napari_ct_assistant.assistant.report.document import ReportDocument
from napari_ct_assistant.assistant.report.template import find_template
from napari_ct_assistant.support.plain_text import without_markup
from napari_ct_assistant.viewer.chat.message import GrowingText
from napari_ct_assistant.viewer.report.comparison import Comparison
from napari_ct_assistant.viewer.report.editor import ReportEditor
from napari_ct_assistant.viewer.report.passage import Passage
from napari_ct_assistant.viewer.scan.layers import layer_kwargs
from napari_ct_assistant.viewer.widgets import eliding_label, label, tip
from tests.assistant.report.report_samples import sample_draft
from tests.viewer.conftest import box_volume

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

IMAGE = "<img src='file:///tmp/secret.png'>"
SOURCES = sorted(Path(str(napari_ct_assistant.viewer.__file__)).parent.rglob("*.py"))


@pytest.mark.parametrize("make", [label, eliding_label])
def test_labels_are_plain(qtbot: QtBot, make: type) -> None:
    made = make()
    qtbot.addWidget(made)
    made.setText(f"\x1b[31m{IMAGE}\u202e")
    assert made.textFormat() == Qt.TextFormat.PlainText
    assert made.text() == IMAGE


def test_every_label_and_every_foreign_tooltip_is_made_plain() -> None:
    for file in SOURCES:
        text = file.read_text()
        if file.name != "widgets.py":
            assert not re.search(r"\bQ(?:Eliding)?Label\(", text), file.name
        for tooltip in re.findall(r"setToolTip\((.*)", text):
            tooltip = tooltip or text.split("setToolTip(\n", 1)[1].lstrip()
            own = ("TIPS[", "plain_tip(", "tooltip", '_(\n                "How the model is loaded')
            # A constant of ours as it stands, without values from elsewhere.
            constant = re.match(r"_\([A-Z_]+\)\)", tooltip)
            assert constant or tooltip.startswith(own), (file.name, tooltip)


def test_what_a_model_writes_is_filtered_in_the_report(qtbot: QtBot) -> None:
    draft = sample_draft()
    said = replace(draft.sentences[0], text=f"\x1b[31mClear{IMAGE}\u202e")
    report = ReportDocument.from_draft(replace(draft, sentences=(said,)), find_template())
    assert f"Clear{IMAGE}" in [line.text for section in report.sections for line in section.lines]
    passage = Passage()
    qtbot.addWidget(passage)
    passage.append("\x1b[31mred\u202e")
    assert passage.body.toPlainText() == "red"


def test_a_tooltip_shows_markup_as_it_is() -> None:
    assert tip("Model demo\n2 files") == "Model demo\n2 files"
    document = QTextDocument()
    document.setHtml(tip(f"a\n{IMAGE}"))
    assert document.toPlainText() == f"a\n{IMAGE}"


def test_what_napari_shows_of_ours_has_no_markup(qtbot: QtBot, tmp_path: Path) -> None:
    """The labels and tooltips of napari would render names of layers, and notifications."""
    shown = without_markup(f"\x1b[31mHead{IMAGE}")
    assert shown == "Head\u2039img src='file:///tmp/secret.png'\u203a"
    assert not Qt.mightBeRichText(shown)
    assert layer_kwargs(box_volume(), f"Head{IMAGE}")["name"] == shown
    for file in SOURCES:
        for given in re.findall(
            r"(?<!def )(?<!\.)\b(?:show_(?:error|warning|info)|progress)\((.*)\)", file.read_text()
        ):
            wanted = ("without_markup(", "total=0, desc=without_markup(", "total=0, desc=what")
            assert given.startswith(wanted), (file.name, given)


@pytest.mark.parametrize("kind", [GrowingText, Comparison, ReportEditor])
def test_text_opens_no_file(qtbot: QtBot, tmp_path: Path, kind: type[QTextEdit]) -> None:
    picture = QImage(4, 4, QImage.Format.Format_RGB32)
    picture.fill(1)
    file = tmp_path / "secret.png"
    assert picture.save(str(file))
    widget = kind()
    qtbot.addWidget(widget)
    url = QUrl.fromLocalFile(str(file))
    widget.document().setHtml(f'<img src="{url.toString()}">')
    found = widget.document().resource(2, url)  # 2: an image
    assert isinstance(found, QImage)
    assert found.isNull()
