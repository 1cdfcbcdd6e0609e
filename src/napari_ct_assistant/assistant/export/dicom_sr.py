"""A report as a DICOM Basic Text SR, laid out after TID 2000 (PS3.16)."""

from __future__ import annotations

import io
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from napari_ct_assistant import __version__
from napari_ct_assistant.assistant.export.identifiers import Identifiers, Instance
from napari_ct_assistant.assistant.export.plain import title_of
from napari_ct_assistant.assistant.report.document import ReportDocument
from napari_ct_assistant.assistant.report.parts import Line

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

BASIC_TEXT_SR: Final = "1.2.840.10008.5.1.4.1.1.88.11"
Code = tuple[str, str, str]

REPORT: Final[Code] = ("18748-4", "LN", "Diagnostic Imaging Report")
LANGUAGE: Final[Code] = ("121049", "DCM", "Language of Content Item and Descendants")
ENGLISH: Final[Code] = ("en", "RFC5646", "English")
OBSERVER: Final[Code] = ("121005", "DCM", "Observer Type")
PERSON: Final[Code] = ("121006", "DCM", "Person")
DEVICE: Final[Code] = ("121007", "DCM", "Device")
PERSON_NAME: Final[Code] = ("121008", "DCM", "Person Observer Name")
PERSON_ORGANIZATION: Final[Code] = ("121009", "DCM", "Person Observer's Organization Name")
DEVICE_UID: Final[Code] = ("121012", "DCM", "Device Observer UID")
DEVICE_NAME: Final[Code] = ("121013", "DCM", "Device Observer Name")
DEVICE_MODEL: Final[Code] = ("121015", "DCM", "Device Observer Model Name")
COMMENT: Final[Code] = ("121106", "DCM", "Comment")
SOURCE: Final[Code] = ("121112", "DCM", "Source of Measurement")
# Section -> its heading (CID 7001) and the kind of its sentences (CID 7002).
HEADINGS: Final[dict[str, tuple[Code, Code]]] = {
    "technique": (
        ("121064", "DCM", "Current Procedure Descriptions"),
        ("121065", "DCM", "Procedure Description"),
    ),
    "findings": (("121070", "DCM", "Findings"), ("121071", "DCM", "Finding")),
    "impression": (("121072", "DCM", "Impressions"), ("121073", "DCM", "Impression")),
    "conclusion": (("121076", "DCM", "Conclusions"), ("121077", "DCM", "Conclusion")),
    "clinical information": (("121060", "DCM", "History"), ("121060", "DCM", "History")),
    "history": (("121060", "DCM", "History"), ("121060", "DCM", "History")),
    "comparison": (
        ("18834-2", "LN", "Radiology Comparison study"),
        ("121106", "DCM", "Comment"),
    ),
    "recommendation": (
        ("121074", "DCM", "Recommendations"),
        ("121075", "DCM", "Recommendation"),
    ),
}
OTHER: Final[tuple[Code, Code]] = (("121111", "DCM", "Summary"), COMMENT)


def to_dicom_sr(report: ReportDocument, identifiers: Identifiers | None = None) -> bytes:
    """Return the report as a DICOM file.

    Unsigned it is PARTIAL, UNVERIFIED and PRELIMINARY; signed COMPLETE, VERIFIED and FINAL with
    the signer as verifying observer. With `identifiers` it belongs to the scan's study, and a
    sentence's slice is a reference to the image; without, patient and study stay empty and the
    study UID is a new one.
    """
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    now = datetime.now().astimezone()
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = BASIC_TEXT_SR
    dataset.SOPInstanceUID = generate_uid(None)
    dataset.InstanceCreationDate = now.strftime("%Y%m%d")
    dataset.InstanceCreationTime = now.strftime("%H%M%S")
    _patient_and_study(dataset, identifiers, generate_uid(None))
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
    used: dict[str, Instance] = {}
    dataset.ValueType = "CONTAINER"
    dataset.ConceptNameCodeSequence = [_code(REPORT)]
    dataset.ContinuityOfContent = "SEPARATE"
    template = Dataset()
    template.MappingResource = "DCMR"
    template.TemplateIdentifier = "2000"
    dataset.ContentTemplateSequence = [template]
    dataset.ContentSequence = _content(report, identifiers, used)
    if identifiers is not None and identifiers.instances:
        images = list(used.values()) or list(identifiers.instances)
        dataset.CurrentRequestedProcedureEvidenceSequence = [_evidence(identifiers, images)]
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


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
    dataset.CompletionFlagDescription = "Signed off" if signed else "Draft, not signed off"
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
    report: ReportDocument, identifiers: Identifiers | None, used: dict[str, Instance]
) -> list[Dataset]:
    language = _item("HAS CONCEPT MOD", "CODE", LANGUAGE)
    language.ConceptCodeSequence = [_code(ENGLISH)]
    items = [language, *_observers(report)]
    items.append(_words("CONTAINS", COMMENT, report.notice))
    groups: dict[str, list[Dataset]] = {}
    for section in report.body():
        kind = section.key.partition("/")[0]
        _, what = HEADINGS.get(kind, OTHER)
        said = groups.setdefault(kind, [])
        label = section.heading if section.level > 1 or kind not in HEADINGS else ""
        for line in section.lines:
            item = _words("CONTAINS", what, f"{label}: {line.text}" if label else line.text)
            image = _image_of(report, line, identifiers)
            if image is not None:
                used[image.sop_instance] = image
                item.ContentSequence = [_image(image)]
            said.append(item)
    for kind, said in groups.items():
        if said:
            items.append(_section(HEADINGS.get(kind, OTHER)[0], said))
    rows = "\n".join(f"{name}: {value}" for name, value in report.provenance())
    items.append(_section(("121111", "DCM", "Summary"), [_words("CONTAINS", COMMENT, rows)]))
    return items


def _observers(report: ReportDocument) -> list[Dataset]:
    """Return who observed: the models as devices, the signer as a person (TID 1002)."""
    from pydicom.uid import generate_uid

    items = []
    for draft in report.used_drafts:
        kind = _item("HAS OBS CONTEXT", "CODE", OBSERVER)
        kind.ConceptCodeSequence = [_code(DEVICE)]
        uid = _item("HAS OBS CONTEXT", "UIDREF", DEVICE_UID)
        # The same weights are the same device.
        seed = draft.model.get("weights_sha256") or draft.model.get("name") or "model"
        uid.UID = generate_uid(entropy_srcs=["napari-ct-assistant", seed])
        name = draft.model.get("name") or "model"
        items += [
            kind,
            uid,
            _words("HAS OBS CONTEXT", DEVICE_NAME, name),
            _words("HAS OBS CONTEXT", DEVICE_MODEL, draft.who),
        ]
    signed = report.signed
    if signed:
        kind = _item("HAS OBS CONTEXT", "CODE", OBSERVER)
        kind.ConceptCodeSequence = [_code(PERSON)]
        person = _item("HAS OBS CONTEXT", "PNAME", PERSON_NAME)
        person.PersonName = _name(signed.name)
        items += [kind, person]
        if signed.organization:
            items.append(_words("HAS OBS CONTEXT", PERSON_ORGANIZATION, signed.organization))
    return items


def _image_of(
    report: ReportDocument, line: Line, identifiers: Identifiers | None
) -> Instance | None:
    if identifiers is None or line.source is None:
        return None
    ras = report.sources[line.source].sentence.ras
    return None if ras is None else identifiers.image_at(ras)


def _section(concept: Code, items: list[Dataset]) -> Dataset:
    section = _item("CONTAINS", "CONTAINER", concept)
    section.ContinuityOfContent = "SEPARATE"
    section.ContentSequence = items
    return section


def _words(relationship: str, concept: Code, text: str) -> Dataset:
    item = _item(relationship, "TEXT", concept)
    item.TextValue = "".join(c for c in text if c in "\t\n" or ord(c) >= 32)
    return item


def _image(image: Instance) -> Dataset:
    from pydicom.dataset import Dataset

    item = Dataset()
    item.RelationshipType = "INFERRED FROM"
    item.ValueType = "IMAGE"
    item.ConceptNameCodeSequence = [_code(SOURCE)]
    item.ReferencedSOPSequence = [_reference(image)]
    return item


def _reference(image: Instance) -> Dataset:
    from pydicom.dataset import Dataset

    reference = Dataset()
    reference.ReferencedSOPClassUID = image.sop_class
    reference.ReferencedSOPInstanceUID = image.sop_instance
    return reference


def _evidence(identifiers: Identifiers, images: list[Instance]) -> Dataset:
    from pydicom.dataset import Dataset

    series = Dataset()
    series.SeriesInstanceUID = identifiers.series
    series.ReferencedSOPSequence = [_reference(image) for image in images]
    study = Dataset()
    study.StudyInstanceUID = identifiers.study
    study.ReferencedSeriesSequence = [series]
    return study


def _item(relationship: str, kind: str, concept: Code) -> Dataset:
    from pydicom.dataset import Dataset

    item = Dataset()
    item.RelationshipType = relationship
    item.ValueType = kind
    item.ConceptNameCodeSequence = [_code(concept)]
    return item


def _code(code: Code) -> Dataset:
    from pydicom.dataset import Dataset

    item: Any = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code
    return item


def _short(text: str) -> str:
    """Return `text` as a DICOM LO: at most 64 characters, no backslash."""
    return " ".join(text.replace("\\", "/").split())[:64]


def _name(text: str) -> str:
    """Return a name as it was typed, whole as the first component of a DICOM PN."""
    return "".join(c for c in text if c not in "^=\\")[:63] + "^"


def _moment(iso: str) -> str:
    """Return an ISO time as a DICOM DT with its offset from UTC."""
    return datetime.fromisoformat(iso).strftime("%Y%m%d%H%M%S%z")
