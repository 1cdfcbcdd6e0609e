"""The words that every readable export has besides the report's own, in the file's language."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from napari_ct_assistant.assistant.export.measured import measurement_rows
from napari_ct_assistant.assistant.export.study_details import StudyDetails
from napari_ct_assistant.assistant.report.document import ReportDocument
from napari_ct_assistant.support.translation import N_, _, said, shown

Pairs = list[tuple[str, str]]

# Values that have a translation: bundled templates, regions that are recognised, states.
_VALUES: Final = (
    N_("Chest CT"), N_("Abdominal CT"), N_("Chest"), N_("Abdomen"),
    N_("preliminary"), N_("final"), N_("Not for clinical use."),
)  # fmt: skip


def title_of(report: ReportDocument) -> str:
    """Return the title of the document: the name of the report's template, if it has one."""
    if not report.template:
        return _("Report")
    return shown(said("{name} report", name=report.template))


def notice_of(report: ReportDocument) -> str:
    """Return the notice that stands first and last."""
    return shown(report.notice)


def study_of(study: StudyDetails) -> Pairs:
    """Return what the reader adds about the study."""
    return _pairs(study.rows())


def measurements_of(report: ReportDocument) -> tuple[str, Pairs]:
    """Return the heading of the measurements, and what each is called and measures."""
    # What it is called are words of the report.
    return _("Measurements"), [(name, shown(value)) for name, value in measurement_rows(report)]


def provenance_of(report: ReportDocument) -> tuple[str, Pairs]:
    """Return the heading of the provenance, and its rows."""
    return _("Provenance"), _pairs(report.provenance())


def _pairs(rows: Iterable[tuple[str, str]]) -> Pairs:
    return [(shown(name), shown(value)) for name, value in rows]
