"""The provenance of an exported report is one block, below a part of the report."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from pypdf import PdfReader

from napari_ct_assistant.assistant import Sentence
from napari_ct_assistant.assistant.export import export_report
from napari_ct_assistant.assistant.report.document import ReportDocument
from napari_ct_assistant.assistant.report.template import find_template
from tests.assistant.report.report_samples import sample_draft

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"


def report_of(findings: int, impressions: int, **changes: Any) -> ReportDocument:
    sentences = [Sentence(f"Finding {n}.", "Findings") for n in range(findings)]
    sentences += [Sentence(f"Conclusion {n}.", "Impression") for n in range(impressions)]
    drafted = sample_draft(*sentences, **changes)
    return ReportDocument.from_draft(drafted, find_template(), weights_sha256="ab" * 32)


@pytest.mark.parametrize("impressions", [1, 7, 60])
@pytest.mark.parametrize("findings", [25, 31, 34, 37, 80])
def test_the_provenance_is_whole_and_never_alone_on_a_page(
    tmp_path: Path, findings: int, impressions: int
) -> None:
    report = report_of(findings, impressions)
    pages = [
        page.extract_text() for page in PdfReader(export_report(report, tmp_path / "a.pdf")).pages
    ]
    names = [f"{name}:" for name, _ in report.provenance()]
    whole = [page for page in pages if "Provenance" in page]
    assert len(whole) == 1
    assert [name for name in names if name not in whole[0]] == []
    assert all("Finding " in page or "Conclusion " in page for page in pages)
    for page in pages:
        lines = page.splitlines()
        foot = max(n for n, line in enumerate(lines) if line.startswith("Draft, machine-written"))
        assert lines[foot - 1] != "Impression", "a heading is the last line of a page"


def test_a_provenance_higher_than_a_page_still_follows_the_report(tmp_path: Path) -> None:
    report = report_of(5, 1, warnings=tuple(f"Warning number {n}." for n in range(50)))
    model = {f"notice {n}": "x" * 1900 for n in range(2)}
    report = ReportDocument(
        report.sections,
        report.sources,
        tuple(
            type(draft)(
                draft.model,
                draft.created,
                model | draft.versions,
                warnings=tuple(f"{w} {'long ' * 40}" for w in draft.warnings),
            )
            for draft in report.drafts
        ),
        template=report.template,
    )
    pages = [p.extract_text() for p in PdfReader(export_report(report, tmp_path / "a.pdf")).pages]
    joined = "\n".join(pages)
    assert "Warning number 49." in joined
    assert "Sentences:" in joined
    first = next(page for page in pages if "Provenance" in page)
    assert "Conclusion 0." in first


def test_word_keeps_the_provenance_with_the_end_of_the_report(tmp_path: Path) -> None:
    with zipfile.ZipFile(export_report(report_of(30, 4), tmp_path / "a.docx")) as archive:
        body = ET.fromstring(archive.read("word/document.xml"))[0]
    texts = ["".join(t.text or "" for t in one.iter(f"{W}t")) for one in body]
    start = texts.index("Impression")
    for block in body[start : texts.index("Provenance") + 1]:
        assert kept_with_next(block)
    table = next(one for one in body if one.tag == f"{W}tbl")
    rows = list(table.iter(f"{W}tr"))
    assert len(rows) == len(report_of(30, 4).provenance())
    assert all(row.find(f"{W}trPr/{W}cantSplit") is not None for row in rows)
    for row in rows[:-1]:
        assert all(kept_with_next(paragraph) for paragraph in row.iter(f"{W}p"))
    # With nothing below it to keep, the last row lets the block end.
    assert not any(kept_with_next(paragraph) for paragraph in rows[-1].iter(f"{W}p"))


def kept_with_next(paragraph: ET.Element) -> bool:
    found = paragraph.find(f"{W}pPr/{W}keepNext")
    return found is not None and found.get(f"{W}val") not in ("0", "false")


def test_warnings_come_first_and_times_are_local(tmp_path: Path) -> None:
    report = report_of(1, 1)
    assert report.provenance()[0][0] == "Warning"
    data = json.loads(export_report(report, tmp_path / "a.json").read_text())
    notes = [note["text"] for note in data["contained"][0]["note"]]
    assert notes[0] == "The model sees the middle of this scan only."
    assert "2026-01-02T03:04:05+00:00" not in json.dumps(data)
    assert any(note.startswith("Drafted at 2026-01-0") and "(UTC" in note for note in notes)
