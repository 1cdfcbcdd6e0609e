"""The patient and study of a scan, read from its DICOM files when a report is exported.

A `CTVolume` does not contain them and nothing stores them: they go from the files into the
exported report and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.assistant.export.errors import ExportError
from napari_ct_assistant.support.translation import said
from napari_ct_assistant.volume.geometry import LPS_TO_RAS

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

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


# A point this near to an image's plane lies on it. Files round the positions of slices.
OFF_PLANE_MM: Final = 0.2


@dataclass(frozen=True, repr=False)
class ImageReference:
    """One image of a scan, as its file places it.

    sop_class, sop_instance: of its file. point: the centre of its first pixel in RAS mm. steps:
    RAS mm from a column to the next and from a row to the next [2, 3]. size: columns, rows.
    frame: its number within a multi-frame file, counted from 1; None for a file of one image.
    """

    sop_class: str
    sop_instance: str
    point: NDArray[np.float64] | None
    steps: NDArray[np.float64] | None = None
    size: tuple[int, int] = (0, 0)
    frame: int | None = None

    def pixels(self, ras: NDArray[np.float64]) -> NDArray[np.float64] | None:
        r"""Return points [N, 3] in RAS mm as columns and rows [N, 2] of this image.

        Coordinates are those of an SCOORD item: 0\0 is the corner of the first pixel, whose
        centre is 0.5\0.5 (DICOM PS3.3 C.18.6.1.1).

        Returns
        -------
        NDArray or None
            None if a point lies outside the picture or beside its plane, or if the file does
            not place the picture.
        """
        if self.point is None or self.steps is None:
            return None
        away = ras - self.point
        lengths = np.linalg.norm(self.steps, axis=1)
        unit = self.steps / lengths[:, None]
        if np.abs(away @ np.cross(*unit)).max() > OFF_PLANE_MM:
            return None
        pixels: NDArray[np.float64] = away @ unit.T / lengths + 0.5
        inside: NDArray[np.float64] = np.clip(pixels, 0, self.size)
        # Coordinates are kept to a hundredth of a millimetre.
        return inside if np.abs(pixels - inside).max() < 0.05 else None


@dataclass(frozen=True, repr=False)
class Identifiers:
    """Patient, study and images of a scan. Its `repr` shows none of them.

    normal: unit normal of the image planes in RAS, None if the files do not give it.
    frame_of_reference: UID of the space in which the images lie, "" if the files name none.
    """

    values: dict[str, str]
    series: str
    instances: tuple[ImageReference, ...] = field(default=())
    normal: NDArray[np.float64] | None = None
    frame_of_reference: str = ""

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

    tags = [
        *PATIENT_AND_STUDY,
        "SOPClassUID",
        "SOPInstanceUID",
        "SeriesInstanceUID",
        "FrameOfReferenceUID",
        "SpecificCharacterSet",
    ]
    values: dict[str, str] = {}
    instances: dict[tuple[str, int | None], ImageReference] = {}
    headers: dict[Path, Dataset] = {}
    uid = space = ""
    normal = None
    for frame in series.frames:
        file = frame.file.path
        if file not in headers:
            headers[file] = pydicom.dcmread(
                file, stop_before_pixels=True, specific_tags=list(tags), force=True
            )
        header = headers[file]
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
        space = space or str(header.get("FrameOfReferenceUID", "") or "")
        turn = LPS_TO_RAS[:3, :3]
        normal = np.cross(*frame.orientation) @ turn
        between_rows, between_columns = frame.spacing
        instance = ImageReference(
            str(header.get("SOPClassUID", "")) or "1.2.840.10008.5.1.4.1.1.2",
            str(header.get("SOPInstanceUID", "")),
            frame.position @ turn,
            frame.orientation @ turn * [[between_columns], [between_rows]],
            (frame.file.columns, frame.file.rows),
            frame.index + 1 if frame.file.frames > 1 else None,
        )
        if instance.sop_instance:
            instances[instance.sop_instance, instance.frame] = instance
    return Identifiers(values, uid, tuple(instances.values()), normal, space)
