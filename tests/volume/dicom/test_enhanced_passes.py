"""Enhanced multi-frame files with two passes, told apart by each attribute of the standard."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from napari_ct_assistant.volume import CTReadError, list_series, open_ct
from tests.volume.samples import enhanced, ramp, save

COUNT = 8


def content(**values: object) -> Callable[[Dataset, int, int], None]:
    """Return what sets attributes of a frame's FrameContentSequence; a list gives one a pass."""

    def change(group: Dataset, scan: int, k: int) -> None:
        for keyword, value in values.items():
            per_pass = value[scan] if isinstance(value, list) else value
            chosen = [scan + 1, k + 1] if value == "index" else per_pass
            setattr(group.FrameContentSequence[0], keyword, chosen)

    return change


def sequence(name: str, **values: list[object]) -> Callable[[Dataset, int, int], None]:
    """Return what adds a functional group with one value a pass."""

    def change(group: Dataset, scan: int, k: int) -> None:
        item = Dataset()
        for keyword, value in values.items():
            setattr(item, keyword, value[scan])
        setattr(group, name, [item])

    return change


TOLD_APART = {
    "acquisition number": content(FrameAcquisitionNumber=[1, 2]),
    "date and time": content(FrameAcquisitionDateTime=["20260101100000.0", "20260101100145.5"]),
    "stack": content(StackID=["1", "2"]),
    "temporal position": content(TemporalPositionIndex=[1, 2]),
    "dimension index": content(DimensionIndexValues="index"),
    "kernel": sequence("CTReconstructionSequence", ConvolutionKernel=["B30f", "B70f"]),
    "kVp": sequence("CTXRayDetailsSequence", KVP=[80, 140]),
    "contrast phase": sequence(
        "ContrastBolusUsageSequence", ContrastBolusAgentPhase=["PRE_CONTRAST", "POST_CONTRAST"]
    ),
    "cardiac phase": sequence(
        "CardiacSynchronizationSequence", NominalPercentageOfCardiacPhase=[40.0, 75.0]
    ),
    "frame type": sequence(
        "CTImageFrameTypeSequence",
        FrameType=[["ORIGINAL", "PRIMARY", "VOLUME", "NONE"], ["DERIVED", "PRIMARY", "MIP", "MAX"]],
    ),
}


def write(path: Path, change: Callable[[Dataset, int, int], None], offset: float) -> Path:
    frames = [(scan, k) for scan in (0, 1) for k in range(COUNT)]
    random.Random(4).shuffle(frames)
    pixels = np.stack([ramp(k + 40 * scan) for scan, k in frames])
    ds = enhanced(pixels, [(0, 0, 5.0 * k + offset * scan) for scan, k in frames])
    for group, (scan, k) in zip(ds.PerFrameFunctionalGroupsSequence, frames, strict=True):
        rescale = group.PixelValueTransformationSequence[0]
        rescale.RescaleSlope, rescale.RescaleIntercept = 1, -1024
        change(group, scan, k)
    return save(path, ds, pixels)


@pytest.mark.parametrize("name", TOLD_APART)
@pytest.mark.parametrize("offset", [0.0, 2.5, 0.03])
def test_each_pass_is_a_series(tmp_path: Path, name: str, offset: float) -> None:
    path = write(tmp_path / "e.dcm", TOLD_APART[name], offset)
    found = list_series(path)
    assert [info.n_slices for info in found] == [COUNT, COUNT]
    whole = [np.stack([ramp(k + 40 * n).astype(int) - 1024 for k in range(COUNT)]) for n in (0, 1)]
    seen = set()
    for info in found:
        hu = open_ct(path, series=info.key).hu[::-1]
        seen.add(next(n for n in (0, 1) if np.array_equal(hu, np.maximum(whole[n], -1024))))
    assert seen == {0, 1}


def test_passes_that_nothing_tells_apart_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "e.dcm", content(FrameAcquisitionNumber=[1, 1]), 0.0)
    with pytest.raises(CTReadError, match="different slices lie at one position"):
        open_ct(path)
