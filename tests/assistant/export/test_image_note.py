"""Exports say after each drafted sentence on which image it is seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pypdf import PdfReader

from napari_ct_assistant.assistant import Sentence
from napari_ct_assistant.assistant.export import export_report
from napari_ct_assistant.assistant.report.document import ReportDocument
from napari_ct_assistant.assistant.report.template import find_template
from tests.assistant.export.test_export import docx_text, squeezed
from tests.assistant.report.report_samples import sample_draft

EFFUSION = "There is a pleural effusion on the left."
NODULE = "A nodule is seen in the right upper lobe."
BONES = "The bones are normal."
HEART = "The heart is enlarged."
LIVER = "The liver is normal."


@pytest.fixture
def report() -> ReportDocument:
    sentences = (
        Sentence(EFFUSION, "Findings", support=3.0, slice=84),
        Sentence(NODULE, "Findings", support=-0.5, slice=0),
        Sentence(BONES, "Findings"),
        Sentence(HEART, "Findings", support=1.0, slice=4, instance_number=412),
        Sentence(LIVER, "Findings", support=1.0, slice=9, instance_number=10),
    )
    return ReportDocument.from_draft(sample_draft(*sentences), find_template())


def exported(report: ReportDocument, path: Path) -> str:
    export_report(report, path)
    if path.suffix == ".docx":
        return squeezed(docx_text(path))
    if path.suffix == ".pdf":
        return squeezed(" ".join(page.extract_text() for page in PdfReader(path).pages))
    return squeezed(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("suffix", [".txt", ".docx", ".pdf"])
def test_each_sentence_is_followed_by_its_image(
    suffix: str, report: ReportDocument, tmp_path: Path
) -> None:
    text = exported(report, tmp_path / f"a{suffix}")
    assert f"{EFFUSION} (image 85)" in text
    assert f"{NODULE} (image 1, not supported by the image)" in text
    assert f"{BONES} (" not in text
    # The number of the DICOM file where it is another one.
    assert f"{HEART} (image 5 (instance 412))" in text
    assert f"{LIVER} (image 10)" in text


def test_the_numbers_survive_saving(report: ReportDocument) -> None:
    data = report.to_json()
    again = ReportDocument.from_json(data)
    assert [s.sentence.instance_number for s in again.sources][-2:] == [412, 10]
    assert again == report
    # A report of an earlier version has none.
    for source in data["sources"]:
        del source["sentence"]["instance_number"], source["sentence"]["frame_number"]
    assert [s.sentence.instance_number for s in ReportDocument.from_json(data).sources][-1] is None


def test_an_edited_sentence_keeps_its_image_but_no_mark(
    report: ReportDocument, tmp_path: Path
) -> None:
    sections = tuple(
        replace(
            section,
            lines=tuple(replace(n, text=n.text.replace("right", "left")) for n in section.lines),
        )
        for section in report.sections
    )
    text = exported(replace(report, sections=sections), tmp_path / "a.txt")
    assert "A nodule is seen in the left upper lobe. (image 1)" in text


def test_the_signed_content_is_the_readers_text_alone(report: ReportDocument) -> None:
    assert "image 85" not in report.text
    assert report.sign("A. Reader").signed is not None
