"""Exports of a report: DOCX, PDF, plain text, FHIR and DICOM SR."""
