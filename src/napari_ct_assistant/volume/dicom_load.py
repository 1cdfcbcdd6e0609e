"""Carry out a plan: read, straighten and stack the slices into one volume."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.volume.ct_volume import AIR, CTVolume
from napari_ct_assistant.volume.dicom_frames import Frame
from napari_ct_assistant.volume.dicom_pixels import read_slice
from napari_ct_assistant.volume.dicom_stack import Stack
from napari_ct_assistant.volume.errors import CTReadError
from napari_ct_assistant.volume.geometry import ToIPL, axis_codes, is_usable
from napari_ct_assistant.volume.hounsfield import Doubts

Progress = Callable[[int, int], None]


def load_stack(
    stack: Stack, series: str, where: Path, progress: Progress | None = None
) -> CTVolume:
    """Read every slice of a plan.

    Slices are read by several threads straight into the finished int16 array; each
    thread holds at most one slice more.

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
        raise CTReadError(where, "its slice positions are impossible; export it again")
    turn = ToIPL(stack.affine, stack.shape)
    hu = np.empty(turn.shape, dtype=np.int16)
    stored = turn.stored_view(hu)
    doubts = Doubts()

    def read(k: int) -> None:
        _read_straight(stack, k, stored[k])
        doubts.add(stored[k])

    if stack.places is None:
        _in_threads(read, len(stack.frames), progress)
    else:
        _read_between(stack, stored, doubts, progress)
    rescale = {(frame.slope, frame.intercept) for frame in stack.frames}
    warnings = [
        *stack.warnings,
        *_rescale_warnings(stack.frames),
        *doubts.warnings(_spell(rescale)),
    ]
    # Written column, row, slice as DICOM and ITK do.
    codes = axis_codes(stack.affine[:, [2, 1, 0, 3]])
    return CTVolume(hu, turn.affine, series, tuple(warnings), codes)


def _in_threads(work: Callable[[int], None], count: int, progress: Progress | None) -> None:
    """Do `count` pieces of work; report from the calling thread; stop at the first error."""
    workers = min(8, (os.cpu_count() or 1) + 1, count)
    if workers < 2:
        for k in range(count):
            work(k)
            if progress is not None:
                progress(k + 1, count)
        return
    # A few slices to a task: handing over costs as much as reading a small one.
    size = max(1, min(8, count // (workers * 4)))
    done = 0

    def several(start: int) -> int:
        stop = min(start + size, count)
        for k in range(start, stop):
            work(k)
        return stop - start

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


def _read_straight(stack: Stack, k: int, out: NDArray[np.int16]) -> None:
    """Read slice `k` of the file list onto the canvas `out`, shifted to where it belongs."""
    frame = stack.frames[k]
    if stack.shifts is None:
        read_slice(frame, out)
        return
    plane = np.empty((frame.file.rows, frame.file.columns), dtype=np.int16)
    read_slice(frame, plane)
    rows, columns = stack.shifts[k]
    plane = _shift(plane, float(rows), out.shape[0])
    out[...] = _shift(plane.T, float(columns), out.shape[1]).T


def _shift(plane: NDArray[np.int16], shift: float, length: int) -> NDArray[np.int16]:
    """Move rows [n, m] down by `shift` >= 0 rows on a canvas of air [length, m]."""
    whole = int(np.floor(shift + 1e-6))
    part = max(0.0, shift - whole)
    canvas = np.full((length, plane.shape[1]), AIR, dtype=np.int16)
    n = len(plane)
    if part < 1e-3:
        canvas[whole : whole + n] = plane
        return canvas
    blend = np.multiply(plane[:-1], part, dtype=np.float32)
    blend += np.multiply(plane[1:], 1 - part, dtype=np.float32)
    np.rint(blend, out=blend)
    canvas[whole + 1 : whole + n] = blend
    # The outermost rows have air for a neighbour.
    canvas[whole] = np.rint(plane[0] * (1 - part) + AIR * part)
    if whole + n < length:
        canvas[whole + n] = np.rint(plane[-1] * part + AIR * (1 - part))
    return canvas


def _read_between(
    stack: Stack, stored: NDArray[np.int16], doubts: Doubts, progress: Progress | None
) -> None:
    """Read an uneven stack in order, blending two neighbours into each finished slice."""
    if stack.places is None:
        raise ValueError("an even stack has nothing to blend")
    shape = stored.shape[1:]
    held: dict[int, NDArray[np.int16]] = {}
    for out, place in zip(stored, stack.places, strict=True):
        low = int(place)
        part = float(place) - low
        wanted = (low,) if part == 0 else (low, low + 1)
        for k in [k for k in held if k not in wanted]:
            del held[k]
        for k in wanted:
            if k not in held:
                held[k] = np.empty(shape, dtype=np.int16)
                _read_straight(stack, k, held[k])
                if progress is not None:
                    progress(k + 1, len(stack.frames))
        if part == 0:
            out[...] = held[low]
        else:
            blend = np.multiply(held[low], 1 - part, dtype=np.float32)
            blend += np.multiply(held[low + 1], part, dtype=np.float32)
            out[...] = np.rint(blend, out=blend)
        doubts.add(out)


def _spell(rescale: set[tuple[float | None, float | None]]) -> str:
    if len(rescale) > 1:
        return f"{len(rescale)} different rescales"
    slope, intercept = next(iter(rescale))
    return f"slope {1.0 if slope is None else slope:g}, intercept {intercept or 0:g}"


def _rescale_warnings(frames: tuple[Frame, ...]) -> list[str]:
    """Return doubts that the headers themselves raise."""
    found = []
    bare = sum(frame.slope is None and frame.intercept is None for frame in frames)
    if bare:
        found.append(
            f"{bare} of {len(frames)} slices have no RescaleSlope and RescaleIntercept: "
            "stored values were taken as HU"
        )
    units = sorted({f.unit for f in frames if f.unit not in ("", "HU", "HOUNSFIELD")})
    if units:
        shown = ", ".join(unit[:16] for unit in units[:3] if unit.isprintable())
        found.append(f"RescaleType is {shown!r}, not HU: values may not be Hounsfield units")
    return found
