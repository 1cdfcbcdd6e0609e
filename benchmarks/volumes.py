"""Time reading and preparation of a scan beside SimpleITK, pydicom and MONAI.

    python -m benchmarks.volumes [PATH]

PATH is a DICOM series folder; by default the 275-slice chest of the shared data.
Everything runs in one process on the same scan, each thing `--repeat` times in
turn, and the median counts; the file cache is warm for all. Where other programs
want the processors too, processor time tells more than the clock. Every other
implementation is also compared in value, so that nobody is fast by being wrong.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import named, only_cores, usable_cores
from benchmarks.rows import Groups, MissingPeerError, Row, Settings, faster, race
from napari_ct_assistant.volume import (
    AIR,
    CTReadError,
    CTVolume,
    ModelGrid,
    list_series,
    open_ct,
    prepare,
)
from napari_ct_assistant.volume.dicom.header import Header, read_header
from napari_ct_assistant.volume.dicom.series import walk_files
from napari_ct_assistant.volume.dicom.tags import FRAME_GROUPS, SHARED_GROUPS, WANTED

Array = NDArray[Any]
Times = dict[str, tuple[float, float]]
CHEST = Path(__file__).parents[1].parent / "shared" / "data" / "chest_lidc_0314"
SHAPE, SPACING, PATCH = (112, 224, 224), (3.0, 1.5, 1.5), (8, 16, 16)


def loading(settings: Settings) -> Iterator[Row]:
    """Open the 275-slice chest, beside SimpleITK's ImageSeriesReader; one core and two."""
    if settings.quick or not CHEST.is_dir():
        return
    sitk = simpleitk()
    for cores in usable_cores():
        with only_cores(cores):
            sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(cores)
            ours, theirs = race(
                lambda: open_ct(CHEST), lambda: _read_simpleitk(sitk, CHEST), settings, memory=True
            )
        yield Row(
            f"loading 275 slices, {named(cores)}",
            f"SimpleITK {sitk.Version.VersionString()} ImageSeriesReader",
            ours,
            theirs,
            (faster(5),),
        )


def preparation(settings: Settings) -> Iterator[Row]:
    """Resample the chest to a model's box, beside SimpleITK's resampler; one core and two."""
    if settings.quick or not CHEST.is_dir():
        return
    sitk = simpleitk()
    volume = open_ct(CHEST)
    grid = ModelGrid.centred(volume, shape=SHAPE, spacing=SPACING, patch=PATCH)
    image = sitk.GetImageFromArray(np.ascontiguousarray(volume.hu[::-1]))
    image.SetSpacing(volume.spacing[::-1])
    for cores in usable_cores():
        with only_cores(cores):
            sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(cores)
            ours, theirs = race(
                lambda: prepare(volume, grid),
                lambda: _resample_simpleitk(sitk, image, volume, grid),
                settings,
                memory=True,
            )
        yield Row(
            f"preparation to 224 x 224 x 112, {named(cores)}",
            f"SimpleITK {sitk.Version.VersionString()} ResampleImageFilter",
            ours,
            theirs,
            (faster(2),),
        )


GROUPS: Final[Groups] = {"loading": loading, "preparation": preparation}


def simpleitk() -> Any:
    """Return SimpleITK, or say how it is installed."""
    try:
        import SimpleITK as sitk  # noqa: N813 - its usual name
    except ImportError:
        raise MissingPeerError("SimpleITK is missing: pip install SimpleITK") from None
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    return sitk


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", type=Path, nargs="?", default=CHEST)
    parser.add_argument("--repeat", type=int, default=5, help="runs of each (default 5)")
    options = parser.parse_args()
    try:
        volume = open_ct(options.path)
    except CTReadError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{options.path.name}: {volume.shape} voxels, spacing {volume.spacing} mm")
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, median of {options.repeat}\n")
    for line in volume.warnings:
        print(f"warning: {line}")
    benchmark_headers(options.path, options.repeat)
    print()
    benchmark_loading(options.path, volume, options.repeat)
    print()
    benchmark_preparation(volume, options.repeat)
    return 0


def benchmark_headers(path: Path, repeat: int) -> None:
    """Read the headers of the series with our parser and with pydicom, one thread each."""
    import pydicom

    files = [file for file in walk_files(path) if isinstance(read_header(file), Header)]
    if not files:
        print("headers: needs a folder with DICOM files")
        return
    wanted = sorted({*WANTED, SHARED_GROUPS, FRAME_GROUPS})
    ways: dict[str, Callable[[], Any]] = {
        "read_header": lambda: [read_header(file) for file in files],
        "pydicom, specific_tags": lambda: [
            pydicom.dcmread(file, stop_before_pixels=True, force=True, specific_tags=wanted)
            for file in files
        ],
        "pydicom, every tag": lambda: [
            pydicom.dcmread(file, stop_before_pixels=True, force=True) for file in files
        ],
    }
    times, _ = _race(ways, repeat)
    _print_times(f"headers of {len(files)} files", times)


def benchmark_loading(path: Path, volume: CTVolume, repeat: int) -> None:
    """Read the whole series with each reader."""
    if not path.is_dir() or len(list_series(path)) != 1:
        print("loading: needs a folder with one DICOM series")
        return
    readers: dict[str, Callable[[], Array]] = {"open_ct": lambda: open_ct(path).hu}
    try:
        import SimpleITK as sitk  # noqa: N813 - its usual name

        sitk.ProcessObject.SetGlobalWarningDisplay(False)
        readers["SimpleITK ImageSeriesReader"] = lambda: _read_simpleitk(sitk, path)
    except ImportError:
        print("SimpleITK is not installed: pip install SimpleITK")
    import pydicom

    readers["pydicom loop"] = lambda: _read_pydicom(pydicom, path)
    times, results = _race(readers, repeat)
    _print_times("loading", times)
    # The others give LPS (slice, row, column) with slices upwards, ours (I, P, L).
    for name, other in results.items():
        if name == "open_ct":
            continue
        if other.shape != volume.shape:
            print(f"  {name}: shape {other.shape} differs (slices were resampled on load)")
            continue
        difference = np.abs(np.maximum(other[::-1], AIR) - volume.hu.astype(np.int32)).max()
        print(f"  largest difference to {name}: {difference:g} HU")


def benchmark_preparation(volume: CTVolume, repeat: int) -> None:
    """Bring the volume to the box of E3D-GPT with each resampler."""
    grid = ModelGrid.centred(volume, shape=SHAPE, spacing=SPACING, patch=PATCH)
    ways: dict[str, Callable[[], Array]] = {"prepare": lambda: prepare(volume, grid)}
    try:
        import SimpleITK as sitk  # noqa: N813 - its usual name

        image = sitk.GetImageFromArray(np.ascontiguousarray(volume.hu[::-1]))
        image.SetSpacing(volume.spacing[::-1])
        ways["SimpleITK ResampleImageFilter"] = lambda: _resample_simpleitk(
            sitk, image, volume, grid
        )
    except ImportError:
        print("SimpleITK is not installed: pip install SimpleITK")
    try:
        import torch
        from monai.data import MetaTensor
        from monai.transforms import Compose, ResizeWithPadOrCrop, ScaleIntensityRange, Spacing

        # MONAI wants RAS, index 0 to the right.
        affine = volume.affine[:, [2, 1, 0, 3]]
        tensor = MetaTensor(
            torch.from_numpy(volume.hu.transpose(2, 1, 0)[None].astype(np.float32)),
            affine=torch.from_numpy(affine),
        )
        spacing = Spacing(pixdim=SPACING[::-1], mode="bilinear")
        transform = Compose(
            [
                spacing,
                ScaleIntensityRange(a_min=-1000, a_max=1000, b_min=0, b_max=1, clip=True),
                ResizeWithPadOrCrop(spatial_size=SHAPE[::-1], mode="constant", constant_values=0),
            ]
        )
        ways["MONAI Spacing+Scale+PadOrCrop"] = lambda: transform(tensor)
    except ImportError as error:
        print(f"MONAI is not installed ({error}): pip install --no-deps monai")
    times, results = _race(ways, repeat)
    _print_times(f"preparation to {SHAPE} at {SPACING} mm", times)
    for name, other in results.items():
        if name.startswith("SimpleITK"):
            _compare(name, results["prepare"], other)
        if name.startswith("MONAI"):
            _compare_monai(name, volume, other)


def _race(ways: dict[str, Callable[[], Any]], repeat: int) -> tuple[Times, dict[str, Any]]:
    """Run every way in turn, `repeat` rounds; return median seconds and last results."""
    wall: dict[str, list[float]] = {name: [] for name in ways}
    work: dict[str, list[float]] = {name: [] for name in ways}
    results: dict[str, Any] = {}
    for round_number in range(repeat + 1):
        for name, way in ways.items():
            results.pop(name, None)
            start, start_work = time.perf_counter(), time.process_time()
            results[name] = way()
            # The first round warms caches and imports.
            if round_number:
                wall[name].append(time.perf_counter() - start)
                work[name].append(time.process_time() - start_work)
    median = statistics.median
    return {name: (median(wall[name]), median(work[name])) for name in ways}, results


def _print_times(title: str, times: Times) -> None:
    ours, our_work = next(iter(times.values()))
    print(title)
    for name, (seconds, work) in times.items():
        print(
            f"  {name:<32} {seconds:8.3f} s {seconds / ours:6.1f}x"
            f"   (processor time {work:7.3f} s {work / our_work:6.1f}x)"
        )


def _read_simpleitk(sitk: Any, path: Path) -> Array:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(path)))
    return sitk.GetArrayFromImage(reader.Execute())


def _read_pydicom(pydicom: Any, path: Path) -> Array:
    slices = [pydicom.dcmread(file, force=True) for file in path.iterdir()]
    slices = [s for s in slices if "PixelData" in s]
    for s in slices:
        if not hasattr(s.file_meta, "TransferSyntaxUID"):
            s.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
    slices.sort(key=lambda s: float(s.ImagePositionPatient[2]))
    hu = [s.pixel_array * float(s.RescaleSlope) + float(s.RescaleIntercept) for s in slices]
    return np.stack(hu).astype(np.int16)


def _resample_simpleitk(sitk: Any, image: Any, volume: CTVolume, grid: ModelGrid) -> Array:
    # In the image's own frame: its slices run upwards, ours downwards.
    index = np.linalg.inv(volume.affine) @ grid.affine[:, 3]
    start = np.array([index[2], index[1], volume.shape[0] - 1 - index[0]])
    start[2] -= (SHAPE[0] - 1) * SPACING[0] / volume.spacing[0]
    resampler = sitk.ResampleImageFilter()
    resampler.SetSize(SHAPE[::-1])
    resampler.SetOutputSpacing(SPACING[::-1])
    resampler.SetOutputOrigin((start * np.array(volume.spacing[::-1])).tolist())
    resampler.SetInterpolator(sitk.sitkLinear)
    resampler.SetDefaultPixelValue(-1000)
    resampler.SetOutputPixelType(sitk.sitkFloat32)
    box = sitk.GetArrayFromImage(resampler.Execute(image))[::-1]
    return (np.clip(box, -1000, 1000) + 1000) / 2000


def _compare_monai(name: str, volume: CTVolume, other: Any) -> None:
    """Prepare on MONAI's own voxel centres, which start at the first voxel's centre."""
    grid = ModelGrid(SHAPE, PATCH, other.affine.numpy()[:, [2, 1, 0, 3]])
    _compare(name, prepare(volume, grid), other.numpy()[0].transpose(2, 1, 0))


def _compare(name: str, ours: Array, other: Array) -> None:
    """Print the difference where both interpolate, i.e. away from padding and the last voxel."""
    inside = (slice(2, -2),) * 3
    scanned = np.argwhere(other[inside] > 0)
    box = tuple(
        slice(int(a) + 4, int(b) - 4)
        for a, b in zip(scanned.min(axis=0), scanned.max(axis=0) + 1, strict=True)
    )
    difference = np.abs(ours[box] - other[box])
    print(
        f"  difference to {name}: at most {difference.max():.2e}, "
        f"mean {difference.mean():.2e} (of 0 to 1)"
    )


if __name__ == "__main__":
    raise SystemExit(main())
