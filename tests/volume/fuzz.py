"""Damage scan files at random and read them: a volume or a CTReadError, nothing else.

    python -m tests.volume.fuzz [--count 20000] [--seed 0]

A case is one of these, read by `open_ct` in a worker process:

* bytes of a small file of any kind (every syntax, multi-frame, without preamble, gzip, archive)
  flipped, replaced by extremes, cut out, doubled or cut off;
* attributes of a data set, or fields of a NIfTI, MetaImage or NRRD header, changed before the
  pixels are compressed, so that the file claims what it does not hold;
* a folder or an archive of a series with some of its files damaged, missing, doubled or empty;
* pixels of a file that is otherwise sound.

A case fails if it ends in another exception, takes more than 10 s, kills the worker, takes much
more memory than the sound file holds, or opens with another value where nothing was damaged. The
figures are printed; the exit code is 1 if any case failed. Case N of a seed is always the same.
"""

from __future__ import annotations

import random
import sys
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import SimpleITK as sitk  # noqa: N813 - its usual name
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from napari_ct_assistant.volume import CTReadError, CTVolume, open_ct
from tests.fuzzing import Outcome, Run, judge, main
from tests.volume.damage import (
    changed_dataset,
    changed_nifti,
    changed_text_header,
    damaged_bytes,
    damaged_folder,
    flipped_pixels,
)
from tests.volume.samples import EXPLICIT, IMPLICIT, LOSSLESS, RLE, dataset, enhanced, ramp, save

SLACK = 4 << 20
SHAPE = (96, 80)
SERIES_SHAPE = (24, 20)
SLICES = 6
STEP = 2.0


@dataclass(frozen=True)
class Sound:
    """An undamaged file.

    voxels: how many it holds. source: the data set, its pixels and its syntax, where it is
    DICOM. pixels: where uncompressed pixels begin.
    """

    name: str
    data: bytes
    voxels: int
    source: tuple[Dataset, NDArray[Any], str] | None = None
    pixels: int | None = None

    def memory(self, times: int) -> int:
        """Return what reading it may take: so many times what it holds."""
        return times * max(len(self.data), 2 * self.voxels) + SLACK


@dataclass
class Sounds:
    """Undamaged files of every kind, and a series for each syntax: name -> (bytes, pixels)."""

    files: list[Sound] = field(default_factory=list)
    series: list[dict[str, tuple[bytes, NDArray[Any]]]] = field(default_factory=list)


def sound_files(folder: Path) -> list[Sound]:
    """Write one file of every kind and return them."""
    folder.mkdir(parents=True, exist_ok=True)
    files: list[Sound] = []

    def add(path: Path, voxels: int, **more: Any) -> None:
        files.append(Sound(path.name, path.read_bytes(), voxels, **more))

    def add_dicom(name: str, ds: Dataset, pixels: NDArray[Any], syntax: str) -> None:
        path = save(folder / name, ds, pixels, syntax)
        data = path.read_bytes()
        plain = data.index(b"\xe0\x7f\x10\0OW") + 12 if syntax == EXPLICIT else None
        add(path, pixels.size, source=(ds, pixels, syntax), pixels=plain)

    for syntax in LOSSLESS:
        add_dicom(f"ct-{syntax}.dcm", dataset(ramp(0, SHAPE)), ramp(0, SHAPE), syntax)
    for syntax, stored, values in (
        ("1.2.840.10008.1.2.4.50", 8, (ramp(0, SHAPE) // 16).astype(np.uint8)),
        ("1.2.840.10008.1.2.4.51", 12, ramp(0, SHAPE)),
        ("1.2.840.10008.1.2.4.201", 16, ramp(0, SHAPE)),
    ):
        ds = dataset(values, BitsStored=stored, HighBit=stored - 1)
        add_dicom(f"ct-{syntax}.dcm", ds, values, syntax)
    pixels = np.stack([ramp(k, SHAPE) for k in range(4)])
    for syntax in (EXPLICIT, RLE):
        ds = enhanced(pixels, [(0, 0, 2.0 * k) for k in range(4)])
        add_dicom(f"multi-{syntax}.dcm", ds, pixels, syntax)
    ds = dataset(pixels, NumberOfFrames="4", SpacingBetweenSlices="2")
    add_dicom("classic.dcm", ds, pixels, EXPLICIT)
    bare = (folder / f"ct-{IMPLICIT}.dcm").read_bytes()
    (folder / "bare.dcm").write_bytes(bare[bare.index(b"\x08\0\x08\0", 132) :])
    add(folder / "bare.dcm", ramp(0, SHAPE).size)
    with zipfile.ZipFile(folder / "study.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("classic.dcm", f"ct-{EXPLICIT}.dcm"):
            archive.write(folder / name, name)
    add(folder / "study.zip", 5 * ramp(0, SHAPE).size)
    hu = pixels.transpose(2, 1, 0).astype(np.int16) - 1024
    affine = np.diag([-0.7, -0.8, 2.0, 1.0])
    for kind, name, start in (
        (nib.Nifti1Image, "one.nii", 352),
        (nib.Nifti2Image, "two.nii", 544),
        (nib.Nifti1Image, "one.nii.gz", None),
    ):
        image = kind(hu if name != "two.nii" else hu.astype(np.float32), affine)
        nib.save(image, folder / name)
        add(folder / name, hu.size, pixels=start)
    for name in ("ct.mha", "ct.nrrd"):
        sitk.WriteImage(sitk.GetImageFromArray(hu), str(folder / name), useCompression=False)
        data = (folder / name).read_bytes()
        mark = b"LOCAL\n" if name == "ct.mha" else b"\n\n"
        add(folder / name, hu.size, pixels=data.index(mark) + len(mark))
    return files


def prepare(folder: Path, seed: int) -> Run:
    """Make the sound files; return what takes a case."""
    with warnings.catch_warnings():
        # The imports of readers warn of each other.
        warnings.simplefilter("ignore")
        sounds = Sounds(sound_files(folder / "sound"))
        sounds.series = [_series(syntax) for syntax in LOSSLESS]
        for file in sounds.files:
            open_ct(folder / "sound" / file.name)

    def run(case: int, place: Path) -> Outcome:
        rng = random.Random(seed * 1_000_003 + case)
        kinds: tuple[Callable[[Sounds, random.Random, Path], Outcome], ...]
        kinds = (_bytes, _bytes, _structure, _folder, _pixels)
        return kinds[case % len(kinds)](sounds, rng, place)

    return run


def _open(path: Path, check: Callable[[CTVolume], str] | None = None) -> Callable[[], str]:
    def action() -> str:
        volume = open_ct(path)
        if not isinstance(volume, CTVolume) or volume.hu.dtype != np.int16:
            return f"returned {type(volume).__name__}"
        if not np.isfinite(volume.affine).all():
            return "returned an affine that is not finite"
        return check(volume) if check is not None else ""

    return action


def _bytes(sounds: Sounds, rng: random.Random, place: Path) -> Outcome:
    file = rng.choice(sounds.files)
    path = place / file.name
    path.write_bytes(damaged_bytes(file.data, rng))
    return judge(f"bytes of {file.name}", _open(path), CTReadError, begins=f"{path.name}: ",
                 memory=file.memory(4))  # fmt: skip


def _structure(sounds: Sounds, rng: random.Random, place: Path) -> Outcome:
    file = rng.choice([f for f in sounds.files if f.name not in ("bare.dcm", "study.zip")])
    path = place / file.name
    if file.source is not None:
        ds, pixels, syntax = file.source
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                save(path, changed_dataset(ds, rng), pixels, syntax)
            except (ValueError, TypeError, AttributeError, KeyError, OverflowError):
                # pydicom does not write it.
                path.write_bytes(damaged_bytes(file.data, rng))
    elif ".nii" in file.name:
        path.write_bytes(changed_nifti(file.data, rng))
    else:
        path.write_bytes(changed_text_header(file.data, rng))
    return judge(f"structure of {file.name}", _open(path), CTReadError, begins=f"{path.name}: ",
                 memory=file.memory(16))  # fmt: skip


def _pixels(sounds: Sounds, rng: random.Random, place: Path) -> Outcome:
    file = rng.choice([f for f in sounds.files if f.pixels is not None])
    path = place / file.name
    path.write_bytes(file.data)
    truth = open_ct(path).hu
    data, places = flipped_pixels(file.data, rng, file.pixels or 0)
    path.write_bytes(data)

    def check(volume: CTVolume) -> str:
        if volume.shape != truth.shape:
            return f"shape {volume.shape}, which is {truth.shape} without the damage"
        changed = int((volume.hu != truth).sum())
        return f"{changed} voxels differ by {len(places)} bytes" if changed > len(places) else ""

    outcome = judge(f"pixels of {file.name}", _open(path, check), CTReadError,
                    begins=f"{path.name}: ", memory=file.memory(4))  # fmt: skip
    if outcome.ending == "CTReadError" and not outcome.failure:
        return Outcome(outcome.kind, "failed", "refused for its pixels", 0.0, 0)
    return outcome


def _series(syntax: str) -> dict[str, tuple[bytes, NDArray[Any]]]:
    """Return the files of a series, with their pixels."""
    from tempfile import TemporaryDirectory

    found = {}
    with TemporaryDirectory() as name:
        for k in range(SLICES):
            pixels = ramp(k, SERIES_SHAPE)
            ds = dataset(pixels, position=(0, 0, STEP * k), number=k + 1)
            path = save(Path(name) / f"{k}.dcm", ds, pixels, syntax)
            found[path.name] = path.read_bytes(), pixels
    return found


def _folder(sounds: Sounds, rng: random.Random, place: Path) -> Outcome:
    series = rng.choice(sounds.series)
    folder = place / "series"
    folder.mkdir()
    for name, (data, _) in series.items():
        (folder / name).write_bytes(data)
    touched = damaged_folder(folder, rng)
    path = folder
    if rng.random() < 0.2:
        path = place / "series.zip"
        with zipfile.ZipFile(path, "w", rng.choice((0, zipfile.ZIP_DEFLATED))) as archive:
            for file in folder.iterdir():
                if file.exists():
                    archive.write(file, f"{rng.choice(('a', 'b/c'))}/{file.name}")
    untouched = {int(n[0]): pixels for n, (_, pixels) in series.items() if n not in touched}
    size = sum(len(data) for data, _ in series.values())
    return judge(f"folder of {path.name}", _open(path, lambda v: differing(v, untouched)),
                 CTReadError, memory=16 * size + SLACK)  # fmt: skip


def differing(volume: CTVolume, untouched: dict[int, NDArray[Any]]) -> str:
    """Return which untouched slice has other values in the volume, "" if none has.

    untouched: place in the series -> stored values. Only a slice that lies on the volume's grid
    is compared: uneven slices are resampled.
    """
    rows, columns = np.indices(SERIES_SHAPE)
    for k, pixels in untouched.items():
        ras = np.stack([-0.7 * columns, -0.8 * rows, np.full(SERIES_SHAPE, STEP * k)], axis=-1)
        index = volume.ras_to_index(ras)
        whole = np.rint(index).astype(int)
        if np.abs(index - whole).max() > 0.02:
            continue
        if (whole < 0).any() or (whole >= volume.shape).any():
            continue
        values = volume.hu[tuple(np.moveaxis(whole, -1, 0))]
        if not np.array_equal(values, pixels.astype(int) - 1024):
            return f"slice {k} was not damaged and has other values"
    return ""


if __name__ == "__main__":
    sys.exit(main(prepare, "damaged scans", 20_000))
