"""Patch labels of a phantom's degrees, kinds, lobes and sides.

They follow from the labels of the findings and from the seed; nothing is rendered.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.phantoms.patient import Patient
from napari_ct_assistant.phantoms.render import GRIDS
from napari_ct_assistant.phantoms.truth import DEGREES, KINDS, LOBES, FindingTruth, draw_attributes
from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.training.data.patch_concepts import FINDING_CONCEPTS, Concept

SIDES = ("left", "right")


def _named(word: str, finding: str) -> str:
    return word if finding == "Medical material" else f"{word} {finding.lower()}"


DETAILS = tuple(
    Concept(_named(word, finding), finding)
    for finding in FINDINGS
    for word in (*DEGREES.get(finding, ()), *KINDS.get(finding, ()))
)
CONCEPTS = (*FINDING_CONCEPTS, *DETAILS, *(Concept(name) for name in (*LOBES, *SIDES)))

# The places of a finding that reports name.
_PLACES: dict[str, tuple[str, ...]] = {
    "Medical material": SIDES,
    "Lymphadenopathy": SIDES,
    "Atelectasis": LOBES,
    "Lung nodule": LOBES,
    "Lung opacity": LOBES,
    "Pulmonary fibrotic sequela": LOBES,
    "Pleural effusion": SIDES,
    "Consolidation": LOBES,
    "Bronchiectasis": LOBES,
}
_INDEX = {concept.name: number for number, concept in enumerate(CONCEPTS)}
CONCEPT_PAIRS = tuple(
    (_INDEX[finding], _INDEX[place]) for finding, places in _PLACES.items() for place in places
)


def described(finding: FindingTruth) -> list[str]:
    """Return a finding's degree, kind and places in the words of `CONCEPTS` and of their pairs."""
    words = [_named(w, finding.name) for w in (finding.severity, finding.detail) if w]
    places = SIDES if finding.side == "both" else (finding.lobe, finding.side)
    allowed = _PLACES.get(finding.name, ())
    return words + [f"{finding.name} {place}".lower() for place in places if place in allowed]


def detail_maps(seed: int, findings: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the labels of degrees and kinds: those of the finding where the seed has them.

    findings: [18, d, h, w] -> uint8 [len(DETAILS), d, h, w]
    """
    attributes = draw_attributes(seed)
    maps = np.zeros((len(DETAILS), *findings.shape[1:]), np.uint8)
    for number, concept in enumerate(DETAILS):
        finding = str(concept.of)
        truth = attributes[finding]
        words = (truth.severity, truth.detail)
        if concept.name in [_named(word, finding) for word in words if word]:
            maps[number] = findings[FINDINGS.index(finding)]
    return maps


def place_maps(seed: int, patch: tuple[int, int, int] = (8, 16, 16)) -> NDArray[np.uint8]:
    """Return the labels of the five lobes and of the left and right half of the chest.

    Returns
    -------
    uint8 [7, d, h, w]
        1 where at least a third of a patch is covered.
    """
    shape, spacing = GRIDS["model"]
    points, axes = (2, 3, 3), []
    for size, step, length, count in zip(shape, spacing, patch, points, strict=True):
        at = (np.arange(size // length * count) + 0.5) * length / count - size / 2
        axes.append(at * step)
    z, y, x = np.meshgrid(*axes, indexing="ij")
    patient = Patient(seed)
    z, y, x = patient.pose.to_patient(z, y, x)
    lobe = np.where(patient.lung_depth(z, y, x) > 0, patient.lobe(z, y, x), -1)
    # Armpits and chest wall belong to a side; the outside of the body does not.
    chest = patient.wall_depth(z, y, x) > -45
    masks = [lobe == number for number in range(len(LOBES))]
    masks += [chest & (x > 0), chest & (x <= 0)]
    grid = tuple(size // length for size, length in zip(shape, patch, strict=True))
    cells = np.stack(masks).reshape(
        len(masks), *(n for pair in zip(grid, points, strict=True) for n in pair)
    )
    covered: NDArray[np.uint8] = (cells.mean(axis=(2, 4, 6)) >= 1 / 3).astype(np.uint8)
    return covered
