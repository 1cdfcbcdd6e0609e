"""Damage files at random and read them: a volume or a CTReadError, nothing else.

    python -m tests.volume.fuzz [--count 20000] [--seed 0]

Every case is one small DICOM or NIfTI file (every syntax, multi-frame, without preamble, gzip)
or archive with bytes flipped, numbers replaced by extremes, parts cut out, doubled or
cut off, read by `open_ct` in a worker process. A case fails if it ends in another
exception, takes more than 10 s, kills the worker, or raises the worker's memory by
more than 4 times the file (or the voxels the sound file holds, where it is
compressed) plus 4 MiB for the interpreter. The figures are printed; the exit code
is 1 if any case failed. Case N of a seed is always the same.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import sys
import tempfile
import time
import warnings
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from napari_ct_assistant.volume import CTReadError, CTVolume, open_ct
from tests.volume.samples import EXPLICIT, IMPLICIT, LOSSLESS, RLE, dataset, enhanced, ramp, save

SECONDS = 10.0
SLACK = 4 << 20
_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


@dataclass(frozen=True)
class Sound:
    """An undamaged file; `limit` is the memory that reading a damaged one may take."""

    name: str
    data: bytes
    limit: int


@dataclass(frozen=True)
class Outcome:
    """How one damaged file was taken; `failure` is "" where it was taken well."""

    ending: str
    failure: str
    seconds: float
    memory: int


def sound_files(folder: Path) -> list[Sound]:
    """Write one file of every kind and return their bytes."""
    files: list[Sound] = []
    shape = (96, 80)

    def add(path: Path, voxels: int) -> None:
        data = path.read_bytes()
        files.append(Sound(path.name, data, 4 * max(len(data), 2 * voxels) + SLACK))

    for syntax in LOSSLESS:
        path = folder / f"ct-{syntax}.dcm"
        add(save(path, dataset(ramp(0, shape)), ramp(0, shape), syntax), shape[0] * shape[1])
    for syntax, stored, values in (
        ("1.2.840.10008.1.2.4.50", 8, (ramp(0, shape) // 16).astype(np.uint8)),
        ("1.2.840.10008.1.2.4.51", 12, ramp(0, shape)),
        ("1.2.840.10008.1.2.4.201", 16, ramp(0, shape)),
    ):
        ds = dataset(values, BitsStored=stored, HighBit=stored - 1)
        add(save(folder / f"ct-{syntax}.dcm", ds, values, syntax), values.size)
    pixels = np.stack([ramp(k, shape) for k in range(4)])
    for syntax in (EXPLICIT, RLE):
        ds = enhanced(pixels, [(0, 0, 2.0 * k) for k in range(4)])
        add(save(folder / f"multi-{syntax}.dcm", ds, pixels, syntax), pixels.size)
    ds = dataset(pixels, NumberOfFrames="4", SpacingBetweenSlices="2")
    add(save(folder / "classic.dcm", ds, pixels), pixels.size)
    bare = (folder / f"ct-{IMPLICIT}.dcm").read_bytes()
    (folder / "bare.dcm").write_bytes(bare[bare.index(b"\x08\0\x08\0", 132) :])
    add(folder / "bare.dcm", shape[0] * shape[1])
    with zipfile.ZipFile(folder / "study.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("classic.dcm", f"ct-{EXPLICIT}.dcm"):
            archive.write(folder / name, name)
    add(folder / "study.zip", 5 * shape[0] * shape[1])
    hu = pixels.transpose(2, 1, 0).astype(np.int16) - 1024
    affine = np.diag([-0.7, -0.8, 2.0, 1.0])
    for kind, name in (
        (nib.Nifti1Image, "one.nii"),
        (nib.Nifti2Image, "two.nii"),
        (nib.Nifti1Image, "one.nii.gz"),
    ):
        image = kind(hu if name != "two.nii" else hu.astype(np.float32), affine)
        nib.save(image, folder / name)
        add(folder / name, hu.size)
    return files


def damage(data: bytes, rng: random.Random) -> bytes:
    """Return a damaged copy of a file; the header is hit more often than the pixels."""
    data_ = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        size = len(data_)
        if size < 16:
            break
        head = min(size, rng.choice((400, 2000, size)))
        at = rng.randrange(head)
        kind = rng.randrange(8)
        if kind <= 1:
            data_[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            data_[at : at + 4] = rng.randbytes(4)
        elif kind == 3:
            width = rng.choice((1, 2, 4))
            value = rng.choice(_EXTREMES) & ((1 << 8 * width) - 1)
            data_[at : at + width] = value.to_bytes(width, rng.choice(("little", "big")))
        elif kind == 4:
            del data_[at : at + rng.choice((1, 2, 4, 64, 1000))]
        elif kind == 5:
            part = data_[at : at + rng.choice((1, 8, 64, 1000))]
            other = rng.randrange(size)
            data_[other:other] = part
        elif kind == 6:
            del data_[rng.randrange(size) :]
        else:
            data_[at : at + 8] = rng.choice((b"\xff" * 8, b"\0" * 8, b"nan\\inf ", b"-1e308\\9"))
    return bytes(data_)


def read_one(path: Path, limit: int) -> Outcome:
    """Read one damaged file and judge how it was taken."""
    before = _reset_peak()
    start = time.perf_counter()
    ending, failure = "volume", ""
    try:
        volume = open_ct(path)
        if not isinstance(volume, CTVolume) or volume.hu.dtype != np.int16:
            failure = f"returned {type(volume).__name__}"
        elif not np.isfinite(volume.affine).all():
            failure = "returned an affine that is not finite"
        del volume
    except CTReadError as error:
        ending = "CTReadError"
        if "\n" in str(error) or not str(error).startswith(f"{path.name}: "):
            failure = f"unclear message: {error}"
    except Exception as error:  # noqa: BLE001 - any other exception is what is looked for
        ending = failure = f"{type(error).__name__}: {error}"
    seconds = time.perf_counter() - start
    memory = max(0, _peak() - before)
    if not failure and seconds > SECONDS:
        failure = f"took {seconds:.1f} s"
    if not failure and memory > limit:
        failure = f"took {memory / 1e6:.1f} MB of memory, {limit / 1e6:.1f} allowed"
    return Outcome(ending, failure, seconds, memory)


def run_cases(files: list[Sound], cases: range, seed: int, folder: Path) -> list[Outcome]:
    """Damage and read the given cases, one after another."""
    outcomes = []
    for case in cases:
        file = files[case % len(files)]
        path = folder / file.name
        path.write_bytes(damage(file.data, random.Random(seed * 1_000_003 + case)))
        # Names the case, should the worker die.
        (folder / "case").write_text(str(case))
        outcomes.append(read_one(path, file.limit))
        path.unlink()
    return outcomes


def _reset_peak() -> int:
    """Start measuring peak memory; return what is resident now, 0 where unknown."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return 0
    return _peak()


def _peak() -> int:
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def _work(
    files: list[Sound],
    cases: range,
    seed: int,
    folder: Path,
    results: multiprocessing.SimpleQueue[list[Outcome]],
) -> None:
    warnings.simplefilter("error")
    results.put(run_cases(files, cases, seed, folder))


def main() -> int:
    """Run the cases in worker processes and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    endings: Counter[str] = Counter()
    failures: list[str] = []
    slowest = most = 0.0
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        files = sound_files(folder)
        work = folder / "work"
        work.mkdir()
        case = 0
        while case < options.count:
            cases = range(case, min(case + 2000, options.count))
            results: multiprocessing.SimpleQueue[list[Outcome]] = context.SimpleQueue()
            worker = context.Process(target=_work, args=(files, cases, options.seed, work, results))
            worker.start()
            while worker.is_alive() and results.empty():
                before = (work / "case").read_text() if (work / "case").exists() else ""
                worker.join(1)
                stuck = _stuck(work, before, worker)
                if stuck:
                    break
            if results.empty():
                case = int((work / "case").read_text())
                failures.append(f"case {case}: the worker died or hung (exit {worker.exitcode})")
                worker.kill()
                case += 1
                continue
            for n, outcome in zip(cases, results.get(), strict=True):
                endings[outcome.ending if not outcome.failure else "failed"] += 1
                slowest, most = max(slowest, outcome.seconds), max(most, outcome.memory)
                if outcome.failure:
                    failures.append(f"case {n} ({files[n % len(files)].name}): {outcome.failure}")
            worker.join()
            case = cases.stop
            print(f"{case} done, {len(failures)} failures", file=sys.stderr, flush=True)
    for line in failures[:50]:
        print(line)
    print(
        f"{options.count} damaged files of {len(files)} kinds, seed {options.seed}: "
        f"{endings['volume']} volumes, {endings['CTReadError']} read errors, "
        f"{len(failures)} failures; slowest {slowest:.2f} s, most memory {most / 1e6:.1f} MB, "
        f"{time.perf_counter() - start:.0f} s in all"
    )
    return 1 if failures else 0


def _stuck(work: Path, before: str, worker: multiprocessing.process.BaseProcess) -> bool:
    """Wait on while one case takes longer than a second; True once it took too long."""
    waited = 1.0
    while worker.is_alive() and before and (work / "case").read_text() == before:
        worker.join(1)
        waited += 1
        if waited > 6 * SECONDS:
            return True
    return False


if __name__ == "__main__":
    sys.exit(main())
