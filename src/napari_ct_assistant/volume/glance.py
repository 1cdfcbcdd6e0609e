"""Whether a path looks like a CT, told quickly and without reading headers."""

from __future__ import annotations

import os
import zipfile
from collections import deque
from pathlib import Path

from napari_ct_assistant.volume.dicom.encoding import looks_like_dicom
from napari_ct_assistant.volume.discovery import FILE_ENDINGS

DICOM_ENDINGS = (".dcm", ".dicom", ".ima")
ENDINGS = (*FILE_ENDINGS, *DICOM_ENDINGS)
"""Endings, in lower case, of files that are taken at their word."""

# A folder of anything may be asked about: this much of it is looked at.
_FILES = 16
_FOLDERS = 64


def looks_like_ct(path: Path) -> bool:
    """Return whether `open_ct` may open a file or a folder; its content is not judged.

    A folder is one if a file in it or in its sub-folders looks like a scan. Of each folder the
    first files are looked at, and no more than a few dozen folders.
    """
    return _folder(path) if path.is_dir() else path.is_file() and _file(path)


def _file(path: Path) -> bool:
    if path.name.lower().endswith(ENDINGS):
        return True
    try:
        with path.open("rb") as file:
            start = file.read(512)
    except OSError:
        return False
    return looks_like_dicom(start) or (start[:4] == b"PK\x03\x04" and _zip(path))


def _zip(path: Path) -> bool:
    """Return whether an archive has a member that looks like a scan."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [m for m in archive.infolist() if m.filename and not m.is_dir()]
            if any(member.filename.lower().endswith(ENDINGS) for member in members):
                return True
            for member in members[:_FILES]:
                with archive.open(member) as file:
                    if looks_like_dicom(file.read(512)):
                        return True
    except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError, ValueError):
        pass
    return False


def _folder(folder: Path) -> bool:
    left = deque([folder])
    for _ in range(_FOLDERS):
        if not left:
            return False
        looked = 0
        try:
            with os.scandir(left.popleft()) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir():
                        if len(left) < _FOLDERS:
                            left.append(Path(entry.path))
                    elif looked < _FILES and entry.is_file():
                        looked += 1
                        if _file(Path(entry.path)):
                            return True
        except OSError:
            continue
    return False
