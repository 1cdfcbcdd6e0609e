"""Patch labels of degrees, kinds, lobes and sides."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ct_assistant.phantoms import make_phantom
from napari_ct_assistant.phantoms.truth import LOBES, draw_attributes
from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.training.data.phantom_patch_labels import (
    CONCEPT_PAIRS,
    CONCEPTS,
    DETAILS,
    detail_maps,
    place_maps,
)

NAMES = [concept.name for concept in CONCEPTS]


def test_findings_come_first_and_names_are_unique() -> None:
    assert tuple(NAMES[: len(FINDINGS)]) == FINDINGS
    assert len(set(NAMES)) == len(NAMES)
    assert all(concept.of in FINDINGS for concept in DETAILS)


@pytest.mark.parametrize("name", FINDINGS)
def test_every_degree_and_kind_that_is_drawn_has_a_channel(name: str) -> None:
    own = [c.name for c in DETAILS if c.of == name]
    findings = np.ones((len(FINDINGS), 1, 1, 1), np.uint8)
    seen = set()
    for seed in range(80):
        truth = draw_attributes(seed)[name]
        maps = detail_maps(seed, findings)[:, 0, 0, 0]
        shown = {c.name for c, shows in zip(DETAILS, maps, strict=True) if shows and c.of == name}
        words = [word for word in (truth.severity, truth.detail) if word]
        assert len(shown) == len(words), (name, words, shown)
        assert all(any(one.startswith(word) for one in shown) for word in words)
        seen |= shown
    assert seen == set(own), "and every channel is drawn"


def test_details_are_where_their_finding_is() -> None:
    findings = np.zeros((len(FINDINGS), 2, 2, 2), np.uint8)
    findings[FINDINGS.index("Emphysema"), 0, 1, 1] = 1
    maps = detail_maps(4, findings)
    assert maps.sum() == 1
    grade = draw_attributes(4)["Emphysema"].severity
    assert maps[[c.name for c in DETAILS].index(f"{grade} emphysema"), 0, 1, 1] == 1


def test_lobes_cover_the_lungs_and_sides_split_the_chest() -> None:
    phantom = make_phantom(5, findings=["Consolidation"])
    maps = dict(zip(NAMES[-7:], place_maps(5), strict=True))
    air = (phantom.volume.hu < -700).reshape(14, 8, 14, 16, 14, 16).mean((1, 3, 5))
    lungs = np.any([maps[lobe] for lobe in LOBES], axis=0)
    assert lungs.sum() > 250
    assert (air[lungs] > 0.1).mean() > 0.85
    # The first axis runs to inferior, the third to the patient's left.
    assert maps["left"][:, :, 9:].sum() > 20 * maps["left"][:, :, :5].sum()
    upper, lower = (np.argwhere(maps[f"right {part} lobe"])[:, 0] for part in ("upper", "lower"))
    assert upper.mean() + 2 < lower.mean()
    # A consolidation lies in the lobe that the report names.
    truth = phantom.findings[0]
    at = phantom.patch_labels()[FINDINGS.index("Consolidation")].astype(bool)
    share = {lobe: (at & maps[lobe].astype(bool)).sum() for lobe in LOBES}
    assert max(share, key=lambda lobe: share[lobe]) == truth.lobe


def test_pairs_are_where_reports_put_a_finding() -> None:
    pairs = {(NAMES[finding], NAMES[place]) for finding, place in CONCEPT_PAIRS}
    assert len(pairs) == len(CONCEPT_PAIRS)
    for seed in range(60):
        for name, truth in draw_attributes(seed).items():
            place = truth.lobe or (truth.side if truth.side in ("left", "right") else None)
            assert place is None or (name, place) in pairs, (name, place)
