"""The patient and study of a scan, read from its DICOM files when a report is exported.

A `CTVolume` does not contain them and nothing stores them: they go from the files into the
exported report and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.assistant.export.errors import ExportError
from napari_ct_assistant.support.translation import said

if TYPE_CHECKING:
    from napari_ct_assistant.volume import CTVolume
    from napari_ct_assistant.volume.dicom.series import Series

# The attributes that a report shares with its study (DICOM PS3.3 C.7.1.1 and C.7.2.1).
PATIENT_AND_STUDY = (
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "StudyDescription",
    "AccessionNumber",
    "ReferringPhysicianName",
)


@dataclass(frozen=True, repr=False)
class ImageReference:
    """One image: its SOP class and instance UID, and a point of its plane in RAS mm."""

    sop_class: str
    sop_instance: str
    point: NDArray[np.float64] | None


@dataclass(frozen=True, repr=False)
class Identifiers:
    """Patient, study and images of a scan. Its `repr` shows none of them.

    normal: unit normal of the image planes in RAS, None if the files do not give it.
    """

    values: dict[str, str]
    series: str
    instances: tuple[ImageReference, ...] = field(default=())
    normal: NDArray[np.float64] | None = None

    @property
    def study(self) -> str:
        """The study's UID."""
        return self.values["StudyInstanceUID"]

    def image_at(self, ras: tuple[float, float, float]) -> ImageReference | None:
        """Return the image whose plane is nearest to a point in RAS mm, None if none is close."""
        if self.normal is None:
            return None
        planes = [instance for instance in self.instances if instance.point is not None]
        if not planes:
            return None
        offsets = np.array(
            [float(self.normal @ (np.asarray(ras) - instance.point)) for instance in planes]
        )
        nearest = int(np.abs(offsets).argmin())
        steps = np.diff(np.sort(offsets))
        reach = float(np.median(steps)) if len(steps) else 1.0
        return planes[nearest] if abs(offsets[nearest]) <= max(reach, 0.5) else None


def read_identifiers(path: str | Path, volume: CTVolume) -> Identifiers:
    """Read the patient and study of a scan from the DICOM files it was opened from.

    The files are opened again and compared with `volume` voxel by voxel, so that a report is
    never filed under another patient's study.

    Raises
    ------
    ExportError
        If the path contains no DICOM files, or another scan.
    """
    from napari_ct_assistant.volume import CTReadError, open_ct
    from napari_ct_assistant.volume.dicom.series import find_series, walk_files

    path = Path(path)
    if path.name.lower().endswith((".nii", ".nii.gz")):
        raise ExportError(
            said(
                "{name}: not a DICOM file; identifiers can be read from DICOM files only",
                name=path.name,
            )
        )
    folder = path if path.is_dir() else path.parent
    try:
        series = find_series(walk_files(folder)).series
    except CTReadError as error:
        raise ExportError(error.text) from error
    except OSError as error:
        raise ExportError(str(error)) from error
    if not series:
        raise ExportError(
            said(
                "{name}: contains no CT series; identifiers can be read from DICOM files only",
                name=path.name,
            )
        )
    likely = sorted(series, key=lambda one: abs(len(one.frames) - volume.shape[0]))
    for one in likely:
        try:
            found = open_ct(folder, series=one.key)
        except CTReadError:
            continue
        if found.fingerprint == volume.fingerprint:
            return _identifiers(one, path)
    raise ExportError(
        said(
            "{name}: none of its {count} series is the scan of this report; choose the folder "
            "that you opened the scan from",
            name=path.name,
            count=len(series),
        )
    )


def _identifiers(series: Series, path: Path) -> Identifiers:
    import pydicom

    tags = [*PATIENT_AND_STUDY, "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID",
            "ImagePositionPatient", "ImageOrientationPatient", "SpecificCharacterSet"]  # fmt: skip
    values: dict[str, str] = {}
    instances: dict[str, ImageReference] = {}
    uid = ""
    normal = None
    for file in dict.fromkeys(frame.file.path for frame in series.frames):
        header = pydicom.dcmread(
            file, stop_before_pixels=True, specific_tags=list(tags), force=True
        )
        mine = {name: str(header.get(name, "") or "") for name in PATIENT_AND_STUDY}
        if not mine["StudyInstanceUID"]:
            raise ExportError(
                said(
                    "{name}: its files have no StudyInstanceUID; export without identifiers",
                    name=path.name,
                )
            )
        if values and any(mine[name] != values[name] for name in ("PatientID", "StudyInstanceUID")):
            raise ExportError(
                said(
                    "{name}: its files belong to several patients or studies; export without "
                    "identifiers",
                    name=path.name,
                )
            )
        values = values or mine
        uid = uid or str(header.get("SeriesInstanceUID", ""))
        point = None
        if header.get("ImagePositionPatient") and header.get("ImageOrientationPatient"):
            lps = np.array([float(value) for value in header.ImagePositionPatient])
            point = lps * (-1, -1, 1)
            along, down = np.array(
                [float(value) for value in header.ImageOrientationPatient]
            ).reshape(2, 3)
            normal = np.cross(along, down) * (-1, -1, 1)
        instance = ImageReference(
            str(header.get("SOPClassUID", "")) or "1.2.840.10008.5.1.4.1.1.2",
            str(header.get("SOPInstanceUID", "")),
            point,
        )
        if instance.sop_instance:
            instances[instance.sop_instance] = instance
    return Identifiers(values, uid, tuple(instances.values()), normal)
