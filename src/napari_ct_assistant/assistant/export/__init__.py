"""Export a report as DOCX, PDF, plain text, FHIR DiagnosticReport or DICOM SR.

Every format contains the report's notice and its provenance. An export names a patient only
if you ask for it: `read_identifiers` then takes the identifiers from the scan's DICOM files.
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
from napari_ct_assistant.assistant.export.study_details import (
    NO_COMPARISON,
    StudyDetails,
    region_of,
    study_date,
)

__all__ = [
    "FORMATS",
    "NO_COMPARISON",
    "ExportError",
    "Format",
    "Identifiers",
    "StudyDetails",
    "check_path",
    "export_report",
    "format_of",
    "read_identifiers",
    "region_of",
    "study_date",
]
