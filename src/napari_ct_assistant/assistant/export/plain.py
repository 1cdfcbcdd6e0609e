"""A report as plain text."""

from __future__ import annotations

import textwrap

from napari_ct_assistant.assistant.export.image_note import image_note
from napari_ct_assistant.assistant.export.study_details import NO_DETAILS, StudyDetails
from napari_ct_assistant.assistant.export.words import (
    measurements_of,
    notice_of,
    provenance_of,
    study_of,
    title_of,
)
from napari_ct_assistant.assistant.report.document import ReportDocument

WIDTH = 96


def to_text(report: ReportDocument, study: StudyDetails = NO_DETAILS) -> bytes:
    """Return the report as UTF-8 text.

    In this order: notice, study, report, measurements, notice again, provenance.
    """
    notice = textwrap.fill(notice_of(report), WIDTH)
    body = "\n".join(
        textwrap.fill(line, WIDTH) if line else ""
        for line in report.text_with(lambda line: image_note(report, line)).splitlines()
    )
    source, provenance = provenance_of(report)
    heading, measurements = measurements_of(report)
    rows, measured, about = (
        [textwrap.fill(f"{name}: {value}", WIDTH, subsequent_indent="  ") for name, value in pairs]
        for pairs in (provenance, measurements, study_of(study))
    )
    parts = [title_of(report), notice, *(["\n".join(about)] if about else []), body]
    if measured:
        parts.append(f"{heading.upper()}\n" + "\n".join(measured))
    parts += [notice, f"{source.upper()}\n" + "\n".join(rows)]
    return ("\n\n".join(parts) + "\n").encode()
