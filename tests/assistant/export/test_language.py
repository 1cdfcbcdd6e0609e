"""Notice, headings and provenance of a document in a language; the report keeps its own."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest

from napari_ct_assistant.assistant.export import FORMATS, StudyDetails, export_report
from napari_ct_assistant.assistant.report.document import ReportDocument
from napari_ct_assistant.assistant.report.template import find_template
from napari_ct_assistant.support.translation import _, in_language, language
from tests.assistant.report.report_samples import sample_draft

STUDY = StudyDetails("2025-03-01", "Chest", "None")


def report() -> ReportDocument:
    draft = replace(
        sample_draft(),
        settings={"temperature": 0.7, "top_p": 0.9, "max_new_tokens": 200, "thinking": False},
        seconds={"encode": 1.26, "total": 3.0},
    )
    return ReportDocument.from_draft(draft, find_template())


def words_of(path: Path) -> str:
    if path.suffix == ".docx":
        docx = pytest.importorskip("docx")
        document = docx.Document(io.BytesIO(path.read_bytes()))
        cells = [c.text for t in document.tables for row in t.rows for c in row.cells]
        footer = [p.text for s in document.sections for p in s.footer.paragraphs]
        return "\n".join([*(p.text for p in document.paragraphs), *cells, *footer])
    if path.suffix == ".pdf":
        pypdf = pytest.importorskip("pypdf")
        return "\n".join(page.extract_text() for page in pypdf.PdfReader(path).pages)
    return path.read_text()


def test_plain_text_in_german(tmp_path: Path) -> None:
    path = export_report(report(), tmp_path / "a.txt", study=STUDY, language="de")
    text = " ".join(path.read_text().split())
    for words in (
        "Befundbericht CT Thorax",
        "Nicht klinisch nutzen. Nicht freigegeben.",
        "Region: Thorax",
        "Status: vorläufig",
        "Untersuchungsdatum: 01.03.2025",
        "Vergleich: Keine",
        "HERKUNFT",
        "Entworfen am: ",
        "Wörter zufällig gezogen, Temperatur 0,7, aus den wahrscheinlichsten 90 %",
        "höchstens 200 Token, ohne Gedankengang",
        "Enkodieren 1,3 s, insgesamt 3,0 s",
        "nicht geprüft",
    ):
        assert words in text, text
    # The report's own sentences.
    assert "Heart size is increased, mild cardiomegaly." in text
    for english in ("Draft", "Not signed", "PROVENANCE", "Drafted at", "Study date", "Sentences"):
        assert english not in text, text


@pytest.mark.parametrize("ending", [".docx", ".pdf"])
def test_documents_in_german(tmp_path: Path, ending: str) -> None:
    path = export_report(report(), tmp_path / f"a{ending}", study=STUDY, language="de")
    text = " ".join(words_of(path).split())
    assert "Herkunft" in text
    assert "Nicht freigegeben" in text
    assert "Untersuchungsdatum" in text
    assert "Provenance" not in text


@pytest.mark.parametrize("known", FORMATS, ids=lambda known: known.ending)
def test_english_is_what_it_was_from_a_german_panel(tmp_path: Path, known: object) -> None:
    ending = getattr(known, "ending", "")
    if ending == ".dcm":
        pytest.importorskip("highdicom")
    with in_language("de"):
        path = export_report(report(), tmp_path / f"a{ending}", study=STUDY)
        assert language() == "de"
    data = path.read_bytes()
    if ending in (".docx", ".pdf", ".txt"):
        data = words_of(path).encode()
    assert b"Herkunft" not in data
    assert b"Nicht freigegeben" not in data


def test_files_for_machines_stay_english(tmp_path: Path) -> None:
    path = export_report(report(), tmp_path / "a.json", study=STUDY, language="de")
    resource = json.loads(path.read_text())
    assert "Not signed off by a reader." in resource["text"]["div"]
    assert resource["presentedForm"][0]["language"] == "en"


def test_another_thread_keeps_its_language() -> None:
    seen: list[str] = []
    with in_language("de"):
        thread = Thread(target=lambda: seen.append(_("Provenance")))
        thread.start()
        thread.join()
        assert _("Provenance") == "Herkunft"
    assert seen == ["Provenance"]
    assert _("Provenance") == "Provenance"
