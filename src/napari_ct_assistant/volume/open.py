"""Open a path as a CT volume, whatever it holds."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from napari_ct_assistant.volume.ct_volume import CTVolume
from napari_ct_assistant.volume.dicom.load import load_stack
from napari_ct_assistant.volume.dicom.series import Series, SeriesSearch, find_series, walk_files
from napari_ct_assistant.volume.dicom.stack import plan_stack
from napari_ct_assistant.volume.errors import CTReadError
from napari_ct_assistant.volume.nifti import count_slices, open_nifti


@dataclass(frozen=True)
class SeriesInfo:
    """One CT series that `open_ct` can open.

    Parameters
    ----------
    key
        What to pass to `open_ct(path, series=key)`; a hash, not a UID.
    description
        The series description, "" if there is none.
    modality
        "CT".
    n_slices
        Number of slices, as the headers claim.
    path
        The file of a NIfTI volume, or the folder of the series' first slice.
    """

    key: str
    description: str
    modality: str
    n_slices: int
    path: Path


def list_series(path: str | Path) -> list[SeriesInfo]:
    """List the CT series at a path, the one with the most slices first.

    Parameters
    ----------
    path
        A DICOM folder (with sub-folders), DICOM file, DICOMDIR, NIfTI file or a folder
        of NIfTI files.

    Raises
    ------
    CTReadError
        If there is no CT at the path; one line that says what is there instead.
    """
    found = _look(Path(path))
    return [*(_info(series) for series in found.series), *(_nifti_info(p) for p in found.niftis)]


def open_ct(
    path: str | Path,
    *,
    series: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> CTVolume:
    """Open a CT scan.

    Parameters
    ----------
    path
        A DICOM folder (with sub-folders), DICOM file, DICOMDIR or NIfTI file. A DICOM
        file stands for its series: the other slices are taken from its folder.
    series
        Key of one of `list_series(path)`. By default the series with the most slices is
        opened, with a warning that names the others.
    progress
        Called in the calling thread with (slices done, slices in all).

    Returns
    -------
    HU with axes (I, P, L), its affine, and warnings about whatever was wrong.

    Raises
    ------
    CTReadError
        If the path holds no CT volume: one line that names the file and what to do.
    """
    path = Path(path)
    found = _look(path)
    chosen: Series | Path = found.series[0] if found.series else found.niftis[0]
    choices: dict[str, Series | Path] = {s.key: s for s in found.series}
    choices |= {_nifti_info(p).key: p for p in found.niftis}
    names = {key: _label(choice) for key, choice in choices.items()}
    warnings = list(found.warnings)
    if series is not None:
        if series not in choices:
            listed = ", ".join(f"{key} ({name})" for key, name in names.items())
            raise CTReadError(path, f"has no series {series!r}; it has {listed}")
        chosen = choices[series]
    elif len(choices) > 1:
        others = [name for key, name in names.items() if choices[key] is not chosen]
        more = f" and {len(others) - 5} more" if len(others) > 5 else ""
        warnings.append(
            f"opened {_label(chosen)}, one of {len(choices)} series; the others: "
            + "; ".join(others[:5])
            + more
        )
    if isinstance(chosen, Path):
        volume = open_nifti(chosen, progress)
    else:
        stack = plan_stack(chosen.frames, path, prefer=found.prefer)
        volume = load_stack(stack, chosen.description, path, progress)
    if not warnings:
        return volume
    return CTVolume(
        volume.hu,
        volume.affine,
        volume.series,
        (*warnings, *volume.warnings),
        volume.orientation,
    )


@dataclass(frozen=True)
class _Found:
    series: list[Series]
    niftis: list[Path]
    warnings: list[str]
    prefer: Path | None = None


def _look(path: Path) -> _Found:
    """Find what can be opened at a path; CTReadError if nothing can."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            return _look_in_folder(path)
        if not stat.S_ISREG(mode):
            raise CTReadError(
                path, "neither a file nor a folder; give a NIfTI file or a DICOM folder"
            )
        return _look_in_file(path)
    except FileNotFoundError:
        raise CTReadError(path, "does not exist; check the path") from None
    except OSError as error:
        raise CTReadError(path, f"cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        if isinstance(error, CTReadError):
            raise
        # A path with a null character.
        raise CTReadError(repr(str(path)), "is not a path") from error


def _look_in_folder(folder: Path) -> _Found:
    scan = find_series(walk_files(folder))
    if scan.series:
        return _Found(scan.series, [], _broken_warnings(scan))
    niftis = [path for path in walk_files(folder) if path.name.endswith((".nii", ".nii.gz"))]
    niftis = [path for path in niftis if count_slices(path) is not None]
    if niftis:
        return _Found([], niftis, [])
    raise _nothing(folder, scan)


def _look_in_file(path: Path) -> _Found:
    if path.stat().st_size == 0:
        raise CTReadError(path, "is empty; copy it again")
    if count_slices(path) is not None:
        return _Found([], [path], [])
    if path.name.upper() == "DICOMDIR":
        return _look_in_folder(path.parent)
    alone = find_series([path])
    if not alone.series:
        raise _nothing(path, alone)
    siblings = [p for p in sorted(path.parent.iterdir()) if p.is_file() and p != path]
    scan = find_series([path, *siblings], prefer=path)
    mine = [s for s in scan.series if any(frame.file.path == path for frame in s.frames)]
    return _Found(mine, [], _broken_warnings(scan), prefer=path)


def _nothing(path: Path, scan: SeriesSearch) -> CTReadError:
    """Say why there is no CT at a path."""
    if len(scan.broken) == 1 and not scan.others:
        return scan.broken[0]
    parts = [f"{count} x {kind}" if count > 1 else kind for kind, count in scan.others.items()]
    if scan.broken:
        parts.append(f"{len(scan.broken)} damaged files ({scan.broken[0]})")
    if not parts:
        if path.is_dir():
            what = "an empty folder" if not scan.files else "a folder without DICOM or NIfTI files"
        else:
            what = "neither a DICOM nor a NIfTI file"
        return CTReadError(path, f"{what}; give a folder of CT slices or a NIfTI file")
    return CTReadError(path, f"no CT volume here, only {'; '.join(parts)}; give a CT series")


def _broken_warnings(scan: SeriesSearch) -> list[str]:
    if not scan.broken:
        return []
    return [f"{len(scan.broken)} files were passed over, the first: {scan.broken[0]}"]


def _info(series: Series) -> SeriesInfo:
    folder = series.frames[0].file.path.parent
    return SeriesInfo(series.key, series.description, "CT", len(series.frames), folder)


def _nifti_info(path: Path) -> SeriesInfo:
    key = hashlib.sha256(path.name.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return SeriesInfo(key, path.name, "CT", count_slices(path) or 0, path)


def _label(choice: Series | Path) -> str:
    if isinstance(choice, Path):
        return f"file {choice.name!r}"
    return f"{choice.description!r} with {len(choice.frames)} slices"
