"""A report as a FHIR R4 DiagnosticReport (http://hl7.org/fhir/R4/diagnosticreport.html)."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from html import escape
from typing import Any

from napari_ct_assistant.assistant.export.identifiers import Identifiers
from napari_ct_assistant.assistant.export.measured import quantities
from napari_ct_assistant.assistant.export.plain import to_text
from napari_ct_assistant.assistant.export.study_details import NO_DETAILS, StudyDetails
from napari_ct_assistant.assistant.export.words import measurements_of, title_of
from napari_ct_assistant.assistant.report.document import ReportDocument
from napari_ct_assistant.assistant.report.provenance import local_time

_XHTML = "http://www.w3.org/1999/xhtml"
_PARTICIPANT = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"


def to_fhir(
    report: ReportDocument,
    identifiers: Identifiers | None = None,
    study: StudyDetails = NO_DETAILS,
) -> bytes:
    """Return the report as JSON, with status preliminary until it is signed and then final.

    The models and the signature are in a contained Provenance. The full text is in `text` and,
    as a plain-text attachment, in `presentedForm`. A patient is named only if `identifiers` are
    given: by a reference to the study and by the patient ID of the DICOM files.
    """
    now = datetime.now(UTC).isoformat(timespec="seconds")
    signed = report.signed
    observations = _observations(report)
    resource: dict[str, Any] = {
        "resourceType": "DiagnosticReport",
        "text": {"status": "additional", "div": _narrative(report, study)},
        "contained": [*_contained(report, now), *observations],
        # R4 "partial": data in the report may be incomplete.
        "status": "partial" if report.incomplete and not signed else report.status,
        "category": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/v2-0074",
                        "code": "CT",
                        "display": "CAT Scan",
                    }
                ]
            }
        ],
        "code": {
            "coding": [
                {
                    "system": "http://loinc.org",
                    "code": "18748-4",
                    "display": "Diagnostic imaging study",
                }
            ],
            "text": title_of(report),
        },
        "issued": signed.time if signed else now,
    }
    if study.date:
        resource["effectiveDateTime"] = study.date.isoformat()
    if signed:
        who: dict[str, Any] = {"display": signed.name}
        resource["resultsInterpreter"] = [who]
        if signed.organization:
            resource["performer"] = [{"display": signed.organization}]
    if identifiers is not None:
        resource |= _study(identifiers)
    impression = [
        line.text
        for section in report.body()
        if section.key.partition("/")[0] == "impression"
        for line in section.lines
    ]
    if impression:
        first = f"[{report.incomplete}] " if report.incomplete else ""
        resource["conclusion"] = f"{first}{' '.join(impression)} [{report.notice}]"
    if observations:
        resource["result"] = [{"reference": f"#{one['id']}"} for one in observations]
    resource["presentedForm"] = [
        {
            "contentType": "text/plain; charset=utf-8",
            "language": "en",
            "data": base64.b64encode(to_text(report, study)).decode(),
            "title": title_of(report),
        }
    ]
    return (json.dumps(resource, indent=2, ensure_ascii=False) + "\n").encode()


def _narrative(report: ReportDocument, study: StudyDetails) -> str:
    """Return the report as XHTML."""
    parts = [f"<p><b>{_text(report.notice)}</b></p>"]
    parts += [f"<p>{_text(name)}: {_text(value)}</p>" for name, value in study.rows()]
    for section in report.body():
        if section.heading:
            tag = "h2" if section.level == 1 else "h3"
            parts.append(f"<{tag}>{_text(section.heading)}</{tag}>")
        parts += [f"<p>{_text(line.text)}</p>" for line in section.lines]
    heading, measured = measurements_of(report)
    if measured:
        parts.append(f"<h2>{heading}</h2>")
        parts += [f"<p>{_text(name)}: {_text(figures)}</p>" for name, figures in measured]
    return f'<div xmlns="{_XHTML}">{"".join(parts)}</div>'


def _text(text: str) -> str:
    return escape("".join(c for c in text if c == "\t" or ord(c) >= 32))


def _contained(report: ReportDocument, now: str) -> list[dict[str, Any]]:
    """Return the models as Devices and the authors of the report as its Provenance."""
    devices, agents = [], []
    for number, draft in enumerate(report.used_drafts, 1):
        model = draft.model
        versions = [{"value": f"{name} {version}"} for name, version in draft.versions.items()]
        notes = [
            *draft.warnings,
            f"Trained on {model.get('trained_on') or 'unnamed data'}.",
            model.get("notice", ""),
            f"Drafted at {local_time(draft.created)}.",
        ]
        device: dict[str, Any] = {
            "resourceType": "Device",
            "id": f"model{number}",
            "deviceName": [{"name": model.get("name") or "model", "type": "model-name"}],
            "note": [{"text": note} for note in notes if note],
        }
        hashes = [
            {"type": {"text": f"SHA-256 of the {of}"}, "value": model[f"{of}_sha256"]}
            for of in ("weights", "settings")
            if model.get(f"{of}_sha256")
        ]
        if hashes:
            device["identifier"] = hashes
        if versions:
            device["version"] = versions
        devices.append(device)
        agents.append(
            {
                "type": {"coding": [{"system": _PARTICIPANT, "code": "author"}]},
                "who": {"reference": f"#model{number}"},
            }
        )
    signed = report.signed
    if signed:
        agents.append(
            {
                "type": {"coding": [{"system": _PARTICIPANT, "code": "verifier"}]},
                "who": {"display": signed.name},
            }
        )
    if not agents:
        agents = [{"who": {"display": "the reader (not signed off)"}}]
    provenance = {
        "resourceType": "Provenance",
        "id": "provenance",
        "target": [{"reference": "#"}],
        "recorded": signed.time if signed else now,
        "agent": agents,
    }
    return [*devices, provenance]


def _observations(report: ReportDocument) -> list[dict[str, Any]]:
    """Return each measurement as an Observation with its values as components."""
    made = []
    for number, (line, measurement) in enumerate(report.measured(), 1):
        values = [
            {
                "code": {
                    "coding": [
                        {
                            "system": "http://snomed.info/sct",
                            "code": one.code,
                            "display": one.meaning,
                        }
                    ]
                },
                "valueQuantity": {
                    "value": one.value,
                    "unit": one.unit_meaning,
                    "system": "http://unitsofmeasure.org",
                    "code": one.unit,
                },
            }
            for one in quantities(measurement)
        ]
        made.append(
            {
                "resourceType": "Observation",
                "id": f"measurement{number}",
                "status": report.status,
                "code": {"text": line.text},
                "component": values,
                "note": [{"text": measurement.image}],
            }
        )
    return made


def _study(identifiers: Identifiers) -> dict[str, Any]:
    values = identifiers.values
    found: dict[str, Any] = {
        "imagingStudy": [
            {"identifier": {"system": "urn:dicom:uid", "value": f"urn:oid:{identifiers.study}"}}
        ]
    }
    if values["PatientID"]:
        subject: dict[str, Any] = {"type": "Patient", "identifier": {"value": values["PatientID"]}}
        if values["IssuerOfPatientID"]:
            subject["identifier"]["assigner"] = {"display": values["IssuerOfPatientID"]}
        found["subject"] = subject
    if values["AccessionNumber"]:
        found["basedOn"] = [
            {
                "type": "ServiceRequest",
                "identifier": {
                    "type": {
                        "coding": [
                            {
                                "system": "http://terminology.hl7.org/CodeSystem/v2-0203",
                                "code": "ACSN",
                            }
                        ]
                    },
                    "value": values["AccessionNumber"],
                },
            }
        ]
    return found
