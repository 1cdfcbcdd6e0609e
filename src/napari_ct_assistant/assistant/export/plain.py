"""A report as plain text."""

from __future__ import annotations

import textwrap

from napari_ct_assistant.assistant.export.image_note import image_note
from napari_ct_assistant.assistant.export.measured import HEADING, measurement_rows
from napari_ct_assistant.assistant.export.study_details import NO_DETAILS, StudyDetails
from napari_ct_assistant.assistant.report.document import ReportDocument

WIDTH = 96


def title_of(report: ReportDocument) -> str:
    """Return the title of the document: the name of the report's template, if it has one."""
    return f"{report.template} report" if report.template else "Report"


def to_text(report: ReportDocument, study: StudyDetails = NO_DETAILS) -> bytes:
    """Return the report as UTF-8 text.

    In this order: notice, study, report, measurements, notice again, provenance.
    """
    notice = textwrap.fill(report.notice, WIDTH)
    body = "\n".join(
        textwrap.fill(line, WIDTH) if line else ""
        for line in report.text_with(lambda line: image_note(report, line)).splitlines()
    )
    rows, measured, about = (
        [textwrap.fill(f"{name}: {value}", WIDTH, subsequent_indent="  ") for name, value in pairs]
        for pairs in (report.provenance(), measurement_rows(report), study.rows())
    )
    parts = [title_of(report), notice, *(["\n".join(about)] if about else []), body]
    if measured:
        parts.append(f"{HEADING.upper()}\n" + "\n".join(measured))
    parts += [notice, "PROVENANCE\n" + "\n".join(rows)]
    return ("\n\n".join(parts) + "\n").encode()
