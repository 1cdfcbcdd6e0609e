"""The export formats, and how a report is written to a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from napari_ct_assistant.assistant.export.dicom_sr import to_dicom_sr
from napari_ct_assistant.assistant.export.errors import ExportError
from napari_ct_assistant.assistant.export.fhir import to_fhir
from napari_ct_assistant.assistant.export.identifiers import Identifiers
from napari_ct_assistant.assistant.export.pdf import to_pdf
from napari_ct_assistant.assistant.export.plain import to_text
from napari_ct_assistant.assistant.export.printable import printable
from napari_ct_assistant.assistant.export.study_details import NO_DETAILS, StudyDetails
from napari_ct_assistant.assistant.export.word import to_docx
from napari_ct_assistant.assistant.report.document import ReportDocument
from napari_ct_assistant.support import atomic
from napari_ct_assistant.support.translation import ENGLISH, N_, in_language, said


@dataclass(frozen=True)
class Format:
    """A file format.

    ending: of the file name. name: for menus. make: turns a report into the bytes of the file.
    identified: whether the format can name a patient and study. worded: whether it is for people,
    in a language of their choice; files for machines have English words. library: the module and
    the package that the format needs beyond the base installation.
    """

    ending: str
    name: str
    make: Callable[[ReportDocument, Identifiers | None, StudyDetails], bytes]
    identified: bool = False
    worded: bool = True
    library: tuple[str, str] | None = None


FORMATS: Final = (
    Format(
        ".docx",
        N_("Word document"),
        lambda report, _, study: to_docx(report, study),
        library=("docx", "python-docx"),
    ),
    Format(
        ".pdf", "PDF", lambda report, _, study: to_pdf(report, study), library=("fpdf", "fpdf2")
    ),
    Format(".txt", N_("Plain text"), lambda report, _, study: to_text(report, study)),
    Format(".json", "FHIR R4 DiagnosticReport", to_fhir, identified=True, worded=False),
    Format(
        ".dcm",
        "DICOM SR",
        to_dicom_sr,
        identified=True,
        worded=False,
        library=("highdicom", "highdicom"),
    ),
)


def format_of(path: Path) -> Format:
    """Return the format that belongs to the ending of a file name.

    Raises
    ------
    ExportError
        If no format has that ending.
    """
    for known in FORMATS:
        if path.name.lower().endswith(known.ending):
            return known
    endings = ", ".join(known.ending for known in FORMATS)
    raise ExportError(
        said(
            "{name}: unknown format; the file name must end in {endings}",
            name=path.name,
            endings=endings,
        )
    )


def check_path(path: Path, *, identified: bool = False) -> Format:
    """Check, before a report is drafted, that it can be written to `path`.

    Raises
    ------
    ExportError
        If the ending is unknown, the format cannot hold identifiers, or a library or the
        folder is missing.
    """
    form = format_of(path)
    if identified and not form.identified:
        raise ExportError(
            said(
                "{name}: this format cannot hold patient and study; use .json (FHIR) or .dcm "
                "(DICOM SR)",
                name=path.name,
            )
        )
    if form.library and find_spec(form.library[0]) is None:
        raise ExportError(
            said(
                "{name}: needs {library}: pip install 'napari-ct-assistant[export]'",
                name=path.name,
                library=form.library[1],
            )
        )
    if not path.absolute().parent.is_dir():
        raise ExportError(
            said("{name}: its folder does not exist; create it first", name=path.name)
        )
    return form


def export_report(
    report: ReportDocument,
    path: str | Path,
    *,
    identifiers: Identifiers | None = None,
    study: StudyDetails = NO_DETAILS,
    language: str = ENGLISH,
) -> Path:
    """Write a report in the format given by the file ending, and return the path.

    An existing file is replaced only after the new one is complete and on disk. The file can be
    read by its owner only.

    Parameters
    ----------
    report : ReportDocument
    path
        Ends in .docx, .pdf, .txt, .json (FHIR) or .dcm (DICOM SR).
    identifiers : Identifiers, optional
        Patient and study of the scan, for FHIR and DICOM SR.
    study : StudyDetails, optional
        Study date, region and comparison, for every format.
    language : str, optional
        Of notice, measurements and provenance in .docx, .pdf and .txt, such as "de". The report
        keeps its own.

    Raises
    ------
    ExportError
        If the ending is unknown, a library is not installed, or the format cannot show the text.
    OSError
        If the file cannot be written.
    """
    path = Path(path)
    form = check_path(path, identified=identifiers is not None)
    if not report.body():
        raise ExportError(
            said("the report is empty; write or draft something before you export it")
        )
    # What is exported from a panel in another language must not take that language by chance.
    with in_language(language if form.worded else ENGLISH):
        data = form.make(printable(report), identifiers, study)
    atomic.remove_leftovers(path.absolute().parent, path.suffix)
    atomic.write_bytes(path, data, private=True)
    return path
