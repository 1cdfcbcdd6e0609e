"""A report as a Word document (Office Open XML), written by python-docx."""

from __future__ import annotations

import io
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

from napari_ct_assistant.assistant.export.image_note import image_note
from napari_ct_assistant.assistant.export.pdf_flow import MOST_TAKEN_ALONG
from napari_ct_assistant.assistant.export.study_details import NO_DETAILS, StudyDetails
from napari_ct_assistant.assistant.export.words import (
    measurements_of,
    notice_of,
    provenance_of,
    study_of,
    title_of,
)
from napari_ct_assistant.assistant.report.document import ReportDocument
from napari_ct_assistant.support.translation import language

MAX_PROPERTY: Final = 255  # characters of a document property


def to_docx(report: ReportDocument, study: StudyDetails = NO_DETAILS) -> bytes:
    """Return the report as a .docx file, with the notice on every page and a provenance table."""
    from docx import Document
    from docx.shared import Pt, RGBColor

    document: Any = Document()
    properties = document.core_properties
    signed = report.signed
    title, notice = title_of(report), notice_of(report)
    properties.title = title[:MAX_PROPERTY]
    properties.language = language()
    properties.author = signed.name[:MAX_PROPERTY] if signed else "napari-ct-assistant"
    properties.last_modified_by = properties.author
    properties.comments = notice[:MAX_PROPERTY]
    properties.content_status = report.status
    properties.created = properties.modified = datetime.now(UTC).replace(tzinfo=None)
    document.styles["Normal"].font.size = Pt(11)
    document.add_heading(_clean(title), 0)
    _notice(document.add_paragraph(), notice, RGBColor, None)
    for name, value in study_of(study):
        paragraph = document.add_paragraph()
        paragraph.paragraph_format.space_after = Pt(0)
        paragraph.add_run(f"{name}: ").bold = True
        paragraph.add_run(_clean(value))
    last_part = len(document.paragraphs)
    for section in report.body():
        if section.level == 1:
            last_part = len(document.paragraphs)
        if section.heading:
            document.add_heading(_clean(section.heading), section.level)
        for line in section.lines:
            paragraph = document.add_paragraph(_clean(line.text))
            note = image_note(report, line)
            if note:
                run = paragraph.add_run(f" ({note})")
                run.font.color.rgb, run.font.size = RGBColor(0x80, 0x80, 0x80), Pt(8)
    heading, measured = measurements_of(report)
    if measured:
        _table(document, heading, measured, followed=True)
    # The provenance is one block, and never alone on a page: the end of the report goes with it.
    ending = document.paragraphs[last_part:]
    for paragraph in ending if len(ending) <= MOST_TAKEN_ALONG else ending[-1:]:
        paragraph.paragraph_format.keep_with_next = True
    _table(document, *provenance_of(report))
    for section in document.sections:
        _notice(section.footer.paragraphs[0], notice, RGBColor, Pt(8))
    stream = io.BytesIO()
    document.save(stream)
    return stream.getvalue()


def _table(
    document: Any, heading: str, rows: Iterable[tuple[str, str]], *, followed: bool = False
) -> None:
    """Add a table that no page end splits, nor parts from what follows it if it is `followed`."""
    from docx.oxml import OxmlElement
    from docx.shared import Pt

    document.add_heading(heading, 1).paragraph_format.keep_with_next = True
    table = document.add_table(rows=0, cols=2, style="Light Grid Accent 1")
    for name, value in rows:
        row = table.add_row()
        cells = row.cells
        cells[0].text, cells[1].text = _clean(name), _clean(value)
        row._tr.get_or_add_trPr().append(OxmlElement("w:cantSplit"))
        for cell in cells:
            paragraph = cell.paragraphs[0]
            paragraph.paragraph_format.keep_together = True
            paragraph.paragraph_format.keep_with_next = True
            for run in paragraph.runs:
                run.font.size = Pt(8)
    if table.rows and not followed:
        for cell in table.rows[-1].cells:
            cell.paragraphs[0].paragraph_format.keep_with_next = False


def _notice(paragraph: Any, text: str, colour: Any, size: Any) -> None:
    run = paragraph.add_run(_clean(text))
    run.italic = True
    run.font.color.rgb = colour(0x8A, 0x3B, 0x00)
    if size is not None:
        run.font.size = size


def _clean(text: str) -> str:
    """Return `text` without the control characters that XML does not allow."""
    return "".join(
        c for c in text if c in "\t\n" or (ord(c) >= 32 and ord(c) not in (0xFFFE, 0xFFFF))
    )
