"""A report as a PDF with embedded fonts, written by fpdf2."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from napari_ct_assistant.assistant.export.errors import ExportError
from napari_ct_assistant.assistant.export.image_note import image_note
from napari_ct_assistant.assistant.export.pdf_flow import Block, Flow
from napari_ct_assistant.assistant.export.study_details import NO_DETAILS, StudyDetails
from napari_ct_assistant.assistant.export.words import (
    measurements_of,
    notice_of,
    provenance_of,
    study_of,
    title_of,
)
from napari_ct_assistant.assistant.report.document import ReportDocument
from napari_ct_assistant.support.translation import language, said

# DejaVu Sans: Latin, Greek, Cyrillic, Hebrew, Arabic, and most symbols.
_FONTS: Final = {"": "DejaVuSans.ttf", "B": "DejaVuSans-Bold.ttf"}
_FAMILY: Final = "DejaVu"
_BROWN: Final = (138, 59, 0)
_MARGIN_MM: Final = 20.0


def to_pdf(report: ReportDocument, study: StudyDetails = NO_DETAILS) -> bytes:
    """Return the report as a PDF, with the notice in every footer and the provenance last.

    Raises
    ------
    ExportError
        If the font lacks a character, or right-to-left text needs a library that is absent.
    """
    from fpdf import FPDF

    paths = {
        style: Path(str(files("napari_ct_assistant.assistant.export").joinpath("fonts", name)))
        for style, name in _FONTS.items()
    }
    title, notice = title_of(report), notice_of(report)
    rows = [*study_of(study), *measurements_of(report)[1], *provenance_of(report)[1]]
    _check(f"{report}{title}{notice}{rows}", paths[""])

    class Paper(FPDF):
        def footer(self) -> None:
            self.set_y(-22)
            self.set_font(_FAMILY, size=7)
            self.set_text_color(*_BROWN)
            self.multi_cell(0, 3.4, notice, align="L", new_x="LMARGIN", new_y="NEXT")
            self.set_text_color(90)
            self.cell(0, 4, f"{self.page_no()} / {{nb}}", align="R")

    paper: Any = Paper(format="A4")
    paper.set_margins(_MARGIN_MM, _MARGIN_MM)
    paper.set_auto_page_break(True, margin=28)
    for style, path in paths.items():
        paper.add_font(_FAMILY, style, str(path))
    if find_spec("uharfbuzz") is not None:
        paper.set_text_shaping(True)
    signed = report.signed
    paper.set_title(title)
    paper.set_author(signed.name if signed else "napari-ct-assistant")
    paper.set_subject(notice)
    paper.set_creator("napari-ct-assistant")
    paper.set_lang(language())
    paper.add_page()

    flow = Flow(paper, _FAMILY, _MARGIN_MM)
    flow.heading(title, 17)
    paper.ln(2)
    paper.set_fill_color(252, 243, 232)
    paper.set_font(_FAMILY, size=9)
    paper.set_text_color(*_BROWN)
    paper.multi_cell(0, 4.8, notice, align="L", fill=True, padding=2, new_x="LMARGIN", new_y="NEXT")
    flow.draw(_blocks(report, study))
    return bytes(paper.output())


def _blocks(report: ReportDocument, study: StudyDetails) -> Iterator[Block]:
    """Yield the study, the headings and lines of the report, measurements and provenance."""
    for number, (name, value) in enumerate(study_of(study)):
        yield Block(((f"{name}: {value}", 10.5, 0),), 0.8 if number else 3)
    for section in report.body():
        top = section.level == 1
        if section.heading:
            size = 12.5 if top else 10.5
            yield Block(((section.heading, size, 0),), 3 if top else 1, bold=True, begins=top)
        for number, line in enumerate(section.lines):
            note = image_note(report, line)
            gap = 0.8 if number or section.heading else 3
            grey = ((f" ({note})", 8.0, 120),) if note else ()
            yield Block(((line.text, 10.5, 0), *grey), gap)
    heading, measured = measurements_of(report)
    if measured:
        yield Block(((heading, 12.5, 0),), 3, bold=True, begins=True)
        for name, figures in measured:
            yield Block(((f"{name}: {figures}", 9, 0),))
    heading, rows = provenance_of(report)
    yield Block(((heading, 9, 90),), 5, bold=True, last=True)
    for name, value in rows:
        yield Block(((f"{name}: {value}", 7.5, 90),), last=True)


def _check(text: str, font: Path) -> None:
    """Refuse text that the PDF would show as empty boxes or in the wrong order."""
    from fontTools.ttLib import TTFont

    with TTFont(font, lazy=True) as opened:
        known = set(opened.getBestCmap())
    missing = sorted({c for c in text if ord(c) not in known and c not in "\n\r\t"})
    if missing:
        shown = ", ".join(f"{c!r} (U+{ord(c):04X})" for c in missing[:5])
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise ExportError(
            said("the PDF font lacks {shown}{more}; save as .docx or .txt", shown=shown, more=more)
        )
    joined = next((c for c in text if unicodedata.bidirectional(c) in ("R", "AL")), None)
    if joined is not None and find_spec("uharfbuzz") is None:
        raise ExportError(
            said(
                "a PDF with right-to-left text ({joined}) needs uharfbuzz: pip install "
                "uharfbuzz, or save as .docx or .txt",
                joined=repr(joined),
            )
        )
