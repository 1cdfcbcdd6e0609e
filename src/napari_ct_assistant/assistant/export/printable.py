"""A report as every export can write it: no control characters, no endless provenance."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from napari_ct_assistant.assistant.report.document import ReportDocument
from napari_ct_assistant.assistant.report.parts import DraftInfo
from napari_ct_assistant.support.plain_text import plain, shortened

# Characters of one value of the provenance. The report's own text is never shortened.
MAX_VALUE: Final = 2000
MAX_WARNINGS: Final = 50


def printable(report: ReportDocument) -> ReportDocument:
    """Return the report with every text filtered; a valid signature stays valid."""
    signed = report.signed
    clean = replace(
        report,
        template=_value(report.template),
        sections=tuple(
            replace(
                section,
                heading=plain(section.heading),
                lines=tuple(replace(line, text=plain(line.text)) for line in section.lines),
            )
            for section in report.sections
        ),
        sources=tuple(
            replace(s, sentence=replace(s.sentence, text=plain(s.sentence.text)))
            for s in report.sources
        ),
        drafts=tuple(map(_draft, report.drafts)),
    )
    if signed is None:
        return replace(clean, signature=None)
    name, organization = _value(signed.name), _value(signed.organization)
    return replace(
        clean,
        signature=replace(signed, name=name, organization=organization, content=clean.content),
    )


def _draft(draft: DraftInfo) -> DraftInfo:
    return replace(
        draft,
        model=_values(draft.model),
        created=_value(draft.created),
        versions=_values(draft.versions),
        settings=_values(draft.settings),
        warnings=tuple(map(_value, draft.warnings[:MAX_WARNINGS])),
    )


def _values(values: dict[str, Any]) -> dict[str, Any]:
    return {
        _value(key): _value(value) if isinstance(value, str) else value
        for key, value in values.items()
    }


def _value(text: str) -> str:
    clean = shortened(plain(str(text)), MAX_VALUE)
    # An unchanged text stays what it is: it may know how to be translated.
    return text if clean == text else clean
