"""Study date, region and comparison are in an export only if the reader adds them."""

from __future__ import annotations

import base64
import json
import zipfile
from pathlib import Path

import pydicom
import pytest
from pypdf import PdfReader

from napari_ct_assistant.assistant.export import StudyDetails, export_report
from napari_ct_assistant.assistant.report.document import ReportDocument
from napari_ct_assistant.assistant.report.template import find_template
from tests.assistant.report.report_samples import sample_draft

DETAILS = StudyDetails(" 2019-04-03", "Chest\x1b\n", "CT of 2018-01-02, <thin> & dark")
SHOWN = ("Study date: 2019-04-03", "Region: Chest", "Comparison: CT of 2018-01-02, <thin> & dark")


def text_of(path: Path) -> str:
    if path.suffix == ".pdf":
        return "\n".join(page.extract_text() for page in PdfReader(path).pages)
    if path.suffix == ".docx":
        from docx import Document

        assert zipfile.is_zipfile(path)
        return "\n".join(paragraph.text for paragraph in Document(str(path)).paragraphs)
    if path.suffix == ".dcm":
        return "\n".join(texts_of(pydicom.dcmread(path)))
    if path.suffix == ".json":
        data = json.loads(path.read_text())
        return base64.b64decode(data["presentedForm"][0]["data"]).decode()
    return path.read_text()


def texts_of(dataset: pydicom.Dataset) -> list[str]:
    found = [str(dataset.TextValue)] if "TextValue" in dataset else []
    for item in dataset.get("ContentSequence", []):
        found += texts_of(item)
    return found


@pytest.fixture(scope="module")
def report() -> ReportDocument:
    return ReportDocument.from_draft(sample_draft(), find_template(), weights_sha256="ab" * 32)


@pytest.mark.parametrize("ending", [".docx", ".pdf", ".txt", ".json", ".dcm"])
def test_every_format_has_them_once_they_are_given(
    report: ReportDocument, tmp_path: Path, ending: str
) -> None:
    plain = text_of(export_report(report, tmp_path / f"a{ending}"))
    assert "Study date" not in plain
    assert "Comparison" not in plain
    text = text_of(export_report(report, tmp_path / f"b{ending}", study=DETAILS))
    assert [row for row in SHOWN if row not in text] == []
    # The warnings and the notice come before them.
    assert text.index("machine-written") < text.index(SHOWN[0]) < text.index("Trachea")
    one = export_report(report, tmp_path / f"c{ending}", study=StudyDetails(region="Chest"))
    assert "Region: Chest" in text_of(one)
    assert "Study date:" not in text_of(one)


def test_a_date_is_also_an_element_of_fhir_and_dicom(
    report: ReportDocument, tmp_path: Path
) -> None:
    data = json.loads(export_report(report, tmp_path / "a.json", study=DETAILS).read_text())
    assert data["effectiveDateTime"] == "2019-04-03"
    assert "<p>Comparison: CT of 2018-01-02, &lt;thin&gt; &amp; dark</p>" in data["text"]["div"]
    dataset = pydicom.dcmread(export_report(report, tmp_path / "a.dcm", study=DETAILS))
    assert dataset.StudyDate == "20190403"
    spring = StudyDetails("spring 2019")
    data = json.loads(export_report(report, tmp_path / "b.json", study=spring).read_text())
    assert "effectiveDateTime" not in data
    assert pydicom.dcmread(export_report(report, tmp_path / "b.dcm", study=spring)).StudyDate == ""


def test_their_representation_shows_nothing() -> None:
    assert "2019" not in repr(DETAILS)
