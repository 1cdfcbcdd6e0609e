"""A model's impression of the findings: compared, and machine-written until it is accepted."""

from __future__ import annotations

from dataclasses import replace

from napari_ct_assistant.assistant import Answer, Sentence
from napari_ct_assistant.assistant.report.comparison import compare_with_draft
from napari_ct_assistant.assistant.report.document import ReportDocument
from napari_ct_assistant.assistant.report.parts import Line
from napari_ct_assistant.assistant.report.summary import add_summary, check_summary
from napari_ct_assistant.assistant.report.template import find_template
from tests.assistant.report.report_samples import INFO, sample_draft

RIGHT = Sentence(
    "There is an opacity in the right lower lobe.", "Findings", 2.0, 7, (1.0, 2.0, 3.0)
)


def typed() -> ReportDocument:
    """Return a draft with a line of the reader's own after it, and an old impression."""
    old = Sentence("Opacity.", "Impression")
    report = ReportDocument.from_draft(sample_draft(RIGHT, old), find_template())
    sections = tuple(
        replace(s, lines=(*s.lines, Line("Nodule in the left lower lobe.")))
        if s.key == "findings/lungs"
        else s
        for s in report.sections
    )
    return replace(report, sections=sections)


def answer(text: str) -> Answer:
    return Answer("", text, INFO, 0.1, 0.2, 5, stopped=False)


def with_impression(report: ReportDocument, text: str) -> ReportDocument:
    report, lines = add_summary(report, answer(text), weights_sha256="ab" * 32)
    sections = tuple(
        replace(s, lines=tuple(lines)) if s.key == "impression" else s for s in report.sections
    )
    return replace(report, sections=sections)


def test_a_moved_side_and_a_dropped_finding_are_told() -> None:
    found = {check.kind: check.text for check in check_summary(typed(), "Left lower lobe opacity.")}
    assert found == {
        "side": "Lung opacity: right in the findings, left in the impression.",
        "not summed up": "Lung nodule: affirmed here, not summed up in the impression.",
    }
    whole = "Opacity of the right lower lobe. Nodule in the left lower lobe."
    assert check_summary(typed(), whole) == []


def test_its_sentences_are_machine_written_until_accepted() -> None:
    report = with_impression(typed(), "Opacity of the right lower lobe. Normal heart.")
    lines = [line for section, line in report.lines() if section.key == "impression"]
    assert [report.state(line) for line in lines] == ["draft", "draft"]
    assert report.unreviewed == 3
    evidence = [report.sources[line.source or 0].sentence for line in lines]
    assert [(s.slice, s.ras, s.support) for s in evidence] == [
        (7, (1.0, 2.0, 3.0), 2.0),
        (None, None, None),
    ]
    assert "machine-written, model demo" in report.notice
    rows = report.provenance()
    assert ("Wrote", "the impression") in rows
    assert rows.count(("Weights SHA-256", "ab" * 32)) == 1
    assert ReportDocument.from_json(report.to_json()) == report


def test_a_new_draft_does_not_overwrite_it_unasked() -> None:
    drafted = ReportDocument.from_draft(sample_draft(RIGHT), find_template())
    assert not drafted.touched
    assert with_impression(drafted, "Opacity.").touched


def test_the_comparison_still_shows_what_was_deleted_of_the_draft() -> None:
    report = with_impression(typed(), "Opacity of the right lower lobe.")
    changes = compare_with_draft(report)
    assert ("rejected", (("removed", "Opacity."),)) in [(c.state, c.parts) for c in changes]
