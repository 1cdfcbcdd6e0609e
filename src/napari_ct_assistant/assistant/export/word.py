"""A report as a Word document (Office Open XML), written by python-docx."""

from __future__ import annotations

import io
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

from napari_ct_assistant.assistant.export.image_note import image_note
from napari_ct_assistant.assistant.export.measured import HEADING, measurement_rows
from napari_ct_assistant.assistant.export.plain import title_of
from napari_ct_assistant.assistant.report.document import ReportDocument

MAX_PROPERTY: Final = 255  # characters of a document property


def to_docx(report: ReportDocument) -> bytes:
    """Return the report as a .docx file, with the notice on every page and a provenance table."""
    from docx import Document
    from docx.shared import Pt, RGBColor

    document: Any = Document()
    properties = document.core_properties
    signed = report.signed
    properties.title = title_of(report)[:MAX_PROPERTY]
    properties.author = signed.name[:MAX_PROPERTY] if signed else "napari-ct-assistant"
    properties.last_modified_by = properties.author
    properties.comments = report.notice[:MAX_PROPERTY]
    properties.content_status = report.status
    properties.created = properties.modified = datetime.now(UTC).replace(tzinfo=None)
    document.styles["Normal"].font.size = Pt(11)
    document.add_heading(_clean(title_of(report)), 0)
    _notice(document.add_paragraph(), report.notice, RGBColor, None)
    for section in report.body():
        if section.heading:
            document.add_heading(_clean(section.heading), section.level)
        for line in section.lines:
            paragraph = document.add_paragraph(_clean(line.text))
            note = image_note(report, line)
            if note:
                run = paragraph.add_run(f" ({note})")
                run.font.color.rgb, run.font.size = RGBColor(0x80, 0x80, 0x80), Pt(8)
    measured = measurement_rows(report)
    if measured:
        _table(document, HEADING, measured)
    _table(document, "Provenance", report.provenance())
    for section in document.sections:
        _notice(section.footer.paragraphs[0], report.notice, RGBColor, Pt(8))
    stream = io.BytesIO()
    document.save(stream)
    return stream.getvalue()


def _table(document: Any, heading: str, rows: Iterable[tuple[str, str]]) -> None:
    from docx.shared import Pt

    document.add_heading(heading, 1)
    table = document.add_table(rows=0, cols=2, style="Light Grid Accent 1")
    for name, value in rows:
        cells = table.add_row().cells
        cells[0].text, cells[1].text = _clean(name), _clean(value)
        for cell in cells:
            for run in cell.paragraphs[0].runs:
                run.font.size = Pt(8)


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
