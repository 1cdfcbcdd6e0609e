"""Every export opens in a reader that is not the library that wrote it."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pydicom
import pytest
from pypdf import PdfReader

from napari_ct_assistant.assistant import ModelInfo, Sentence
from napari_ct_assistant.assistant.export import (
    ExportError,
    export_report,
    read_identifiers,
)
from napari_ct_assistant.assistant.export.dicom_sr import section_codes, to_dicom_sr
from napari_ct_assistant.assistant.export.printable import printable
from napari_ct_assistant.assistant.reading.results import CUT_NOTE
from napari_ct_assistant.assistant.report.document import ReportDocument
from napari_ct_assistant.assistant.report.template import find_template
from napari_ct_assistant.volume import CTVolume, open_ct
from tests.assistant.report.report_samples import sample_draft

NAME = "Dr. Zoë Müller-Łęcka"
NOTICE = "Draft, machine-written, model demo trained on synthetic chest phantoms."
UNICODE = "Größe 3 × 5 mm², Ödem; α-Strahlung ≤ 2 µm – плевра, πλεύρα."


@pytest.fixture(scope="module")
def draft() -> ReportDocument:
    sentences = (*sample_draft().sentences, Sentence(UNICODE, "Findings"))
    return ReportDocument.from_draft(
        sample_draft(*sentences), find_template(), weights_sha256="ab" * 32
    )


@pytest.fixture(scope="module")
def signed(draft: ReportDocument) -> ReportDocument:
    return draft.sign(NAME, "Klinik Süd")


def docx_text(path: Path) -> str:
    """Read a Word document as what it is: XML in a zip file."""
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        texts = []
        for name in archive.namelist():
            if name.endswith(".xml"):
                root = ET.fromstring(archive.read(name))
                texts += [node.text or "" for node in root.iter() if node.tag.endswith("}t")]
    return "\n".join(texts)


def squeezed(text: str) -> str:
    return " ".join(text.split())


def test_docx(draft: ReportDocument, signed: ReportDocument, tmp_path: Path) -> None:
    text = docx_text(export_report(draft, tmp_path / "a.docx"))
    # On the first page and at the foot of every page.
    assert text.count(NOTICE) == 2
    assert UNICODE in text
    assert "Heart size is increased, mild cardiomegaly." in text
    assert "ab" * 32 in text
    text = docx_text(export_report(signed, tmp_path / "b.docx"))
    assert "Not signed off" not in text
    assert f"Signed off by {NAME}, Klinik Süd" in text


def pdf_text(path: Path) -> tuple[str, int]:
    reader = PdfReader(path)
    return "\n".join(page.extract_text() for page in reader.pages), len(reader.pages)


def test_pdf(draft: ReportDocument, signed: ReportDocument, tmp_path: Path) -> None:
    many = tuple(Sentence(f"Sentence {n} of a long report.", "Findings") for n in range(120))
    report = ReportDocument.from_draft(
        sample_draft(*many, Sentence(UNICODE, "Findings")), find_template(), weights_sha256="cd"
    )
    path = export_report(report, tmp_path / "a.pdf")
    text, pages = pdf_text(path)
    assert pages > 1
    assert squeezed(text).count(NOTICE) >= pages, "the notice is not on every page"
    assert UNICODE in squeezed(text)
    assert "Sentence 119 of a long report." in text
    assert b"DejaVu" in path.read_bytes(), "the fonts are not embedded"
    text, _ = pdf_text(export_report(signed, tmp_path / "b.pdf"))
    assert f"Signed off by {NAME}" in squeezed(text)
    assert "Not signed off" not in squeezed(text)


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="poppler's pdftotext is absent")
def test_pdf_in_poppler(draft: ReportDocument, tmp_path: Path) -> None:
    path = export_report(draft, tmp_path / "a.pdf")
    done = subprocess.run(["pdftotext", str(path), "-"], capture_output=True, check=True)
    assert UNICODE in squeezed(done.stdout.decode())
    assert done.stderr == b""


@pytest.mark.parametrize(
    ("text", "said"), [("肺炎 is seen.", r"'炎' \(U\+708E\)"), ("رئة", "right-to-left")]
)
def test_pdf_refuses_what_it_cannot_show(text: str, said: str, tmp_path: Path) -> None:
    if find_spec("uharfbuzz") is not None and "right" in said:
        pytest.skip("with uharfbuzz installed Arabic is shaped")
    report = ReportDocument.from_draft(
        sample_draft(Sentence(text, "Findings")), find_template(), weights_sha256=""
    )
    with pytest.raises(ExportError, match=rf"{said}.*\.docx"):
        export_report(report, tmp_path / "a.pdf")
    assert list(tmp_path.iterdir()) == []
    assert text in docx_text(export_report(report, tmp_path / "a.docx"))


def test_text(draft: ReportDocument, signed: ReportDocument, tmp_path: Path) -> None:
    text = export_report(draft, tmp_path / "a.txt").read_text(encoding="utf-8")
    assert squeezed(text).count(NOTICE) == 2
    assert UNICODE in squeezed(text)
    assert max(map(len, text.splitlines())) <= 96
    text = export_report(signed, tmp_path / "b.txt").read_text(encoding="utf-8")
    assert f"Signed off by {NAME}" in text
    assert "Status: final" in text


def fhir(path: Path) -> dict[str, Any]:
    """Read a resource through the R4B classes of fhir.resources, which refuse unknown fields."""
    from fhir.resources.R4B.diagnosticreport import DiagnosticReport

    data = json.loads(path.read_text(encoding="utf-8"))
    resource = DiagnosticReport.model_validate(data)
    assert resource.code.coding[0].code == "18748-4"
    return dict(data)


def test_fhir(draft: ReportDocument, signed: ReportDocument, tmp_path: Path) -> None:
    data = fhir(export_report(draft, tmp_path / "a.json"))
    assert data["status"] == "preliminary"
    assert "subject" not in data
    assert "imagingStudy" not in data
    assert "resultsInterpreter" not in data
    div = ET.fromstring(data["text"]["div"])
    assert NOTICE in "".join(div.itertext())
    assert UNICODE in "".join(div.itertext())
    assert data["conclusion"].startswith("Severe cardiomegaly. [Draft, machine-written")
    attached = base64.b64decode(data["presentedForm"][0]["data"]).decode()
    assert NOTICE in squeezed(attached)
    device, provenance = data["contained"]
    assert device["identifier"][0]["value"] == "ab" * 32
    assert "Trained on synthetic chest phantoms." in [note["text"] for note in device["note"]]
    assert provenance["agent"][0]["who"] == {"reference": f"#{device['id']}"}
    data = fhir(export_report(signed, tmp_path / "b.json"))
    assert data["status"] == "final"
    assert data["resultsInterpreter"] == [{"display": NAME}]
    assert data["contained"][-1]["agent"][-1]["who"] == {"display": NAME}


def items(dataset: pydicom.Dataset) -> Iterator[pydicom.Dataset]:
    for item in dataset.get("ContentSequence", []):
        yield item
        yield from items(item)


def texts(dataset: pydicom.Dataset) -> list[str]:
    return [item.TextValue for item in items(dataset) if item.ValueType == "TEXT"]


def test_dicom_sr(draft: ReportDocument, signed: ReportDocument, tmp_path: Path) -> None:
    dataset = pydicom.dcmread(export_report(draft, tmp_path / "a.dcm"))
    assert dataset.file_meta.MediaStorageSOPClassUID.name == "Basic Text SR Storage"
    assert (dataset.CompletionFlag, dataset.VerificationFlag, dataset.PreliminaryFlag) == (
        "PARTIAL",
        "UNVERIFIED",
        "PRELIMINARY",
    )
    assert "VerifyingObserverSequence" not in dataset
    assert dataset.PatientName == ""
    assert dataset.PatientID == ""
    assert dataset.StudyDate == ""
    said = texts(dataset)
    assert any(text.startswith(NOTICE) for text in said)
    assert "Heart and vessels: Heart size is increased, mild cardiomegaly." in said
    assert UNICODE in said
    assert any("ab" * 32 in text for text in said)
    sections = [i for i in dataset.ContentSequence if i.ValueType == "CONTAINER"]
    headings = [s.ConceptNameCodeSequence[0].CodeMeaning for s in sections]
    assert headings[:2] == ["Findings", "Impressions"]
    dataset = pydicom.dcmread(export_report(signed, tmp_path / "b.dcm"))
    assert (dataset.CompletionFlag, dataset.VerificationFlag, dataset.PreliminaryFlag) == (
        "COMPLETE",
        "VERIFIED",
        "FINAL",
    )
    (observer,) = dataset.VerifyingObserverSequence
    assert str(observer.VerifyingObserverName).startswith(NAME)
    assert observer.VerifyingOrganization == "Klinik Süd"


def test_section_titles_and_items_are_those_of_the_standard() -> None:
    """Headings are of CID 7001, their sentences of CID 7002 (PS3.16)."""
    from pydicom.sr.codedict import codes

    for heading, item in section_codes().values():
        assert heading in codes.cid7001
        assert item in codes.cid7002


def dciodvfy(path: Path) -> list[str]:
    """Return what David Clunie's dciodvfy says, without errors; it exits 0 whatever it finds."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is absent: apt install dicom3tools")
    done = subprocess.run(
        ["dciodvfy", str(path)], capture_output=True, text=True, check=False, timeout=60
    )
    said = (done.stdout + done.stderr).splitlines()
    assert [line for line in said if line.startswith("Error")] == []
    return said


def validated(path: Path) -> None:
    said = dciodvfy(path)
    assert "BasicTextSR" in said, said
    # Empty patient and study: an archive cannot index them, and the standard allows them.
    other = [line for line in said if line.startswith("Warning") and "DICOMDIR" not in line]
    assert other == []


def test_dicom_sr_passes_a_validator(
    draft: ReportDocument, signed: ReportDocument, tmp_path: Path
) -> None:
    for name, report in (("a", draft), ("b", signed)):
        validated(export_report(report, tmp_path / f"{name}.dcm"))


@pytest.fixture(scope="module")
def series(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of 12 neighbouring slices of a real chest CT."""
    folder = tmp_path_factory.mktemp("series")

    def height(path: Path) -> float:
        header = pydicom.dcmread(path, specific_tags=["ImagePositionPatient"])
        return float(header.ImagePositionPatient[2])

    for path in sorted((shared_data / "chest_lidc_0314").glob("*.dcm"), key=height)[100:112]:
        shutil.copy(path, folder)
    return folder


def seen_on(volume: CTVolume, index: int) -> ReportDocument:
    """Return a report whose one sentence lies on a slice of the scan."""
    x, y, z = volume.index_to_ras((index, volume.shape[1] / 2, volume.shape[2] / 2))
    sentence = Sentence("A nodule.", "Findings", 1.0, index, (float(x), float(y), float(z)))
    return ReportDocument.from_draft(
        sample_draft(sentence), find_template(), volume, weights_sha256="ab" * 32
    )


def test_identifiers_come_from_the_files_when_asked(series: Path, tmp_path: Path) -> None:
    volume = open_ct(series)
    report = seen_on(volume, 3)
    found = read_identifiers(series, volume)
    first = pydicom.dcmread(next(series.glob("*.dcm")), stop_before_pixels=True)
    dataset = pydicom.dcmread(export_report(report, tmp_path / "a.dcm", identifiers=found))
    assert dataset.StudyInstanceUID == first.StudyInstanceUID
    assert dataset.PatientID == first.PatientID != ""
    assert dataset.SeriesInstanceUID != first.SeriesInstanceUID
    (image,) = (item for item in items(dataset) if item.ValueType == "IMAGE")
    uid = image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    positions = {
        header.SOPInstanceUID: float(header.ImagePositionPatient[2])
        for header in (pydicom.dcmread(p, stop_before_pixels=True) for p in series.glob("*.dcm"))
    }
    assert positions[uid] == pytest.approx(volume.index_to_ras((3, 0, 0))[2])
    (evidence,) = dataset.CurrentRequestedProcedureEvidenceSequence
    assert evidence.StudyInstanceUID == first.StudyInstanceUID
    validated(tmp_path / "a.dcm")
    data = fhir(export_report(report, tmp_path / "a.json", identifiers=found))
    assert data["imagingStudy"][0]["identifier"]["value"] == f"urn:oid:{first.StudyInstanceUID}"
    assert data["subject"]["identifier"]["value"] == first.PatientID
    # Neither the type nor its parts show a patient when printed.
    assert first.PatientID not in f"{found}{found.instances[0]}{report}{report.to_json()}"


def test_without_asking_no_identifier_goes_out(series: Path, tmp_path: Path) -> None:
    volume = open_ct(series)
    report = seen_on(volume, 3)
    header = pydicom.dcmread(next(series.glob("*.dcm")), stop_before_pixels=True)
    secrets = [header.PatientID, header.StudyInstanceUID, header.SeriesInstanceUID]
    secrets += [header.SOPInstanceUID, header.FrameOfReferenceUID, header.StudyDate]
    for ending in ("docx", "pdf", "txt", "json", "dcm"):
        path = export_report(report, tmp_path / f"a.{ending}")
        data = path.read_bytes()
        if ending == "docx":
            data = docx_text(path).encode()
        if ending == "pdf":
            data = pdf_text(path)[0].encode()
        if ending == "json":
            data += base64.b64decode(json.loads(data)["presentedForm"][0]["data"])
        assert [s for s in secrets if str(s).encode() in data] == [], ending


def test_another_patients_folder_is_refused(series: Path, shared_data: Path) -> None:
    volume = open_ct(series)
    with pytest.raises(ExportError, match="is the scan of this report"):
        read_identifiers(shared_data / "head_ge_tilted", volume)
    with pytest.raises(ExportError, match="not a DICOM file"):
        read_identifiers(shared_data / "abdomen_ts" / "example_ct.nii.gz", volume)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a.odt", "end in .docx, .pdf, .txt, .json, .dcm"),
        ("report", "must end in"),
        ("none/a.txt", "a.txt: its folder does not exist; create it first"),
    ],
)
def test_a_file_that_cannot_be_is_one_line(
    draft: ReportDocument, tmp_path: Path, name: str, said: str
) -> None:
    with pytest.raises(ExportError, match=said):
        export_report(draft, tmp_path / name)


def test_an_empty_report_is_not_exported(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="empty"):
        export_report(ReportDocument(), tmp_path / "a.txt")


def test_an_old_file_stays_when_the_new_one_fails(draft: ReportDocument, tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_text("old")
    bad = ReportDocument.from_draft(
        sample_draft(Sentence("肺", "Findings")), find_template(), weights_sha256=""
    )
    with pytest.raises(ExportError):
        export_report(bad, path)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.pdf"]
    export_report(draft, path)
    assert path.read_bytes().startswith(b"%PDF")
    if os.name == "posix":
        assert path.stat().st_mode & 0o777 == 0o600


def test_a_missing_library_is_one_line_that_names_the_extra(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "sys.modules['fpdf'] = sys.modules['docx'] = sys.modules['highdicom'] = None\n"
        "import importlib.util as u\n"
        "real = u.find_spec\n"
        "from napari_ct_assistant.assistant.export import formats\n"
        "formats.find_spec = lambda n: None if n in ('fpdf', 'docx', 'highdicom') else real(n)\n"
        "for name in ('a.pdf', 'a.docx', 'a.dcm', 'a.txt'):\n"
        "    try: formats.check_path(Path(sys.argv[1], name)); print(name, 'works')\n"
        "    except ValueError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [
        "a.pdf: needs fpdf2: pip install 'napari-ct-assistant[export]'",
        "a.docx: needs python-docx: pip install 'napari-ct-assistant[export]'",
        "a.dcm: needs highdicom: pip install 'napari-ct-assistant[export]'",
        "a.txt works",
    ]


def test_control_characters_break_no_format(tmp_path: Path) -> None:
    report = ReportDocument.from_draft(
        sample_draft(Sentence("Odd\x00\x0b\x1b text & <b>\\markup</b>.", "Findings")),
        find_template(),
        weights_sha256="",
    )
    assert "<b>\\markup</b>" in docx_text(export_report(report, tmp_path / "a.docx"))
    fhir(export_report(report, tmp_path / "a.json"))
    dataset = pydicom.dcmread(export_report(report, tmp_path / "a.dcm"))
    assert any("<b>\\markup</b>" in text for text in texts(dataset))
    validated(tmp_path / "a.dcm")


def test_rejected_sentences_leave_with_no_export(draft: ReportDocument) -> None:
    sections = tuple(
        replace(s, lines=tuple(replace(line, mark="rejected") for line in s.lines))
        if s.heading == "Airways"
        else s
        for s in draft.sections
    )
    rejected = replace(draft, sections=sections)
    assert b"Trachea" in to_dicom_sr(draft)
    assert b"Trachea" not in to_dicom_sr(rejected)


def test_a_cut_draft_is_marked_in_every_format(tmp_path: Path) -> None:
    cut = ReportDocument.from_draft(sample_draft(cut=True), find_template(), weights_sha256="ab")
    files = {end: export_report(cut, tmp_path / f"r{end}") for end in (".docx", ".txt", ".json")}
    assert CUT_NOTE in docx_text(files[".docx"])
    lines = " ".join(files[".txt"].read_text().split())
    assert lines.startswith(f"Chest CT report {CUT_NOTE}")
    pdf = export_report(cut, tmp_path / "r.pdf")
    first = " ".join(PdfReader(pdf).pages[0].extract_text().split())
    assert "INCOMPLETE" in first
    assert first.index("INCOMPLETE") < first.index("Trachea")
    resource = json.loads(files[".json"].read_text())
    assert resource["status"] == "partial"
    assert resource["conclusion"].startswith(f"[{CUT_NOTE}]")
    assert resource["text"]["div"].index(CUT_NOTE) < resource["text"]["div"].index("Trachea")
    dataset = pydicom.dcmread(export_report(cut, tmp_path / "r.dcm"))
    assert dataset.CompletionFlag == "PARTIAL"
    assert dataset.CompletionFlagDescription.startswith("Incomplete")
    texts = [item.TextValue for item in dataset.ContentSequence if "TextValue" in item]
    assert any(text.startswith(CUT_NOTE) for text in texts)


@pytest.mark.parametrize("ending", [".docx", ".pdf", ".txt", ".json", ".dcm"])
def test_hostile_text_is_written_in_every_format(tmp_path: Path, ending: str) -> None:
    bad = "red\x1b[31m\x00 lone\ud800 \u202eright\x9b2J"
    model = ModelInfo("m" + bad, "t" + bad, bad * 100_000)
    drafted = sample_draft(Sentence(bad, "Findings"), model=model, warnings=(bad * 100_000,))
    report = ReportDocument.from_draft(drafted, find_template(), weights_sha256="ab")
    signed = report.sign("Dr. A")
    assert printable(signed).signed is not None
    for number, each in enumerate((report, signed)):
        file = export_report(each, tmp_path / f"{number}{ending}")
        content = file.read_bytes()
        assert len(content) < 300_000
        if ending in (".txt", ".json"):
            assert not set(content.decode()) & set("\x1b\x00\x9b\u202e")


def test_leftovers_of_a_killed_export_go_with_the_next(
    draft: ReportDocument, tmp_path: Path
) -> None:
    code = """
import os, signal, sys
from pathlib import Path
from napari_ct_assistant.support import atomic
os.fsync = lambda number: os.kill(os.getpid(), signal.SIGKILL)
atomic.write_bytes(Path(sys.argv[1]), b"half", private=True)
"""
    path = tmp_path / "r.txt"
    subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    (left,) = tmp_path.iterdir()
    assert left.name.endswith(".part.txt")
    others = tmp_path / "mine.part.txt"
    others.touch()
    export_report(draft, path)
    assert {file.name for file in tmp_path.iterdir()} == {"r.txt", "mine.part.txt"}


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_an_export_is_private_from_its_first_byte(
    draft: ReportDocument, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes = []
    sync = os.fsync

    def look(number: int) -> None:
        modes.append(os.fstat(number).st_mode & 0o777)
        sync(number)

    monkeypatch.setattr(os, "fsync", look)
    path = export_report(draft, tmp_path / "r.txt")
    assert modes[0] == 0o600
    assert path.stat().st_mode & 0o777 == 0o600
