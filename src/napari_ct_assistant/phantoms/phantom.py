"""A phantom: a CT volume with its labels, masks, report and questions."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.phantoms.grammar import write_report
from napari_ct_assistant.phantoms.questions import Question, make_questions
from napari_ct_assistant.phantoms.render import GRIDS, render
from napari_ct_assistant.phantoms.truth import BoxMm, FindingTruth, draw_attributes, draw_presence
from napari_ct_assistant.report_text.findings import FINDINGS

if TYPE_CHECKING:
    from napari_ct_assistant.volume import CTVolume

Resolution = Literal["model", "reading"]

# The share of a patch that a finding's mask must cover for the patch to be labelled. For small
# findings a few voxels are enough; the patch covered most is labelled in any case.
MIN_COVERAGE = {
    "Cardiomegaly": 0.25,
    "Emphysema": 0.12,
    "Mosaic attenuation pattern": 0.25,
    "Interlobular septal thickening": 0.2,
    "Pleural effusion": 0.04,
    "Pericardial effusion": 0.04,
    "Consolidation": 0.06,
    "Lung opacity": 0.06,
    "Peribronchial thickening": 0.012,
    "Bronchiectasis": 0.02,
    "Atelectasis": 0.015,
    "Pulmonary fibrotic sequela": 0.012,
    "Hiatal hernia": 0.05,
    "Lymphadenopathy": 0.03,
    "Lung nodule": 0.006,
    "Medical material": 0.001,
    "Arterial wall calcification": 0.001,
    "Coronary artery wall calcification": 0.001,
}


@dataclass(frozen=True)
class Truth:
    """What a phantom shows, before it is rendered: boxes are None.

    Report and questions are written when they are first used.
    """

    seed: int
    labels: dict[str, int]
    findings: tuple[FindingTruth, ...]

    @cached_property
    def report(self) -> str:
        """The report: findings and impression."""
        return write_report(self.seed, self.findings)

    @cached_property
    def questions(self) -> tuple[Question, ...]:
        """Questions about the phantom, with their answers."""
        return make_questions(self.seed, self.findings)


@dataclass(frozen=True)
class Phantom:
    """A rendered phantom; `masks` holds [I, P, L] for each finding present."""

    seed: int
    volume: CTVolume
    labels: dict[str, int]
    findings: tuple[FindingTruth, ...]
    report: str
    questions: tuple[Question, ...]
    masks: dict[str, NDArray[np.bool_]]

    def patch_labels(self, patch: tuple[int, int, int] = (8, 16, 16)) -> NDArray[np.uint8]:
        """Return [18, I // pi, P // pp, L // pl]: 1 where a finding covers enough of a patch."""
        grid = tuple(n // p for n, p in zip(self.volume.shape, patch, strict=True))
        out = np.zeros((len(FINDINGS), *grid), np.uint8)
        for name, mask in self.masks.items():
            m = mask[tuple(slice(0, g * p) for g, p in zip(grid, patch, strict=True))]
            m = m.reshape(grid[0], patch[0], grid[1], patch[1], grid[2], patch[2])
            cover = m.mean(axis=(1, 3, 5), dtype=np.float32)
            if cover.max() > 0:
                out[FINDINGS.index(name)] = cover >= min(MIN_COVERAGE[name], float(cover.max()))
        return out

    def to_json(self) -> dict[str, Any]:
        """Return plain data for the JSON file beside a written phantom."""
        return {
            "seed": self.seed,
            "labels": dict(self.labels),
            "attributes": [dataclasses.asdict(t) for t in self.findings],
            "report": self.report,
            "questions": [dataclasses.asdict(q) for q in self.questions],
        }


def draw_truth(seed: int, findings: Sequence[str] | None = None) -> Truth:
    """Draw labels, attributes, report and questions of `make_phantom(seed)`, without voxels.

    Raises
    ------
    ValueError
        If a name is not in `FINDINGS`.
    """
    if findings is None:
        names = draw_presence(seed)
    else:
        unknown = [f for f in findings if f not in FINDINGS]
        if unknown:
            raise ValueError(f"unknown finding {unknown[0]!r}; choose from {', '.join(FINDINGS)}")
        names = tuple(f for f in FINDINGS if f in findings)
    attributes = draw_attributes(seed)
    present = tuple(attributes[n] for n in names)
    return Truth(seed, labels={n: int(n in names) for n in FINDINGS}, findings=present)


def make_phantom(
    seed: int, *, findings: Sequence[str] | None = None, resolution: Resolution = "model"
) -> Phantom:
    """Draw a chest CT with known truth.

    Parameters
    ----------
    seed
        Determines the patient, the protocol and, where `findings` is None, the findings.
    findings
        The findings to show, of the 18 names; everything else stays as in the seed.
    resolution
        "model": (112, 224, 224) voxels of (3, 1.5, 1.5) mm; "reading": (224, 420, 420) of
        (1.5, 0.8, 0.8) mm, the same patient.
    """
    from napari_ct_assistant.volume import CTVolume

    truth = draw_truth(seed, findings)
    hu, masks = render(seed, truth.findings, resolution)
    shape, spacing = GRIDS[resolution]
    affine = np.zeros((4, 4))
    # RAS: index i goes down (-S), p goes back (-A), l goes left (-R).
    for column, (row, step) in enumerate(zip((2, 1, 0), spacing, strict=True)):
        affine[row, column] = -step
        affine[row, 3] = step * (shape[column] - 1) / 2
    affine[3, 3] = 1
    volume = CTVolume(hu=hu, affine=affine, series="Synthetic chest phantom", warnings=())
    located = tuple(
        dataclasses.replace(t, box_ras_mm=box_of(masks[t.name], affine)) for t in truth.findings
    )
    return Phantom(seed, volume, truth.labels, located, truth.report, truth.questions, masks)


def box_of(mask: NDArray[np.bool_], affine: NDArray[np.float64]) -> BoxMm | None:
    """Return the box of a mask in RAS mm, outer voxel edges included; None if it is empty."""
    slices = np.flatnonzero(mask.reshape(len(mask), -1).any(axis=1))
    if not len(slices):
        return None
    # The other two axes are looked up in the shadow of the slices that are used.
    shadow = np.logical_or.reduce(mask[slices[0] : slices[-1] + 1])
    axes = slices, np.flatnonzero(shadow.any(axis=1)), np.flatnonzero(shadow.any(axis=0))
    spans = [(used[0] - 0.5, used[-1] + 0.5) for used in axes]
    corners = np.array([[s[k] for s in spans] for k in (0, 1)]) @ affine[:3, :3].T + affine[:3, 3]
    lo, hi = corners.min(0).round(1).tolist(), corners.max(0).round(1).tolist()
    return (lo[0], lo[1], lo[2]), (hi[0], hi[1], hi[2])
