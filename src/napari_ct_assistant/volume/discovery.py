"""What can be opened at a path: DICOM series, or volumes in one file each."""

from __future__ import annotations

import stat
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from napari_ct_assistant.support.translation import N_, said, together
from napari_ct_assistant.volume.dicom.series import (
    BROKEN_LINK,
    Series,
    SeriesSearch,
    find_series,
    walk_files,
)
from napari_ct_assistant.volume.errors import CTReadError
from napari_ct_assistant.volume.files import itk, nifti, sniff
from napari_ct_assistant.volume.series_choice import SeriesInfo, file_info, rank

_ONE_LOST = N_("1 file is {kind} ({names}): slices may be missing; copy them again")
_LOST = N_("{count} files are {kind} ({names}): slices may be missing; copy them again")

NIFTI_ENDINGS = (".nii", ".nii.gz")
FILE_ENDINGS = (*NIFTI_ENDINGS, *itk.ENDINGS)
"""Endings, in lower case, of files that hold a whole volume."""


@dataclass(frozen=True)
class Found:
    """What a path holds.

    infos: how each series is listed, the default first. series: of DICOM, by key. warnings:
    about files that were passed over. prefer: the DICOM file that was given.
    """

    infos: list[SeriesInfo]
    series: dict[str, Series] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    prefer: Path | None = None


def look(path: Path, cancel: threading.Event | None = None) -> Found:
    """Find what can be opened at a path; `cancel` stops it.

    Raises
    ------
    CTReadError
        If nothing can; one line that says what is there instead.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            return _look_in_folder(path, cancel)
        if not stat.S_ISREG(mode):
            raise CTReadError(
                path, said("neither a file nor a folder; give a volume file or a DICOM folder")
            )
        return _look_in_file(path, cancel)
    except FileNotFoundError:
        if path.is_symlink():
            raise CTReadError(path, said("a broken link; fetch the file it leads to")) from None
        raise CTReadError(path, said("does not exist; check the path")) from None
    except OSError as error:
        raise CTReadError(
            path, said("cannot be read ({value})", value=error.strerror or error)
        ) from error
    except ValueError as error:
        if isinstance(error, CTReadError):
            raise
        # A path with a null character.
        raise CTReadError(repr(str(path)), said("is not a path")) from error


def slices_in(path: Path) -> int | None:
    """Return how many slices a volume file claims, None if it is no volume file."""
    count = nifti.count_slices(path)
    return itk.count_slices(path) if count is None else count


def _dicom(series: list[Series], warnings: list[str], prefer: Path | None = None) -> Found:
    ranked = rank(series)
    return Found(
        [info for _, info in ranked], {one.key: one for one, _ in ranked}, warnings, prefer
    )


def _files(paths: list[tuple[Path, int]], warnings: list[str]) -> Found:
    infos = [file_info(path, n, k + 1, len(paths)) for k, (path, n) in enumerate(paths)]
    return Found(infos, {}, warnings)


def _look_in_folder(folder: Path, cancel: threading.Event | None) -> Found:
    closed: list[Path] = []
    search = find_series(walk_files(folder, closed, cancel), cancel)
    warnings = [*_broken(search), *_lost(search)]
    if closed:
        folders = "folder" if len(closed) == 1 else "folders"
        warnings.append(f"{len(closed)} {folders} cannot be read ({_names(closed)})")
    if search.series:
        return _dicom(search.series, warnings)
    volumes = [(path, count) for path in walk_files(folder, cancel=cancel)
               if path.name.lower().endswith(FILE_ENDINGS)
               and (count := slices_in(path)) is not None]  # fmt: skip
    if volumes:
        return _files(volumes, warnings)
    raise _nothing(folder, search)


def _look_in_file(path: Path, cancel: threading.Event | None) -> Found:
    if path.stat().st_size == 0:
        raise CTReadError(path, said("is empty; copy it again"))
    count = slices_in(path)
    if count is not None:
        return _files([(path, count)], [])
    if path.name.upper() == "DICOMDIR":
        return _look_in_folder(path.parent, cancel)
    alone = find_series([path])
    if not alone.series:
        raise _nothing(path, alone)
    search = find_series([path, *_siblings(path)], cancel)
    mine = [one for one in search.series if any(f.file.path == path for f in one.frames)]
    lost = _lost(search, path.suffix.lower())
    return _dicom(mine, [*_broken(search), *lost], prefer=path)


def _siblings(path: Path) -> Iterator[Path]:
    for other in sorted(path.parent.iterdir()):
        wanted = other != path and not other.name.startswith(".")
        if wanted and (other.is_file() or (other.is_symlink() and not other.exists())):
            yield other


def _nothing(path: Path, search: SeriesSearch) -> CTReadError:
    """Say why there is no CT at a path."""
    if len(search.broken) == 1 and not search.others and not search.lost:
        return search.broken[0]
    parts: list[str] = [
        said("{count} x {kind}", count=count, kind=kind) if count > 1 else kind
        for kind, count in search.others.items()
    ]
    if search.broken:
        first = search.broken[0]
        parts.append(said("{count} damaged files ({first})", count=len(search.broken), first=first))
    if path.is_dir():
        parts += _lost(search)
    if parts:
        return CTReadError(
            path,
            said(
                "no CT volume here, only {list}; give a CT series",
                list=together(*parts, between="; "),
            ),
        )
    if not path.is_dir():
        what, remedy = sniff.describe(path) or (
            N_("neither a DICOM nor a NIfTI file"),
            N_("give a folder of CT slices or a NIfTI file"),
        )
        return CTReadError(path, said("{what}; {remedy}", what=what, remedy=remedy))
    if not search.files:
        return CTReadError(
            path, said("an empty folder; give a folder of CT slices or a NIfTI file")
        )
    described = ((other, sniff.describe(other)) for other in walk_files(path))
    known = next(((other, found) for other, found in described if found), None)
    if known:
        other, (what, remedy) = known
        return CTReadError(
            path,
            said(
                "a folder without DICOM or NIfTI files; {name} is {what}: {remedy}",
                name=other.name,
                what=what,
                remedy=remedy,
            ),
        )
    return CTReadError(
        path,
        said("a folder without DICOM or NIfTI files; give a folder of CT slices or a NIfTI file"),
    )


def _broken(search: SeriesSearch) -> list[str]:
    if not search.broken:
        return []
    count = len(search.broken)
    if count == 1:
        return [said("1 file was passed over: {error}", error=search.broken[0])]
    return [
        said(
            "{count} files were passed over ({names}), the first: {error}",
            count=count,
            names=_names([error.path for error in search.broken]),
            error=search.broken[0],
        )
    ]


def _lost(search: SeriesSearch, suffix: str | None = None) -> list[str]:
    """Name the files (of one suffix) that should be slices and hold nothing."""
    found: list[str] = []
    for kind, paths in search.lost.items():
        counted = [path for path in paths if suffix in (None, path.suffix.lower())]
        if counted:
            names = _names(counted)
            if len(counted) == 1:
                found.append(said(_ONE_LOST, kind=kind, names=names))
            else:
                plural = N_("broken links") if kind == BROKEN_LINK else kind
                found.append(said(_LOST, count=len(counted), kind=plural, names=names))
    return found


def _names(paths: list[Path]) -> str:
    names = ", ".join(path.name for path in paths[:8])
    if len(paths) <= 8:
        return names
    return said("{names} and {count} more", names=names, count=len(paths) - 8)
