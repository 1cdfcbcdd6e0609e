"""Open a path as a CT volume, whatever it holds."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from napari_ct_assistant.support.translation import said
from napari_ct_assistant.volume.ct_volume import CTVolume
from napari_ct_assistant.volume.dicom.load import load_stack
from napari_ct_assistant.volume.dicom.stack import plan_stack
from napari_ct_assistant.volume.discovery import Found, look
from napari_ct_assistant.volume.errors import CTReadError, check_cancel, memory_errors
from napari_ct_assistant.volume.files import itk
from napari_ct_assistant.volume.files.nifti import open_nifti
from napari_ct_assistant.volume.files.zipped import is_zip, unpacked
from napari_ct_assistant.volume.series_choice import SeriesInfo, choose

Progress = Callable[[int, int], None]


def list_series(path: str | Path, *, cancel: threading.Event | None = None) -> list[SeriesInfo]:
    """List the CT series at a path, the one that `open_ct` opens by default first.

    Parameters
    ----------
    path
        A DICOM folder (with sub-folders), DICOM file, DICOMDIR, NIfTI, MetaImage or NRRD file,
        a folder of these, or a .zip of any of them.
    cancel
        Set it, from any thread, to stop.

    Raises
    ------
    CTReadError
        If there is no CT at the path; one line that says what is there instead.
        `OpeningStoppedError` if `cancel` was set.
    """
    path = Path(path)
    with memory_errors(path):
        if _is_zip(path):
            with unpacked(path, cancel) as folder:
                return [replace(info, path=path) for info in look(folder, cancel).infos]
        return look(path, cancel).infos


def open_ct(
    path: str | Path,
    *,
    series: str | None = None,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> CTVolume:
    """Open a CT scan.

    Parameters
    ----------
    path
        As for `list_series`. A DICOM file stands for its series: the other slices are taken
        from its folder.
    series
        One of `list_series(path)`: its key, its number in that list, or its description or a
        part of it that no other has. Without it the first of the list is opened, with a warning
        that names the others.
    progress
        Called in the calling thread with (slices done, slices in all).
    cancel
        Set it, from any thread, to stop.

    Returns
    -------
    HU with axes (I, P, L), its affine, and warnings about whatever was wrong.

    Raises
    ------
    CTReadError
        If the path holds no CT volume, slices of several scans that nothing tells apart, or more
        than fits into memory: one line that names the file and what to do.
        `OpeningStoppedError` if `cancel` was set.
    """
    path = Path(path)

    def report(done: int, total: int) -> None:
        check_cancel(cancel, path)
        if progress is not None:
            progress(done, total)

    with memory_errors(path):
        if _is_zip(path):
            with unpacked(path, cancel) as folder:
                return _open(look(folder, cancel), folder, series, report)
        return _open(look(path, cancel), path, series, report)


def _is_zip(path: Path) -> bool:
    try:
        return path.is_file() and is_zip(path)
    except ValueError:
        # A path with a null character, which `look` refuses.
        return False


def _open(found: Found, path: Path, series: str | None, progress: Progress | None) -> CTVolume:
    infos, warnings = found.infos, list(found.warnings)
    chosen = infos[0] if series is None else choose(infos, series, path)
    if series is None and len(infos) > 1:
        others = [info.label for info in infos[1:]]
        more = f" and {len(others) - 5} more" if len(others) > 5 else ""
        warnings.append(
            f"opened {chosen.label} ({chosen.reason}), one of {len(infos)} series; the others: "
            + "; ".join(others[:5])
            + more
        )
    volume = _read(found, chosen, path, progress)
    if not warnings:
        return volume
    return CTVolume(
        volume.hu,
        volume.affine,
        volume.series,
        (*warnings, *volume.warnings),
        volume.orientation,
        volume.replaced,
        volume.body_part,
        volume.instance_numbers,
    )


def _read(found: Found, chosen: SeriesInfo, path: Path, progress: Progress | None) -> CTVolume:
    """Read the series that was chosen."""
    dicom = found.series.get(chosen.key)
    if dicom is None:
        is_itk = chosen.path.name.lower().endswith(itk.ENDINGS)
        return (itk.open_itk if is_itk else open_nifti)(chosen.path, progress)
    if dicom.problem:
        raise CTReadError(
            path,
            said(
                "its slices are of several scans, but {problem}; export them as separate series",
                problem=dicom.problem,
            ),
        )
    stack = plan_stack(dicom.frames, path, prefer=found.prefer)
    return load_stack(stack, dicom.description, path, progress)
