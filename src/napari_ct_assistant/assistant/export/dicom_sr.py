"""A report as a DICOM Basic Text SR, laid out after TID 2000 (PS3.16).

A report with measurements is an Enhanced SR, because Basic Text SR has no numeric items
(PS3.3 A.35.1 and A.35.2); a Comprehensive SR if it has the outline of a region or label, and a
Comprehensive 3D SR if one lies on no image of the scan. Each value is a NUM item below its
sentence, with the line or outline that it was taken from.

Codes are those of pydicom's dictionary of the standard, content items those of highdicom
(extra `export`). highdicom has no class for the Basic Text SR document itself, so its top
level is a plain data set.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Final

from napari_ct_assistant import __version__
from napari_ct_assistant.assistant.export.errors import ExportError
from napari_ct_assistant.assistant.export.identifiers import Identifiers, ImageReference
from napari_ct_assistant.assistant.export.sr_measurements import (
    INFERRED_FROM,
    image_item,
    measured_items,
)
from napari_ct_assistant.assistant.export.study_details import NO_DETAILS, StudyDetails
from napari_ct_assistant.assistant.export.words import title_of
from napari_ct_assistant.assistant.report.document import ReportDocument
from napari_ct_assistant.assistant.report.parts import Line
from napari_ct_assistant.support.translation import said

if TYPE_CHECKING:
    from highdicom.sr import (
        ContainerContentItem,
        ContentItem,
        TextContentItem,
    )
    from pydicom.dataset import Dataset
    from pydicom.sr.coding import Code

BASIC_TEXT_SR: Final = "1.2.840.10008.5.1.4.1.1.88.11"
ENHANCED_SR: Final = "1.2.840.10008.5.1.4.1.1.88.22"
COMPREHENSIVE_SR: Final = "1.2.840.10008.5.1.4.1.1.88.33"
COMPREHENSIVE_3D_SR: Final = "1.2.840.10008.5.1.4.1.1.88.34"
NO_OUTLINES: Final = (
    "The lines and outlines of the measurements are left out, because this report refers to no "
    "images."
)
CONTAINS: Final = "CONTAINS"
CONTEXT: Final = "HAS OBS CONTEXT"


@cache
def section_codes() -> dict[str, tuple[Code, Code]]:
    """Return, for each section of a report, its heading (CID 7001) and its items (CID 7002).

    A section that is not listed is filed under the empty name.
    """
    from pydicom.sr.codedict import codes

    heading, item = codes.cid7001, codes.cid7002
    return {
        "technique": (heading.CurrentProcedureDescriptions, item.ProcedureDescription),
        "findings": (heading.Findings, item.Finding),
        "impression": (heading.Impressions, item.Impression),
        "conclusion": (heading.Conclusions, item.Conclusion),
        "clinical information": (heading.ClinicalInformation, item.History),
        "history": (heading.History, item.History),
        "comparison": (heading.PreviousFindings, item.PreviousFinding),
        "recommendation": (heading.Recommendations, item.Recommendation),
        "": (heading.Summary, item.Summary),
    }


def to_dicom_sr(
    report: ReportDocument,
    identifiers: Identifiers | None = None,
    study: StudyDetails = NO_DETAILS,
) -> bytes:
    """Return the report as a DICOM file.

    Unsigned it is PARTIAL, UNVERIFIED and PRELIMINARY; signed COMPLETE, VERIFIED and FINAL with
    the signer as verifying observer. With `identifiers` it belongs to the scan's study, and a
    sentence's slice is a reference to the image. Without them the patient and study attributes
    stay empty and the report gets a new study UID.

    Raises
    ------
    ExportError
        If highdicom is not installed.
    """
    try:
        from highdicom.sr import ContainerContentItem, ContentSequence
    except ImportError as error:
        raise ExportError(
            said("DICOM SR needs highdicom: pip install 'napari-ct-assistant[export]'")
        ) from error
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.sr.codedict import codes
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    now = datetime.now().astimezone()
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPInstanceUID = generate_uid(None)
    dataset.InstanceCreationDate = now.strftime("%Y%m%d")
    dataset.InstanceCreationTime = now.strftime("%H%M%S")
    _patient_and_study(dataset, identifiers, generate_uid(None))
    if identifiers is None and study.date:
        dataset.StudyDate = study.date.strftime("%Y%m%d")
    dataset.Modality = "SR"
    dataset.SeriesInstanceUID = generate_uid(None)
    dataset.SeriesNumber = 1
    dataset.SeriesDescription = _short(title_of(report))
    dataset.ReferencedPerformedProcedureStepSequence = []
    dataset.Manufacturer = "napari-ct-assistant"
    dataset.ManufacturerModelName = "napari-ct-assistant"
    dataset.SoftwareVersions = __version__
    dataset.InstanceNumber = 1
    dataset.ContentDate = now.strftime("%Y%m%d")
    dataset.ContentTime = now.strftime("%H%M%S")
    dataset.PerformedProcedureCodeSequence = []
    _flags(dataset, report)
    cited: dict[str, ImageReference] = {}
    root = ContainerContentItem(
        codes.LN.DiagnosticImagingReport, is_content_continuous=False, template_id="2000"
    )
    root.ContentSequence = ContentSequence(_content(report, identifiers, study, cited))
    dataset.update(root)
    dataset.SOPClassUID = _sop_class(report, dataset)
    if identifiers is not None and identifiers.instances:
        images = cited or {one.sop_instance: one for one in identifiers.instances}
        dataset.CurrentRequestedProcedureEvidenceSequence = [
            _evidence(identifiers, list(images.values()))
        ]
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _sop_class(report: ReportDocument, content: Dataset) -> str:
    """Return the simplest kind of SR that holds the content."""
    if not any(report.measured()):
        return BASIC_TEXT_SR

    def items(item: Dataset) -> Iterator[Dataset]:
        yield item
        for one in item.get("ContentSequence", ()):
            yield from items(one)

    found = list(items(content))
    if any(one.ValueType == "SCOORD3D" for one in found):
        return COMPREHENSIVE_3D_SR
    # Enhanced SR infers no text from a group (PS3.3 table A.35.2-2).
    grouped = (one.ValueType == "CONTAINER" and one.RelationshipType == INFERRED_FROM
               for one in found[1:])  # fmt: skip
    return COMPREHENSIVE_SR if any(grouped) else ENHANCED_SR


def _patient_and_study(dataset: Dataset, identifiers: Identifiers | None, new_study: str) -> None:
    values = {} if identifiers is None else identifiers.values
    for name in (
        "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
        "StudyID", "AccessionNumber", "ReferringPhysicianName",
    ):  # fmt: skip
        setattr(dataset, name, values.get(name, ""))
    for name in ("IssuerOfPatientID", "StudyDescription"):
        if values.get(name):
            setattr(dataset, name, values[name])
    dataset.StudyInstanceUID = values.get("StudyInstanceUID") or new_study


def _flags(dataset: Dataset, report: ReportDocument) -> None:
    from pydicom.dataset import Dataset

    signed = report.signed
    dataset.CompletionFlag = "COMPLETE" if signed else "PARTIAL"
    whole = "Incomplete draft" if report.incomplete else "Draft"
    dataset.CompletionFlagDescription = "Signed off" if signed else f"{whole}, not signed off"
    dataset.VerificationFlag = "VERIFIED" if signed else "UNVERIFIED"
    dataset.PreliminaryFlag = "FINAL" if signed else "PRELIMINARY"
    if signed:
        observer = Dataset()
        observer.VerifyingOrganization = _short(signed.organization or "not given")
        observer.VerificationDateTime = _moment(signed.time)
        observer.VerifyingObserverName = _name(signed.name)
        observer.VerifyingObserverIdentificationCodeSequence = []
        dataset.VerifyingObserverSequence = [observer]


def _content(
    report: ReportDocument,
    identifiers: Identifiers | None,
    study: StudyDetails,
    cited: dict[str, ImageReference],
) -> list[ContentItem]:
    """Return the items below the root; `cited` collects the images that they refer to."""
    from highdicom.sr import CodeContentItem, ContentSequence
    from pydicom.sr.codedict import codes
    from pydicom.sr.coding import Code

    dcm = codes.DCM
    items: list[ContentItem] = [
        CodeContentItem(
            dcm.LanguageOfContentItemAndDescendants,
            Code("en", "RFC5646", "English"),
            relationship_type="HAS CONCEPT MOD",
        ),
        *_observers(report),
        _text(dcm.Comment, report.notice, CONTAINS),
    ]
    known = section_codes()
    groups: dict[str, list[ContentItem]] = {}
    for name, value in study.rows():
        kind = "comparison" if name == "Comparison" else "technique"
        group = groups.setdefault(kind, [])
        group.append(_text(known[kind][1], f"{name}: {value}", CONTAINS))
    for section in report.body():
        kind = section.key.partition("/")[0]
        _, concept = known.get(kind, known[""])
        group = groups.setdefault(kind, [])
        label = section.heading if section.level > 1 or kind not in known else ""
        for line in section.lines:
            item = _text(concept, f"{label}: {line.text}" if label else line.text, CONTAINS)
            image = _image_of(report, line, identifiers)
            below: list[ContentItem] = [] if image is None else [image_item(image)]
            images = [] if image is None else [image]
            if line.measurement is not None:
                measurement = report.measurements[line.measurement]
                below, images = measured_items(line, measurement, image, identifiers)
            cited.update((one.sop_instance, one) for one in images)
            if below:
                item.ContentSequence = ContentSequence(below)
            group.append(item)
    for kind, group in groups.items():
        if group:
            items.append(_section(known.get(kind, known[""])[0], group))
    rows = "\n".join(f"{name}: {value}" for name, value in report.provenance())
    comments = [rows, NO_OUTLINES] if identifiers is None and any(report.measured()) else [rows]
    items.append(_section(known[""][0], [_text(dcm.Comment, c, CONTAINS) for c in comments]))
    return items


def _observers(report: ReportDocument) -> list[ContentItem]:
    """Return who observed: the models as devices, the signer as a person (TID 1002)."""
    from highdicom.sr import CodeContentItem, PnameContentItem, UIDRefContentItem
    from pydicom.sr.codedict import codes
    from pydicom.uid import generate_uid

    dcm = codes.DCM
    items: list[ContentItem] = []
    for draft in report.used_drafts:
        # The same weights are the same device.
        seed = draft.model.get("weights_sha256") or draft.model.get("name") or "model"
        uid = generate_uid(entropy_srcs=["napari-ct-assistant", seed])
        items += [
            CodeContentItem(dcm.ObserverType, dcm.Device, CONTEXT),
            UIDRefContentItem(dcm.DeviceObserverUID, uid, CONTEXT),
            _text(dcm.DeviceObserverName, draft.model.get("name") or "model", CONTEXT),
            _text(dcm.DeviceObserverModelName, draft.who, CONTEXT),
        ]
    signed = report.signed
    if signed:
        items += [
            CodeContentItem(dcm.ObserverType, dcm.Person, CONTEXT),
            PnameContentItem(dcm.PersonObserverName, _name(signed.name), CONTEXT),
        ]
        if signed.organization:
            items.append(_text(dcm.PersonObserverOrganizationName, signed.organization, CONTEXT))
    return items


def _image_of(
    report: ReportDocument, line: Line, identifiers: Identifiers | None
) -> ImageReference | None:
    if identifiers is None:
        return None
    ras = None
    if line.measurement is not None:
        ras = report.measurements[line.measurement].ras
    elif line.source is not None:
        ras = report.sources[line.source].sentence.ras
    return None if ras is None else identifiers.image_at(ras)


def _section(concept: Code, items: list[ContentItem]) -> ContainerContentItem:
    from highdicom.sr import ContainerContentItem, ContentSequence

    section = ContainerContentItem(concept, is_content_continuous=False, relationship_type=CONTAINS)
    section.ContentSequence = ContentSequence(items)
    return section


def _text(concept: Code, text: str, relationship: str) -> TextContentItem:
    from highdicom.sr import TextContentItem

    printable = "".join(c for c in text if c in "\t\n" or ord(c) >= 32)
    return TextContentItem(concept, printable, relationship)


def _reference(image: ImageReference) -> Dataset:
    from pydicom.dataset import Dataset

    reference = Dataset()
    reference.ReferencedSOPClassUID = image.sop_class
    reference.ReferencedSOPInstanceUID = image.sop_instance
    return reference


def _evidence(identifiers: Identifiers, images: list[ImageReference]) -> Dataset:
    from pydicom.dataset import Dataset

    series = Dataset()
    series.SeriesInstanceUID = identifiers.series
    series.ReferencedSOPSequence = [_reference(image) for image in images]
    study = Dataset()
    study.StudyInstanceUID = identifiers.study
    study.ReferencedSeriesSequence = [series]
    return study


def _short(text: str) -> str:
    """Return `text` as a DICOM LO: at most 64 characters, no backslash."""
    return " ".join(text.replace("\\", "/").split())[:64]


def _name(text: str) -> str:
    """Return a name as it was typed, whole as the first component of a DICOM PN."""
    return "".join(c for c in text if c not in "^=\\")[:63] + "^"


def _moment(iso: str) -> str:
    """Return an ISO time as a DICOM DT with its offset from UTC."""
    return datetime.fromisoformat(iso).strftime("%Y%m%d%H%M%S%z")
