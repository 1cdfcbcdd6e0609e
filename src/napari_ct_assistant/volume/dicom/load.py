"""Carry out the plan of `stack.py`: read, straighten and stack the slices into one volume."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.support.translation import said
from napari_ct_assistant.volume.ct_volume import AIR, CTVolume
from napari_ct_assistant.volume.dicom.encoding import DEFLATED
from napari_ct_assistant.volume.dicom.frames import DicomFrame
from napari_ct_assistant.volume.dicom.instance_numbers import ArchiveNumber, InstanceNumbers
from napari_ct_assistant.volume.dicom.pixels import SliceReader, erases_padding, reads_together
from napari_ct_assistant.volume.dicom.stack import Stack
from napari_ct_assistant.volume.errors import CTReadError
from napari_ct_assistant.volume.geometry import IPLReorder, axis_codes, is_usable
from napari_ct_assistant.volume.hu_check import HuCheck
from napari_ct_assistant.volume.limits import check_memory, check_ratio
from napari_ct_assistant.volume.replaced import OnLow, ReplacedVoxels

Progress = Callable[[int, int], None]

# Bytes that decoders may take together, and how often each holds its slice.
_DECODING = 512 << 20
_COPIES = 4
# Slices of a task: handing it over costs as much as reading a small one.
_TOGETHER = 8


def load_stack(
    stack: Stack, series: str, where: Path, progress: Progress | None = None
) -> CTVolume:
    """Read every slice of a plan.

    Slices are read by several threads straight into the finished int16 array; each
    thread holds at most eight slices more.

    Parameters
    ----------
    stack
        The plan.
    series
        Series description.
    where
        File or folder to name in errors.
    progress
        Called in the calling thread with (slices done, slices in all).
    """
    if not is_usable(stack.affine):
        raise CTReadError(where, said("its slice positions are impossible; export it again"))
    workers = _check_claims(stack, where)
    turn = IPLReorder(stack.affine, stack.shape)
    hu = np.empty(turn.shape, dtype=np.int16)
    stored = turn.stored_view(hu)
    doubts = HuCheck(len(stored))

    reader = SliceReader()
    replaced = ReplacedVoxels(turn, axis=0)

    def read(start: int, stop: int) -> None:
        part = stored[start:stop]
        frames = stack.frames[start:stop]
        if stack.shifts is None and reads_together(frames, part):
            # numpy's calls hand the interpreter from thread to thread: few large ones wait less.

            def on_low(n: int, mask: NDArray[np.bool_], values: NDArray[np.int16]) -> None:
                replaced.add(start + n, mask, values)

            doubts.add(start, part, reader.read_together(frames, part, on_low))
            return
        for k in range(start, stop):
            limits = _read_straight(reader, stack, k, stored[k], partial(replaced.add, k))
            doubts.add(k, stored[k : k + 1], limits)

    if stack.places is None:
        _in_threads(read, len(stack.frames), workers, progress)
    else:
        _read_between(reader, stack, stored, doubts, progress)
    rescale = {(frame.slope, frame.intercept) for frame in stack.frames}
    warnings = [
        *stack.warnings,
        *_header_warnings(stack.frames),
        *doubts.warnings(_spell(rescale)),
    ]
    # Written column, row, slice as DICOM and ITK do.
    codes = axis_codes(stack.affine[:, [2, 1, 0, 3]])
    return CTVolume(
        hu,
        turn.affine,
        series,
        tuple(warnings),
        codes,
        replaced or None,
        stack.frames[0].file.body_part,
        InstanceNumbers.of_stored(_archive_numbers(stack), turn),
    )


def _archive_numbers(stack: Stack) -> list[ArchiveNumber]:
    """Return the archive's number of each finished slice; one between two slices has none."""
    filed = [
        ArchiveNumber(frame.instance, frame.index + 1 if frame.file.frames > 1 else None)
        for frame in stack.frames
    ]
    if stack.places is None:
        return filed
    return [filed[int(k)] if k == int(k) else ArchiveNumber() for k in stack.places]


def _check_claims(stack: Stack, where: Path) -> int:
    """Compare what the headers claim with the files and the free memory, before any is taken.

    Returns
    -------
    How many slices can be read at the same time.
    """
    files = {frame.file.path: frame.file for frame in stack.frames}
    slices = [2 * frame.file.rows * frame.file.columns for frame in stack.frames]
    try:
        packed = sum(path.stat().st_size for path in files)
    except OSError as error:
        name = Path(str(error.filename)).name
        raise CTReadError(
            where, said("{name} cannot be read ({strerror})", name=name, strerror=error.strerror)
        ) from error
    check_ratio(where, sum(slices), packed)
    workers = min(8, max(2, os.cpu_count() or 1), len(stack.frames))
    if any(file.pixels[1] is None for file in files.values()):
        # A decoder holds a slice several times over.
        workers = max(1, min(workers, _DECODING // (_COPIES * max(slices))))
        beside = workers * _COPIES * max(slices)
    else:
        # Deflated files are inflated whole.
        beside = max(
            (file.frames * 2 * file.rows * file.columns for file in files.values()
             if file.syntax == DEFLATED), default=workers * _TOGETHER * max(slices)
        )  # fmt: skip
    check_memory(where, stack.shape, beside=beside)
    return workers


def _in_threads(
    work: Callable[[int, int], None], count: int, workers: int, progress: Progress | None
) -> None:
    """Do `count` pieces of work, from one to another in a call; stop at the first error.

    `progress` is called in the calling thread.
    """
    size = max(1, min(_TOGETHER, count // (workers * 4)))
    done = 0

    def several(start: int) -> int:
        stop = min(start + size, count)
        work(start, stop)
        return stop - start

    if workers < 2:
        for k in range(0, count, size):
            done += several(k)
            if progress is not None:
                progress(done, count)
        return

    with ThreadPoolExecutor(workers) as pool:
        pending: set[Future[int]] = {pool.submit(several, k) for k in range(0, count, size)}
        try:
            while pending:
                finished, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in finished:
                    done += future.result()
                    if progress is not None:
                        progress(done, count)
        finally:
            for future in pending:
                future.cancel()


def _read_straight(
    reader: SliceReader,
    stack: Stack,
    k: int,
    out: NDArray[np.int16],
    on_low: OnLow | None = None,
) -> tuple[int, int]:
    """Read slice `k` of the file list onto the canvas `out`, shifted to where it belongs.

    Returns its lowest and highest HU. `on_low` is not called for slices that are shifted.
    """
    frame = stack.frames[k]
    if stack.shifts is None:
        return reader.read(frame, out, on_low)
    plane = np.empty((frame.file.rows, frame.file.columns), dtype=np.int16)
    limits = reader.read(frame, plane)
    rows, columns = (float(shift) for shift in stack.shifts[k])
    if out.shape[1] == plane.shape[1]:
        _shift(plane, rows, out)
    else:
        wide = np.empty((plane.shape[0], out.shape[1]), dtype=np.int16)
        _shift(plane.T, columns, wide.T)
        _shift(wide, rows, out)
    return limits


def _shift(plane: NDArray[np.int16], shift: float, canvas: NDArray[np.int16]) -> None:
    """Write rows [n, m], moved down by `shift` >= 0 rows, onto a canvas of air [l, m].

    A fraction of a row is a linear blend of two rows; beyond the outermost is air.
    """
    n = len(plane)
    whole = int(np.floor(shift + 1e-6))
    part = shift - whole
    canvas[...] = AIR
    if part < 1e-3:
        canvas[whole : whole + n] = plane
        return
    # Some rows at a time keeps the temporary small.
    for start in range(1, n, 64):
        stop = min(start + 64, n)
        blend = np.multiply(plane[start - 1 : stop - 1], part, dtype=np.float32)
        blend += np.multiply(plane[start:stop], 1 - part, dtype=np.float32)
        canvas[whole + start : whole + stop] = np.rint(blend, out=blend)
    canvas[whole] = np.rint(plane[0] * (1 - part) + AIR * part)
    if whole + n < len(canvas):
        canvas[whole + n] = np.rint(plane[-1] * part + AIR * (1 - part))


def _read_between(
    reader: SliceReader,
    stack: Stack,
    stored: NDArray[np.int16],
    doubts: HuCheck,
    progress: Progress | None,
) -> None:
    """Read an uneven stack in order, blending two neighbours into each finished slice."""
    if stack.places is None:
        raise ValueError("an even stack has nothing to blend")
    shape = stored.shape[1:]
    held: dict[int, NDArray[np.int16]] = {}
    for n, (out, place) in enumerate(zip(stored, stack.places, strict=True)):
        low = int(place)
        part = float(place) - low
        wanted = (low,) if part == 0 else (low, low + 1)
        for k in [k for k in held if k not in wanted]:
            del held[k]
        for k in wanted:
            if k not in held:
                held[k] = np.empty(shape, dtype=np.int16)
                _read_straight(reader, stack, k, held[k])
                if progress is not None:
                    progress(k + 1, len(stack.frames))
        if part == 0:
            out[...] = held[low]
        else:
            blend = np.multiply(held[low], 1 - part, dtype=np.float32)
            blend += np.multiply(held[low + 1], part, dtype=np.float32)
            out[...] = np.rint(blend, out=blend)
        doubts.add(n, out[None], (int(out.min()), int(out.max())))


def _spell(rescale: set[tuple[float | None, float | None]]) -> str:
    if len(rescale) > 1:
        return f"{len(rescale)} different rescales"
    slope, intercept = next(iter(rescale))
    return f"slope {1.0 if slope is None else slope:g}, intercept {intercept or 0:g}"


def _header_warnings(frames: tuple[DicomFrame, ...]) -> list[str]:
    """Return doubts that the headers themselves raise."""
    found: list[str] = []
    bare = [frame for frame in frames if frame.slope is None and frame.intercept is None]
    floats = all(frame.file.floating for frame in frames)
    if bare and not floats:
        found.append(
            said(
                "{n} of {total} slices have no RescaleSlope and RescaleIntercept: stored values "
                "were taken as HU",
                n=len(bare),
                total=len(frames),
            )
        )
    half = [frame for frame in frames if (frame.slope is None) != (frame.intercept is None)]
    for missing, name in (("intercept", "RescaleIntercept"), ("slope", "RescaleSlope")):
        part = [frame for frame in half if getattr(frame, missing) is None]
        if part:
            assumed = "0" if missing == "intercept" else "1"
            found.append(
                said(
                    "{n} of {total} slices have no {name} ({files}): it was taken as {value}, so "
                    "their HU may be wrong; export them again",
                    n=len(part),
                    total=len(frames),
                    name=name,
                    files=_names(part),
                    value=assumed,
                )
            )
    units = sorted({f.unit for f in frames if f.unit not in ("", "HU", "HOUNSFIELD")})
    if units:
        shown = ", ".join(unit[:16] for unit in units[:3])
        found.append(
            said(
                "RescaleType is {unit}, not HU: values may not be Hounsfield units",
                unit=repr(shown),
            )
        )
    kept = [f for f in frames if f.file.padding is not None and not erases_padding(f)]
    if kept and not floats:
        low, high = kept[0].file.padding or (0, 0)
        found.append(
            said(
                "the padding declared in {n} of {total} slices (stored value {value}) lies in the "
                "range of tissue; these pixels were kept as they are",
                n=len(kept),
                total=len(frames),
                value=f"{low}" if low == high else f"{low} to {high}",
            )
        )
    return found


def _names(frames: Sequence[DicomFrame]) -> str:
    names = [frame.file.path.name for frame in frames]
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
