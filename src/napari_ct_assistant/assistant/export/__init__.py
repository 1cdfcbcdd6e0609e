"""Exports of a report: DOCX, PDF, plain text, FHIR DiagnosticReport, DICOM SR.

Each carries the report's notice and provenance. No export invents a patient: identifiers are
written only where they were read from the scan's DICOM files on request (`read_identifiers`).
"""

from __future__ import annotations

from napari_ct_assistant.assistant.export.errors import ExportError
from napari_ct_assistant.assistant.export.formats import (
    FORMATS,
    Format,
    check_path,
    export_report,
    format_of,
)
from napari_ct_assistant.assistant.export.identifiers import Identifiers, read_identifiers

__all__ = [
    "FORMATS",
    "ExportError",
    "Format",
    "Identifiers",
    "check_path",
    "export_report",
    "format_of",
    "read_identifiers",
]
