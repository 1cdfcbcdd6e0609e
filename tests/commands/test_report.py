"""`report --out` and `journal` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pydicom
import pytest
from typer.testing import CliRunner

from napari_ct_assistant.assistant.journal.store import Journal
from napari_ct_assistant.assistant.report.document import ReportDocument
from napari_ct_assistant.assistant.report.template import find_template
from napari_ct_assistant.cli import app
from napari_ct_assistant.volume import CTVolume, write_nifti
from tests.assistant.report.report_samples import sample_draft
from tests.tiny_model import NOTICE

run = CliRunner().invoke


@pytest.fixture
def scan(small_volume: CTVolume, tmp_path: Path) -> str:
    path = tmp_path / "scan.nii.gz"
    write_nifti(small_volume, path)
    return str(path)


def test_report_writes_every_format(scan: str, tmp_path: Path, tiny_model_folder: Path) -> None:
    endings = ("docx", "pdf", "txt", "json", "dcm")
    files = [tmp_path / f"a.{ending}" for ending in endings]
    options = [word for file in files for word in ("--out", str(file))]
    options += ["--study-date", "2025-03-01", "--study-region", "Chest", "--comparison", "NONE"]
    done = run(app, ["report", scan, "--model", str(tiny_model_folder), "--json", *options])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["sentences"]
    assert json.loads(done.stdout)["checks"] == []
    text = " ".join(files[2].read_text(encoding="utf-8").split())
    assert "Draft, machine-written, model tiny-model trained on nothing." in text
    assert NOTICE in text
    for words in ("Study date: 2025-03-01", "Region: Chest", "Comparison: None"):
        assert words in text
    fhir = json.loads(files[3].read_text(encoding="utf-8"))
    assert fhir["status"] == "preliminary"
    assert fhir["effectiveDateTime"] == "2025-03-01"
    assert pydicom.dcmread(files[4]).VerificationFlag == "UNVERIFIED"
    assert all(file.stat().st_size > 500 for file in files)


def test_a_report_with_german_headings(scan: str, tmp_path: Path, tiny_model_folder: Path) -> None:
    file = tmp_path / "a.txt"
    options = ["--model", str(tiny_model_folder), "--out", str(file), "--language", "de"]
    done = run(app, ["report", scan, *options])
    assert done.exit_code == 0, done.output
    assert "HERKUNFT" in file.read_text(encoding="utf-8")
    assert "wrote a.txt" in done.output


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--out", "a.odt"], "a.odt: unknown format; the file name must end in .docx"),
        (["--out", "none/a.txt"], "its folder does not exist"),
        (
            ["--out", "a.pdf", "--with-identifiers"],
            "a.pdf: this format cannot hold patient",
        ),
        (["--with-identifiers"], "needs --out"),
        (["--comparison", "CT of 2024"], "--comparison needs --out with a file"),
        (["--language", "xx"], "--language 'xx': there is no such language; give one of en, de"),
        (["--template", "Ours"], "no template 'Ours'; give one of"),
        (["--template", "ours.yaml"], "ours.yaml: cannot be read"),
    ],
)
def test_what_cannot_be_written_is_refused_before_the_model_runs(
    scan: str, options: list[str], said: str
) -> None:
    done = run(app, ["report", scan, *options])
    assert done.exit_code == 1, done.exception
    assert said in done.stderr
    assert "loading the model" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_details_that_the_scan_does_not_have_are_refused_before_the_model_runs(scan: str) -> None:
    done = run(app, ["report", scan, "--out", "a.txt", "--study-date", "Scan"])
    assert done.exit_code == 1, done.exception
    assert done.stderr.splitlines()[-1].startswith("error: scan.nii.gz: not a DICOM file")
    assert "loading the model" not in done.stderr


def test_journal_list_show_delete() -> None:
    assert run(app, ["journal", "list"]).stdout == "the journal is empty\n"
    report = ReportDocument.from_draft(sample_draft(), find_template(), weights_sha256="")
    journal = Journal()
    journal.save("ab" * 32, {"report": report.to_json(), "transcript": []})
    text = "**Size**\\: *4 mm* \\(image\\)\\.  [image\u00a084](slice:83)\n\n1\\. yes"
    messages = [{"title": "You", "text": "Is it big?"}, {"title": "demo", "text": text}]
    journal.save("cd" * 32, {"transcript": messages})
    journal.close()
    listed = run(app, ["journal", "list"]).stdout.splitlines()
    assert [line[:16] for line in listed] == ["cd" * 8, "ab" * 8]
    assert "0 messages, a report" in listed[1]
    assert len(json.loads(run(app, ["journal", "list", "--json"]).stdout)["scans"]) == 2
    shown = run(app, ["journal", "show", "ab"]).stdout
    assert "Severe cardiomegaly." in shown
    assert "Not signed off by a reader." in shown
    # Plain text, without the panel's markdown.
    plain = "You\nIs it big?\n\ndemo\nSize\\: 4 mm (image).  image 84\n\n1. yes\n"
    assert run(app, ["journal", "show", "cd"]).stdout == plain
    done = run(app, ["journal", "delete", "abab"])
    assert done.stdout == "deleted the journal of 1 scan\n"
    assert run(app, ["journal", "delete", "--all"]).stdout == "deleted the journal of 1 scan\n"
    assert run(app, ["journal", "list"]).stdout == "the journal is empty\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["delete"], "give the hash of one scan, or --all"),
        (["delete", "ab", "--all"], "give the hash of one scan, or --all"),
        (["delete", "zz"], "no hash begins with 'zz'"),
        (["show", "zz"], "no hash begins with 'zz'"),
    ],
)
def test_journal_refusals(words: list[str], said: str) -> None:
    done = run(app, ["journal", *words])
    assert done.exit_code == 1
    assert said in done.stderr
