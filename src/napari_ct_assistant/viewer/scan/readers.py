"""napari readers for DICOM folders, DICOM files and NIfTI."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

PathOrPaths = str | Sequence[str]
ReaderFunction = Callable[[PathOrPaths], list[tuple[Any, dict[str, Any], str]]]

# napari asks about every folder that is opened, so the answer must come after a few files.
_MAX_FILES_CHECKED = 16
_NIFTI_ENDINGS = (".nii", ".nii.gz")
_DICOM_ENDINGS = (".dcm", ".dicom", ".ima")


def _is_dicom(path: Path) -> bool:
    """Return whether a file has the DICOM prefix at byte 128."""
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def _folder_holds_dicom(folder: Path) -> bool:
    """Return whether one of the first files of a folder is a DICOM file."""
    try:
        with os.scandir(folder) as entries:
            checked = 0
            for entry in entries:
                if not entry.is_file():
                    continue
                if entry.name.lower().endswith(_DICOM_ENDINGS) or _is_dicom(Path(entry.path)):
                    return True
                checked += 1
                if checked >= _MAX_FILES_CHECKED:
                    return False
    except OSError:
        pass
    return False


def can_read(path: Path) -> bool:
    """Return quickly whether `path` may be a CT scan; its content is not checked."""
    if path.is_dir():
        return _folder_holds_dicom(path)
    name = path.name.lower()
    if name.endswith((*_NIFTI_ENDINGS, *_DICOM_ENDINGS)):
        return True
    return path.is_file() and _is_dicom(path)


def get_reader(path: PathOrPaths) -> ReaderFunction | None:
    """Return the reader for `path`, None if this plugin cannot read it."""
    paths = [path] if isinstance(path, str | os.PathLike) else list(path)
    if not paths or not all(can_read(Path(one)) for one in paths):
        return None
    return read_ct


def scan_name(path: Path, series: str) -> str:
    """Return a layer name: the series description or, without one, the file or folder name."""
    name = path.name
    for ending in (".nii.gz", *_NIFTI_ENDINGS, *_DICOM_ENDINGS):
        if name.lower().endswith(ending):
            name = name[: -len(ending)]
            break
    return series or name or "CT"


def read_ct(path: PathOrPaths) -> list[tuple[Any, dict[str, Any], str]]:
    """Open each path as a CT, and return one napari image layer for each scan.

    For several DICOM files of one folder, the folder is opened.

    Raises
    ------
    CTReadError
        One line that names the file and says what to do.
    """
    from napari_ct_assistant.viewer.scan.layers import layer_data
    from napari_ct_assistant.volume import open_ct

    paths = [Path(path)] if isinstance(path, str | os.PathLike) else [Path(one) for one in path]
    folders = {one.parent for one in paths}
    slices = not any(one.is_dir() or one.name.lower().endswith(_NIFTI_ENDINGS) for one in paths)
    if len(paths) > 1 and len(folders) == 1 and slices:
        paths = list(folders)
    layers = []
    for one in paths:
        volume = open_ct(one)
        layers.append(layer_data(volume, scan_name(one, volume.series)))
    return layers
