"""Measurements in every export: as words, as FHIR Observations, as numeric items of the SR."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from napari_ct_assistant.assistant.export import Identifiers, export_report
from napari_ct_assistant.assistant.export.dicom_sr import ENHANCED_SR, to_dicom_sr
from napari_ct_assistant.assistant.export.identifiers import ImageReference
from napari_ct_assistant.assistant.export.image_note import image_note
from napari_ct_assistant.assistant.report.document import ReportDocument
from napari_ct_assistant.assistant.report.parts import Line, Section
from tests.assistant.export.test_export import dciodvfy, docx_text, fhir, items, pdf_text, squeezed
from tests.assistant.report.test_measurement import AXES, OUTLINE, REGION

SENTENCES = (
    "Nodule, 14 x 11 mm, right upper lobe, image 85.",
    OUTLINE.sentence("mass"),
    REGION.sentence("cyst"),
)


@pytest.fixture
def report() -> ReportDocument:
    lines = tuple(Line(text, measurement=n) for n, text in enumerate(SENTENCES))
    section = Section("findings", "Findings", 1, lines)
    return ReportDocument((section,), measurements=(AXES, OUTLINE, REGION))


def test_texts_have_a_table_of_measurements(report: ReportDocument, tmp_path: Path) -> None:
    texts = {
        "txt": export_report(report, tmp_path / "a.txt").read_text(encoding="utf-8"),
        "docx": docx_text(export_report(report, tmp_path / "a.docx")),
        "pdf": pdf_text(export_report(report, tmp_path / "a.pdf"))[0],
    }
    for ending, text in texts.items():
        flat = squeezed(text)
        assert SENTENCES[0] in flat, ending
        assert "long axis 14.2 mm, short axis 10.9 mm, image 85" in flat, ending
        assert "largest diameter 16.0 mm, volume 1.23 ml" in flat, ending
        assert "images 80 to 90" in flat, ending


def test_a_rejected_measurement_leaves_with_no_export(report: ReportDocument) -> None:
    (section,) = report.sections
    lines = tuple(replace(line, mark="rejected") for line in section.lines[:2])
    less = replace(report, sections=(replace(section, lines=(*lines, section.lines[2])),))
    assert [m for _, m in less.measured()] == [REGION]
    written = to_dicom_sr(less)
    assert b"14 x 11" not in written
    assert b"14.2" not in written


def test_the_image_is_named_where_the_sentence_no_longer_does(report: ReportDocument) -> None:
    assert image_note(report, Line(SENTENCES[0], measurement=0)) == ""
    assert image_note(report, Line("Nodule of 14 mm.", measurement=0)) == "image 85"


def test_fhir_observations(report: ReportDocument, tmp_path: Path) -> None:
    data = fhir(export_report(report, tmp_path / "a.json"))
    contained = {one["id"]: one for one in data["contained"]}
    results = [contained[one["reference"][1:]] for one in data["result"]]
    assert [one["code"]["text"] for one in results] == list(SENTENCES)
    values = {
        part["code"]["coding"][0]["display"]: part["valueQuantity"]
        for part in results[1]["component"]
    }
    assert values["Volume"]["value"] == 1.2345
    assert values["Volume"]["code"] == "ml"
    assert values["Mean"]["code"] == "[hnsf'U]"
    assert "long axis 14.2 mm" in data["text"]["div"]
    assert "14 x 11 mm" in base64.b64decode(data["presentedForm"][0]["data"]).decode()
    json.dumps(data)


def planes() -> Identifiers:
    """Return the identifiers of a study whose images lie 5 mm apart."""
    images = tuple(
        ImageReference("1.2.840.10008.5.1.4.1.1.2", f"1.2.3.{n}", np.array([0.0, 0.0, 5.0 * n]))
        for n in range(40)
    )
    values = {"StudyInstanceUID": "1.2.3", "PatientName": "Test^One", "PatientID": "1"}
    return Identifiers(values, "1.2.3.4", images, np.array([0.0, 0.0, 1.0]))


def test_the_sr_has_each_value_as_a_number_with_its_image(
    report: ReportDocument, tmp_path: Path
) -> None:
    path = export_report(report, tmp_path / "a.dcm", identifiers=planes())
    dataset = pydicom.dcmread(path)
    assert dataset.SOPClassUID == dataset.file_meta.MediaStorageSOPClassUID == ENHANCED_SR
    sentence = next(i for i in items(dataset) if i.get("TextValue") == SENTENCES[0])
    numbers = {
        one.ConceptNameCodeSequence[0].CodeMeaning: (
            float(one.MeasuredValueSequence[0].NumericValue),
            one.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue,
        )
        for one in sentence.ContentSequence
    }
    assert numbers == {"Long axis": (14.2, "mm"), "Short axis": (10.9, "mm")}
    # RAS z = 100 mm is the image at 20 x 5 mm.
    image = sentence.ContentSequence[0].ContentSequence[0]
    assert image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "1.2.3.20"
    (evidence,) = dataset.CurrentRequestedProcedureEvidenceSequence
    used = evidence.ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert "1.2.3.20" in [one.ReferencedSOPInstanceUID for one in used]
    kinds = {
        i.ConceptNameCodeSequence[0].CodeMeaning
        for i in items(dataset)
        if "MeasuredValueSequence" in i
    }
    assert {"Volume", "Diameter", "Mean", "Standard Deviation", "Minimum", "Maximum"} <= kinds


@pytest.mark.parametrize("identified", [False, True])
def test_the_sr_passes_a_validator(
    report: ReportDocument, tmp_path: Path, identified: bool
) -> None:
    path = export_report(report, tmp_path / "a.dcm", identifiers=planes() if identified else None)
    said = dciodvfy(path)
    assert "EnhancedSR" in said, said
