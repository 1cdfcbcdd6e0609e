"""An impression that a model wrote from the findings as they stand, as part of the report."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from napari_ct_assistant.assistant.reading.results import Answer, Sentence
from napari_ct_assistant.assistant.report.checks import Check, check_lines
from napari_ct_assistant.assistant.report.document import ReportDocument
from napari_ct_assistant.assistant.report.matching import best_match
from napari_ct_assistant.assistant.report.parts import DraftInfo, Line, Source
from napari_ct_assistant.assistant.report.statements import (
    CheckedLine,
    lines_of,
    statements_in,
)
from napari_ct_assistant.report_text.sentences import split_sentences


def check_summary(report: ReportDocument, text: str) -> list[Check]:
    """Compare an impression that is not yet part of the report with the report's findings.

    The checks say nothing about the impression that is in the report now.
    """
    findings = [line for line in lines_of(report) if line.part == "findings"]
    findings = [replace(line, state="own") if line.state == "draft" else line for line in findings]
    impression = [CheckedLine(sentence, "impression") for sentence in split_sentences(text)]
    found = check_lines([*findings, *impression])
    return [check for check in found if check.kind == "not summed up" or _is_of(check, findings)]


def _is_of(check: Check, findings: list[CheckedLine]) -> bool:
    """Say whether a check is about a line after the findings, an impression's."""
    return check.line is not None and check.line >= len(findings)


def add_summary(
    report: ReportDocument, answer: Answer, *, weights_sha256: str | None = None
) -> tuple[ReportDocument, list[Line]]:
    """Return the report with a model's impression on record, and the impression's lines.

    Each line is machine-written until a reader accepts it. It has the evidence of the finding
    that it sums up; the lines are not yet part of a section.
    """
    lines = lines_of(report)
    placed = [line for _, line in report.lines()]
    findings = statements_in(lines, "findings")
    sources = list(report.sources)
    made: list[Line] = []
    for text in split_sentences(answer.text):
        sentence = Sentence(text, "Impression")
        for statement in statements_in([CheckedLine(text, "impression")], "impression"):
            match = best_match(statement, findings)
            source = None if match is None else placed[match.line].source
            if source is not None and sentence.slice is None:
                of = report.sources[source].sentence
                sentence = replace(of, text=text, section="Impression")
        made.append(Line(text, len(sources)))
        sources.append(Source(sentence, len(report.drafts)))
    created = datetime.now(UTC).isoformat(timespec="seconds")
    info = DraftInfo.of_answer(answer, created, weights_sha256)
    return replace(report, sources=tuple(sources), drafts=(*report.drafts, info)), made
