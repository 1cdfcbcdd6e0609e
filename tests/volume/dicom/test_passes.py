"""Stacks of several passes: never mixed, and separated wherever an attribute tells them apart.

    python -m tests.volume.dicom.test_passes [COUNT] [SEED]

runs more stacks than the suite does and prints the figures.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_ct_assistant.volume import CTReadError, list_series, open_ct
from tests.volume.samples import dataset, save

SHAPE = (8, 8)


def pixels(scan: int, k: int) -> np.ndarray:
    """Return a slice whose left half names the pass and whose right half names the slice."""
    values = np.full(SHAPE, 1000 + 300 * scan, dtype=np.uint16)
    values[:, 4:] = 500 + 7 * k
    return values


@dataclass
class Stacked:
    """Slices of several passes to write: (pass, slice, z, attributes); separable or not."""

    slices: list[tuple[int, int, float, dict[str, Any]]] = field(default_factory=list)
    separable: bool = True
    said: str = ""


# Attribute -> its value in pass n.
ATTRIBUTES: dict[str, Any] = {
    "AcquisitionNumber": lambda n: n + 1,
    "AcquisitionTime": lambda n: f"1002{10 * n:02d}",
    "AcquisitionDateTime": lambda n: f"202601021002{10 * n:02d}.5",
    "TemporalPositionIdentifier": lambda n: n + 1,
    "TriggerTime": lambda n: 100.0 * n,
    "StackID": lambda n: f"{n + 1}",
    "ConvolutionKernel": lambda n: ("B30f", "B70f", "Br40")[n],
    "KVP": lambda n: (80, 120, 140)[n],
    "ImageType": lambda n: ["ORIGINAL", "PRIMARY", "AXIAL", ("A", "B", "C")[n]],
    "RescaleType": lambda n: ("HU", "Z_EFF", "ED")[n],
    "ContrastBolusAgent": lambda n: ("", "IV", "ORAL")[n],
    "SeriesDescription": lambda n: f"phase {n}",
    "SliceThickness": lambda n: (2, 3, 5)[n],
}


def draw(rng: random.Random) -> Stacked:
    """Draw two or three passes with random offsets, absent and extra slices and attributes."""
    made = Stacked()
    passes, count = rng.choice((2, 2, 3)), rng.randint(5, 20)
    step = rng.choice((0.625, 1.0, 1.25, 2.5, 5.0, round(rng.uniform(0.5, 8), 3)))
    names = list(ATTRIBUTES)
    chosen = rng.sample(names, rng.choice((1, 1, 1, 2)))
    kind = rng.choice(("one", "one", "one", "several", "slice times", "none"))
    made.said = f"{passes} passes of {count} at {step} mm, {kind}, {chosen}"
    for n in range(passes):
        offset = rng.choice((0.0, 0.0, 0.03, step / 2, step / passes, rng.uniform(0, step),
                             rng.uniform(0, count * step)))  # fmt: skip
        if kind == "none":
            # Passes that follow one another, or halve the step exactly, look like one.
            offset = rng.choice((0.0, 0.03, rng.uniform(0.1, 0.4) * step))
        if abs(offset - count * step) < 0.1 * step:
            offset = 0.0
        offset = 0.0 if n == 0 else round(offset, 3)
        absent = set(rng.sample(range(1, count - 1), rng.choice((0, 0, 0, 1))))
        backwards = rng.random() < 0.5
        for k in range(count):
            if k in absent:
                continue
            more: dict[str, Any] = {}
            if kind in ("one", "several"):
                for name in chosen if kind == "several" else chosen[:1]:
                    more[name] = ATTRIBUTES[name](n)
            if kind == "slice times":
                place = count - 1 - k if backwards else k
                seconds = 60 * n + 0.3 * place
                more["AcquisitionTime"] = f"10{int(seconds // 60):02d}{seconds % 60:09.6f}"
            made.slices.append((n, k, round(offset + k * step, 4), more))
    made.separable = kind != "none"
    if kind == "one" and rng.random() < 0.3:
        # A monitoring slice of a bolus, or a reference, with a value of its own.
        more = {"AcquisitionNumber": 99} if chosen[0] == "AcquisitionNumber" else {}
        if more:
            made.slices.append((7, 0, round(rng.uniform(0, count * step), 2), more))
    if rng.random() < 0.3:
        # Noise that divides nothing: two values at random.
        name = rng.choice([n for n in names if n not in chosen and "Acquisition" not in n])
        for _, _, _, more in made.slices:
            more.setdefault(name, ATTRIBUTES[name](rng.randint(0, 1)))
        made.said += f", noise in {name}"
    return made


def write(made: Stacked, folder: Path, rng: random.Random) -> None:
    order = list(range(len(made.slices)))
    if rng.random() < 0.7:
        rng.shuffle(order)
    for number, (scan, k, z, more) in zip(order, made.slices, strict=True):
        values = pixels(scan, k)
        attributes = {"SliceThickness": 2.0, "SeriesDescription": "Chest", **more}
        ds = dataset(values, position=(0, 0, z), number=number + 1, **attributes)
        ds.ImagePositionPatient = ["0", "0", f"{z:.4f}"]
        save(folder / f"{rng.getrandbits(32):08x}.dcm", ds, values)


def judge(made: Stacked, folder: Path) -> str:
    """Open every series; return "mixed: ...", "separated", "refused" or "partly refused"."""
    whole: Counter[int] = Counter()
    refused = 0
    for info in list_series(folder):
        try:
            volume = open_ct(folder, series=info.key)
        except CTReadError:
            refused += 1
            continue
        scans = np.unique(volume.hu[:, :, :4])
        if len(scans) > 1:
            return f"mixed: {info.description} of {made.said} holds {scans + 1024}"
        whole[(int(scans[0]) + 1024 - 1000) // 300] = info.n_slices
    true = Counter(scan for scan, *_ in made.slices)
    if whole == true and not refused:
        return "separated"
    return "refused" if refused else f"split further: {whole} for {true}"


def run(cases: range, seed: int) -> tuple[Counter[str], list[str]]:
    """Judge random stacks; return how separable and inseparable ones ended, and the oddities."""
    counts: Counter[str] = Counter()
    odd: list[str] = []
    for case in cases:
        rng = random.Random(seed * 1_000_003 + case)
        made = draw(rng)
        with tempfile.TemporaryDirectory() as place:
            write(made, Path(place), rng)
            ending = judge(made, Path(place))
        counts[("separable " if made.separable else "inseparable ") + ending.partition(":")[0]] += 1
        if ending.startswith(("mixed", "split")) or (made.separable and ending != "separated"):
            odd.append(f"case {case}: {ending} ({made.said})")
    return counts, odd


@pytest.mark.parametrize("part", range(3))
def test_passes_are_never_mixed_and_nearly_always_separated(part: int) -> None:
    counts, odd = run(range(part * 25, (part + 1) * 25), seed=3)
    assert not [line for line in odd if "mixed" in line]
    separable = sum(n for name, n in counts.items() if name.startswith("separable"))
    assert separable > 10
    # 95 % of many; of 25 one more may fail.
    assert counts["separable separated"] >= 0.95 * separable - 1, odd
    assert sum(n for name, n in counts.items() if name.startswith("inseparable")) > 0


if __name__ == "__main__":
    count, seed = (int(sys.argv[1]) if len(sys.argv) > 1 else 500), 0
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    counts, odd = run(range(count), seed)
    print(*odd, sep="\n")
    print(dict(counts))
