"""Which formats there are, and how a file of each comes onto the disk."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
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
from napari_ct_assistant.assistant.export.word import to_docx
from napari_ct_assistant.assistant.report.document import ReportDocument


@dataclass(frozen=True)
class Format:
    """A file format: its ending, its name, how it is made, whether it can hold identifiers.

    `library` is the module and the package that it needs besides the base.
    """

    ending: str
    name: str
    make: Callable[[ReportDocument, Identifiers | None], bytes]
    identified: bool = False
    library: tuple[str, str] | None = None


FORMATS: Final = (
    Format(
        ".docx", "Word document", lambda report, _: to_docx(report), library=("docx", "python-docx")
    ),
    Format(".pdf", "PDF", lambda report, _: to_pdf(report), library=("fpdf", "fpdf2")),
    Format(".txt", "Plain text", lambda report, _: to_text(report)),
    Format(".json", "FHIR R4 DiagnosticReport", to_fhir, identified=True),
    Format(".dcm", "DICOM SR (Basic Text)", to_dicom_sr, identified=True),
)


def format_of(path: Path) -> Format:
    """Return the format that a file's ending stands for.

    Raises
    ------
    ExportError
        If it stands for none.
    """
    for known in FORMATS:
        if path.name.lower().endswith(known.ending):
            return known
    endings = ", ".join(known.ending for known in FORMATS)
    raise ExportError(f"{path.name}: a report is written to a file ending in {endings}")


def check_path(path: Path, *, identified: bool = False) -> Format:
    """Refuse a file that could not be written, before anything is drafted for it.

    Raises
    ------
    ExportError
        For an unknown ending, a format that takes no identifiers, a missing library or folder.
    """
    form = format_of(path)
    if identified and not form.identified:
        raise ExportError(f"{path.name}: takes no identifiers; use FHIR (.json) or DICOM SR (.dcm)")
    if form.library and find_spec(form.library[0]) is None:
        raise ExportError(
            f"{path.name}: needs {form.library[1]}: pip install 'napari-ct-assistant[export]'"
        )
    if not path.absolute().parent.is_dir():
        raise ExportError(
            f"{path.name}: its folder {path.parent.name} does not exist; make it first"
        )
    return form


def export_report(
    report: ReportDocument, path: str | Path, *, identifiers: Identifiers | None = None
) -> Path:
    """Write a report in the format of the file's ending, and return the path.

    A file of that name is replaced only once the new one is complete.

    Parameters
    ----------
    report : ReportDocument
    path
        Ends in .docx, .pdf, .txt, .json (FHIR) or .dcm (DICOM SR).
    identifiers : Identifiers, optional
        Patient and study of the scan, for FHIR and DICOM SR.

    Raises
    ------
    ExportError
        One line: the ending, a library that is not installed, text that the format cannot hold.
    OSError
        If the file cannot be written.
    """
    path = Path(path)
    form = check_path(path, identified=identifiers is not None)
    if not report.body():
        raise ExportError("the report is empty: there is nothing to export")
    data = form.make(report, identifiers)
    handle, name = tempfile.mkstemp(prefix=".report-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        # The usual rights of a new file; a temporary one has stricter ones.
        mask = os.umask(0)
        os.umask(mask)
        Path(name).chmod(0o666 & ~mask)
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
    return path
